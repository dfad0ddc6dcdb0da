"""Metrics of sets of defects: distance to real ones, diversity, fraction of copies."""

from statistics import fmean, pstdev
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from blemish.evaluation.metrics import frechet_distance, kernel_distance, nearest

SEEDS = 3
FEWEST = 2
QUANTILE = 0.05


def subset_size(*sets: int) -> int:
    """Nine tenths of the smallest set, so that seeds differ; at least two."""
    return max(FEWEST, round(0.9 * min(sets)))


def set_distances(
    x: Float[Tensor, "n d"], y: Float[Tensor, "m d"], *, frechet_rows: int | None = None
) -> dict[str, Any] | None:
    """Kernel and Fréchet distance, mean and spread over seeds that draw subsets of one size.

    Args:
        x: Features of one set.
        y: Features of the other.
        frechet_rows: Maximum number of rows for the Fréchet distance, which depends on it: only
            figures with the same number are comparable.

    Returns:
        The figures with the sizes of the subsets; None if a set has fewer than two rows.
    """
    if min(len(x), len(y)) < FEWEST:
        return None
    size = subset_size(len(x), len(y))
    few = size if frechet_rows is None else min(size, frechet_rows)
    kernel, frechet = [], []
    for seed in range(SEEDS):
        rng = torch.Generator().manual_seed(seed)
        a, b = (rows[torch.randperm(len(rows), generator=rng)[:size]] for rows in (x, y))
        kernel.append(kernel_distance(a, b))
        frechet.append(frechet_distance(a[:few], b[:few]))
    return {
        "rows": size,
        "frechet_rows": few,
        "seeds": SEEDS,
        "kernel": fmean(kernel),
        "kernel_spread": pstdev(kernel),
        "frechet": fmean(frechet),
        "frechet_spread": pstdev(frechet),
    }


def diversity(features: Float[Tensor, "n d"]) -> float | None:
    """Mean squared distance of pairs over the mean squared length; None for fewer than two rows.

    0 if all are alike, and 2 if they have nothing in common.
    """
    n = len(features)
    if n < FEWEST:
        return None
    spread = features.double().var(dim=0, unbiased=True).sum()
    return float(2 * spread / features.double().square().sum(dim=1).mean())


def memorised(
    synthetic: Float[Tensor, "n d"], training: Float[Tensor, "m d"], turned: Float[Tensor, "k d"]
) -> float | None:
    """Fraction of synthetic defects that are suspiciously close to a training defect.

    Args:
        synthetic: Features of synthetic defects.
        training: Features of training defects.
        turned: Features of the training defects in every rotation and reflection: all in one
            position, then all in the next.

    Returns:
        The fraction that is closer than the closest twentieth of the training defects are to each
        other in any position; None if fewer than two are known.
    """
    if len(training) < FEWEST or not len(synthetic):
        return None
    training, turned = training.double(), turned.double()
    whose = torch.arange(len(turned)) % len(training)
    pairs = [(row[None], turned[whose != k]) for k, row in enumerate(training)]
    among = torch.cat([nearest(row, others)[0] for row, others in pairs])
    distance, _ = nearest(synthetic.double(), turned)
    return float((distance <= among.quantile(QUANTILE)).double().mean())
