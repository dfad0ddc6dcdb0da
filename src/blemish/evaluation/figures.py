"""Arithmetic of figures; a figure without data is None."""

from collections.abc import Iterable, Sequence
from math import isfinite
from statistics import fmean, median
from typing import Any

from jaxtyping import Bool, Float
from torch import Tensor

DIGITS = 6


def middle(values: Sequence[float]) -> float | None:
    """Median; None without values."""
    return median(values) if values else None


def mean(values: Sequence[float]) -> float | None:
    """Mean; None without values."""
    return fmean(values) if values else None


def share(verdicts: Iterable[bool]) -> float | None:
    """Fraction of true values, in [0, 1]; None without values."""
    return mean([float(verdict) for verdict in verdicts])


def auroc(ordinary: Sequence[float], odd: Sequence[float]) -> float | None:
    """Area under the ROC curve: the chance that an odd one scores higher than an ordinary one.

    Ties count one half (Mann and Whitney, 1947). None if either side is empty.
    """
    if not ordinary or not odd:
        return None
    wins = [float(b > a) + 0.5 * float(b == a) for a in ordinary for b in odd]
    return fmean(wins)


def monotone(values: Float[Tensor, "n steps"]) -> Bool[Tensor, " n"]:
    """Whether each sequence only rises or only falls; a constant one does not count."""
    steps = values.diff(dim=1)
    one_way = steps.ge(0).all(dim=1) | steps.le(0).all(dim=1)
    return one_way & (values[:, 0] != values[:, -1])


def percentiles(values: Float[Tensor, " n"], fresh: Float[Tensor, " m"]) -> list[float]:
    """Percentage of fresh samples below each value, in 0..100."""
    return (fresh[None] < values[:, None]).float().mean(dim=1).mul(100).tolist()


def presentable(value: Any) -> Any:
    """Figures as JSON values: rounded, and None for values that are not finite."""
    if isinstance(value, dict):
        return {str(k): presentable(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [presentable(v) for v in value]
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") if isfinite(value) else None
    return value
