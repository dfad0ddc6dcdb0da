"""What came of a training."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

Figures = dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one training.

    Attributes:
        arm: Its name.
        seed: Of it.
        figures: By name, each in [0, 1].
        maps: How likely a defect is at each pixel of the photographs that are shown.
    """

    arm: str
    seed: int
    figures: Figures
    maps: Float[np.ndarray, "n s s"]


def ap_of(kind: str) -> str:
    """The name of the figure that is a type's AP."""
    return f"ap: {kind}"
