"""A trained mask generator at work on photographs of any size."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from blemish.checkpoint import Bundle
from blemish.data.masks import without_holes
from blemish.devices import one_thread
from blemish.errors import BundleError, DataError, OptionError
from blemish.models.load import load_network
from blemish.models.mask_generator import MaskConfig, MaskGenerator
from blemish.names import OffPart
from blemish.synthesis.masks.place import ENOUGH_KEPT, cut_to
from blemish.windows.frames import Frame, frame_of, signed_distance

NETWORK = "masks"
LEAST_PIXELS = 8  # of a mask on a photograph
TRIES = 16
TRIES_IN_REGION = 32

Region = Bool[np.ndarray, "h w"]


@dataclass(frozen=True)
class PartMap:
    """A part as the generator sees it.

    Attributes:
        frame: Square around the part on its photograph.
        shape: Height and width of the photograph.
        depth: Signed distance to the part's outline, in pixels of the frame, positive inside.
    """

    frame: Frame
    shape: tuple[int, int]
    depth: Float[Tensor, "1 1 s s"]

    @classmethod
    def of(cls, part: Region, side: int) -> "PartMap":
        """The map of a part, from its silhouette."""
        frame = frame_of(part)
        depth = torch.from_numpy(signed_distance(frame.cut(part, side)))
        return cls(frame, part.shape, depth[None, None])

    def seen(self, mask: Region) -> Float[Tensor, "1 1 s s"]:
        """A mask on the photograph, as the share of each pixel of the frame."""
        return torch.from_numpy(self.frame.cut(mask, self.depth.shape[3]))[None, None]

    def on_photograph(self, logits: Float[Tensor, "1 1 s s"]) -> Region:
        """Where logits are above zero, on the photograph's own pixels."""
        values = logits[0, 0].clamp(-4, 4).cpu().numpy()
        return self.frame.onto_photograph(values, self.shape, outside=-4.0) > 0


@dataclass(frozen=True)
class MaskModel:
    """A frozen mask generator.

    Attributes:
        generator: The network.
    """

    generator: MaskGenerator

    @property
    def types(self) -> tuple[str, ...]:
        """Types of defects."""
        return self.generator.config.types

    def index(self, kind: str) -> Tensor:
        """Index of a type, for the generator.

        Raises:
            BundleError: The generator has not learnt it.
        """
        if kind not in self.types:
            raise BundleError(
                got=f"a bundle whose mask generator has not learnt the type '{kind}'",
                expected=f"one of its types: {', '.join(self.types)}",
                todo="Train it on that type, or draw masks of another kind.",
            )
        return torch.tensor([self.types.index(kind)])

    @one_thread()
    @torch.no_grad()
    def draw(self, part: Region, kind: str, rng: torch.Generator) -> Region:
        """A mask by a random code, on the photograph's own pixels.

        Args:
            part: Silhouette of the part.
            kind: Type of the defect.
            rng: Random generator of the code, on the CPU.

        Raises:
            BundleError: The generator has not learnt the type.
            DataError: No code of several marks anything on the part.
        """
        index, shown = self.index(kind), PartMap.of(part, self.generator.config.side)
        for _ in range(TRIES):
            z = torch.randn(1, self.generator.config.z_dim, generator=rng)
            codes = self.generator.codes(z, index)
            mask = shown.on_photograph(self.generator.draw(shown.depth, codes, index))
            if kind in self.generator.config.solid:
                mask = without_holes(mask)
            if LEAST_PIXELS <= mask.sum() < mask.size:
                return mask
        raise DataError(
            got=f"a part of {int(part.sum())} pixels, on which no learnt mask was found",
            expected="a part like those that the bundle has learnt",
            todo="Use a larger photograph, or draw masks of another kind.",
        )


def learned_mask(
    model: MaskModel,
    part: Region,
    kind: str,
    seed: int,
    off_part: OffPart | None = None,
    region: Region | None = None,
) -> Region:
    """Draw a mask by a mask generator, in its own size and place.

    It may lie beyond the part by the margin of real masks unless `off_part` says otherwise.

    Args:
        model: Mask generator.
        part: Silhouette of the part without its shadow, as in training.
        kind: Type of the defect.
        seed: Random seed.
        off_part: Cut off what is beside the part, or refuse a mask that leaves it; see
            `place.cut_to`.
        region: Pixels in which the mask may lie; of several masks the first is taken that lies
            there mostly, or the one that does most.

    Raises:
        BundleError: The generator has not learnt the type.
        DataError: No mask is found on the part.
        OptionError: No mask lies in the region.
    """
    rng = torch.Generator().manual_seed(seed)
    mask = model.draw(part, kind, rng)
    if region is not None:
        mask = _in_region(model, part, kind, rng, region, mask)
    return mask if off_part is None else cut_to(part, mask, off_part, name="a learned mask")


def _in_region(
    model: MaskModel,
    part: Region,
    kind: str,
    rng: torch.Generator,
    region: Region,
    mask: Region,
) -> Region:
    """The part in the region of the first mask, or of a later one that lies there mostly."""
    best, most = mask & region, -1.0
    for _ in range(TRIES_IN_REGION):
        share = float((mask & region).sum() / mask.sum())
        best, most = (mask & region, share) if share > most else (best, most)
        if most >= ENOUGH_KEPT:
            break
        mask = model.draw(part, kind, rng)
    if best.sum() < LEAST_PIXELS:
        raise OptionError(
            got=f"a region of {int(region.sum())} pixels, in which no learnt mask of {kind} lies",
            expected="a region where such defects can be",
            todo="Change the region, or draw masks of another kind.",
        )
    return best


def load_masks(bundle: Bundle) -> MaskModel:
    """The mask generator of a bundle, on the CPU.

    Raises:
        BundleError: The bundle has none, or it does not fit its configuration.
    """
    what, otherwise = "a mask generator", ", or draw masks of another kind"
    bundle.require(NETWORK, what, "masks DATA", otherwise=otherwise)
    config = bundle.shape_of(MaskConfig, NETWORK, what)
    return MaskModel(load_network(bundle, NETWORK, lambda: MaskGenerator(config), guard=False))
