"""What needs no model, for comparison: copy-paste, plain and blended, and `--method paste`.

Plain and blended copy-paste turn a whole photograph of a defect at random and put what its mask
marks onto a good one, wherever that falls. `paste` is what users have without a bundle; its masks
are those of real defects, moved as `--mask-kind real --where there` moves them.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from blemish.data.folder import DefectFolder
from blemish.data.shadow import unshadowed_silhouette
from blemish.errors import OptionError
from blemish.evaluation.synthesis.closeups import LEAST_PX, Pair
from blemish.evaluation.synthesis.items import LabelledDefect
from blemish.pictures import read_picture
from blemish.synthesis.masks.draw import draw_mask
from blemish.synthesis.options import MaskOptions
from blemish.synthesis.real.cutouts import Cutout, cut_out
from blemish.synthesis.real.paste import paste

COUNT = 60
EDGE = 1.0  # deviation of the blur of a plain copy's rim, in pixels

Baseline = Callable[[Path, Sequence[LabelledDefect], int], Iterator[Pair]]


def by_copy(real: Path, defects: Sequence[LabelledDefect], seed: int = 0) -> Iterator[Pair]:
    """Copy-paste with a rim softened by a pixel.

    Args:
        real: Folder with photographs of good parts.
        defects: Real defects.
        seed: Seed of everything random.
    """
    for good, picture, mask in _turned(real, defects, seed):
        soft = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), EDGE)[:, :, None]
        yield (picture * soft + good * (1 - soft)).astype(np.uint8), mask


def blended(real: Path, defects: Sequence[LabelledDefect], seed: int = 0) -> Iterator[Pair]:
    """Copy-paste with Poisson blending (Pérez et al., 2003); see `by_copy`."""
    for good, picture, mask in _turned(real, defects, seed):
        x, y, w, h = cv2.boundingRect(mask.astype(np.uint8))
        middle = (int((2 * x + w - 1) / 2), int((2 * y + h - 1) / 2))
        levels = mask.astype(np.uint8) * 255
        try:
            yield cv2.seamlessClone(picture, good, levels, middle, cv2.NORMAL_CLONE), mask
        except cv2.error:  # a mask at the border of the photograph
            continue


def by_paste(real: Path, defects: Sequence[LabelledDefect], seed: int = 0) -> Iterator[Pair]:
    """The method paste; see `by_copy`."""
    read = [item.read() for item in defects]
    cutouts: list[Cutout] = [cutout for pair in read for cutout in cut_out(*pair)]
    options, masks = MaskOptions(mask_kind="real", where="there"), [mask for _, mask in read]
    goods = [photograph.path for photograph in DefectFolder(real).good("train")]
    for number in range(COUNT if goods and cutouts else 0):
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(number,)))
        good = read_picture(goods[int(rng.integers(len(goods)))])
        part = unshadowed_silhouette(good)
        try:
            mask = draw_mask(options, part, rng, masks)
        except OptionError:  # no place on this part
            continue
        synthetic = paste(good, mask, part, cutouts, number)
        yield synthetic.picture, synthetic.changed


BASELINES: dict[str, Baseline] = {"copy-paste": by_copy, "blended": blended, "paste": by_paste}


def _turned(
    real: Path, defects: Sequence[LabelledDefect], seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """A good photograph, and one of a defect with its mask, of the same size and turned."""
    goods = [photograph.path for photograph in DefectFolder(real).good("train")]
    rng = np.random.default_rng(seed)
    for _ in range(COUNT if goods else 0):
        good = read_picture(goods[int(rng.integers(len(goods)))])
        picture, mask = defects[int(rng.integers(len(defects)))].read()
        h, w = good.shape[:2]
        turn = cv2.getRotationMatrix2D((w / 2, h / 2), rng.uniform(0, 360), 1)
        levels = cv2.resize(mask.astype(np.uint8), (w, h), interpolation=cv2.INTER_NEAREST)
        levels = cv2.warpAffine(levels, turn, (w, h), flags=cv2.INTER_NEAREST)
        picture = cv2.resize(picture, (w, h))
        picture = cv2.warpAffine(picture, turn, (w, h), borderMode=cv2.BORDER_REFLECT)
        if levels.sum() >= LEAST_PX:
            yield good, picture, levels > 0
