"""Small arithmetic of figures: what is left out where nothing was measured is None."""

from collections.abc import Iterable, Sequence
from math import isfinite
from statistics import fmean, median
from typing import Any

from jaxtyping import Bool, Float
from torch import Tensor

DIGITS = 6


def middle(values: Sequence[float]) -> float | None:
    """The median; None where there are none."""
    return median(values) if values else None


def mean(values: Sequence[float]) -> float | None:
    """The mean; None where there are none."""
    return fmean(values) if values else None


def share(verdicts: Iterable[bool]) -> float | None:
    """How many are true, in [0, 1]; None where there are none."""
    return mean([float(verdict) for verdict in verdicts])


def auroc(ordinary: Sequence[float], odd: Sequence[float]) -> float | None:
    """How well a score tells the odd ones: the chance that one is above an ordinary one.

    Ties count one half (Mann and Whitney, 1947). None where either side is empty.
    """
    if not ordinary or not odd:
        return None
    wins = [float(b > a) + 0.5 * float(b == a) for a in ordinary for b in odd]
    return fmean(wins)


def monotone(values: Float[Tensor, "n steps"]) -> Bool[Tensor, " n"]:
    """Whether each sequence goes one way and never back; one that stays where it is does not."""
    steps = values.diff(dim=1)
    one_way = steps.ge(0).all(dim=1) | steps.le(0).all(dim=1)
    return one_way & (values[:, 0] != values[:, -1])


def percentiles(values: Float[Tensor, " n"], fresh: Float[Tensor, " m"]) -> list[float]:
    """The share of fresh samples below each value, in 0..100."""
    return (fresh[None] < values[:, None]).float().mean(dim=1).mul(100).tolist()


def presentable(value: Any) -> Any:
    """Figures as JSON holds them: rounded, and None for what is no number."""
    if isinstance(value, dict):
        return {str(k): presentable(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [presentable(v) for v in value]
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") if isfinite(value) else None
    return value
