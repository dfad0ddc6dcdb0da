from pathlib import Path

import numpy as np
import pytest
from tiny import part, spot, write_defects

from blemish.errors import OptionError
from blemish.pictures import write_picture
from blemish.synthesis.real.align import outline_of
from blemish.synthesis.real.cutouts import choose_cutout, cut_out, cutouts_in, pieces

SIDE = 256


def bar(x: int, y: int, w: int, h: int) -> np.ndarray:
    mask = np.zeros((SIDE, SIDE), bool)
    mask[y : y + h, x : x + w] = True
    return mask


def test_pieces_make_up_the_mask() -> None:
    mask = bar(60, 60, 40, 20) | bar(150, 150, 10, 10) | bar(100, 200, 3, 3)
    found = pieces(mask)
    assert np.array_equal(np.add.reduce([p.astype(int) for p in found]), mask.astype(int))
    assert [piece.sum() for piece in found] == [800, 100, 9]


def test_pieces_that_nearly_touch_are_one() -> None:
    assert len(pieces(bar(60, 60, 40, 20) | bar(101, 60, 40, 20))) == 1


def test_specks_of_a_real_defect_are_no_cutouts() -> None:
    mask = bar(60, 60, 60, 40) | bar(150, 150, 3, 3)
    (cutout,) = cut_out(part(SIDE, SIDE), mask)
    assert cutout.mask.sum() == 2400
    assert cut_out(part(SIDE, SIDE), mask & False) == []


def test_a_cutout_is_what_the_photograph_shows() -> None:
    picture, mask = part(SIDE, SIDE), bar(100, 110, 30, 20)
    (cutout,) = cut_out(picture, mask)
    x, y = cutout.corner
    h, w = cutout.mask.shape
    assert np.array_equal(cutout.picture, picture[y : y + h, x : x + w])
    assert np.array_equal(cutout.mask, mask[y : y + h, x : x + w])
    assert cutout.mask.sum() == mask.sum()


@pytest.mark.parametrize("seed", range(3))
def test_a_cutout_of_the_same_shape_is_chosen(seed: int) -> None:
    picture = part(SIDE, SIDE)
    shapes = [bar(70, 120, 100, 8), bar(100, 100, 50, 50), spot(SIDE, SIDE)]
    cutouts = [cut_out(picture, shape)[0] for shape in shapes]
    target = outline_of(picture, bar(120, 80, 8, 100))
    chosen, _ = choose_cutout(target, cutouts, np.random.default_rng(seed))
    assert chosen is cutouts[0]


def test_seeds_choose_among_those_that_fit(tmp_path: Path) -> None:
    cutouts = cutouts_in(write_defects(tmp_path, n=4, side=128), "paint")
    target = outline_of(part(128, 128), spot(128, 128))
    chosen = {
        id(choose_cutout(target, cutouts, np.random.default_rng(seed))[0].picture)
        for seed in range(20)
    }
    assert len(chosen) > 1


def test_a_folder_without_the_type_is_refused(tmp_path: Path) -> None:
    root = write_defects(tmp_path)
    (root / "test" / "dent").mkdir()
    write_picture(root / "test" / "dent" / "0.png", part(48, 48))
    with pytest.raises(OptionError, match="holds no 'dent' to paste"):
        cutouts_in(root, "dent")
