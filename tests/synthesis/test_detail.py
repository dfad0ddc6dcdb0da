"""Fine detail of real defects on what the model drew coarsely."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from commands import exit_code
from tiny import write_bundle, write_defects, write_scene

from blemish.errors import OptionError
from blemish.synthesis.carry import VISIBLE_LEVELS, carry, soft_cover
from blemish.synthesis.detail import Details, detailed
from blemish.synthesis.ways.approach import Approach

Y, X = np.mgrid[0:96, 0:96]
MASK = np.hypot(Y - 48, X - 48) < 24


def change(seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, 40, (96, 96, 3)).astype(np.float32)
    return noise + 30 * seed


def coarse(values: np.ndarray, sigma: float) -> np.ndarray:
    weight = MASK.astype(np.float32)
    blurred = cv2.GaussianBlur(values * weight[:, :, None], (0, 0), sigma)
    return blurred / np.maximum(cv2.GaussianBlur(weight, (0, 0), sigma), 1e-6)[:, :, None]


@pytest.mark.parametrize("sigma", [2.0, 5.0])
def test_coarse_is_the_models_and_fine_the_real_ones(sigma: float) -> None:
    model, real = change(1), change(3)
    found = detailed(model, fine=real, mask=MASK, covered=MASK, sigma=sigma)
    deep = np.hypot(Y - 48, X - 48) < 10
    fine = found - coarse(found, sigma)
    assert np.corrcoef(fine[deep].ravel(), (real - coarse(real, sigma))[deep].ravel())[0, 1] > 0.95
    far = np.abs(coarse(found, 4 * sigma) - coarse(model, 4 * sigma))[deep].mean()
    assert far < 0.1 * np.abs(coarse(real, 4 * sigma) - coarse(model, 4 * sigma))[deep].mean()


def test_the_same_change_is_left_as_it_is() -> None:
    model = change(2)
    np.testing.assert_allclose(
        detailed(model, fine=model, mask=MASK, covered=MASK, sigma=3.0), model, atol=1e-3
    )


def test_beyond_the_mask_nothing_is_touched_or_looked_at() -> None:
    model, real = change(1), change(2)
    found = detailed(model, fine=real, mask=MASK, covered=MASK, sigma=3.0)
    assert (found[~MASK] == model[~MASK]).all()
    elsewhere = np.where(MASK[:, :, None], model, 1000 * model)
    again = detailed(elsewhere, fine=real, mask=MASK, covered=MASK, sigma=3.0)
    np.testing.assert_allclose(again[MASK], found[MASK], atol=1e-2)


def test_what_the_real_one_does_not_cover_stays_the_models() -> None:
    model, real, half = change(1), change(3), MASK & (X < 48)
    found = detailed(model, fine=real, mask=MASK, covered=half, sigma=3.0)
    np.testing.assert_allclose(found[X > 54], model[X > 54], atol=1e-3)
    alone = detailed(model, fine=real, mask=half, covered=half, sigma=3.0)
    near = half & (X < 42)
    np.testing.assert_allclose(found[near], alone[near], atol=1)
    none = detailed(model, fine=real, mask=MASK, covered=MASK & (X < 0), sigma=3.0)
    assert (none == model).all()


def test_the_mask_has_no_holes_where_detail_crosses_zero() -> None:
    picture = np.random.default_rng(5).integers(0, 256, (96, 96, 3)).astype(np.uint8)
    still, ones = np.zeros((16, 16, 3), np.float32), np.ones((16, 16), np.float32)
    cover = soft_cover(MASK)

    def crossing(change: np.ndarray) -> np.ndarray:
        return change + 20 * np.sin(X / 2)[:, :, None]

    found = carry(picture, still, ones, cover, MASK, detail=crossing)
    assert found.changed[cover > 0.5].all()
    far = np.abs(found.picture.astype(int) - picture).max(axis=2)
    assert (found.changed == (far >= VISIBLE_LEVELS)).all()
    assert (found.changed == (found.picture != picture).any(axis=2)).all()


def test_details_come_from_real_defects_and_from_the_first_third_alone(tmp_path: Path) -> None:
    root = write_defects(tmp_path / "real", n=6)
    some, every = (Details(root, first_third=third, side=16) for third in (True, False))
    assert [p.path.name for p, _ in some.known("crack")] == ["0.png", "1.png"]
    assert len(every.known("crack")) == 6
    picture = np.random.default_rng(0).integers(60, 120, (96, 96, 3)).astype(np.uint8)
    still = np.zeros((96, 96, 3), np.float32)
    one, same = (some.under(picture, MASK, "crack", seed)(still) for seed in (0, 0))
    assert (one == same).all()
    # A flat real defect has no detail, so the part's own is taken away.
    assert np.corrcoef(one[MASK].ravel(), picture[MASK].ravel())[0, 1] < -0.8


def test_what_is_not_there_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="without a folder"):
        Approach(detail=True)
    details = Details(write_defects(tmp_path / "real"), first_third=False, side=16)
    with pytest.raises(OptionError, match="holds no 'hole'"):
        details.prepare("hole")


def test_the_command_puts_detail_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_bundle(tmp_path / "bundle", mapper=True)
    normal, mask = write_scene(tmp_path)
    write_defects(tmp_path / "real")
    make = f"synthesize --bundle bundle --normal {normal} --mask {mask} --defect crack"
    assert exit_code(f"{make} --out plain") == 0
    assert exit_code(f"{make} --out fine --detail --real real --first-third") == 0
    plain, fine = (next((tmp_path / name / "test").rglob("*.png")) for name in ("plain", "fine"))
    assert plain.read_bytes() != fine.read_bytes()
    capsys.readouterr()
    assert exit_code(f"{make} --detail") == 2
    assert "without a folder" in capsys.readouterr().err
    assert exit_code(f"{make} --first-third") == 2
    assert "--first-third without a use" in capsys.readouterr().err
