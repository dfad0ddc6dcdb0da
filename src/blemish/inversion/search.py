"""The one search for codes: Adam with the ramps of the StyleGAN2 projector.

Every code search is this loop over other parameters and other terms. Items of a batch do not touch
each other: Adam works element by element and the loss is a sum over items.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import cos, pi

import torch
from jaxtyping import Float
from torch import Tensor

from blemish.errors import OptionError

Terms = dict[str, Float[Tensor, " n"]]
Step = Callable[[int], None]
HEAVIEST = 1e9
SEED_LIMIT = 2**63


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """How long and how fast to search.

    Attributes:
        steps: Of Adam.
        learning_rate: At its height (Karras et al., 2020, appendix D: 0.1).
        ramp_up: Share of the steps over which the rate grows from zero.
        ramp_down: Share of the steps over which it falls to zero along a cosine.
    """

    steps: int = 1000
    learning_rate: float = 0.1
    ramp_up: float = 0.05
    ramp_down: float = 0.25

    def __post_init__(self) -> None:
        if self.steps < 0 or not 0 < self.learning_rate < 100:
            raise OptionError(
                got=f"{self.steps} steps at a learning rate of {self.learning_rate}",
                expected="no fewer than 0 steps, and a rate above 0 and below 100",
                todo="Correct the option.",
            )
        if not (0 < self.ramp_up <= 1 and 0 < self.ramp_down <= 1):
            raise OptionError(
                got=f"ramps over {self.ramp_up} and {self.ramp_down} of the steps",
                expected="shares above 0 and up to 1",
                todo="Correct the option.",
            )

    def rate(self, time: float) -> float:
        """The learning rate at a time in [0, 1]."""
        down = min(1.0, (1 - time) / self.ramp_down)
        up = min(1.0, time / self.ramp_up)
        return self.learning_rate * (0.5 - 0.5 * cos(down * pi)) * up


def refuse_weights(**weights: float) -> None:
    """Check the weights of a loss.

    Raises:
        OptionError: One is negative, no number, or so large that the loss would overflow.
    """
    for name, weight in weights.items():
        if not 0 <= weight <= HEAVIEST:
            raise OptionError(
                got=f"the {name.replace('_', ' ')} {weight}",
                expected=f"a number from 0 to {HEAVIEST:.0e}",
                todo="Correct the option.",
            )


def refuse_seeds(seed: int, count: int = 1) -> None:
    """Check the seeds `seed … seed + count - 1`.

    Raises:
        OptionError: There are none, or one that no generator of random numbers takes.
    """
    if count < 1:
        raise OptionError(got=f"--count {count}", expected="1 or more", todo="Ask for some.")
    if not 0 <= seed <= SEED_LIMIT - count:
        raise OptionError(
            got=f"--seed {seed}", expected="0 up to 2^63 - 1 for the last", todo="Choose another."
        )


@torch.enable_grad()
def search(
    parameters: list[Tensor],
    terms: Callable[[float], Terms],
    weights: dict[str, float],
    how: Search,
    *,
    after: Callable[[], None] | None = None,
    tell: Step | None = None,
) -> Terms:
    """Move parameters downhill.

    Args:
        parameters: Leaves that track gradients; changed in place.
        terms: From the time in [0, 1] to the terms of the loss, a value per item.
        weights: Of each term.
        how: Steps and rates.
        after: Called behind each step, to pull parameters back where they belong.
        tell: Called behind each step with its number.

    Returns:
        The terms at the end, unweighted.
    """
    adam = torch.optim.Adam(parameters, betas=(0.9, 0.999))
    for step in range(how.steps):
        time = step / how.steps
        for group in adam.param_groups:
            group["lr"] = how.rate(time)
        found = terms(time)
        loss = torch.stack([weights[name] * values for name, values in found.items()]).sum()
        for parameter, slope in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
            parameter.grad = slope
        adam.step()
        if after is not None:
            after()
        if tell is not None:
            tell(step)
    with torch.no_grad():
        return terms(1.0)
