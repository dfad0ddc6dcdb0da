"""Holes filled with good material by codes, in several ways, that can be edited afterwards.

The bundle's filling network reads the erased photograph at the generator's resolution, mixes random
rows into its codes and draws them with what is known of the photograph (`models.filling`). The
drawing is enlarged to the photograph's scale, and its tone corrected inside the hole (`membrane`).
Outside the hole every level of the file stays as it is.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from blemish.checkpoint import Bundle
from blemish.devices import one_thread
from blemish.editing.fill import Filling, filled_with, refuse_hole
from blemish.editing.grain import grained
from blemish.editing.membrane import erased
from blemish.editing.seam import judge_filling
from blemish.inversion.descent import Found
from blemish.inversion.invert import Inversion, judge
from blemish.inversion.model import Model, load_model
from blemish.models.filling import ErasedReading, load_filling
from blemish.models.mixing import fresh_rows
from blemish.originals import Original
from blemish.pictures import fit_mask, fit_square, mask_to_tensor, to_picture, to_tensor
from blemish.types import Codes

Picture = UInt8[np.ndarray, "h w 3"]
Mask = Bool[np.ndarray, "h w"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeFilling(Filling):
    """A filling by codes.

    Attributes:
        inversion: The filled photograph at the generator's resolution with its codes, to be edited.
    """

    inversion: Inversion


class CodeFiller:
    """The filling network of a bundle.

    Args:
        bundle: The bundle.
        device: Device to work on.

    Raises:
        BundleError: The bundle has no filling network or no encoder.
    """

    def __init__(self, bundle: Bundle, device: str = "cpu") -> None:
        self.network = load_filling(bundle, device)
        bundle.require("encoder", "an encoder", "encoder DATA")
        self.model: Model = load_model(bundle, device)

    @one_thread()
    def fill(
        self, photograph: Original, hole: Mask, seed: int = 0, *, smooth: bool = True
    ) -> CodeFilling:
        """Fill a hole with good material; the same seed gives the same bytes.

        Args:
            photograph: The photograph.
            hole: Pixels to fill.
            seed: Random seed of the codes.
            smooth: See `Filler.fill`.

        Raises:
            DataError: The hole is empty, or too large to be filled.
        """
        refuse_hole(hole)
        blank = erased(photograph.picture, hole)
        read = self._read(blank, hole)
        codes = self._codes(read, seed)
        drawn = self._draw(codes, read)
        filled = filled_with_drawing(drawn, photograph, blank, hole, smooth=smooth)
        return CodeFilling(
            picture=filled,
            hole=hole,
            codes=codes,
            seed=seed,
            scores=judge_filling(filled.picture, hole),
            inversion=self._inverted(filled.picture, codes),
            method="codes",
        )

    @torch.no_grad()
    def _read(self, blank: Picture, hole: Mask) -> ErasedReading:
        assert self.model.encoder is not None
        side, device = self.model.generator.config.resolution, self.model.device
        image = to_tensor(fit_square(blank, side))[None].to(device)
        known = 1 - mask_to_tensor(fit_mask(hole, side))[None].to(device)
        return self.network.read(self.model.encoder, image, known)

    @torch.no_grad()
    def _codes(self, read: ErasedReading, seed: int) -> Codes:
        rng = torch.Generator().manual_seed(seed)
        random = fresh_rows(self.model.generator, 1, rng).to(self.model.device)
        return Codes(w=self.network.mix(read, random), space="w+")

    @torch.no_grad()
    def _draw(self, codes: Codes, read: ErasedReading) -> Picture:
        image = self.network.draw(self.model.generator, codes, read)
        return to_picture(image[0].clamp(-1, 1))

    def _inverted(self, picture: Picture, codes: Codes) -> Inversion:
        side = self.model.generator.config.resolution
        target = to_tensor(fit_square(picture, side))[None].to(self.model.device)
        (found,) = judge(self.model, target, _as_found(codes), "filling")
        return found


def filled_with_drawing(
    drawn: UInt8[np.ndarray, "r r 3"],
    photograph: Original,
    known: Picture,
    hole: Mask,
    *,
    smooth: bool,
) -> Original:
    """The photograph with a generator's drawing of the whole in its hole; see `filled_with`."""
    enlarged = cv2.resize(drawn, hole.shape[::-1], interpolation=cv2.INTER_CUBIC)
    grainy = grained(enlarged, known, hole, max(hole.shape) / len(drawn))
    return filled_with(grainy, photograph, known, hole, smooth=smooth)


def _as_found(codes: Codes) -> Found:
    one: Float[Tensor, " n"] = torch.zeros(len(codes))
    return Found(codes=codes, mask=None, terms={}, steps=one.long(), converged=one == 0)
