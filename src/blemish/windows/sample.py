"""Defects of a window generator on a folder's good parts, under real masks moved at random.

All pieces of one real photograph are laid with one move, each group with a code of its own.
"""

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Bool, UInt8

from blemish.data.shadow import unshadowed_silhouette
from blemish.windows.paint import WindowModel, groups, paint
from blemish.windows.placing import Placement, place
from blemish.windows.sources import LEAST_PIXELS, SourcePhotograph, Sources

Pair = tuple[UInt8[np.ndarray, "h w 3"], Bool[np.ndarray, "h w"]]


def sample(model: WindowModel, sources: Sources, kind: str, n: int) -> Iterator[Pair]:
    """Photographs with a defect, and the masks that were asked for.

    Item k depends on k alone: it takes the k-th good photograph, in turn, and the mask of a real
    photograph that the seed k chooses.

    Args:
        model: The window generator.
        sources: Good photographs, and real defects of the type.
        kind: Type of the defects.
        n: Number of items; one whose mask misses the photograph is left out.
    """
    marks = sources.marks(sources.types.index(kind))
    for k in range(n):
        np_rng, rng = np.random.default_rng(k), torch.Generator().manual_seed(k)
        source = sources.good[k % len(sources.good)]
        mask = _mask_on(source, place(source, marks[int(np_rng.integers(len(marks)))], np_rng))
        if mask.sum() >= LEAST_PIXELS:
            codes = model.codes(kind, rng, len(groups(mask)))
            yield paint(model.generator, source.picture, mask, codes, rng), mask


def _mask_on(source: SourcePhotograph, placement: Placement) -> Bool[np.ndarray, "h w"]:
    """The mask on the photograph, without what falls on the part's shadow."""
    mask = placement.on_photograph()
    return mask if placement.matrix is None else mask & unshadowed_silhouette(source.picture)
