"""The search for a defect's mask and code by drawing it again."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from tiny import add_windows, part, spot

from blemish.checkpoint import Bundle
from blemish.editing.redraw import EXACT, corrected, fading, redraw
from blemish.inversion.search import Search
from blemish.types import Codes
from blemish.windows.paint import WindowModel, _fading, load_windows, paint

SHORT = Search(steps=12, learning_rate=0.3)


@pytest.fixture(scope="module")
def windows(tmp_path_factory: pytest.TempPathFactory) -> WindowModel:
    alone = Bundle(tmp_path_factory.mktemp("windows") / "bundle")
    alone.path.mkdir()
    alone.write_config({})
    add_windows(alone)
    return load_windows(alone)


@pytest.fixture
def drawn(windows: WindowModel) -> tuple[np.ndarray, Codes]:
    """The part with a defect drawn on the spot, and its code."""
    codes = windows.codes(windows.types[0], torch.Generator().manual_seed(1))
    return paint(windows.generator, part(), spot(), codes, torch.Generator()), codes


def blurred_logits(mask: np.ndarray) -> np.ndarray:
    """What a finder might say that sees a mask a pixel too large."""
    wide = cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8))
    return np.where(wide > 0, 2, -2).astype(np.float32)


def test_a_soft_mask_fades_as_the_painted_one() -> None:
    mask = np.random.default_rng(0).random((40, 40)) > 0.98
    soft = fading(torch.from_numpy(mask)[None, None].float())[0, 0]
    np.testing.assert_allclose(soft.numpy(), _fading(mask), atol=1e-6)


def test_a_wide_mask_is_drawn_again_nearer_to_the_true_one(
    windows: WindowModel, drawn: tuple[np.ndarray, Codes]
) -> None:
    picture, codes = drawn
    logits = blurred_logits(spot())
    mask, found = redraw(windows.generator, picture, part(), logits, codes)
    assert (mask ^ spot()).sum() < ((logits > 0) ^ spot()).sum() / 2
    assert found.w.shape == codes.w.shape and found.z is None


def test_a_part_that_is_not_exact_keeps_its_mask(
    windows: WindowModel, drawn: tuple[np.ndarray, Codes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("blemish.editing.redraw.PLAN", SHORT)
    picture, codes = drawn
    grain = np.random.default_rng(0).integers(-20, 21, picture.shape)
    noisy = (picture.astype(int) + grain).clip(0, 255).astype(np.uint8)
    logits = blurred_logits(spot())
    mask, _ = redraw(windows.generator, noisy, part(), logits, codes)
    assert (mask == (logits > 0)).all()


def test_a_search_that_finds_nothing_nearer_keeps_the_start(
    windows: WindowModel, drawn: tuple[np.ndarray, Codes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("blemish.editing.redraw.PLAN", replace(SHORT, steps=1, learning_rate=50))
    picture, codes = drawn
    logits = np.where(spot(), 2, -2).astype(np.float32)
    mask, found = redraw(windows.generator, picture, part(), logits, codes)
    assert (mask == spot()).all() and found is codes


def test_an_even_error_of_the_part_is_taken_away() -> None:
    picture = part()
    dark = (picture.astype(int) - 9).clip(0, 255).astype(np.uint8)
    good, error = corrected(dark, picture, spot())
    assert error < EXACT
    assert np.abs(good.astype(int) - picture)[spot()].mean() < 2
