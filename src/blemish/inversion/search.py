"""Search for codes: Adam with the ramps of the StyleGAN2 projector.

Every code search is this loop with other variables and other terms. Items of a batch are
independent: Adam works element by element and the loss is a sum over items. So each item stops on
its own when its loss no longer decreases or is not finite. It then keeps its parameters, and the
loop ends when all items have stopped.

Steps may be computed in bfloat16, whose gradients differ by a few hundredths. The terms at the end
are always those of float32, and an item that is worse by them than at its start did not converge.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import cos, inf, pi
from time import monotonic

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from blemish.devices import has_bfloat16
from blemish.errors import OptionError
from blemish.inversion.adam import Adam
from blemish.limits import refuse_search
from blemish.names import PrecisionChoice

Terms = dict[str, Float[Tensor, " n"]]
Step = Callable[[int], None]
LEAST_REDUCED = 128  # side of images from which bfloat16 is faster


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """Length and speed of a search.

    Attributes:
        steps: Steps of Adam.
        learning_rate: Maximum learning rate (Karras et al., 2020, appendix D: 0.1).
        ramp_up: Fraction of the steps over which the rate grows from zero.
        ramp_down: Fraction of the steps over which it falls to zero along a cosine.
        patience: Number of steps without improvement after which an item stops; 0 never stops
            early.
        tolerance: Fraction by which the loss must fall below its best to count as an improvement.
        seconds: Time limit after which all items stop; None sets no limit.
        precision: Number format of the networks in the steps; auto is bfloat16 for images of 128²
            and more on a processor that computes in it.
    """

    steps: int = 1000
    learning_rate: float = 0.1
    ramp_up: float = 0.05
    ramp_down: float = 0.25
    patience: int = 0
    tolerance: float = 0.01
    seconds: float | None = None
    precision: PrecisionChoice = "auto"

    def __post_init__(self) -> None:
        refuse_search(self.steps, self.learning_rate)
        if not (0 < self.ramp_up <= 1 and 0 < self.ramp_down <= 1):
            raise OptionError(
                got=f"ramps over {self.ramp_up} and {self.ramp_down} of the steps",
                expected="fractions above 0 and up to 1",
                todo="Correct the option.",
            )
        if self.patience < 0 or not 0 <= self.tolerance < 1:
            raise OptionError(
                got=f"a patience of {self.patience} steps at a tolerance of {self.tolerance}",
                expected="0 steps or more, and a fraction from 0 to below 1",
                todo="Correct the option.",
            )
        if self.seconds is not None and not self.seconds > 0:
            raise OptionError(
                got=f"{self.seconds} seconds for a search",
                expected="more than 0",
                todo="Allow some time, or leave the option out.",
            )

    def reduced(self, resolution: int) -> bool:
        """Whether the steps are computed in bfloat16, for images of a side."""
        if self.precision == "auto":
            return resolution >= LEAST_REDUCED and has_bfloat16()
        return self.precision == "bf16-mixed"

    def rate(self, time: float) -> float:
        """Learning rate at a time in [0, 1]."""
        down = min(1.0, (1 - time) / self.ramp_down)
        up = min(1.0, time / self.ramp_up)
        return self.learning_rate * (0.5 - 0.5 * cos(down * pi)) * up


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Result of a search.

    Attributes:
        terms: Loss terms at the end, unweighted.
        steps: Number of steps of each item.
        converged: Whether the item reached a plateau or finished the schedule, with a loss no
            higher than at its start. Others reached the time limit, got worse, or met values that
            are not finite.
    """

    terms: Terms
    steps: Int[Tensor, " n"]
    converged: Bool[Tensor, " n"]


class _Items:
    """Progress of each item of a batch."""

    def __init__(self, parameters: list[Tensor]) -> None:
        n, device = len(parameters[0]), parameters[0].device
        self.moving = torch.ones(n, dtype=torch.bool, device=device)
        self.broken = torch.zeros_like(self.moving)
        self.steps = torch.zeros(n, dtype=torch.long, device=device)
        self.waited = torch.zeros_like(self.steps)
        self.start = self.best = torch.full((n,), inf, device=device)

    def hear(self, loss: Float[Tensor, " n"], sound: Bool[Tensor, " n"], plan: Search) -> None:
        """Stop the items that have reached a plateau or are not finite."""
        self.start = torch.where(self.start.isinf(), loss, self.start)
        better = loss < self.best * (1 - plan.tolerance)
        self.best = torch.where(better, loss, self.best)
        self.waited = torch.where(better, 0, self.waited + 1)
        self.broken = self.broken | (self.moving & ~sound)
        self.moving = self.moving & sound
        if plan.patience:
            self.moving = self.moving & (self.waited < plan.patience)
        self.steps += self.moving


@torch.enable_grad()
def search(
    parameters: list[Tensor],
    terms: Callable[[float], Terms],
    weights: dict[str, float],
    plan: Search,
    *,
    reduced: bool = False,
    after: Callable[[], None] | None = None,
    on_progress: Step | None = None,
) -> Outcome:
    """Minimise a loss over parameters.

    Args:
        parameters: Leaf tensors with gradients, the items along their first axis; changed in place.
        terms: Function from the time in [0, 1] to the terms of the loss, one value per item. The
            time is 1 once, at the end.
        weights: Weight of each term.
        plan: Steps, rates and stopping rules.
        reduced: Compute the steps in bfloat16.
        after: Callback after each step that projects parameters onto their valid set.
        on_progress: Callback after each step, called with its number.

    Returns:
        The terms at the end, and the outcome of each item.
    """
    adam = Adam(parameters)
    items, kept = _Items(parameters), _copies(parameters)
    deadline = inf if plan.seconds is None else monotonic() + plan.seconds
    late = False
    for step in range(plan.steps):
        late = monotonic() > deadline
        if late:
            break
        time = step / plan.steps
        with torch.autocast(parameters[0].device.type, torch.bfloat16, enabled=reduced):
            loss = _weighed(terms(time), weights)
        gradients = torch.autograd.grad(loss.sum(), parameters)
        items.hear(loss.detach(), _sound(loss, gradients), plan)
        _hold(parameters, kept, loss.isfinite())  # back to the last finite loss
        if not items.moving.any():
            break
        kept = _copies(parameters)
        adam.step(gradients, plan.rate(time))
        if after is not None:
            after()
        _hold(parameters, kept, items.moving)
        if on_progress is not None:
            on_progress(step)
    with torch.no_grad():
        found = terms(1.0)
    end = _weighed(found, weights)
    unfinished = items.moving & late
    converged = ~items.broken & ~unfinished & end.isfinite() & (end <= items.start)
    return Outcome(terms=found, steps=items.steps, converged=converged)


def _weighed(found: Terms, weights: dict[str, float]) -> Float[Tensor, " n"]:
    return torch.stack([weights[name] * values for name, values in found.items()]).sum(dim=0)


def _sound(loss: Float[Tensor, " n"], gradients: tuple[Tensor, ...]) -> Bool[Tensor, " n"]:
    finite = [gradient.flatten(1).isfinite().all(dim=1) for gradient in gradients]
    return torch.stack([loss.isfinite(), *finite]).all(dim=0)


def _copies(parameters: list[Tensor]) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in parameters]


@torch.no_grad()
def _hold(parameters: list[Tensor], kept: list[Tensor], free: Bool[Tensor, " n"]) -> None:
    """Restore the stopped items."""
    for parameter, old in zip(parameters, kept, strict=True):
        here = free.view(-1, *[1] * (parameter.ndim - 1))
        parameter.copy_(torch.where(here, parameter, old))
