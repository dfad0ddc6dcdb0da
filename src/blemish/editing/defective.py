"""Inversion of photographs with a defect, by a bundle's finder, windows and look encoder.

The finder gives the mask. The part's code is searched for outside of it, so that the defect does
not enter it. The look encoder gives the code of the defect, and the windows draw it on the part
that the code draws. A method that searches is followed by a search for the defect itself, which
draws it again (`redraw`).
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, UInt8
from torch import Tensor

from blemish.checkpoint import Bundle
from blemish.devices import one_thread
from blemish.editing.find import evidence_of, pieces_in
from blemish.editing.redraw import redraw
from blemish.errors import DataError
from blemish.inversion.descent import Watch
from blemish.inversion.encode import Encode
from blemish.inversion.invert import (
    Inversion,
    InvertPictures,
    invert,
    judge,
    strangeness,
    targets_of,
)
from blemish.inversion.methods import InversionMethod, method_name
from blemish.inversion.model import Model
from blemish.models.finder import load_finder
from blemish.pictures import mask_to_tensor, to_picture, to_tensor
from blemish.windows.codes import LookReader
from blemish.windows.paint import load_windows, paint

MARGIN = 1 / 64  # of the side, around the mask, that the part's code does not see either

Picture = UInt8[np.ndarray, "h w 3"]
Mask = Bool[np.ndarray, "h w"]
Logits = Float32[np.ndarray, "h w"]


def picture_inverter(
    bundle: Bundle, model: Model, method: InversionMethod, *, seed: int = 0, defect: bool = False
) -> InvertPictures:
    """Inversion of pictures; a defect is found by the generator's branch, or else by the finder.

    Args:
        bundle: The bundle.
        model: Its networks.
        method: Inversion method.
        seed: Random seed of the search.
        defect: Find a defect as well.

    Raises:
        BundleError: A defect is to be found, and the bundle lacks what that needs.
    """
    if defect and model.generator.config.defect is None:
        return partial(DefectInverter(bundle, model).invert, method=method, seed=seed)
    return partial(invert, model, method=method, seed=seed, defect=defect)


class DefectInverter:
    """See the module's docstring.

    Args:
        bundle: The bundle.
        model: Its networks.

    Raises:
        BundleError: It lacks its finder, its windows or their look encoder.
    """

    def __init__(self, bundle: Bundle, model: Model) -> None:
        self.model, self.finder = model, load_finder(bundle, model.device)
        self.windows = load_windows(bundle, str(model.device))
        self.looks = LookReader(bundle, self.windows)

    @one_thread()
    def invert(
        self,
        pictures: Sequence[Picture],
        *,
        method: InversionMethod,
        seed: int = 0,
        watch: Watch | None = None,
    ) -> list[Inversion]:
        """Codes and masks of photographs; one without a visible defect gets no mask.

        Args:
            pictures: Images of any size; they are resized to the generator's square.
            method: Method that finds the part's codes.
            seed: Random seed of the search.
            watch: Callback for each step.
        """
        target, strange = targets_of(self.model, pictures), strangeness(self.model, pictures)
        return self.find(target, method, seed=seed, strange=strange, watch=watch)

    def find(
        self,
        target: Float[Tensor, "n 3 h w"],
        method: InversionMethod,
        *,
        seed: int = 0,
        strange: Sequence[float] | None = None,
        watch: Watch | None = None,
    ) -> list[Inversion]:
        """The same for pictures at the generator's resolution.

        Args:
            target: Pictures in [-1, 1].
            method: See `invert`.
            seed: See `invert`.
            strange: Strangeness of the pictures, if it is known.
            watch: See `invert`.
        """
        pictures = [to_picture(one) for one in target]
        logits = [evidence_of(self.finder, picture) for picture in pictures]
        masks = [_mask(one) for one in logits]
        where = torch.stack([mask_to_tensor(~_widened(mask)) for mask in masks]).to(target.device)
        rngs = [torch.Generator().manual_seed(seed) for _ in masks]
        parts = method.find(self.model, target, rngs=rngs, where=where, watch=watch)
        found = judge(self.model, target, parts, method_name(method), strange)
        searched = not isinstance(method, Encode)
        return [
            self._with_defect(one, picture, evidence, mask, seed, searched) if mask.any() else one
            for one, picture, evidence, mask in zip(found, pictures, logits, masks, strict=True)
        ]

    def _with_defect(
        self,
        part: Inversion,
        picture: Picture,
        logits: Logits,
        mask: Mask,
        seed: int,
        searched: bool,
    ) -> Inversion:
        """The inversion of a part, with the defect's mask, its code and its drawing."""
        good, latent = to_picture(part.image[0]), self.looks.latents(picture, mask)[:1]
        kind = self._kind(latent)
        if searched:
            evidence = np.where(mask, logits, -abs(logits))
            mask, code = redraw(self.windows, picture, good, evidence, latent, kind)
        else:
            code = self.windows.codes_of(latent, kind, keep=True)
        rng = torch.Generator().manual_seed(seed)
        drawn = paint(self.windows.generator, good, mask, code, rng)
        return replace(
            part,
            codes=replace(part.codes, w_defect=code.w, z=code.z),
            mask=mask_to_tensor(mask)[None].to(self.model.device),
            image=to_tensor(drawn)[None].to(self.model.device),
        )

    def _kind(self, latents: Float[Tensor, "1 z"]) -> str:
        """Type whose real defects are nearest to a look."""
        real = self.windows.real
        known = [kind for kind in self.windows.types if kind in real] or [self.windows.types[0]]
        return min(known, key=lambda kind: _nearest(latents, real.get(kind)))


def _mask(logits: Logits) -> Mask:
    try:
        return pieces_in(logits)
    except DataError:
        return np.zeros(logits.shape, bool)


def _widened(mask: Mask) -> Mask:
    size = 2 * max(1, round(len(mask) * MARGIN)) + 1
    return cv2.dilate(mask.astype(np.uint8), np.ones((size, size), np.uint8)) > 0


def _nearest(latents: Float[Tensor, "1 z"], real: Float[Tensor, "m z"] | None) -> float:
    """Distance to the nearest of known latents."""
    return 0.0 if real is None else float(torch.cdist(latents, real).min())
