"""Learning of an object's statistics from a training's own photographs.

Good and defective photographs are seen as they are and with small changes that a camera makes. Each
photograph is also judged by Gaussians that have not seen it or its changed views: these scores are
those of new photographs, and the limit lies between them and the scores of `near` objects.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain
from typing import TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from blemish.checkpoint import Bundle
from blemish.data.augment import Symmetries, augment_stack
from blemish.data.folder import DefectFolder, Photograph
from blemish.devices import one_thread
from blemish.pictures import fit_square, read_picture, to_tensor
from blemish.recognition.embedding import SIDE, Embedder, Embedding
from blemish.recognition.near import Picture, near_objects
from blemish.recognition.statistics import PREFIX, Gaussian, ObjectStatistics

LEAST = 8  # good photographs; fewer say too little of what varies
MOST = 120  # good photographs, and defective ones
VIEWS = 480  # wanted, of all photographs together
VIEWS_OF_ONE = 3, 7  # fewest and most
NEAR = 24  # photographs that near objects are made of
SHARE = 0.98  # of unseen photographs that are below the limit at least
LEAST_LIMIT = 1.0  # deviations above the usual score, where nothing varies
COARSEST = 64  # side of the smallest photographs that are to be known, in pixels
BATCH = 16
CAMERA = Symmetries(rotate=True, shift=True, scale=True, colour=True)

Item = TypeVar("Item")


def learn_object(
    bundle: Bundle, data: DefectFolder, *, first_third: bool, everything: bool
) -> None:
    """Compute the statistics of a bundle's object and store them with its others.

    A folder with fewer than `LEAST` good photographs removes them: nobody knows.

    Args:
        bundle: Bundle in training.
        data: Photographs of the training.
        first_third: Use the first third of each type by name, the few-shot protocol.
        everything: Use `test/good` as well.

    Raises:
        DataError: A photograph can't be read.
    """
    good = data.good_to_learn(everything=everything)
    if len(good) < LEAST:
        return bundle.forget(PREFIX)
    kinds = (data.defects_to_learn(kind, first_third=first_third) for kind in data.types)
    defects = {defect.path: defect for defect in chain.from_iterable(kinds)}  # once, of many types
    pictures = [*read_photographs(good), *read_photographs([*defects.values()])]
    known = bundle.statistics()
    bundle.write("statistics", {**known, **fit_object(pictures).tensors()})


def read_photographs(photographs: Sequence[Photograph]) -> list[UInt8[np.ndarray, "s s 3"]]:
    """Photographs at the embedding's `SIDE`, `MOST` of them at most, evenly over their order."""
    chosen = _spread(photographs, MOST)
    return [fit_square(read_picture(photograph.path), SIDE) for photograph in chosen]


@one_thread()
def fit_object(pictures: Sequence[Picture], *, seed: int = 0) -> ObjectStatistics:
    """Statistics of an object from its photographs.

    Args:
        pictures: At least two photographs at the embedding's `SIDE`.
        seed: Random seed of views and near objects.
    """
    assert len(pictures) > 1
    embedder, rng = Embedder(), torch.Generator().manual_seed(seed)
    images = to_tensor(np.stack(pictures))
    count = min(max(VIEWS // len(images), VIEWS_OF_ONE[0]), VIEWS_OF_ONE[1])
    owner = torch.arange(len(images)).repeat(1 + count)
    seen = _joined(_views(embedder, images, count, rng))
    unseen = {name: _unseen(vectors, owner) for name, vectors in seen.items()}
    statistics = ObjectStatistics(
        gaussians={name: Gaussian.fit(seen[name]).scaled(unseen[name]) for name in seen}
    )
    near = near_objects(_spread(pictures, NEAR), np.random.default_rng(seed))
    strange = statistics.score(_joined(_embedded(embedder, to_tensor(np.stack(near)))))
    return replace(statistics, limit=limit_between(statistics.largest(unseen), strange))


def limit_between(own: Float[Tensor, " n"], near: Float[Tensor, " m"]) -> float:
    """Limit with the fewest mistakes among unseen own photographs and near objects.

    At least `SHARE` of the own photographs are below it. Where several limits are equally good, it
    is the middle of the first of them and the next score.

    Args:
        own: Scores of unseen photographs.
        near: Scores of near objects.
    """
    least = own.quantile(SHARE)
    scores = torch.cat([least[None], own, near]).sort().values
    scores = scores[scores >= least]
    false = (own > scores[:, None]).float().mean(dim=1)
    missed = (near <= scores[:, None]).float().mean(dim=1)
    best = int((false + missed).argmin())
    return max(scores[best : best + 2].mean().item(), LEAST_LIMIT)


def _joined(parts: Iterator[Embedding]) -> Embedding:
    """Embeddings of batches as one."""
    found = list(parts)
    return {name: torch.cat([part[name] for part in found]) for name in found[0]}


def _views(
    embedder: Embedder, images: Float[Tensor, "n 3 s s"], count: int, rng: torch.Generator
) -> Iterator[Embedding]:
    """Embeddings of the images, then of `count` rounds of changed ones, every other one coarse."""
    yield from _embedded(embedder, images)
    for k in range(count):
        moved = augment_stack(images, CAMERA, generator=rng).clamp(-1, 1)
        yield from _embedded(embedder, moved if k % 2 else coarse(moved, rng))


def coarse(images: Float[Tensor, "n 3 s s"], rng: torch.Generator) -> Float[Tensor, "n 3 s s"]:
    """Images as enlarged photographs of fewer pixels, each of a side from `COARSEST` to its own."""
    side = images.shape[-1]
    sides = COARSEST * (side / COARSEST) ** torch.rand(len(images), generator=rng)
    pairs = zip(images.split(1), sides.int().tolist(), strict=True)
    small = [F.interpolate(image, size=few, mode="area") for image, few in pairs]
    return torch.cat([F.interpolate(image, size=side, mode="bilinear") for image in small])


def _embedded(embedder: Embedder, images: Float[Tensor, "n 3 s s"]) -> Iterator[Embedding]:
    return (embedder(batch) for batch in images.split(BATCH))


def _unseen(vectors: Float[Tensor, "n c"], owner: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Log-distance of each view to the Gaussian of all other photographs' views."""
    found = torch.empty(len(vectors))
    for photograph in owner.unique():
        mine = owner == photograph
        found[mine] = Gaussian.fit(vectors[~mine]).log_distance(vectors[mine])
    return found


def _spread(items: Sequence[Item], most: int) -> list[Item]:
    """At most so many of the items, evenly over their order."""
    count = min(len(items), most)
    return [items[k * len(items) // count] for k in range(count)]
