"""Which pieces of a mask the window method draws and labels."""

import numpy as np
import pytest
import torch
from jaxtyping import Bool, Float, UInt8

from blemish.models.window_generator import WindowConfig, WindowGenerator
from blemish.synthesis.composite import Carried
from blemish.synthesis.placement import window
from blemish.types import Codes

SIDE = 96
Change = Float[np.ndarray, "h w 3"]
Mask = Bool[np.ndarray, "h w"]


def _square(left: int) -> Mask:
    mask = np.zeros((SIDE, SIDE), bool)
    mask[40:52, left : left + 12] = True
    return mask


LEFT, RIGHT = _square(10), _square(70)


def _draw(
    monkeypatch: pytest.MonkeyPatch, change: Change, *, strength: float = 1, grey: bool = False
) -> tuple[UInt8[np.ndarray, "h w 3"], Carried]:
    """A picture, and the same with a change under both squares instead of a generator's."""
    picture = np.full((SIDE, SIDE, 3), 128, np.uint8)

    def paint(*_: object, strength: Float[np.ndarray, "h w"] | None = None) -> np.ndarray:
        share = np.ones((SIDE, SIDE)) if strength is None else strength
        return np.rint(picture + change * share[..., None]).astype(np.uint8)

    monkeypatch.setattr(window, "paint", paint)
    drawn = window.painted_on(
        WindowGenerator(WindowConfig(types=("crack",))),
        picture,
        LEFT | RIGHT,
        Codes(w=torch.zeros(1, 1, 4)),
        torch.Generator(),
        strength=np.full((SIDE, SIDE), strength, np.float32),
        grey=grey,
    )
    return picture, drawn


def _change(left: tuple[int, int, int], right: tuple[int, int, int]) -> Change:
    return (LEFT[..., None] * np.array(left) + RIGHT[..., None] * np.array(right)).astype(float)


@pytest.mark.parametrize("strength", [1, 0.5, 0.1])
def test_a_piece_that_nobody_sees_is_left_out(
    strength: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    change = _change((60, 60, 60), (2, 2, 2))
    picture, drawn = _draw(monkeypatch, change, strength=strength)
    assert np.array_equal(drawn.changed, LEFT)
    assert np.array_equal((drawn.picture != picture).any(axis=2), LEFT)


def test_a_piece_of_which_most_shows_is_labelled_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    change = _change((60, 60, 60), (60, 60, 60))
    change[40:45, 70:82] = 0  # five of its twelve rows
    _, drawn = _draw(monkeypatch, change)
    assert np.array_equal(drawn.changed, LEFT | RIGHT)


@pytest.mark.parametrize("strength", [1, 0.5])
def test_all_pieces_stay_where_none_shows(strength: float, monkeypatch: pytest.MonkeyPatch) -> None:
    _, drawn = _draw(monkeypatch, _change((2, 2, 2), (1, 1, 1)), strength=strength)
    assert np.array_equal(drawn.changed, LEFT | RIGHT)


@pytest.mark.parametrize(("grey", "labelled"), [(False, LEFT | RIGHT), (True, LEFT)])
def test_on_a_grey_photograph_a_change_of_hue_is_not_seen(
    grey: bool, labelled: Mask, monkeypatch: pytest.MonkeyPatch
) -> None:
    hue = (30, -15, 0)  # luminance 30 * 0.299 - 15 * 0.587
    _, drawn = _draw(monkeypatch, _change((60, 60, 60), hue), grey=grey)
    assert np.array_equal(drawn.changed, labelled)


@pytest.mark.parametrize("strength", [1, 0.3])
def test_a_piece_that_shows_at_full_strength_is_labelled_at_any(
    strength: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, drawn = _draw(monkeypatch, _change((60, 60, 60), (10, 10, 10)), strength=strength)
    assert np.array_equal(drawn.changed, LEFT | RIGHT)
