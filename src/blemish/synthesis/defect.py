"""Search for the codes of a defect with a frozen generator.

Terms: (a) the drawn mask matches the target mask; (b) outside the defect the image matches the
given photograph; (c) inside, it matches a reference. Four steps:

    A  invert the photograph with the defect branch off            (`inversion.project`)
    B  freeze w, fit the defect code to the mask and the reference
    C  polish both together, the mask term on
    D  put the photograph's own pixels back where the reach ends   (`carry`)

The mask is met by searching codes, or codes and the branch's noise maps, or by giving it to the
branch (`condition`), which needs no search unless there is a reference. Known codes, such as a
mapper's, are refined together in a few steps.
"""

from dataclasses import dataclass, field, replace
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from blemish.generator.network import Drawing, Generator
from blemish.inversion.losses import mask_error, noise_regularity, renormalise, squared_error
from blemish.inversion.search import Search, Step, Terms, search
from blemish.inversion.space import code_rows, draws
from blemish.names import Space
from blemish.synthesis.options import SearchOptions
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
        mask_logits: The branch's own mask.
        terms: Loss terms at the end of the search; empty without a search.
    """

    codes: Codes
    defective: Float[Tensor, "n 3 h w"]
    twin: Float[Tensor, "n 3 h w"]
    mask_logits: Float[Tensor, "n 1 h w"]
    terms: Terms = field(default_factory=dict)


@dataclass(slots=True)
class _Leaves:
    """Search variables: the defect's code, the part's rows, noise maps."""

    latent: Tensor
    w: Tensor
    noise: dict[str, Tensor]


class _Hunt:
    """Search for defects on one part: its images and the terms of its loss."""

    def __init__(
        self,
        generator: Generator,
        leaves: _Leaves,
        target: tuple[Float[Tensor, "1 3 h w"], Float[Tensor, "1 1 h w"]],
        kind: int,
        how: SearchOptions,
        reference: Reference | None,
    ) -> None:
        n = len(leaves.latent)
        self.photograph, self.mask = (item.expand(n, -1, -1, -1) for item in target)
        self.given = self.mask if how.mask_control == "condition" else None
        self.generator, self.leaves, self.kind = generator, leaves, kind
        self.how, self.reference = how, reference
        self.start = self.rows().detach().clone()

    def rows(self) -> Float[Tensor, "n defect_layers d"]:
        """Rows of the defect."""
        latent, layers = self.leaves.latent, self.generator.config.defect_layers
        kinds = torch.full((len(latent),), self.kind, device=latent.device)
        return code_rows(
            self.generator.defect_mapping, latent, layers, self.how.defect_space, kinds
        )

    def draw(self) -> tuple[Drawing, Tensor]:
        """Image that the variables give, and the defect's rows."""
        rows = self.rows()
        codes = Codes(w=self.leaves.w, w_defect=rows, noise=self.leaves.noise)
        return self.generator.draw(codes, mask=self.given), rows

    def terms(self, _: float) -> Terms:
        drawing, rows = self.draw()
        assert drawing.mask_logits is not None
        found = {
            "mask": mask_error(drawing.mask_logits, self.mask),
            "image": squared_error(drawing.image, self.photograph, 1 - self.mask),
            "stay": (rows - self.start).square().mean(dim=(1, 2)),
        }
        if self.reference is not None:
            found["reference"] = self.reference.error(drawing.image, self.mask)
        if self.how.mask_control == "noise":
            found["noise"] = noise_regularity(self.leaves.noise)
        return found

    def search(self, how: Search, *, part: bool, tell: Step | None) -> Terms:
        """Search the defect's code, and the part's rows if requested."""
        branch = {n: map for n, map in self.leaves.noise.items() if n.startswith("res_")}
        free = list(branch.values()) if self.how.mask_control == "noise" else []
        after = (lambda: renormalise(branch)) if free else None
        if part:
            self.leaves.w = self.leaves.w.clone()
        leaves = [self.leaves.latent, *([self.leaves.w] if part else []), *free]
        for leaf in leaves:
            leaf.requires_grad_()
        return search(leaves, self.terms, _weights(self.how), how, after=after, tell=tell).terms

    @torch.no_grad()
    def placed(self, twin: Codes, terms: Terms) -> Placed:
        """Result of the search."""
        drawing, rows = self.draw()
        noise = {name: map.detach() for name, map in self.leaves.noise.items()}
        w = self.leaves.w.detach()
        codes = replace(twin, w=w, w_defect=rows.detach(), noise=noise or None)
        assert drawing.mask_logits is not None
        return Placed(
            codes=codes,
            defective=drawing.image,
            twin=self.generator.draw(codes.good()).image,
            mask_logits=drawing.mask_logits,
            terms=terms,
        )


def place_defects(
    generator: Generator,
    twin: Codes,
    photograph: Float[Tensor, "1 3 h w"],
    mask: Float[Tensor, "1 1 h w"],
    kind: int,
    how: SearchOptions,
    *,
    rngs: list[torch.Generator],
    reference: Reference | None = None,
    tell: Step | None = None,
) -> Placed:
    """Run steps B and C: one defect per random generator, all on one part.

    Args:
        generator: Frozen generator with a defect branch.
        twin: Codes of the photograph, a single item, without a defect.
        photograph: Photograph at the generator's resolution.
        mask: Target at the generator's resolution.
        kind: Index of the defect's type.
        how: Options.
        rngs: One random generator per item.
        reference: Reference for the defect's appearance; None leaves it to the branch.
        tell: Callback after each step, called with its number.
    """
    leaves = _start(generator, twin, kind, how.defect_space, rngs)
    hunt = _Hunt(generator, leaves, (photograph, mask), kind, how, reference)
    terms: Terms = {}
    if how.defect_steps and (how.mask_control != "condition" or reference is not None):
        hunt.search(_long(how), part=False, tell=tell)
        terms = hunt.search(_short(how), part=True, tell=tell)
    return hunt.placed(twin, terms)


def polish_defects(
    generator: Generator,
    codes: Codes,
    photograph: Float[Tensor, "1 3 h w"],
    mask: Float[Tensor, "1 1 h w"],
    kind: int,
    how: SearchOptions,
    *,
    reference: Reference | None = None,
    tell: Step | None = None,
) -> Placed:
    """Refine known codes, all rows together, for all of `how`'s steps.

    Args:
        generator: Same as in `place_defects`.
        codes: Codes of parts with their defects.
        photograph: Same as in `place_defects`.
        mask: Same as in `place_defects`.
        kind: Same as in `place_defects`.
        how: Options; all steps run at the full rate, in w+.
        reference: Same as in `place_defects`.
        tell: Same as in `place_defects`.
    """
    assert codes.w_defect is not None
    leaves = _Leaves(latent=codes.w_defect.clone(), w=codes.w, noise=dict(codes.noise or {}))
    how = replace(how, defect_space="w+")
    hunt = _Hunt(generator, leaves, (photograph, mask), kind, how, reference)
    terms = hunt.search(_long(how), part=True, tell=tell) if how.defect_steps else {}
    return hunt.placed(codes, terms)


def _weights(how: SearchOptions) -> dict[str, float]:
    """Weight of each term."""
    return {
        "mask": how.mask_weight,
        "image": how.image_weight,
        "reference": how.reference_weight,
        "stay": how.stay_weight,
        "noise": how.noise_weight,
    }


def _long(how: SearchOptions) -> Search:
    """Length and rate of step B."""
    return Search(steps=how.defect_steps, learning_rate=how.defect_learning_rate)


def _short(how: SearchOptions) -> Search:
    """Length and rate of step C."""
    return Search(steps=how.defect_steps // 4, learning_rate=how.defect_learning_rate / 5)


def _start(
    generator: Generator, twin: Codes, kind: int, space: Space, rngs: list[torch.Generator]
) -> _Leaves:
    n, device = len(rngs), twin.w.device
    z = draws((generator.config.z_dim,), rngs).to(device)
    noise = {
        name: draws((1, layer.resolution, layer.resolution), rngs).to(device)
        for name, layer in generator.synthesis.layers()
        if name.startswith("res_")
    }
    kept = {name: map.expand(n, -1, -1, -1) for name, map in (twin.noise or {}).items()}
    with torch.no_grad():
        w = generator.defect_mapping(z, torch.full((n,), kind, device=device))
    rows = w[:, None].repeat(1, generator.config.defect_layers, 1)
    latent = {"z": z, "w": w, "w+": rows}[space]
    return _Leaves(latent=latent, w=twin.w.repeat(n, 1, 1), noise=noise | kept)
