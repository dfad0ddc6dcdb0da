"""Near objects: another shape, colour or surface, on the same ground."""

import numpy as np
import pytest
from tiny import part

from blemish.data.masks import silhouette
from blemish.pictures import fit_square
from blemish.recognition.near import CHANGES, Change, doubled, near_objects, recoloured, stretched

PART = fit_square(part(), 128)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_seen_and_depends_on_the_seed_alone(change: Change) -> None:
    first, again = (change(PART, rng()) for _ in range(2))
    assert first.shape == PART.shape and first.dtype == np.uint8
    assert np.array_equal(first, again)
    assert not np.array_equal(first, PART)
    assert any(not np.array_equal(first, change(PART, rng(seed))) for seed in (1, 2, 3))


def test_a_stretched_part_keeps_its_area_and_gets_longer() -> None:
    before, after = silhouette(PART), silhouette(stretched(PART, rng()))
    assert after.sum() == pytest.approx(before.sum(), rel=0.15)
    longest = [np.ptp(np.argwhere(mask) @ ways(), axis=0).max() for mask in (before, after)]
    assert longest[1] > 1.1 * longest[0]


def ways() -> np.ndarray:
    angles = np.linspace(0, np.pi, 12)
    return np.stack([np.cos(angles), np.sin(angles)])


def test_another_tint_leaves_the_ground() -> None:
    changed = (recoloured(PART, rng()) != PART).any(axis=2)
    assert changed[silhouette(PART)].mean() > 0.9
    assert not changed[:4].any() and not changed[-4:].any()


@pytest.mark.parametrize("side", [63, 64])
def test_two_parts_are_half_as_large(side: int) -> None:
    both = doubled(fit_square(part(), side), rng())
    assert both.shape == (side, side, 3)


def test_every_picture_is_changed_in_every_way() -> None:
    assert len(near_objects([PART, PART], rng())) == 2 * len(CHANGES)
