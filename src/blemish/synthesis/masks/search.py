"""Search for the code of a mask: the generator is frozen, its mask must meet a target.

A few hundred random codes are drawn; the closest ones are improved side by side by Adam on the
overlap, in z, in w (one row for all layers) or in w+ (a row for each).
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from blemish.inversion.adam import Adam
from blemish.inversion.space import code_of, code_rows
from blemish.models.losses import overlap_error
from blemish.models.mask_generator import MaskGenerator
from blemish.names import CodeSpace
from blemish.types import Codes

CHUNK = 32  # masks drawn at once
FADE = 0.25  # share of the steps at the end in which the learning rate falls to zero


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskSearch:
    """Options of a search.

    Attributes:
        space: Space of the search.
        tried: Random codes to choose starts from.
        starts: Number of codes that are improved.
        steps: Steps of Adam.
        rate: Learning rate.
    """

    space: CodeSpace = "w"
    tried: int = 256
    starts: int = 4
    steps: int = 150
    rate: float = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class MetMask:
    """The code that a search found.

    Attributes:
        codes: One item.
        logits: Logits of its mask.
        iou: Overlap of its binary mask with the target's, in the frame.
    """

    codes: Codes
    logits: Float[Tensor, "1 1 s s"]
    iou: float


def meet(
    generator: MaskGenerator,
    part: Float[Tensor, "1 1 s s"],
    target: Float[Tensor, "1 1 s s"],
    kind: Int[Tensor, "1"],
    options: MaskSearch,
    rng: torch.Generator,
) -> MetMask:
    """Find the code whose mask meets a target.

    Args:
        generator: Frozen.
        part: Signed distance to the part's outline, in pixels, positive inside.
        target: Share of each pixel that the wanted mask covers.
        kind: Index of the type.
        options: Options.
        rng: Random generator of the starts, on the CPU.
    """
    variable = _starts(generator, part, target, kind, options, rng)
    part, target, kind = (_repeated(x, len(variable)) for x in (part, target, kind))
    adam, best = Adam([variable]), None
    for step in range(options.steps + 1):
        rows = code_rows(generator.mapping, variable, generator.config.layers, options.space, kind)
        codes = Codes(w=rows, space=options.space)
        logits = generator.draw(part, codes, kind)
        best = _better(best, codes, logits.detach(), target)
        if step < options.steps:
            (slope,) = torch.autograd.grad(overlap_error(logits, target).sum(), variable)
            adam.step([slope], options.rate * min(1, (1 - step / options.steps) / FADE))
    assert best is not None
    return best


def overlaps(
    logits: Float[Tensor, "n 1 s s"], target: Float[Tensor, "n 1 s s"]
) -> Float[Tensor, " n"]:
    """Intersection over union of the binary masks."""
    made, wanted = logits > 0, target > 0.5
    both, either = (x.sum(dim=(1, 2, 3)) for x in (made & wanted, made | wanted))
    return both / either.clamp(min=1)


@torch.no_grad()
def closest(
    generator: MaskGenerator,
    part: Float[Tensor, "1 1 s s"],
    target: Float[Tensor, "1 1 s s"],
    kind: Int[Tensor, "1"],
    tried: int,
    kept: int,
    rng: torch.Generator,
) -> Float[Tensor, "k z"]:
    """The latents, of random ones, whose masks are closest to a target; the closest first.

    Args:
        generator: Frozen.
        part: Signed distance to the part's outline, in pixels, positive inside.
        target: Share of each pixel that the wanted mask covers.
        kind: Index of the type.
        tried: Number of random latents.
        kept: Number of latents to return.
        rng: Random generator, on the CPU.
    """
    z = torch.randn(tried, generator.config.z_dim, generator=rng).to(part.device)
    errors = []
    for chunk in z.split(CHUNK):
        n = len(chunk)
        codes = generator.codes(chunk, _repeated(kind, n))
        logits = generator.draw(_repeated(part, n), codes, _repeated(kind, n))
        errors.append(overlap_error(logits, _repeated(target, n)))
    return z[torch.cat(errors).argsort()[:kept]]


@torch.no_grad()
def _starts(
    generator: MaskGenerator,
    part: Tensor,
    target: Tensor,
    kind: Tensor,
    options: MaskSearch,
    rng: torch.Generator,
) -> Tensor:
    """The closest of random codes, as the variable of the search."""
    z = closest(generator, part, target, kind, options.tried, options.starts, rng)
    kinds, layers = _repeated(kind, len(z)), generator.config.layers
    return code_of(generator.mapping, z, layers, options.space, kinds).requires_grad_()


def _better(best: MetMask | None, codes: Codes, logits: Tensor, target: Tensor) -> MetMask:
    """The best so far, or the best of these."""
    found = overlaps(logits, target)
    k = int(found.argmax())
    if best is not None and best.iou >= found[k]:
        return best
    chosen = Codes(w=codes.w[k : k + 1].detach().clone(), space=codes.space)
    return MetMask(codes=chosen, logits=logits[k : k + 1].clone(), iou=float(found[k]))


def _repeated(x: Tensor, n: int) -> Tensor:
    return x.expand(n, *x.shape[1:])
