"""Gradient descent from a starting point: the part that all inversion methods share.

Each method supplies a point, weights, and loss terms in addition to the likeness; the loop is
`search`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from blemish.inversion.losses import noise_regularity, renormalise
from blemish.inversion.reconstruction import ReconstructionLoss
from blemish.inversion.search import Search, Terms, search
from blemish.inversion.space import Point
from blemish.models.generator import Generator
from blemish.types import Codes

CHANGE_WEIGHT = 1  # of the mean squared change of features, in f/w+

# Callback with the time in [0, 1], the unweighted terms and the image: at each step, and at time 1.
Watch = Callable[[float, Terms, Tensor], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepOutput:
    """Output of one step.

    Attributes:
        codes: Input of the generator.
        mask_logits: Logits of the mask given to the branch; None without one.
        image: Generated image, in about [-1, 1].
    """

    codes: Codes
    mask_logits: Float[Tensor, "n 1 h w"] | None
    image: Float[Tensor, "n 3 h w"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Result of a method for each photograph.

    Attributes:
        codes: Codes, with `w_defect` if a defect was searched for.
        mask: Mask to give to the generator with the codes, of zeros and ones; None without a
            defect, or if the branch draws its own.
        terms: Loss terms at the end, unweighted.
        steps: Number of steps of each item.
        converged: Same as in `search.Outcome`.
    """

    codes: Codes
    mask: Float[Tensor, "n 1 h w"] | None
    terms: Terms
    steps: Int[Tensor, " n"]
    converged: Bool[Tensor, " n"]


def no_terms(_: StepOutput) -> Terms:
    """No terms in addition to the likeness."""
    return {}


def descend(
    generator: Generator,
    point: Point,
    likeness: ReconstructionLoss,
    weights: dict[str, float],
    plan: Search,
    *,
    beside: Callable[[StepOutput], Terms] = no_terms,
    perturb: Callable[[float], Tensor | float] = lambda _: 0,
    watch: Watch | None = None,
) -> Found:
    """Search from a point.

    Args:
        generator: Frozen generator.
        point: Start of the search; it is changed.
        likeness: Likeness to the photographs.
        weights: Weight of each term.
        plan: Steps and rates.
        beside: Further terms.
        perturb: Function that gives the noise on the part's code at a time in [0, 1].
        watch: Callback with the terms and the generated image.
    """

    def terms(time: float) -> Terms:
        # The last evaluation is of the returned result, whose mask is binary.
        drawn = _draw(generator, point, perturb(time), binary=time == 1)
        found = likeness.terms(drawn.image) | beside(drawn)
        if point.features is not None:
            found["change"] = point.features.square().mean(dim=(1, 2, 3))
        if point.noise:
            found["noise"] = noise_regularity(point.noise)
        if watch is not None:
            still = {name: values.detach() for name, values in found.items()}
            watch(time, still, drawn.image.detach())
        return found

    after = (lambda: renormalise(point.noise)) if point.noise else None
    reduced = plan.reduced(generator.config.resolution)
    weights = {"change": CHANGE_WEIGHT, **weights}
    outcome = search(point.leaves(), terms, weights, plan, reduced=reduced, after=after)
    with torch.no_grad():
        codes, mask = point.codes(generator).detached(), point.mask(binary=True)
    return Found(
        codes=codes,
        mask=mask,
        terms=outcome.terms,
        steps=outcome.steps,
        converged=outcome.converged,
    )


def _draw(
    generator: Generator, point: Point, perturb: Tensor | float, *, binary: bool
) -> StepOutput:
    codes, mask = point.codes(generator, perturb), point.mask(binary=binary)
    image = generator.draw(codes, mask=mask).image
    return StepOutput(codes=codes, mask_logits=point.mask_logits(), image=image)
