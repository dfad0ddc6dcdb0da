from functools import lru_cache

import numpy as np
import pytest
from scenery import lighter, painted
from tiny import part

from blemish.synthesis.curation.duplicates import (
    ALIKE,
    NEAR,
    SIDE,
    Fingerprint,
    Known,
    _apart,
    _distance,
    fingerprint,
    from_text,
    to_text,
)

H, W = 90, 120
SIZES = [(64, 64), (256, 256), (90, 300), (301, 199)]
PLACES = [(0.3, 0.4), (0.5, 0.5), (0.52, 0.53), (0.7, 0.4), (0.0, 0.0), (1.0, 1.0)]
COLOURS = [(230, 20, 20), (20, 20, 230), (255, 255, 255), (0, 0, 0)]
RADII = [0.004, 0.01, 0.03, 0.1]


good_part = lru_cache(part)


def disc(size: tuple[int, int], at: tuple[float, float], radius: float) -> np.ndarray:
    """A mask; place in shares of the sides, radius in shares of the longer one."""
    h, w = size
    y, x = np.mgrid[:h, :w]
    away = np.hypot(y - (h - 1) * at[0], x - (w - 1) * at[1])
    return away <= max(radius * max(size), away.min())


def mark_of(
    at: tuple[float, float] = (0.5, 0.5),
    colour: tuple[int, int, int] = COLOURS[0],
    *,
    size: tuple[int, int] = (H, W),
    radius: float = 0.06,
) -> Fingerprint:
    good = good_part(*size)
    return fingerprint(painted(good, disc(size, at, radius), colour), good)


def alike(one: Fingerprint, other: Fingerprint) -> bool:
    known = Known()
    assert known.like("a.png", one, "first") is None
    assert known.like("a.png", one, "again") == "first", "it is like itself"
    return known.like("a.png", other, "second") == "first"


def test_the_loudest_cell_gives_the_scale() -> None:
    for levels in (6, -6, 60, -90):
        good = np.full((H, W, 3), 120, np.uint8)
        mark = fingerprint(lighter(good, disc((H, W), (0.5, 0.5), 0.2), levels), good)
        assert mark.cells.shape == (SIDE, SIDE, 3)
        assert (mark.cells.max(), mark.cells.min()) == ((127, 0) if levels > 0 else (0, -127))


def test_no_change_has_a_fingerprint() -> None:
    mark = fingerprint(part(H, W), part(H, W))
    assert not mark.cells.any()
    assert mark.place == (0, 0, 0)
    assert alike(mark, mark)


@pytest.mark.parametrize("size", [*SIZES, (900, 1200), (5, 7), (1, 900)])
@pytest.mark.parametrize("at", PLACES)
def test_text_brings_it_back(size: tuple[int, int], at: tuple[float, float]) -> None:
    mark = mark_of(at, size=size)
    text = to_text(mark)
    assert text.isascii() and text.isprintable()
    assert len(text) < 200
    again = from_text(text)
    assert np.array_equal(again.cells, mark.cells)
    assert again.cells.dtype == np.int8
    assert again.place == mark.place
    assert to_text(again) == text


def test_any_fingerprint_survives_as_text() -> None:
    rng = np.random.default_rng(0)
    good, other = (rng.integers(0, 256, (H, W, 3)).astype(np.uint8) for _ in range(2))
    mark = fingerprint(other, good)
    assert np.array_equal(from_text(to_text(mark)).cells, mark.cells)
    assert len(to_text(mark)) < 1000


@pytest.mark.parametrize("radius", RADII)
@pytest.mark.parametrize("size", [(64, 64), (900, 1200), (300, 75)])
def test_the_place_is_the_middle(size: tuple[int, int], radius: float) -> None:
    good = np.full((*size, 3), 120, np.uint8)
    mask = disc(size, (0.6, 0.4), radius)
    down, right, spread = np.array(fingerprint(lighter(good, mask, 50), good).place) / 65535
    rows, columns = np.nonzero(mask)
    longer = max(size)
    assert (down, right) == pytest.approx((rows.mean() / longer, columns.mean() / longer), abs=1e-4)
    expected = np.sqrt(rows.var() + columns.var()) / longer
    assert spread == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("radius", RADII)
@pytest.mark.parametrize("at", PLACES)
@pytest.mark.parametrize("size", SIZES)
def test_the_same_change_is_alike(
    size: tuple[int, int], at: tuple[float, float], radius: float
) -> None:
    mark = mark_of(at, size=size, radius=radius)
    assert alike(mark, mark)
    assert alike(mark, mark_of(at, size=size, radius=radius))


@pytest.mark.parametrize("radius", RADII)
@pytest.mark.parametrize("by", [-1, 0, 1])
@pytest.mark.parametrize("place", [0.4, 0.5, 0.55])
def test_nearly_the_same_is_alike(place: float, by: int, radius: float) -> None:
    size, good = (256, 256), good_part(256, 256)
    mask = disc(size, (place, place), radius)
    one = fingerprint(lighter(good, mask, 60), good)
    noise = np.random.default_rng(0).integers(-2, 3, (256, 256, 3))
    rough = (lighter(good, mask, 60 + by) + noise * mask[:, :, None]).astype(np.uint8)
    assert alike(one, fingerprint(rough, good))


@pytest.mark.parametrize("radius", RADII)
@pytest.mark.parametrize("place", [0.3, 0.41, 0.5, 0.52])
@pytest.mark.parametrize("way", [(1, 0), (0, 1), (-1, 1)])
@pytest.mark.parametrize("far", [2.5, 5])
def test_beside_it_is_another(
    place: float, way: tuple[int, int], far: float, radius: float
) -> None:
    by = far * radius
    there = (place + way[0] * by, place + way[1] * by)
    marks = [mark_of(at, size=(256, 256), radius=radius) for at in ((place, place), there)]
    assert not alike(*marks)


@pytest.mark.parametrize("radius", RADII)
@pytest.mark.parametrize("k, j", [(k, j) for k in range(6) for j in range(6) if k != j])
def test_elsewhere_it_is_another(k: int, j: int, radius: float) -> None:
    size, (one, other) = (300, 400), (PLACES[k], PLACES[j])
    radius = min(radius, 0.01 if {k, j} == {1, 2} else 1)  # these two are close to each other
    marks = [mark_of(at, size=size, radius=radius) for at in (one, other)]
    assert not alike(*marks)


@pytest.mark.parametrize("radius", RADII)
@pytest.mark.parametrize("k, j", [(0, 1), (0, 2), (1, 2), (2, 3), (3, 2)])
def test_of_another_colour_it_is_another(k: int, j: int, radius: float) -> None:
    marks = [mark_of(colour=COLOURS[index], radius=radius) for index in (k, j)]
    assert not alike(*marks)


@pytest.mark.parametrize("radius", RADII[1:])
def test_much_larger_it_is_another(radius: float) -> None:
    assert not alike(*(mark_of(size=(256, 256), radius=r) for r in (radius, 2 * radius)))


def test_on_another_photograph_it_is_another() -> None:
    known, mark = Known(), mark_of()
    assert known.like("a", mark, "first") is None
    assert known.like("b", mark, "second") is None
    assert known.like("a", mark, "third") == "first"
    assert known.like("b", mark, "fourth") == "second"


def test_the_first_one_stays() -> None:
    marks = [mark_of(PLACES[k]) for k in (0, 1, 3)]
    for order in ((0, 1, 2), (2, 1, 0)):
        known = Known()
        assert [known.like("a", marks[k], f"item {k}") for k in order] == [None] * 3
        assert [known.like("a", marks[k], "later") for k in order] == [f"item {k}" for k in order]
        assert len(known) == len(order)


def test_the_first_of_all_that_are_alike_is_found() -> None:
    """As a comparison with each earlier item finds it."""
    rng = np.random.default_rng(0)
    cells = rng.integers(-127, 128, (3, SIDE, SIDE, 3)).astype(np.int8)
    known, kept = Known(), list[tuple[str, Fingerprint]]()
    for k in range(300):
        spread = int(rng.choice([0, 1, 2, 40, 5000]))
        down, right = (int(at) for at in rng.integers(0, 3 * spread + 9, 2))
        mark = Fingerprint(cells=cells[rng.integers(3)], place=(down, right, spread))
        like = (n for n, old in kept if _apart(mark, old) <= NEAR and _distance(mark, old) < ALIKE)
        due = next(like, None)
        assert known.like("a", mark, str(k)) == due
        kept += [(str(k), mark)] if due is None else []
    assert 10 < len(kept) == len(known) < 290


def test_what_is_refused_is_not_remembered() -> None:
    """Else a chain of near ones would let the last of them differ from the first as it likes."""
    known, mark = Known(), mark_of()
    assert [known.like("a", mark, name) for name in "pqrs"] == [None, "p", "p", "p"]
    assert len(known) == 1


@pytest.mark.parametrize("size", [(64, 64), (450, 600)])
def test_many_small_ones_are_told_apart(size: tuple[int, int]) -> None:
    """A grid of specks, four in each cell: no two are the same."""
    known, good = Known(), np.full((*size, 3), 120, np.uint8)
    step = size[0] // 32
    for row in range(10, 14):
        for column in range(10, 14):
            mask = np.zeros(size, bool)
            mask[row * step : row * step + step // 2, column * step : column * step + step // 2] = 1
            assert known.like("a", fingerprint(lighter(good, mask, 60), good), f"{row}") is None
