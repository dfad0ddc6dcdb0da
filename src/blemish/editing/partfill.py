"""Holes that cover a whole part, filled with a part by codes.

Little of the part is left to be continued, but its shadow and its surroundings tell where it lies.
An in-domain search meets them outside the hole, and the generator draws the part inside. The
search starts from the encoder's code of the whole photograph, so the result depends on what was in
the hole, as far as the domain allows: a broken nut gives a good one of its size and turn.
"""

import numpy as np
import torch
from jaxtyping import Bool

from blemish.checkpoint import Bundle
from blemish.devices import one_thread
from blemish.editing.codefill import CodeFilling, filled_with_drawing
from blemish.editing.fill import refuse_hole
from blemish.editing.membrane import erased
from blemish.editing.seam import judge_filling
from blemish.inversion.indomain import InDomain
from blemish.inversion.invert import judge, targets_of
from blemish.inversion.methods import method_name
from blemish.inversion.model import load_model
from blemish.originals import Original
from blemish.pictures import fit_mask, mask_to_tensor, to_picture

Mask = Bool[np.ndarray, "h w"]


class PartFiller:
    """The part generator and the encoder of a bundle; see the module's docstring.

    Args:
        bundle: The bundle.
        device: Device to work on.

    Raises:
        BundleError: The bundle has no encoder.
    """

    def __init__(self, bundle: Bundle, device: str = "cpu") -> None:
        bundle.require("encoder", "an encoder", "encoder DATA")
        self.model = load_model(bundle, device)

    @one_thread()
    def fill(
        self, photograph: Original, hole: Mask, seed: int = 0, *, smooth: bool = True
    ) -> CodeFilling:
        """Fill a hole with a part; the same seed gives the same bytes.

        Args:
            photograph: The photograph.
            hole: Pixels to fill.
            seed: Random seed of the search, which changes little.
            smooth: See `Filler.fill`.

        Raises:
            DataError: The hole is empty, or too large to be filled.
        """
        refuse_hole(hole)
        target = targets_of(self.model, [photograph.picture])
        outside = mask_to_tensor(~fit_mask(hole, target.shape[2]))[None].to(target.device)
        method, rng = InDomain(), torch.Generator().manual_seed(seed)
        part = method.find(self.model, target, rngs=[rng], where=outside)
        (found,) = judge(self.model, target, part, method_name(method))
        drawn, known = to_picture(found.image[0]), erased(photograph.picture, hole)
        filled = filled_with_drawing(drawn, photograph, known, hole, smooth=smooth)
        return CodeFilling(
            picture=filled,
            hole=hole,
            codes=found.codes,
            seed=seed,
            scores=judge_filling(filled.picture, hole),
            inversion=found,
            method="part",
        )
