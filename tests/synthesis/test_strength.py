"""Defects that are seen in part."""

from pathlib import Path

import numpy as np
import pytest
from tiny import part, request_of, spot, write_bundle

from blemish.data.pairs import read_mask
from blemish.errors import OptionError
from blemish.pictures import fit_mask, read_picture, write_picture
from blemish.synthesis.composite import carry, soft_cover
from blemish.synthesis.dataset import Dataset
from blemish.synthesis.options import SynthesisOptions
from blemish.synthesis.strength import faded
from blemish.synthesis.synthesize import Synthesizer, in_turn, synthesize

SIZES = [(64, 64), (512, 512), (900, 1200), (33, 47), (1, 80)]


def mask_of(size: tuple[int, int]) -> np.ndarray:
    return spot(*size) if min(size) > 1 else np.arange(size[1])[None] < 20


def fading_away(mask: np.ndarray) -> int:
    """A seed under which next to nothing is left of a defect somewhere, and of most of it much."""
    for seed in range(100):
        share = faded(mask, 1.0, np.random.default_rng(seed))[mask]
        if share.min() < 0.05 and share.mean() > 0.4:
            return seed
    raise AssertionError("no field fades away")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("most", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("seed", range(3))
def test_strength_is_full_somewhere_and_falls_by_no_more_than_was_said(
    size: tuple[int, int], most: float, seed: int
) -> None:
    mask = mask_of(size)
    share = faded(mask, most, np.random.default_rng(seed))
    assert share.shape == size
    assert share[mask].max() == 1
    assert share.max() <= 1
    assert share.min() >= 1 - most
    if most:
        assert share[mask].min() < 1
    else:
        assert (share == 1).all()


def test_passages_are_smooth_and_as_wide_as_the_defect() -> None:
    steps = {}
    for radius in (12, 100):
        y, x = np.mgrid[:512, :512]
        mask = np.hypot(y - 256, x - 256) < radius
        fields = [faded(mask, 1.0, np.random.default_rng(seed)) for seed in range(20)]
        steps[radius] = np.mean([np.abs(np.diff(f, axis=1))[mask[:, 1:]].mean() for f in fields])
    assert steps[12] > 2 * steps[100]
    assert steps[12] < 0.1


def test_some_defects_are_mostly_seen_and_others_mostly_not() -> None:
    mask = spot(96, 96)
    seen = [faded(mask, 1.0, np.random.default_rng(seed))[mask].mean() for seed in range(60)]
    assert min(seen) < 0.45
    assert max(seen) > 0.8


def test_a_picture_of_another_size_has_nearly_the_same_field() -> None:
    y, x = np.mgrid[:512, :512]
    large = np.hypot(y - 250, x - 260) < 120
    small = fit_mask(large, 256)
    fields = [faded(mask, 1.0, np.random.default_rng(4)) for mask in (large, small)]
    np.testing.assert_allclose(fields[0][::2, ::2], fields[1], atol=0.05)


@pytest.mark.parametrize("grey", [False, True])
def test_the_label_ends_where_nothing_is_left_of_the_change(grey: bool) -> None:
    picture, requested = part(96, 96), spot(96, 96)
    drawn, cover = fit_mask(requested, 16).astype(np.float32), soft_cover(requested)
    change = np.full((16, 16, 3), 60, np.float32)
    share = faded(requested, 1.0, np.random.default_rng(fading_away(requested)))
    full = carry(picture, change, drawn, cover, requested, grey=grey)
    weak = carry(picture, change, drawn, cover, requested, strength=share, grey=grey)
    assert np.array_equal(weak.changed, (weak.picture != picture).any(axis=2))
    assert weak.changed.sum() < 0.95 * full.changed.sum()
    assert not weak.changed[share < 0.05].any()


def test_a_pixel_gets_its_own_share_of_the_change() -> None:
    picture, requested = np.full((96, 96, 3), 100, np.uint8), spot(96, 96)
    share = faded(requested, 0.5, np.random.default_rng(2))
    change = np.full((16, 16, 3), 80, np.float32)
    drawn, cover = np.ones((16, 16), np.float32), soft_cover(requested)
    found = carry(picture, change, drawn, cover, requested, strength=share)
    full = cover == 1
    moved = found.picture[full].astype(float)
    np.testing.assert_allclose(moved, 100 + 80 * share[full][:, None].repeat(3, 1), atol=0.51)


@pytest.mark.parametrize("uneven", [-0.1, 1.01, float("nan")])
def test_what_is_out_of_range_is_refused(uneven: float) -> None:
    with pytest.raises(OptionError, match="uneven"):
        SynthesisOptions(uneven=uneven)


def test_an_item_fades_by_its_seed_and_keeps_its_label(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "bundle", windows=True)
    write_picture(tmp_path / "good.png", part(96, 96))
    write_picture(tmp_path / "mask.png", (255 * spot(96, 96)).astype(np.uint8))
    found, seed = {}, fading_away(spot(96, 96))
    for uneven in (0.0, 1.0):
        worker = Synthesizer(bundle, SynthesisOptions(uneven=uneven, method="window"))
        request = request_of(tmp_path / "good.png", tmp_path / "mask.png", "crack", worker.types)
        root = tmp_path / f"made{uneven}"
        (row,) = synthesize(worker, in_turn([request]), Dataset(root), count=1, seed=seed)
        assert row["options"]["uneven"] == uneven
        files = row["files"]
        made, label = read_picture(root / files["image"]), read_mask(root / files["mask"])
        found[uneven] = np.abs(made.astype(float) - part(96, 96)).max(axis=2), label
    share = faded(spot(96, 96), 1.0, np.random.default_rng(seed))
    assert all(label[spot(96, 96)].all() for _, label in found.values())
    weak, strong = (spot(96, 96) & where for where in (share < 0.3, share > 0.9))
    assert weak.any()
    assert found[1.0][0][weak].mean() < 0.4 * found[0.0][0][weak].mean()
    np.testing.assert_allclose(found[1.0][0][strong], found[0.0][0][strong], atol=12)
