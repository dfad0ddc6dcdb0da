from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny import TYPES, part, spot, write_scene

from blemish.errors import DataError, OptionError, UserError
from blemish.pictures import write_picture
from blemish.synthesis.order import Order, read_order

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
    (lambda normal, mask: in_place_of(normal, "hello"), DataError, r"nut\.png, which holds no pi"),
    (lambda normal, mask: in_place_of(mask, "hello"), DataError, r"mask\.png, which holds no pict"),
    (lambda normal, mask: in_place_of(normal, ""), DataError, r"nut\.png, which holds no picture"),
    (lambda normal, mask: in_place_of(normal, part(1, 1)), DataError, "a picture of 1 × 1 pixels"),
    (lambda normal, mask: in_place_of(normal, part(31, 90)), DataError, "a picture of 90 × 31"),
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
def test_each_fault_is_told(
    spoil: Spoil, kind: type[UserError], message: str, tmp_path: Path
) -> None:
    normal, mask = write_scene(tmp_path)
    spoil(normal, mask)
    with pytest.raises(kind, match=message):
        read_order(normal, mask, "paint", TYPES)


@pytest.mark.parametrize(
    "kind, types, expected",
    [("rust", TYPES, "crack, paint"), ("", TYPES, "crack, paint"), ("paint", (), "it knows none")],
)
def test_an_unknown_type_names_the_known(
    kind: str, types: tuple[str, ...], expected: str, tmp_path: Path
) -> None:
    with pytest.raises(OptionError, match=f"the defect type '{kind}'.*{expected}"):
        read_order(*write_scene(tmp_path), kind, types)


@pytest.mark.parametrize("size", [(32, 32), (64, 64), (120, 90), (45, 200)])
def test_a_sound_order_is_read_as_it_is(size: tuple[int, int], tmp_path: Path) -> None:
    order = read_order(*write_scene(tmp_path, *size), "crack", TYPES)
    assert np.array_equal(order.picture, part(*size))
    assert np.array_equal(order.requested, spot(*size))
    assert order.kind == "crack"


def test_a_mask_may_leave_the_part_by_half(tmp_path: Path) -> None:
    normal, mask = write_scene(tmp_path)
    for at, fits in (((0.13, 0.5), True), ((0.07, 0.5), False)):
        write_picture(mask, spot(at=at))
        if fits:
            read_order(normal, mask, "crack", TYPES)
        else:
            with pytest.raises(DataError, match="on the part"):
                read_order(normal, mask, "crack", TYPES)


def test_the_digest_is_of_the_content(tmp_path: Path) -> None:
    order = read_order(*write_scene(tmp_path), "crack", TYPES)
    renamed = replace(order, normal=Path("other.png"), mask=Path("there.png"))
    assert renamed.digest == order.digest

    picture, requested = order.picture.copy(), order.requested.copy()
    picture[0, 0, 0] ^= 1
    requested[0, 0] ^= True
    pair = {"picture": order.picture, "requested": order.requested}
    others: list[Order] = [
        replace(order, kind="paint"),
        replace(order, picture=picture),
        replace(order, requested=requested),
        replace(order, **{k: v.reshape(32, 128, *v.shape[2:]) for k, v in pair.items()}),
    ]
    assert len({order.digest, *(other.digest for other in others)}) == 5
