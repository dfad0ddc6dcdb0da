from pathlib import Path

import cv2
import numpy as np
import pytest

from blemish.data.colour import lab
from blemish.data.folder import DefectFolder
from blemish.data.pairs import read_mask
from blemish.data.shadow import unshadowed_silhouette
from blemish.pictures import read_picture
from blemish.synthesis.composite import Carried, within_reach
from blemish.synthesis.real.cutouts import Cutout, cut_out, cutouts_in
from blemish.synthesis.real.paste import paste

SIDE = 192
PAINT = (180, 30, 40)


def part(skin: tuple[int, ...] = (190, 165, 130), seed: int = 0, side: int = SIDE) -> np.ndarray:
    """A disc with a skin of some colour and a little noise, on a blue ground."""
    picture = np.full((side, side, 3), (70, 90, 190), np.float32)
    picture[disc(side // 2, side // 2, side * 3 // 8, side)] = skin
    noise = np.random.default_rng(seed).normal(0, 3, picture.shape)
    return (picture + noise).clip(0, 255).astype(np.uint8)


def disc(x: int, y: int, radius: int, side: int = SIDE) -> np.ndarray:
    canvas = np.zeros((side, side), np.uint8)
    return cv2.circle(canvas, (x, y), radius, [1], cv2.FILLED) > 0


def blot(x: int, y: int, side: int = SIDE) -> np.ndarray:
    """An ellipse that is the same under no turn but by half."""
    canvas, axes = np.zeros((side, side), np.uint8), (side // 10, side // 18)
    return cv2.ellipse(canvas, (x, y), axes, 20, 0, 360, [1], cv2.FILLED) > 0


def defects(skin: tuple[int, ...] = (190, 165, 130)) -> list[Cutout]:
    """Painted parts of one skin, cut out."""
    found = []
    for seed, (x, y) in enumerate(((80, 90), (100, 80), (90, 110))):
        picture, mask = part(skin, 10 + seed), blot(x, y)
        picture[mask] = PAINT
        found += cut_out(picture, mask)
    return found


def pasted(picture: np.ndarray, mask: np.ndarray, seed: int = 0, **more) -> Carried:
    cutouts = more.pop("cutouts", None) or defects()
    return paste(picture, mask, unshadowed_silhouette(picture), cutouts, seed, **more)


MASKS = {"same": blot(90, 90), "turned": blot(90, 90).T, "two": blot(70, 80) | disc(120, 120, 9)}


@pytest.mark.parametrize("name", MASKS)
def test_the_label_is_what_changed_within_reach_of_the_mask(name: str) -> None:
    picture, mask = part(), MASKS[name]
    made = pasted(picture, mask)
    assert np.array_equal((made.picture != picture).any(axis=2), made.changed)
    assert not (made.changed & ~within_reach(mask)).any()
    overlap = (made.changed & mask).sum() / (made.changed | mask).sum()
    assert overlap > 0.5


@pytest.mark.parametrize("side", [64, 400])
def test_the_real_photograph_may_have_another_size(side: int) -> None:
    picture, mask = part(side=side), blot(side // 2, side // 2, side)
    made = pasted(picture, mask)
    assert (made.changed & mask).sum() > 0.7 * mask.sum()


def test_the_same_seed_pastes_the_same() -> None:
    picture, mask = part(), MASKS["two"]
    assert np.array_equal(pasted(picture, mask, 3).picture, pasted(picture, mask, 3).picture)


def test_seeds_paste_different_defects() -> None:
    pictures = [pasted(part(), MASKS["same"], seed).picture for seed in range(6)]
    assert len({picture.tobytes() for picture in pictures}) > 1


def test_paint_keeps_its_colour_on_a_paler_skin() -> None:
    picture, mask = part((215, 195, 165)), MASKS["same"]
    core = cv2.erode(mask.astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
    seen = lab(pasted(picture, mask).picture)[core].mean(axis=0)
    paint = lab(np.full((1, 1, 3), PAINT, np.uint8))[0, 0]
    hues = [np.arctan2(*colour[1:]) for colour in (seen, paint)]
    assert abs(hues[0] - hues[1]) < 0.15
    assert np.linalg.norm(seen - paint) < 12


def test_skin_around_the_defect_takes_on_the_colour_of_the_photograph() -> None:
    # The mask of the real defect takes in twice as much as the paint.
    real, paint = part((165, 140, 105), 10), blot(90, 90)
    generous = cv2.dilate(paint.astype(np.uint8), np.ones((15, 15), np.uint8)) > 0
    real[paint] = PAINT
    picture = part((200, 175, 140))
    made = pasted(picture, generous, cutouts=cut_out(real, generous))
    margin = generous & ~(cv2.dilate(paint.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0)
    apart = lab(made.picture)[margin].mean(axis=0) - lab(picture)[margin].mean(axis=0)
    before = lab(real)[margin].mean(axis=0) - lab(picture)[margin].mean(axis=0)
    assert np.linalg.norm(apart) < 0.4 * np.linalg.norm(before)


def test_nothing_is_pasted_beside_the_part() -> None:
    picture, mask = part(), blot(25, 96)
    made = pasted(picture, mask)
    inside = cv2.dilate(disc(96, 96, 72).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    assert made.changed.any()
    assert not (made.changed & ~inside).any()


def test_a_grey_photograph_stays_grey() -> None:
    grey = np.repeat(part()[:, :, :1], 3, axis=2)
    everything = np.ones(grey.shape[:2], bool)
    made = paste(grey, MASKS["same"], everything, defects(), 0, grey=True)
    assert made.changed.any()
    assert (made.picture == made.picture[:, :, :1]).all()


def test_a_weaker_defect_changes_less() -> None:
    picture = part()
    changes = [
        np.abs(pasted(picture, MASKS["same"], strength=s).picture.astype(int) - picture).sum()
        for s in (0.3, 0.6, 1.0)
    ]
    assert changes == sorted(changes)


def test_real_defects_stay_as_sharp_as_they_are(shared: Path) -> None:
    root = shared / "data" / "hazelnut_toy"
    if not root.is_dir():
        pytest.skip("the photographs of hazelnuts are not in ../shared/data")
    real = DefectFolder(root).defects("colour")[1]
    assert real.mask_path is not None
    source, mask = read_picture(real.path), read_mask(real.mask_path)
    good = read_picture(DefectFolder(root).good("train")[0].path)
    part = unshadowed_silhouette(good)
    move = np.array([[0.0, -1.0, 511.0], [1.0, 0.0, 0.0]])  # a quarter turn
    target = (cv2.warpAffine(mask.astype(np.uint8), move, (512, 512)) > 0) & part
    cutouts = cut_out(source, mask)
    made = paste(good, target, part, cutouts, 0)
    ratio = _sharpness(made.picture, target) / _sharpness(source, mask)
    assert 0.7 < ratio < 1.3
    assert cutouts_in(root, "colour", first_third=True)


def _sharpness(picture: np.ndarray, mask: np.ndarray) -> float:
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    inside = cv2.erode(mask.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    return float(np.abs(cv2.Laplacian(grey, cv2.CV_32F))[inside].std())
