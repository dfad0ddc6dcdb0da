"""The search for a defect's mask and code by drawing it again."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from tiny import add_windows, part, spot

from blemish.checkpoint import Bundle
from blemish.editing.redraw import EXACT, error_around, fading, ground_of, redraw
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
    latent = windows.latent(windows.types[0], torch.Generator().manual_seed(1))
    codes = windows.codes_of(latent, windows.types[0], keep=True)
    return paint(windows.generator, part(), spot(), codes, torch.Generator()), codes


def latent_of(codes: Codes) -> torch.Tensor:
    assert codes.z is not None
    return codes.z


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
    mask, found = redraw(windows, picture, part(), logits, latent_of(codes), windows.types[0])
    assert (mask ^ spot()).sum() < ((logits > 0) ^ spot()).sum() / 2
    assert found.w.shape == codes.w.shape


def test_a_code_found_is_that_of_its_latent(
    windows: WindowModel, drawn: tuple[np.ndarray, Codes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("blemish.editing.redraw.PLAN", SHORT)
    picture, codes = drawn
    logits = blurred_logits(spot())
    _, found = redraw(windows, picture, part(), logits, latent_of(codes), windows.types[0])
    assert found.z is not None and not torch.equal(found.z, latent_of(codes))
    again = windows.codes_of(found.z, windows.types[0])
    torch.testing.assert_close(again.w, found.w)


def test_a_search_starts_from_the_look_that_draws_the_nearest_picture(
    windows: WindowModel, drawn: tuple[np.ndarray, Codes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("blemish.editing.redraw.PLAN", replace(SHORT, steps=1, learning_rate=1e-9))
    picture, codes = drawn
    right, kind = latent_of(codes), windows.types[0]
    known = replace(windows, real={kind: torch.cat([windows.real[kind], right])})
    logits = np.where(spot(), 2, -2).astype(np.float32)
    wrong = torch.full_like(right, 3.0)
    mask, found = redraw(known, picture, part(), logits, wrong, windows.types[1])
    assert (mask == spot()).all()
    assert found.z is not None
    torch.testing.assert_close(found.z, right, atol=1e-5, rtol=0)


def test_on_a_part_that_is_not_exact_the_mask_stays_and_the_code_leaves_its_domain(
    windows: WindowModel, drawn: tuple[np.ndarray, Codes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("blemish.editing.redraw.PLAN", SHORT)
    picture, codes = drawn
    grain = np.random.default_rng(0).integers(-20, 21, picture.shape)
    noisy = (picture.astype(int) + grain).clip(0, 255).astype(np.uint8)
    logits = blurred_logits(spot())
    mask, found = redraw(windows, noisy, part(), logits, latent_of(codes), windows.types[0])
    assert (mask == (logits > 0)).all()
    assert found.z is None and not torch.equal(found.w, codes.w)


def test_a_search_that_finds_nothing_nearer_keeps_the_start(
    windows: WindowModel, drawn: tuple[np.ndarray, Codes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("blemish.editing.redraw.PLAN", replace(SHORT, steps=1, learning_rate=50))
    picture, codes = drawn
    alone = replace(windows, real={})
    logits = np.where(spot(), 2, -2).astype(np.float32)
    mask, found = redraw(alone, picture, part(), logits, latent_of(codes), windows.types[0])
    assert (mask == spot()).all()
    assert found.z is not None and torch.equal(found.z, latent_of(codes))


def test_an_even_error_of_the_part_counts_for_nothing_and_grain_does() -> None:
    picture = part()
    dark = (picture.astype(int) - 9).clip(0, 255).astype(np.uint8)
    good, error = ground_of(picture, dark, spot())
    assert error < EXACT
    assert np.abs(good.astype(int) - picture)[spot()].mean() < 2
    grain = np.random.default_rng(0).integers(-20, 21, picture.shape)
    noisy = (picture.astype(int) + grain).clip(0, 255).astype(np.uint8)
    assert error_around(noisy, picture, spot()) > EXACT
    assert error_around(picture, picture, np.ones(spot().shape, bool)) == np.inf


def test_what_reaches_beyond_a_mask_is_hidden_with_it() -> None:
    clean = part()
    tail = spot() | np.roll(spot(), 4, axis=1)
    picture = np.where(tail[..., None], 255 - clean, clean)
    ground, _ = ground_of(picture, clean, spot())
    assert np.abs(ground.astype(int) - clean).max() <= 1
    apart = picture.copy()
    apart[:3, :3] = 255 - clean[:3, :3]
    ground, _ = ground_of(apart, clean, spot())
    assert (ground[:3, :3] == apart[:3, :3]).all()
