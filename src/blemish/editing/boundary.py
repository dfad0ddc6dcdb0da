r"""Linear boundaries between codes with little and with much of an attribute.

A support vector machine with the squared hinge loss, in the primal (Chapelle, 2007):

    \min_{n, b}\; \tfrac12 \lVert n \rVert^2 + C \sum_i \max(0, 1 - y_i (n \cdot u_i + b))^2,

by Newton's method: with the rows that are inside the margin, the minimum is a linear system. Codes
are whitened first, so that one penalty fits all directions.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from jaxtyping import Bool, Float

LEAST_SHARE = 0.02  # of the largest deviation: axes of codes below it are left out
COST = 0.02
MOST_STEPS = 50
OUTER = 0.2  # share of samples at each end that count for a boundary


@dataclass(frozen=True, slots=True)
class Whitening:
    """Principal axes of codes, with their deviations.

    Attributes:
        mean: Mean of the codes.
        axes: Axes in columns, the longest first.
        deviations: Deviation along each.
    """

    mean: Float[np.ndarray, " d"]
    axes: Float[np.ndarray, "d k"]
    deviations: Float[np.ndarray, " k"]

    @classmethod
    def of(cls, w: Float[np.ndarray, "n d"]) -> Self:
        """Axes of codes, without those along which codes hardly vary."""
        mean = w.mean(axis=0)
        values, axes = np.linalg.eigh(np.cov((w - mean).T))
        deviations = np.sqrt(values.clip(min=0))[::-1]
        kept = deviations >= LEAST_SHARE * deviations[0]
        return cls(mean, axes[:, ::-1][:, kept], deviations[kept])

    def white(self, w: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n k"]:
        """Codes with mean 0 and deviation 1 along every axis."""
        return (w - self.mean) @ self.axes / self.deviations

    def move(self, normal: Float[np.ndarray, " k"]) -> Float[np.ndarray, " d"]:
        """Move of a code that belongs to a unit move of a whitened one along a normal."""
        return self.axes @ (self.deviations * normal / np.linalg.norm(normal))


@dataclass(frozen=True, slots=True)
class Boundary:
    """Hyperplane n · u + b = 0.

    Attributes:
        normal: n.
        offset: b.
    """

    normal: Float[np.ndarray, " d"]
    offset: float

    def sides(self, u: Float[np.ndarray, "n d"]) -> Bool[np.ndarray, " n"]:
        """Whether codes lie where there is much of the attribute."""
        return u @ self.normal + self.offset > 0


def fit_boundary(
    u: Float[np.ndarray, "n d"], much: Bool[np.ndarray, " n"], cost: float = COST
) -> Boundary:
    """Boundary between two classes of codes, both of which occur.

    Args:
        u: Whitened codes.
        much: Class of each.
        cost: C; a larger one fits the samples more closely.
    """
    x, y = np.column_stack([u, np.ones(len(u))]), np.where(much, 1.0, -1.0)
    penalty = np.diag([*np.ones(u.shape[1]), 1e-6])  # the offset is free
    theta, inside = np.zeros(x.shape[1]), np.ones(len(x), bool)
    for _ in range(MOST_STEPS):
        near = x[inside]
        theta = np.linalg.solve(penalty + 2 * cost * near.T @ near, 2 * cost * near.T @ y[inside])
        before, inside = inside, y * (x @ theta) < 1
        if (inside == before).all() or not inside.any():
            break
    return Boundary(theta[:-1], float(theta[-1]))


def outer(values: Float[np.ndarray, " n"]) -> tuple[Bool[np.ndarray, " n"], Bool[np.ndarray, " n"]]:
    """Samples in the lowest or the highest `OUTER` share, and those in the highest."""
    low, high = np.quantile(values, [OUTER, 1 - OUTER])
    return (values <= low) | (values >= high), values >= high


def separation(
    boundary: Boundary, u: Float[np.ndarray, "n d"], values: Float[np.ndarray, " n"]
) -> float:
    """Share of the outer samples that lie on their side of a boundary."""
    chosen, much = outer(values)
    return float((boundary.sides(u) == much)[chosen].mean())
