"""Fine detail of real defects on what the model drew coarsely."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from commands import exit_code
from tiny import write_bundle, write_defects, write_scene

from blemish.data.colour import lab
from blemish.errors import OptionError
from blemish.names import Tone
from blemish.pictures import write_picture
from blemish.synthesis.carry import LEAST_LEVELS, VISIBLE_LEVELS, carry, soft_cover
from blemish.synthesis.detail import Details, detailed, moved_by
from blemish.synthesis.options import SynthesisOptions

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


def test_with_the_tone_of_the_real_one_nothing_is_left_of_the_models_where_that_covers() -> None:
    model, real, half = change(1), change(3), MASK & (X < 48)
    found = detailed(model, fine=real, mask=MASK, covered=half, sigma=None)
    deep = np.hypot(Y - 48, X - 48) < 18
    np.testing.assert_allclose(found[deep & (X < 42)], real[deep & (X < 42)], atol=1e-2)
    apart = (real - model)[half].mean(axis=0)
    elsewhere = deep & (X > 54)
    np.testing.assert_allclose(found[elsewhere], (model + apart)[elsewhere], atol=1e-2)
    assert (found[~MASK] == model[~MASK]).all()
    none = detailed(model, fine=real, mask=MASK, covered=MASK & (X < 0), sigma=None)
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
    assert far[cover > 0.5].min() == LEAST_LEVELS, "no more than it takes"
    assert (far[found.changed & (cover <= 0.5)] >= VISIBLE_LEVELS).all()
    assert (found.changed == (found.picture != picture).any(axis=2)).all()


def test_details_come_from_real_defects_and_from_the_first_third_alone(tmp_path: Path) -> None:
    root = write_defects(tmp_path / "real", n=6)
    some, every = (Details(root, first_third=third, side=16) for third in (True, False))
    assert [real.photograph.path.name for real in some.known("crack")] == ["0.png", "1.png"]
    assert len(every.known("crack")) == 6
    picture = np.random.default_rng(0).integers(60, 120, (96, 96, 3)).astype(np.uint8)
    still = np.zeros((96, 96, 3), np.float32)
    one, same = (some.under(picture, MASK, "crack", seed)(still) for seed in (0, 0))
    assert (one == same).all()
    # A flat real defect has no detail, so the part's own is taken away.
    assert np.corrcoef(one[MASK].ravel(), picture[MASK].ravel())[0, 1] < -0.8


def test_the_tone_is_that_of_the_real_defect(tmp_path: Path) -> None:
    root = write_defects(tmp_path / "real", n=1)
    picture = np.full((96, 96, 3), 90, np.uint8)
    loud = np.full((96, 96, 3), 60, np.float32)
    tones: dict[Tone, np.ndarray] = {}
    for tone in ("model", "real"):
        details = Details(root, first_third=False, side=16, tone=tone)
        found = details.under(picture, MASK, "crack", 0)(loud)
        tones[tone] = (picture + found)[MASK].mean(axis=0)
    np.testing.assert_allclose(tones["model"], 150, atol=8)
    np.testing.assert_allclose(tones["real"], 30, atol=8)  # as `write_defects` paints it


def test_a_drawn_tone_is_one_of_a_distribution_around_the_real_ones(tmp_path: Path) -> None:
    root = write_defects(tmp_path / "real", n=2)
    paths = sorted((root / "test" / "crack").glob("*.png"))
    for path, light in zip(paths, (60, 120), strict=True):
        write_picture(path, np.full((48, 48, 3), light, np.uint8))
    picture = np.full((96, 96, 3), 90, np.uint8)
    still = np.zeros((96, 96, 3), np.float32)
    details = Details(root, first_third=False, side=16, tone="drawn")

    def drawn(seed: int) -> np.ndarray:
        toned = details.under(picture, MASK, "crack", seed)(still)
        return lab((picture + toned).clip(0, 255).astype(np.uint8))[MASK].mean(axis=0)

    assert (drawn(3) == drawn(3)).all()
    light, *colour = np.stack([drawn(seed) for seed in range(60)]).T
    real = np.array([lab(np.full((1, 1, 3), value, np.uint8))[0, 0, 0] for value in (60, 120)])
    assert abs(light.mean() - real.mean()) < 6
    assert 0.7 < light.std() / real.std(ddof=1) < 1.3
    assert np.abs(colour).max() < 2, "as grey as both"


def test_one_real_defect_has_but_one_tone(tmp_path: Path) -> None:
    root = write_defects(tmp_path / "real", n=1)
    picture = np.full((96, 96, 3), 90, np.uint8)
    still = np.zeros((96, 96, 3), np.float32)
    tones: list[Tone] = ["real", "drawn"]
    real, drawn = (
        Details(root, first_third=False, side=16, tone=tone).under(picture, MASK, "crack", 5)(still)
        for tone in tones
    )
    np.testing.assert_allclose(real, drawn, atol=1)


@pytest.mark.parametrize("shift", [(0, 0, 0), (10, 0, 0), (-5, 8, -6)])
def test_a_picture_is_moved_in_cielab_as_far_as_it_can_be_shown(shift: tuple[int, ...]) -> None:
    picture = np.random.default_rng(1).integers(80, 160, (8, 8, 3)).astype(np.uint8)
    moved = moved_by(picture, np.array(shift, np.float32))
    np.testing.assert_allclose(lab(moved) - lab(picture), np.broadcast_to(shift, (8, 8, 3)), atol=1)
    assert (moved_by(picture, np.array([1000.0, 0, 0])) == 255).all()


def test_what_is_not_there_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="detail without real defects"):
        SynthesisOptions(detail=True)
    with pytest.raises(OptionError, match="without detail"):
        SynthesisOptions(tone="real")
    with pytest.raises(OptionError, match="without detail"):
        SynthesisOptions(tone="drawn")
    details = Details(write_defects(tmp_path / "real"), first_third=False, side=16)
    with pytest.raises(OptionError, match="has no 'hole'"):
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
    assert exit_code(f"{make} --out toned --detail --tone real --real real --first-third") == 0
    names = ("plain", "fine", "toned")
    made = [next((tmp_path / name / "test").rglob("*.png")) for name in names]
    assert len({path.read_bytes() for path in made}) == 3
    capsys.readouterr()
    assert exit_code(f"{make} --detail") == 2
    assert "detail without real defects" in capsys.readouterr().err
    assert exit_code(f"{make} --tone real") == 2
    assert "without detail" in capsys.readouterr().err
    assert exit_code(f"{make} --first-third") == 2
    assert "first_third without real" in capsys.readouterr().err
