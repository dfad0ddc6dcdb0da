"""Frozen networks that draw a part with a defect from codes, as a search sees them."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from blemish.inversion.space import code_of, code_rows, draws
from blemish.models.generator import Drawing, Generator
from blemish.names import CodeSpace
from blemish.types import Codes


@dataclass(slots=True)
class SearchVariables:
    """Variables of a search.

    Attributes:
        defect: Code of the defect's look, in the space of the search.
        mask: Code of its mask; None where the mask depends on nothing else, or is given.
        w: Rows of the part.
        noise: Noise maps by layer name.
    """

    defect: Tensor
    mask: Tensor | None
    w: Float[Tensor, "n layers d"]
    noise: dict[str, Tensor]

    def __len__(self) -> int:
        return len(self.defect)


@runtime_checkable  # for the tests, which check types
class Drawer(Protocol):
    """Frozen networks that draw a defect on a part."""

    @property
    def resolution(self) -> int:
        """Side of the images."""
        ...

    def start(
        self,
        twin: Codes,
        mask: Float[Tensor, "1 1 h w"],
        kind: int,
        space: CodeSpace,
        rngs: list[torch.Generator],
    ) -> SearchVariables:
        """Start of a search, one item per random generator.

        Args:
            twin: Codes of the part, a single item without a defect.
            mask: Target of the mask.
            kind: Index of the defect's type.
            space: Space of the defect's codes.
            rngs: Random generators.
        """
        ...

    def codes(self, leaves: SearchVariables, kind: int, space: CodeSpace) -> Codes:
        """Input of `draw`, with gradients."""
        ...

    def draw(self, codes: Codes, kind: int, mask: Float[Tensor, "n 1 h w"] | None) -> Drawing:
        """Draw.

        Args:
            codes: Result of `codes`.
            kind: Index of the defect's type.
            mask: Mask to draw the defect under; None if the networks draw it, too.
        """
        ...

    def twin(self, codes: Codes) -> Float[Tensor, "n 3 h w"]:
        """The part without its defect."""
        ...


class BranchDrawer:
    """A generator with a defect branch (DFMGAN-type networks).

    Args:
        generator: Frozen generator with a branch.
    """

    def __init__(self, generator: Generator) -> None:
        self.generator = generator

    @property
    def resolution(self) -> int:
        """See `Drawer`."""
        return self.generator.config.resolution

    def start(
        self,
        twin: Codes,
        mask: Float[Tensor, "1 1 h w"],
        kind: int,
        space: CodeSpace,
        rngs: list[torch.Generator],
    ) -> SearchVariables:
        """See `Drawer`; the noise maps of the branch are variables as well."""
        generator, n, device = self.generator, len(rngs), twin.w.device
        z = draws((generator.config.z_dim,), rngs).to(device)
        noise = {
            name: draws((1, layer.resolution, layer.resolution), rngs).to(device)
            for name, layer in generator.synthesis.layers()
            if name.startswith("res_")
        }
        kept = {name: map.expand(n, -1, -1, -1) for name, map in (twin.noise or {}).items()}
        kinds, layers = torch.full((n,), kind, device=device), generator.config.defect_layers
        with torch.no_grad():
            code = code_of(generator.defect_mapping, z, layers, space, kinds)
        return SearchVariables(defect=code, mask=None, w=twin.w.repeat(n, 1, 1), noise=noise | kept)

    def codes(self, leaves: SearchVariables, kind: int, space: CodeSpace) -> Codes:
        """See `Drawer`."""
        kinds = torch.full((len(leaves),), kind, device=leaves.defect.device)
        layers, mapping = self.generator.config.defect_layers, self.generator.defect_mapping
        rows = code_rows(mapping, leaves.defect, layers, space, kinds)
        return Codes(w=leaves.w, w_defect=rows, noise=leaves.noise)

    def draw(self, codes: Codes, kind: int, mask: Float[Tensor, "n 1 h w"] | None) -> Drawing:
        """See `Drawer`; the type is in the code."""
        return self.generator.draw(codes, mask=mask)

    def twin(self, codes: Codes) -> Float[Tensor, "n 3 h w"]:
        """See `Drawer`."""
        return self.generator.draw(codes.good()).image
