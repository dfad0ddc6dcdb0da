"""Search for the codes of a defect with a frozen generator.

Terms: (a) the drawn mask matches the target mask; (b) outside the defect the image matches the
given photograph; (c) inside, it matches a reference. Four steps:

    A  invert the photograph with the defect branch off            (`inversion.project`)
    B  freeze w, fit the defect code to the mask and the reference
    C  refine both together, the mask term on
    D  put the photograph's own pixels back where the reach ends   (`composite`)

The mask is met by searching codes, or codes and the branch's noise maps, or by giving it to the
networks (`condition`), which needs no search unless there is a reference. The networks are a
generator with a defect branch, or generators of parts, masks and windows (`drawers`, `composed`).
"""

from dataclasses import dataclass, field, replace
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from blemish.inversion.losses import mask_error, noise_regularity, renormalise, squared_error
from blemish.inversion.search import Search, Step, Terms, search
from blemish.synthesis.options import SearchOptions
from blemish.synthesis.placement.drawers import Drawer, SearchVariables
from blemish.types import Codes


@runtime_checkable  # for the tests, which check types
class Reference(Protocol):
    """Target for the inside of the defect (term c)."""

    def error(
        self, image: Float[Tensor, "n 3 h w"], mask: Float[Tensor, "n 1 h w"]
    ) -> Float[Tensor, " n"]:
        """Distance of each image's inside to the reference."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """Defects on one part, before they are added to the photograph.

    Attributes:
        codes: Codes including the defect's.
        defective: Image with the defect, as generated.
        twin: Image without the defect.
        mask_logits: The mask that the networks drew, or were given.
        terms: Loss terms at the end of the search; empty without a search.
    """

    codes: Codes
    defective: Float[Tensor, "n 3 h w"]
    twin: Float[Tensor, "n 3 h w"]
    mask_logits: Float[Tensor, "n 1 h w"]
    terms: Terms = field(default_factory=dict)


class _DefectSearch:
    """Search for defects on one part: its images and the terms of its loss."""

    def __init__(
        self,
        drawer: Drawer,
        leaves: SearchVariables,
        target: tuple[Float[Tensor, "1 3 h w"], Float[Tensor, "1 1 h w"]],
        kind: int,
        options: SearchOptions,
        reference: Reference | None,
    ) -> None:
        n = len(leaves)
        self.photograph, self.mask = (item.expand(n, -1, -1, -1) for item in target)
        self.given = self.mask if options.mask_control == "condition" else None
        self.drawer, self.leaves, self.kind = drawer, leaves, kind
        self.options, self.reference = options, reference
        start = self.codes().w_defect
        assert start is not None
        self.start = start.detach().clone()

    def codes(self) -> Codes:
        """The networks' input that the variables give."""
        return self.drawer.codes(self.leaves, self.kind, self.options.defect_space)

    def terms(self, _: float) -> Terms:
        codes = self.codes()
        drawing = self.drawer.draw(codes, self.kind, self.given)
        assert drawing.mask_logits is not None and codes.w_defect is not None
        found = {
            "mask": mask_error(drawing.mask_logits, self.mask),
            "image": squared_error(drawing.image, self.photograph, 1 - self.mask),
            "stay": (codes.w_defect - self.start).square().mean(dim=(1, 2)),
        }
        if self.reference is not None:
            found["reference"] = self.reference.error(drawing.image, self.mask)
        if self.options.mask_control == "noise":
            found["noise"] = noise_regularity(self.leaves.noise)
        return found

    def search(self, plan: Search, *, part: bool, on_progress: Step | None) -> Terms:
        """Search the defect's code, and the part's rows if requested."""
        branch = {n: map for n, map in self.leaves.noise.items() if n.startswith("res_")}
        free = list(branch.values()) if self.options.mask_control == "noise" else []
        after = (lambda: renormalise(branch)) if free else None
        if part:
            self.leaves.w = self.leaves.w.clone()
        marks = [] if self.leaves.mask is None or self.given is not None else [self.leaves.mask]
        leaves = [self.leaves.defect, *marks, *([self.leaves.w] if part else []), *free]
        for leaf in leaves:
            leaf.requires_grad_()
        reduced, weights = plan.reduced(self.drawer.resolution), _weights(self.options)
        found = search(
            leaves, self.terms, weights, plan, reduced=reduced, after=after, on_progress=on_progress
        )
        return found.terms

    @torch.no_grad()
    def placed(self, twin: Codes, terms: Terms) -> Placed:
        """Result of the search."""
        codes = replace(self.codes().detached(), space=twin.space)
        drawing = self.drawer.draw(codes, self.kind, self.given)
        assert drawing.mask_logits is not None
        return Placed(
            codes=codes,
            defective=drawing.image,
            twin=self.drawer.twin(codes),
            mask_logits=drawing.mask_logits,
            terms=terms,
        )


def place_defects(
    drawer: Drawer,
    twin: Codes,
    photograph: Float[Tensor, "1 3 h w"],
    mask: Float[Tensor, "1 1 h w"],
    kind: int,
    options: SearchOptions,
    *,
    rngs: list[torch.Generator],
    reference: Reference | None = None,
    on_progress: Step | None = None,
) -> Placed:
    """Run steps B and C: one defect per random generator, all on one part.

    Args:
        drawer: Frozen networks.
        twin: Codes of the photograph, a single item, without a defect.
        photograph: Photograph at the generator's resolution.
        mask: Target at the generator's resolution.
        kind: Index of the defect's type.
        options: Options.
        rngs: One random generator per item.
        reference: Reference for the defect's appearance; None leaves it to the branch.
        on_progress: Callback after each step, called with its number.
    """
    leaves = drawer.start(twin, mask, kind, options.defect_space, rngs)
    found = _DefectSearch(drawer, leaves, (photograph, mask), kind, options, reference)
    terms: Terms = {}
    if options.defect_steps and (options.mask_control != "condition" or reference is not None):
        found.search(_long(options), part=False, on_progress=on_progress)
        terms = found.search(_short(options), part=True, on_progress=on_progress)
    return found.placed(twin, terms)


def _weights(options: SearchOptions) -> dict[str, float]:
    """Weight of each term."""
    return {
        "mask": options.mask_weight,
        "image": options.image_weight,
        "reference": options.reference_weight,
        "stay": options.stay_weight,
        "noise": options.noise_weight,
    }


def _long(options: SearchOptions) -> Search:
    """Length and rate of step B."""
    return Search(steps=options.defect_steps, learning_rate=options.defect_learning_rate)


def _short(options: SearchOptions) -> Search:
    """Length and rate of step C."""
    return Search(steps=options.defect_steps // 4, learning_rate=options.defect_learning_rate / 5)
