from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import get_args

import cv2
import numpy as np
import pytest
from tiny import write_defects

from blemish.data.masks import components
from blemish.data.pairs import read_mask
from blemish.errors import DataError, OptionError, UserError
from blemish.names import MaskKind, OffPart
from blemish.pictures import write_picture
from blemish.synthesis.composite import reach_px
from blemish.synthesis.masks.draw import draw_mask
from blemish.synthesis.masks.place import Where, cut_to, point_on
from blemish.synthesis.masks.real import choose_real, read_real_masks
from blemish.synthesis.masks.shapes import shape_of_discs, shape_of_mask
from blemish.synthesis.options import MaskOptions

# Learned masks have a size and a place of their own; see tests/masks.
KINDS: tuple[MaskKind, ...] = tuple(kind for kind in get_args(MaskKind) if kind != "learned")
OFF_PARTS: tuple[OffPart, ...] = get_args(OffPart)
ONE_PIECE: tuple[MaskKind, ...] = ("scratch", "blob")


def ellipse(h: int, w: int) -> np.ndarray:
    y, x = (np.mgrid[:h, :w] + 0.5) / np.array([h, w])[:, None, None] - 0.5
    return (x / 0.42) ** 2 + (y / 0.36) ** 2 < 1


def ring(h: int, w: int) -> np.ndarray:
    y, x = (np.mgrid[:h, :w] + 0.5) / np.array([h, w])[:, None, None] - 0.5
    return ellipse(h, w) & (np.hypot(x, y) > 0.25)


def comb(h: int, w: int) -> np.ndarray:
    part = ellipse(h, w)
    part[: h // 2, :: max(2, w // 8)] = False
    return part


def line(h: int, w: int) -> np.ndarray:
    part = np.zeros((h, w), bool)
    part[h // 2, w // 8 : -w // 8] = True
    return part


def two(h: int, w: int) -> np.ndarray:
    part = ellipse(h, w)
    part[:, w // 3 : w // 2] = False
    return part


def full(h: int, w: int) -> np.ndarray:
    return np.ones((h, w), bool)


PARTS: tuple[Callable[[int, int], np.ndarray], ...] = (ellipse, ring, comb, two, full)


def hook() -> np.ndarray:
    mask = np.zeros((60, 90), bool)
    mask[10:14, 10:80] = mask[10:50, 30:34] = True
    return mask


REAL = (np.zeros((8, 8), bool), hook())


def draw(plan: MaskOptions, part: np.ndarray, seed: int) -> np.ndarray:
    return draw_mask(plan, part, np.random.default_rng(seed), REAL)


def apart(one: np.ndarray, other: np.ndarray) -> float:
    """How far all but a twentieth of the pixels of each lie from the other, at most."""
    gaps = []
    for a, b in ((one, other), (other, one)):
        away = cv2.distanceTransform((~b).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        gaps.append(float(np.percentile(away[a], 95)))
    return max(gaps)


def depth(part: np.ndarray, mask: np.ndarray) -> float:
    """Of the mask below the part's outline, as a share of the deepest."""
    padded = np.pad(part, 1).astype(np.uint8)
    depths = cv2.distanceTransform(padded, cv2.DIST_L2, 5)[1:-1, 1:-1]
    return float(depths[mask].mean() / depths.max())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("size", [(80, 80), (96, 160)])
@pytest.mark.parametrize("area", [0.01, 0.06])
def test_a_mask_is_on_the_part_and_as_large_as_asked(
    kind: MaskKind, part: Callable[[int, int], np.ndarray], size: tuple[int, int], area: float
) -> None:
    where = part(*size)
    mask = draw(MaskOptions(mask_kind=kind, area=area), where, 0)
    assert mask.shape == size and mask.dtype == bool
    assert not (mask & ~where).any()
    assert mask.sum() == pytest.approx(area * where.sum(), rel=0.2)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("side", [48, 500])
def test_any_size_will_do(kind: MaskKind, side: int) -> None:
    part = ellipse(side, side)
    mask = draw(MaskOptions(mask_kind=kind, area=0.03), part, 0)
    assert mask.sum() == pytest.approx(0.03 * part.sum(), rel=0.2)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(4))
def test_areas_lie_in_their_range(kind: MaskKind, seed: int) -> None:
    part = ellipse(128, 128)
    share = draw(MaskOptions(mask_kind=kind, area=(0.01, 0.04)), part, seed).sum() / part.sum()
    assert 0.008 < share < 0.048


@pytest.mark.parametrize("kind", ONE_PIECE)
@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("side", [64, 128])
def test_scratches_and_blobs_are_in_one_piece(
    kind: MaskKind, part: Callable[[int, int], np.ndarray], side: int
) -> None:
    masks = [
        draw(MaskOptions(mask_kind=kind, area=0.02), part(side, side), seed) for seed in range(2)
    ]
    assert [len(components(mask, least=1)) for mask in masks] == [1, 1]


@pytest.mark.parametrize("seed", range(6))
def test_spots_are_several_and_close_together(seed: int) -> None:
    part = ellipse(160, 160)
    mask = draw(MaskOptions(mask_kind="spots", area=0.01), part, seed)
    assert 2 <= len(components(mask, least=1)) <= 9
    rows, columns = np.nonzero(mask)
    assert max(np.ptp(rows), np.ptp(columns)) < 80


def elongation(mask: np.ndarray) -> float:
    points = np.argwhere(mask).astype(np.float32)
    _, sides, _ = cv2.minAreaRect(points)
    return max(sides) / (min(sides) + 1)


@pytest.mark.parametrize("seed", range(6))
def test_scratches_are_thin_and_blobs_are_not(seed: int) -> None:
    part = ellipse(256, 256)
    stroke, patch = (draw(MaskOptions(mask_kind=kind, area=0.01), part, seed) for kind in ONE_PIECE)
    length = np.hypot(*np.ptp(np.argwhere(stroke), axis=0))
    assert stroke.sum() < 0.08 * length**2
    assert elongation(stroke) > 2
    assert elongation(patch) < 2.5
    thickness = [
        cv2.distanceTransform(np.pad(m, 1).astype(np.uint8), cv2.DIST_L2, 5).max()
        for m in (stroke, patch)
    ]
    assert thickness[1] > 2 * thickness[0]


@pytest.mark.parametrize("seed", range(3))
def test_a_scratch_tapers(seed: int) -> None:
    stroke = draw(
        MaskOptions(mask_kind="scratch", area=0.02, off_part="refuse"), ellipse(320, 320), seed
    )
    middle = np.argwhere(stroke).mean(axis=0)
    points = np.argwhere(stroke)
    away = np.linalg.norm(points - middle, axis=1)
    depths = cv2.distanceTransform(stroke.astype(np.uint8), cv2.DIST_L2, 5)[stroke]
    assert depths[away > 0.93 * away.max()].max() < 0.8 * depths.max()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("off_part", OFF_PARTS)
def test_a_generator_draws_what_its_seed_says(kind: MaskKind, off_part: OffPart) -> None:
    part = ellipse(96, 96)
    plan = MaskOptions(mask_kind=kind, area=(0.005, 0.03), off_part=off_part)
    masks = [draw(plan, part, seed) for seed in range(3)]
    again = [draw(plan, part, seed) for seed in range(3)]
    assert all((one == other).all() for one, other in zip(masks, again, strict=True))
    assert len({mask.tobytes() for mask in masks}) == 3


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("where", ["anywhere", "centre", "edge", (0.4, 0.2, 0.5, 0.6)])
def test_masks_are_the_same_at_twice_the_resolution(kind: MaskKind, where: Where) -> None:
    plan = MaskOptions(mask_kind=kind, area=(0.01, 0.02), where=where)
    gaps = []
    for seed in range(3):
        small, large = (draw(plan, ellipse(side, side), seed) for side in (160, 320))
        wide = cv2.resize(small.astype(np.uint8), (320, 320), interpolation=cv2.INTER_NEAREST)
        gaps.append(apart(wide.astype(bool), large))
    assert sorted(gaps)[1] <= 4  # of the larger one's pixels; a place may be a near miss in one


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("part", [ellipse, ring])
def test_the_centre_is_deeper_than_the_edge(
    kind: MaskKind, part: Callable[[int, int], np.ndarray]
) -> None:
    where = part(128, 128)
    deep, shallow = (
        np.mean(
            [depth(where, draw(replace(plan, mask_kind=kind), where, seed)) for seed in range(4)]
        )
        for plan in (
            MaskOptions(mask_kind="scratch", area=0.005, where="centre"),
            MaskOptions(mask_kind="scratch", area=0.005, where="edge"),
        )
    )
    assert deep > 1.2 * shallow


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("box", [(0.5, 0.0, 0.5, 0.5), (0.3, 0.4, 0.4, 0.4)])
@pytest.mark.parametrize("off_part", OFF_PARTS)
def test_a_mask_lies_in_its_box(
    kind: MaskKind, box: tuple[float, float, float, float], off_part: OffPart
) -> None:
    plan = MaskOptions(mask_kind=kind, area=0.005, where=box, off_part=off_part)
    rows, columns = np.nonzero(draw(plan, ellipse(160, 240), 1))
    x, y, width, height = box
    assert (x * 240 <= columns).all() and (columns < (x + width) * 240).all()
    assert (y * 160 <= rows).all() and (rows < (y + height) * 160).all()


@pytest.mark.parametrize("kind", KINDS)
def test_where_clipping_is_refused_little_lies_along_the_outline(kind: MaskKind) -> None:
    part = ellipse(128, 128)
    outline = part & (cv2.erode(part.astype(np.uint8), np.ones((3, 3))) == 0)
    plan = MaskOptions(mask_kind=kind, area=0.01, where="edge")
    clipped, whole = (
        sum(
            (draw(replace(plan, off_part=off_part), part, seed) & outline).sum()
            for seed in range(4)
        )
        for off_part in OFF_PARTS
    )
    assert whole < 0.5 * clipped


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("off_part", OFF_PARTS)
@pytest.mark.parametrize("size", [(16, 200), (64, 512), (24, 24)])
def test_odd_parts_give_a_mask_or_a_plain_no(
    kind: MaskKind, off_part: OffPart, size: tuple[int, int]
) -> None:
    plan = MaskOptions(mask_kind=kind, area=0.1, off_part=off_part)
    for part in (line(*size), ring(*size), np.eye(*size, dtype=bool)):
        try:
            mask = draw(plan, part, 0)
        except UserError as error:
            assert isinstance(error, OptionError)
        else:
            assert not (mask & ~part).any()
            assert mask.sum() == pytest.approx(0.1 * part.sum(), rel=0.2)


@pytest.mark.parametrize("kind", ["scratch", "blob"])
def test_a_line_is_clipped_to(kind: MaskKind) -> None:
    part = line(40, 400)
    mask = draw(MaskOptions(mask_kind=kind, area=0.1), part, 0)
    assert mask.sum() == pytest.approx(0.1 * part.sum(), rel=0.2)


def test_a_real_mask_has_its_own_size_unless_another_is_given() -> None:
    disc = np.hypot(*(np.mgrid[:50, :50] - 25)) < 6
    part = ellipse(200, 200)
    for area, size in ((None, disc.mean() * part.size), (0.01, 0.01 * part.sum())):
        plan = MaskOptions(mask_kind="real", area=area)
        mask = draw_mask(plan, part, np.random.default_rng(0), [disc])
        assert mask.sum() == pytest.approx(size, rel=0.2)
    wide = np.ones((50, 50), bool)
    with pytest.raises(OptionError, match=r"a mask \(real\) of its own size, and only"):
        draw_mask(MaskOptions(mask_kind="real"), part, np.random.default_rng(0), [wide])


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_part_there_is_no_mask(kind: MaskKind) -> None:
    with pytest.raises(OptionError, match="a part of 0 pixels"):
        draw(MaskOptions(mask_kind=kind), np.zeros((64, 64), bool), 0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "plan",
    [
        MaskOptions(mask_kind="scratch", area=0.0005),
        MaskOptions(mask_kind="scratch", where=(0, 0, 0.1, 0.1)),
        MaskOptions(mask_kind="scratch", where=(0, 0, 1, 1e-6)),
    ],
)
def test_where_there_is_no_place_it_says_so(kind: MaskKind, plan: MaskOptions) -> None:
    with pytest.raises(OptionError, match="of the part"):
        draw(replace(plan, mask_kind=kind), ellipse(64, 64), 0)


def test_a_part_that_is_too_narrow_is_refused() -> None:
    plan = MaskOptions(mask_kind="blob", area=0.2, off_part="refuse")
    with pytest.raises(OptionError, match="32 tries"):
        draw(plan, line(40, 400), 0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"area": 0.0},
        {"area": 0.6},
        {"area": float("nan")},
        {"area": (0.02, 0.01)},
        {"where": (0.5, 0.5, 0.6, 0.1)},
        {"where": (0.5, 0.5, 0.1, 0.0)},
        {"where": (-0.1, 0.5, 0.3, 0.1)},
        {"mask_elastic": 0.02},
        {"mask_kind": "real", "mask_elastic": 0.2},
        {"mask_kind": "real", "mask_elastic": -0.01},
        {"mask_kind": "real", "mask_elastic": float("nan")},
    ],
)
def test_a_plan_that_makes_no_sense(wrong: dict) -> None:
    with pytest.raises(OptionError):
        MaskOptions(**wrong)


def test_a_real_mask_keeps_its_shape() -> None:
    part = full(300, 300)
    mask = draw(MaskOptions(mask_kind="real", area=0.01, off_part="refuse"), part, 3)
    ours, theirs = (
        cv2.HuMoments(cv2.moments(m.astype(np.uint8), binaryImage=True))[:2, 0]
        for m in (mask, hook())
    )
    np.testing.assert_allclose(ours, theirs, rtol=0.15)


@pytest.mark.parametrize("real", [(), REAL[:1]])
def test_real_masks_are_needed_for_real_ones(real: Sequence[np.ndarray]) -> None:
    with pytest.raises(OptionError, match="real"):
        draw_mask(MaskOptions(mask_kind="real"), ellipse(64, 64), np.random.default_rng(0), real)


@pytest.mark.parametrize("where", ["centre", "there"])
def test_elastic_makes_many_of_one_real_mask(where: Where) -> None:
    """Bent ones differ in outline, hardly in area; the same generator bends alike."""
    part = ellipse(200, 200)
    real = np.hypot(*(np.mgrid[:200, :200] - 100)) < 20

    def drawn(elastic: float, seed: int) -> np.ndarray:
        plan = MaskOptions(mask_kind="real", where=where, area=0.06, mask_elastic=elastic)
        return draw_mask(plan, part, np.random.default_rng(seed), [real])

    def roundness(mask: np.ndarray) -> float:
        (_, _), radius = cv2.minEnclosingCircle(cv2.findNonZero(mask.astype(np.uint8)))
        return mask.sum() / (np.pi * radius**2)

    plain = [roundness(drawn(0, seed)) for seed in range(5)]
    bent = [roundness(drawn(0.04, seed)) for seed in range(5)]
    assert max(bent) < min(plain) - 0.05
    np.testing.assert_array_equal(drawn(0.04, 3), drawn(0.04, 3))


def test_real_masks_are_read_from_a_folder(parts: Path) -> None:
    masks = read_real_masks(parts, "crack")
    assert len(masks) == 6
    assert all(mask.any() and mask.shape == (32, 32) for mask in masks)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The masks' files that have been read."""
    files: list[Path] = []

    def noted(photograph: Path, mask: Path, kind: str) -> np.ndarray:
        files.append(mask)
        return read_mask(mask)

    monkeypatch.setattr("blemish.data.folder.read_mask_for", noted)
    return files


def test_a_real_mask_is_chosen_without_reading_the_others(parts: Path, read: list[Path]) -> None:
    for seed in range(30):
        chosen, again = (choose_real(parts, "crack", np.random.default_rng(seed)) for _ in "12")
        assert read[-1] == read[-2]
        assert (chosen == again).all() and (chosen == read_mask(read[-1])).all()
    assert len(read) == 60
    assert len({*read}) == 6, "each has its chance"


@pytest.mark.parametrize("marked", [0, 1, 2])
def test_empty_real_masks_are_passed_over(marked: int, tmp_path: Path, read: list[Path]) -> None:
    write_defects(tmp_path)
    truths = sorted((tmp_path / "ground_truth" / "crack").iterdir())
    for path in truths[marked:]:
        write_picture(path, np.zeros((48, 48), bool))
    rngs = [np.random.default_rng(seed) for seed in range(20)]
    if marked:
        assert all(choose_real(tmp_path, "crack", rng).any() for rng in rngs)
        assert {*read} == {*truths}
        assert len(read_real_masks(tmp_path, "crack")) == marked
    else:
        for choose in (read_real_masks, partial(choose_real, rng=rngs[0])):
            with pytest.raises(DataError, match="which has no mask of a 'crack'"):
                choose(tmp_path, "crack")


@pytest.mark.parametrize("folder, defect", [("", "dent"), ("nowhere", "crack")])
def test_a_folder_without_real_masks(parts: Path, folder: str, defect: str) -> None:
    with pytest.raises(DataError):
        read_real_masks(parts / folder, defect)
    with pytest.raises(DataError):
        choose_real(parts / folder, defect, np.random.default_rng(0))


def square(row: int, column: int, side: int = 10) -> np.ndarray:
    mask = np.zeros((128, 128), bool)
    mask[row : row + side, column : column + side] = True
    return mask


@pytest.mark.parametrize("off_part", OFF_PARTS)
def test_a_mask_on_the_part_stays_as_it_is(off_part: OffPart) -> None:
    mask = square(60, 60)
    assert (cut_to(ellipse(128, 128), mask, off_part) == mask).all()


def test_what_laps_over_is_clipped_or_refused() -> None:
    part, mask = square(20, 20, 80), square(95, 50)
    assert (cut_to(part, mask, "clip") == (mask & part)).all()
    with pytest.raises(DataError, match=r"scratch\.png with 50%"):
        cut_to(part, mask, "refuse", name="scratch.png")


def test_an_outline_is_in_doubt_by_the_reach() -> None:
    part, mask = square(20, 20, 80), square(90 + reach_px(128, 128), 50)
    assert (cut_to(part, mask, "refuse") == (mask & part)).all()


@pytest.mark.parametrize("off_part", OFF_PARTS)
@pytest.mark.parametrize("mask", [square(0, 0), square(0, 0, 0)])
def test_a_mask_beside_the_part_is_refused(off_part: OffPart, mask: np.ndarray) -> None:
    with pytest.raises(DataError, match="0% of its area"):
        cut_to(square(60, 60), mask, off_part)


def test_points_fall_evenly_on_the_region() -> None:
    region, rng = ring(40, 60), np.random.default_rng(0)
    points = np.array([point_on(region, *uv) for uv in rng.random((1000, 2))])
    columns, rows = points.astype(int).T
    assert region[rows, columns].all()
    left = region[:, :30].sum() / region.sum()
    assert (columns < 30).mean() == pytest.approx(left, abs=0.05)
    np.testing.assert_allclose(points.mean(axis=0), (30, 20), atol=1.5)


@pytest.mark.parametrize("share", [0.0, 0.5, np.nextafter(1, 0)])
def test_shares_at_their_bounds_are_on_the_region(share: float) -> None:
    region = np.zeros((9, 9), bool)
    region[2, 3] = region[7, 5] = True
    x, y = point_on(region, share, share)
    assert region[int(y), int(x)]


@pytest.mark.parametrize("scale", [0.02, 0.1, 1.0, 3.0])
@pytest.mark.parametrize("turn", [0.0, 0.4, 1.9])
def test_a_line_of_discs_never_falls_to_pieces(scale: float, turn: float) -> None:
    path = np.stack([np.arange(200.0), 20 * np.sin(np.arange(200) / 30)], axis=1)
    shape = shape_of_discs(path, np.full(200, 1.0))
    drawn = shape.draw(full(700, 700), middle=(350.3, 350.8), turn=turn, scale=scale)
    assert len(components(drawn, least=1)) == 1
    assert np.ptp(np.argwhere(drawn), axis=0).max() > 0.6 * 200 * scale


def test_a_shape_drawn_as_large_as_it_was_is_the_mask() -> None:
    mask = hook()
    drawn = shape_of_mask(mask).draw(full(60, 90), middle=(45.0, 30.0), turn=0, scale=1.0)
    rows, columns = np.argwhere(mask).min(axis=0), np.argwhere(drawn).min(axis=0)
    moved = np.roll(drawn, tuple(rows - columns), axis=(0, 1))
    assert (moved == mask).all()


def test_a_quarter_turn_turns() -> None:
    shape = shape_of_mask(hook())
    upright, turned = (
        shape.draw(full(121, 121), middle=(60.5, 60.5), turn=turn, scale=0.8)
        for turn in (0.0, np.pi / 2)
    )
    assert (np.rot90(upright, -1) != turned).sum() <= 0.02 * turned.sum()
