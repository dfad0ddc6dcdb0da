"""Result of a training."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

Figures = dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingOutcome:
    """Result of one training.

    Attributes:
        arm: Name of the arm.
        seed: Random seed of the training.
        figures: Figures by name, each in [0, 1].
        maps: Probability of a defect at each pixel of the displayed photographs.
    """

    arm: str
    seed: int
    figures: Figures
    maps: Float[np.ndarray, "n s s"]


def ap_of(kind: str) -> str:
    """Name of the figure for a type's AP."""
    return f"ap: {kind}"
