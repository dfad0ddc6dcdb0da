from pathlib import Path

import cv2
import numpy as np
import pytest

from blemish.data.folder import DefectFolder, load_native
from blemish.data.importing.propose import BY_GOOD, outlined
from blemish.pictures import write_picture

SIDE = 96


def part(seed: int, turn: float = 0.0, shift: int = 0) -> np.ndarray:
    """An oblong part with a dark end on a pale ground."""
    picture = np.full((SIDE, SIDE, 3), 215, np.uint8)
    centre = (SIDE // 2 + shift, SIDE // 2)
    cv2.ellipse(picture, centre, (40, 24), turn, 0, 360, (150, 110, 60), cv2.FILLED)
    cv2.ellipse(picture, centre, (40, 24), turn, -60, 60, (100, 60, 30), cv2.FILLED)
    noise = np.random.default_rng(seed).normal(0, 3, picture.shape)
    return (picture + noise).clip(0, 255).astype(np.uint8)


def blot() -> np.ndarray:
    """A slanting streak across the border of the dark end."""
    canvas = np.zeros((SIDE, SIDE), np.uint8)
    cv2.line(canvas, (44, 40), (66, 58), 1, 5)
    return canvas > 0


def box_of(mask: np.ndarray) -> np.ndarray:
    x, y, w, h = cv2.boundingRect(mask.astype(np.uint8))
    box = np.zeros_like(mask)
    box[y : y + h, x : x + w] = True
    return box


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


def write_good(folder: Path, *, turning: bool) -> list[Path]:
    paths = []
    for seed in range(6):
        turn = 60.0 * seed if turning else 0.0
        paths.append(folder / f"{seed}.png")
        write_picture(paths[-1], part(seed, turn, shift=seed % 3 if turning else 0))
    return paths


@pytest.mark.parametrize("colour", [(230, 40, 60), (20, 20, 20)])
@pytest.mark.parametrize("given", ["good", "turned", "none"])
def test_a_defect_in_a_box_is_marked_better_than_by_the_box(
    given: str, colour: tuple[int, int, int], tmp_path: Path
) -> None:
    picture, mask = part(99), blot()
    picture[mask] = colour
    paths = [] if given == "none" else write_good(tmp_path, turning=given == "turned")
    found = BY_GOOD.prepare(paths)(picture, box_of(mask))
    assert not found[~box_of(mask)].any()
    assert overlap(found, mask) > overlap(box_of(mask), mask) + 0.05


def test_evidence_is_outlined_inside_the_box() -> None:
    mask = blot()
    evidence = np.random.default_rng(0).normal(0, 0.1, mask.shape) + mask
    assert overlap(outlined(evidence, box_of(mask)), mask) > 0.85


def test_the_light_is_no_defect(tmp_path: Path) -> None:
    mask, paths = blot(), write_good(tmp_path, turning=False)
    picture = (part(99) * 0.8).astype(np.uint8)
    picture[mask] = (20, 200, 20)
    assert overlap(BY_GOOD.prepare(paths)(picture, box_of(mask)), mask) > 0.85


@pytest.mark.parametrize("box", [(0, 0, 96, 96), (0, 0, 1, 1), (95, 40, 1, 9), (40, 40, 2, 2)])
def test_any_box_gives_a_mask_inside_it(box: tuple[int, int, int, int], tmp_path: Path) -> None:
    left, top, w, h = box
    inside = np.zeros((SIDE, SIDE), bool)
    inside[top : top + h, left : left + w] = True
    for paths in ([], write_good(tmp_path, turning=False)):
        found = BY_GOOD.prepare(paths)(part(99), inside)
        assert found.any() and not found[~inside].any()


def test_a_box_on_one_colour_is_marked_whole() -> None:
    inside = np.zeros((SIDE, SIDE), bool)
    inside[30:50, 30:60] = True
    plain = np.full((SIDE, SIDE, 3), 90, np.uint8)
    assert np.array_equal(BY_GOOD.prepare([])(plain, inside), inside)
    assert np.array_equal(outlined(np.zeros((SIDE, SIDE)), inside), inside)


def test_real_paint_is_marked_better_than_by_boxes(shared: Path) -> None:
    folder = DefectFolder(shared / "data" / "hazelnut_toy")
    propose = BY_GOOD.prepare([photograph.path for photograph in folder.good("train")])
    ours, boxes = [], []
    for photograph in folder.defects("colour")[::4]:
        picture, mask = load_native(photograph)
        box = box_of(mask)
        ours.append(overlap(propose(picture, box), mask))
        boxes.append(overlap(box, mask))
    assert np.mean(ours) > np.mean(boxes)
