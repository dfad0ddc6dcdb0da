"""Data types that packages exchange.

Images are RGB in [-1, 1], masks are in [0, 1] with 1 on the defect; both are channels-first.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
from jaxtyping import Float
from torch import Tensor

from blemish.names import Space

ROWS = (
    "w",
    "w_defect",
    "w_mask",
    "features",
    "z",
)  # tensors of `Codes` with one entry for each item


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Images with their defect masks."""

    image: Float[Tensor, "n 3 h w"]
    mask: Float[Tensor, "n 1 h w"]

    def __len__(self) -> int:
        return self.image.shape[0]

    def __getitem__(self, index: slice | Tensor) -> "Sample":
        return Sample(image=self.image[index], mask=self.mask[index])


@dataclass(frozen=True, slots=True, kw_only=True)
class Codes:
    """Input of a generator.

    Attributes:
        w: One row for each layer of the backbone.
        w_defect: One row for each layer of the defect branch; None gives the good twin.
        w_mask: One row for each layer of the mask generator; None without one.
        features: Change of the backbone's features at side r, added to what the rows draw there;
            None without one.
        noise: Noise maps `n 1 r r` by layer name; other layers use their constants.
        space: Search space of the codes.
        z: Latents that `w` was mapped from, one for each item; None where they are not kept.
    """

    w: Float[Tensor, "n layers d"]
    w_defect: Float[Tensor, "n defect_layers d"] | None = None
    w_mask: Float[Tensor, "n mask_layers d"] | None = None
    features: Float[Tensor, "n c r r"] | None = None
    noise: dict[str, Tensor] | None = None
    space: Space = "w"
    z: Float[Tensor, "n z"] | None = None

    def __len__(self) -> int:
        return self.w.shape[0]

    def __getitem__(self, index: slice) -> Self:
        return self._each(lambda tensor: tensor[index])

    def good(self) -> Self:
        """Codes of the same part without its defect."""
        return replace(self, w_defect=None, w_mask=None)

    def to(self, device: torch.device | str) -> Self:
        """A copy on another device."""
        return self._each(lambda tensor: tensor.to(device))

    def detached(self) -> Self:
        """The same numbers without gradients."""
        return self._each(Tensor.detach)

    def edited_space(self) -> Space:
        """Space of these codes once their rows are edited."""
        return "w+" if self.features is None else "f/w+"

    def rows(self) -> dict[str, Tensor]:
        """All tensors but the noise maps, by the names in `ROWS`."""
        known = {name: getattr(self, name) for name in ROWS}
        return {name: tensor for name, tensor in known.items() if tensor is not None}

    @classmethod
    def joined(cls, codes: Sequence["Codes"]) -> "Codes":
        """The items of several codes as one batch, without what one of them lacks.

        Args:
            codes: At least one; all have the noise maps of the first.
        """
        rows = [one.rows() for one in codes]
        known = {
            name: torch.cat([one[name] for one in rows])
            for name in ROWS
            if all(name in one for one in rows)
        }
        names = codes[0].noise or {}
        noise = {name: torch.cat([(one.noise or {})[name] for one in codes]) for name in names}
        return cls(**known, noise=noise or None, space=codes[0].space)

    def _each(self, change: Callable[[Tensor], Tensor]) -> Self:
        known = {name: change(tensor) for name, tensor in self.rows().items()}
        noise = {name: change(map) for name, map in (self.noise or {}).items()}
        return replace(self, **known, noise=noise or None)
