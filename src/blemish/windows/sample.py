"""Defects of a window generator on a folder's good parts, under real masks moved at random."""

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Bool, UInt8

from blemish.windows.paint import WindowModel, paint
from blemish.windows.placing import Placement, place
from blemish.windows.sources import LEAST_PIXELS, Source, Sources

Pair = tuple[UInt8[np.ndarray, "h w 3"], Bool[np.ndarray, "h w"]]


def sample(model: WindowModel, sources: Sources, kind: str, n: int) -> Iterator[Pair]:
    """Photographs with a defect, and the masks that were asked for.

    Item k depends on k alone: it takes the k-th good photograph, in turn, and a real mask that the
    seed k chooses.

    Args:
        model: The window generator.
        sources: Good photographs, and real defects of the type.
        kind: Type of the defects.
        n: Number of items; one whose mask misses the photograph is left out.
    """
    pieces = sources.of_kind(sources.types.index(kind))
    for k in range(n):
        dice, rng = np.random.default_rng(k), torch.Generator().manual_seed(k)
        source = sources.good[k % len(sources.good)]
        mask = _mask_on(source, place(source, pieces[int(dice.integers(len(pieces)))], dice))
        if mask.sum() >= LEAST_PIXELS:
            yield paint(model.generator, source.picture, mask, model.codes(kind, rng), rng), mask


def _mask_on(source: Source, placement: Placement) -> Bool[np.ndarray, "h w"]:
    h, w = source.part.shape
    return placement.cut(np.eye(2, 3), max(h, w))[:h, :w]
