import unicodedata
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from scenery import DISC, shadowed
from tiny import TYPES, part, request_of, spot, write_defects, write_scene

from blemish.data.masks import silhouette
from blemish.data.pairs import read_mask
from blemish.decode import decode
from blemish.errors import DataError, OptionError, UserError
from blemish.levels import as_stored
from blemish.names import MaskKind
from blemish.originals import Original
from blemish.pictures import write_picture
from blemish.synthesis.options import SynthesisOptions
from blemish.synthesis.part import GoodPart
from blemish.synthesis.request import Request, draw_request, drawn_on, read_requests

Spoil = Callable[[Path, Path], object]
CORNER = spot(at=(0.1, 0.1))


def in_place_of(path: Path, other: object) -> None:
    path.unlink()
    if isinstance(other, str):
        path.write_text(other)
    elif isinstance(other, np.ndarray):
        write_picture(path, other)


FAULTS: list[tuple[Spoil, type[UserError], str]] = [
    (lambda normal, mask: normal.unlink(), DataError, r"nut\.png, which does not exist"),
    (lambda normal, mask: mask.unlink(), DataError, r"nut_mask\.png, which does not exist"),
    (lambda normal, mask: in_place_of(normal, "hello"), DataError, r"nut\.png, which is not an im"),
    (lambda normal, mask: in_place_of(mask, "hello"), DataError, r"mask\.png, which is not an im"),
    (lambda normal, mask: in_place_of(normal, ""), DataError, r"nut\.png, which is not an image"),
    (lambda normal, mask: in_place_of(normal, part(1, 1)), DataError, "an image of 1 × 1 pixels"),
    (lambda normal, mask: in_place_of(normal, part(31, 90)), DataError, "an image of 90 × 31"),
    (lambda normal, mask: in_place_of(mask, spot(1, 1)), DataError, "a mask of 1 × 1 pixels for"),
    (lambda normal, mask: in_place_of(mask, spot(64, 63)), DataError, "of 63 × 64 pixels for a ph"),
    (
        lambda normal, mask: in_place_of(mask, spot() & False),
        DataError,
        "a mask with no pixel marked",
    ),
    (lambda normal, mask: in_place_of(mask, CORNER), DataError, "a mask with 0% of its area on"),
    (
        lambda normal, mask: in_place_of(mask, spot() | True),
        DataError,
        "a mask with every pixel marked",
    ),
    (lambda normal, mask: (mask.unlink(), mask.mkdir()), DataError, "which is a folder"),
]


@pytest.mark.parametrize("spoil, kind, message", FAULTS)
def test_each_fault_is_reported(
    spoil: Spoil, kind: type[UserError], message: str, tmp_path: Path
) -> None:
    normal, mask = write_scene(tmp_path)
    spoil(normal, mask)
    with pytest.raises(kind, match=message):
        request_of(normal, mask, "paint", TYPES)


@pytest.mark.parametrize("kind", ["../../x", "/x", "a\\b", ".x"])
def test_a_type_that_is_a_path_is_refused(kind: str, tmp_path: Path) -> None:
    """A bundle may know it: its types are a file's word."""
    with pytest.raises(OptionError, match="the defect type"):
        request_of(*write_scene(tmp_path), kind, (kind,))


def test_the_part_is_found_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    normal, mask = write_scene(tmp_path)
    (tmp_path / "masks").mkdir()
    for k in range(3):
        (tmp_path / "masks" / f"{k}.png").write_bytes(mask.read_bytes())
    asked: list[tuple[int, ...]] = []

    def counted(picture: np.ndarray) -> np.ndarray:
        asked.append(picture.shape)
        return silhouette(picture)

    monkeypatch.setattr("blemish.synthesis.part.silhouette", counted)
    requests = read_requests(
        GoodPart.read(normal),
        [tmp_path / "masks"],
        ["paint"],
        TYPES,
        SynthesisOptions(off_part="clip"),
    )
    first = requests[0].part
    assert all(request.part is first for request in requests)
    assert np.array_equal(first.mask, silhouette(requests[0].picture))
    h, w = first.mask.shape
    for size in ((w, h), (w // 2, h // 2), (w // 2, h // 2)):
        first.at(size)
    assert len(asked) == 2, "once for each size"


@pytest.mark.parametrize(
    "kind, types, expected",
    [
        ("rust", TYPES, "crack, paint"),
        ("", TYPES, "crack, paint"),
        ("paint", (), "are known: none"),
    ],
)
def test_an_unknown_type_names_the_known(
    kind: str, types: tuple[str, ...], expected: str, tmp_path: Path
) -> None:
    with pytest.raises(OptionError, match=f"the defect type '{kind}'.*{expected}"):
        request_of(*write_scene(tmp_path), kind, types)


@pytest.mark.parametrize("size", [(32, 32), (64, 64), (120, 90), (45, 200)])
def test_a_sound_order_is_read_as_it_is(size: tuple[int, int], tmp_path: Path) -> None:
    request = request_of(*write_scene(tmp_path, *size), "crack", TYPES)
    assert np.array_equal(request.picture, part(*size))
    assert np.array_equal(request.requested, spot(*size))
    assert request.kind == "crack"


def test_a_mask_may_leave_the_part_by_half(tmp_path: Path) -> None:
    normal, mask = write_scene(tmp_path)
    for at, fits in (((0.13, 0.5), True), ((0.07, 0.5), False)):
        write_picture(mask, spot(at=at))
        if fits:
            request_of(normal, mask, "crack", TYPES)
        else:
            with pytest.raises(DataError, match="on the part"):
                request_of(normal, mask, "crack", TYPES)


def test_the_digest_is_of_the_content(tmp_path: Path) -> None:
    request = request_of(*write_scene(tmp_path), "crack", TYPES)
    renamed = replace(
        request, part=GoodPart(Path("other.png"), request.original), mask=Path("there.png")
    )
    assert renamed.digest == request.digest

    levels, requested = request.picture.copy(), request.requested.copy()
    levels[0, 0, 0] ^= 1
    requested[0, 0] ^= True
    wide = Original(levels=request.picture.reshape(32, 128, 3))
    others: list[Request] = [
        replace(request, kind="paint"),
        replace(request, strength=0.5),
        replace(request, requested=requested),
        replace(request, original=wide, requested=request.requested.reshape(32, 128)),
        *(
            replace(request, original=replace(request.original, **change))
            for change in (
                {"levels": levels},
                {"levels": request.picture.astype(np.uint16) * np.uint16(257)},
                {"levels": request.picture[:, :, :1].repeat(4, axis=2)},
                {"orientation": 3},
                {"profile": b"x"},
            )
        ),
    ]
    assert len({request.digest, *(other.digest for other in others)}) == 1 + len(others)


STRANGE: dict[str, Original] = {
    "on its side": Original(levels=part(90, 64), orientation=6),
    "mirrored": Original(levels=part(90, 64), orientation=2),
    "grey": Original(levels=part(90, 64)[:, :, 0]),
    "16 bits": Original(levels=part(90, 64).astype(np.uint16) * np.uint16(257)),
    "RGBA on its side": Original(levels=part(90, 64)[:, :, [0, 1, 2, 0]], orientation=5),
}


@pytest.mark.parametrize("name", STRANGE)
def test_a_photograph_of_any_kind_is_read_as_it_is(name: str, tmp_path: Path) -> None:
    _, mask = write_scene(tmp_path, 90, 64)
    STRANGE[name].write(tmp_path / "nut.png")
    request = request_of(tmp_path / "nut.png", mask, "crack", TYPES)
    assert np.array_equal(request.original.levels, STRANGE[name].levels)
    assert request.original.orientation == STRANGE[name].orientation
    assert np.array_equal(request.picture, STRANGE[name].picture)
    assert np.array_equal(request.requested, spot(90, 64))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("drawn", ["as seen", "as stored", "as stored, with the tag"])
def test_a_mask_may_be_drawn_over_a_photograph_on_its_side(
    orientation: int, drawn: str, tmp_path: Path
) -> None:
    original = Original(levels=part(90, 64), orientation=orientation)
    seen = spot(90, 64, at=(0.4, 0.45))
    original.write(tmp_path / "nut.png")
    if drawn == "as stored, with the tag":
        original.write_mask(tmp_path / "mask.png", seen)
    else:
        lies = seen if drawn == "as seen" else as_stored(seen, orientation)
        write_picture(tmp_path / "mask.png", lies)
    if orientation in (2, 3, 4) and drawn != "as stored, with the tag":
        with pytest.raises(DataError, match="fits both as it is and turned"):
            request_of(tmp_path / "nut.png", tmp_path / "mask.png", "crack", TYPES)
        return
    request = request_of(tmp_path / "nut.png", tmp_path / "mask.png", "crack", TYPES)
    assert np.array_equal(request.requested, seen)


def test_a_mask_over_a_square_photograph_needs_the_tag(tmp_path: Path) -> None:
    original, seen = Original(levels=part(64, 64), orientation=6), spot(at=(0.4, 0.45))
    original.write(tmp_path / "nut.png")
    write_picture(tmp_path / "mask.png", seen)
    with pytest.raises(DataError, match="fits both as it is and turned"):
        request_of(tmp_path / "nut.png", tmp_path / "mask.png", "crack", TYPES)
    original.write_mask(tmp_path / "mask.png", seen)
    request = request_of(tmp_path / "nut.png", tmp_path / "mask.png", "crack", TYPES)
    assert np.array_equal(request.requested, seen)


def test_a_type_in_another_normal_form_is_the_bundles(tmp_path: Path) -> None:
    composed, parted = (unicodedata.normalize(form, "균열") for form in ("NFC", "NFD"))
    normal, mask = write_scene(tmp_path)
    assert request_of(normal, mask, parted, (composed,)).kind == composed
    assert request_of(normal, mask, composed, (parted,)).kind == parted


def test_what_white_is_counts_in_the_digest(tmp_path: Path) -> None:
    request = request_of(*write_scene(tmp_path), "crack", TYPES)
    levels = request.picture.astype(np.uint16) * np.uint16(16)
    requests = [
        replace(request, original=Original(levels=levels, white=white))
        for white in (None, 65535, 4095)
    ]
    assert requests[0].digest == requests[1].digest != requests[2].digest


def test_an_oblong_photograph_is_said_aloud(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    normal, mask = write_scene(tmp_path, 64, 100)
    request_of(normal, mask, "crack", TYPES)
    assert caplog.messages == [
        f"Note: {normal} is 100 × 64; the model sees it squeezed to a square."
    ]


@pytest.mark.parametrize("orientation", [1, 3])
def test_a_mask_of_the_turned_size_fits_no_upright_photograph(
    orientation: int, tmp_path: Path
) -> None:
    Original(levels=part(90, 64), orientation=orientation).write(tmp_path / "nut.png")
    write_picture(tmp_path / "mask.png", spot(64, 90))
    with pytest.raises(DataError, match="of 90 × 64 pixels for a photograph of 64 × 90"):
        request_of(tmp_path / "nut.png", tmp_path / "mask.png", "crack", TYPES)


@pytest.mark.parametrize("strength", [0, -0.5, 1.01, float("nan"), float("inf")])
@pytest.mark.parametrize("way", ["read", "drawn"])
def test_a_strength_out_of_range_is_refused(strength: float, way: str, tmp_path: Path) -> None:
    normal, mask = write_scene(tmp_path)
    with pytest.raises(OptionError, match=f"the strength {strength}.*more than 0 and at most 1"):
        if way == "read":
            request_of(normal, mask, "crack", TYPES, strength=float(strength))
        else:
            drawn(normal, tmp_path / "masks", strength=float(strength))
    assert not (tmp_path / "masks").exists()


@pytest.mark.parametrize("name", STRANGE)
def test_a_drawn_mask_lies_as_the_photograph_does(name: str, tmp_path: Path) -> None:
    STRANGE[name].write(tmp_path / "nut.png")
    request = drawn(tmp_path / "nut.png", tmp_path / "masks", strength=0.5)
    found = decode(request.mask)
    assert np.array_equal(read_mask(request.mask), request.requested)
    assert found.orientation == STRANGE[name].orientation
    assert request.strength == 0.5
    again = request_of(request.normal, request.mask, "crack", TYPES, strength=0.5)
    assert again.digest == request.digest


def test_drawn_masks_that_lie_otherwise_have_files_of_their_own(tmp_path: Path) -> None:
    files = set()
    for orientation in (1, 3, 6):
        Original(levels=part(), orientation=orientation).write(tmp_path / "nut.png")
        files.add(drawn(tmp_path / "nut.png", tmp_path / "masks").mask)
    assert len(files) == 3


def test_real_masks_are_drawn_from_their_folder(tmp_path: Path) -> None:
    normal, _ = write_scene(tmp_path)
    plan = SynthesisOptions(mask_kind="real", real=write_defects(tmp_path / "real"), area=0.05)
    requests = [
        draw_request(
            GoodPart.read(normal), plan, ["paint"], TYPES, seed=seed, folder=tmp_path / "drawn"
        )
        for seed in (0, 0, 1)
    ]
    assert len({request.digest for request in requests}) == 2, "a seed, a mask"
    with pytest.raises(DataError, match="has no mask of a 'rust'"):
        draw_request(
            GoodPart.read(normal), plan, ["rust"], ("rust",), seed=0, folder=tmp_path / "drawn"
        )


def drawn(normal: Path, folder: Path, **options: Any) -> Request:
    plan = SynthesisOptions(mask_kind="blob")
    return draw_request(
        GoodPart.read(normal), plan, ["crack"], TYPES, seed=0, folder=folder, **options
    )


@pytest.mark.parametrize("options", [{"where": "edge"}, {"region": "edge"}, {"off_part": "refuse"}])
@pytest.mark.parametrize("kind", ["blob", "spots", "scratch"])
def test_nothing_is_drawn_on_a_shadow(kind: MaskKind, options: dict[str, Any]) -> None:
    good = GoodPart(Path("nut.png"), Original(levels=shadowed()))
    plan = SynthesisOptions(mask_kind=kind, area=0.02, **options)
    masks = [drawn_on(good, plan, "crack", seed) for seed in range(8)]
    beside = ~cv2.dilate(DISC.astype(np.uint8), np.ones((3, 3))).astype(bool)
    assert not any((mask & beside).any() for mask in masks)
