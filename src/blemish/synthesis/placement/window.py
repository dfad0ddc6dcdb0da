"""Window: the bundle's window generator draws the defect into the photograph at its own scale.

Nothing is inverted: what surrounds the mask is the photograph itself; see `windows.paint`.
"""

import hashlib
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from blemish.checkpoint import Bundle
from blemish.data.colour import luminance, visible_change
from blemish.data.masks import box_around
from blemish.data.pairs import read_mask_for
from blemish.errors import BundleError
from blemish.inversion.search import Step
from blemish.models.window_generator import WindowGenerator
from blemish.pictures import read_picture
from blemish.synthesis.composite import Carried, put_on, reach_px, within
from blemish.synthesis.options import SynthesisOptions
from blemish.synthesis.placement.task import DirectPlacement, PlacedDefect
from blemish.synthesis.request import Request
from blemish.types import Codes
from blemish.windows.codes import LookReader, codes_like
from blemish.windows.paint import WindowModel, groups, load_windows, paint

NOTICED = 0.5  # of a piece's area; people label what they see most of


class WindowPlacement(DirectPlacement):
    """See the module's docstring, and `task.PlacementMethod`.

    Args:
        bundle: The bundle with a window generator.
        options: Options of the synthesis.
        device: The device to work on.

    Raises:
        BundleError: There is no bundle, or it has no window generator.
    """

    def __init__(self, bundle: Bundle | None, options: SynthesisOptions, device: str) -> None:
        if bundle is None:
            raise BundleError(
                got="the method window without a bundle",
                expected="a bundle with a window generator",
                todo="Name one with --bundle.",
            )
        self.options = options
        self.model: WindowModel = load_windows(bundle, device)
        self.reader = None if options.like is None else LookReader(bundle, self.model)
        self.like, self.latents = lru_cache(None)(self._like), lru_cache(None)(self._latents)

    @property
    def types(self) -> tuple[str, ...]:
        """See `task.PlacementMethod`."""
        return self.model.types

    def record(self) -> dict[str, Any]:
        """Digest of the real defect whose look is taken, if there is one."""
        if self.options.like is None:
            return {}
        picture, mask = self.like(None)
        total = hashlib.sha256(picture.tobytes() + mask.tobytes())
        return {"look": total.hexdigest()[:16]}

    def prepare(self, kind: str) -> None:
        """Read the real defect whose look is taken, if there is one.

        Raises:
            DataError: It can't be read, or its mask is empty.
        """
        if self.reader is not None:
            self.latents(kind)

    def place(
        self,
        request: Request,
        seed: int,
        strength: Float[np.ndarray, "h w"],
        twin: Codes | None,
        *,
        on_progress: Step | None = None,
    ) -> PlacedDefect:
        """See `task.PlacementMethod`."""
        rng = torch.Generator().manual_seed(seed)
        codes = self._codes(request.kind, request.requested, rng)
        carried = painted_on(
            self.model.generator,
            request.picture,
            request.requested,
            codes,
            rng,
            strength=strength,
            grey=request.original.grey,
        )
        return PlacedDefect(carried=carried, drawn=carried.changed, codes=codes)

    def _codes(self, kind: str, mask: Bool[np.ndarray, "h w"], rng: torch.Generator) -> Codes:
        """A code for each group: random ones, or those of the real defect."""
        if self.reader is None:
            return self.model.codes(kind, rng, len(groups(mask)))
        return codes_like(self.model, self.latents(kind), kind, mask)

    def _latents(self, kind: str) -> Float[Tensor, "n z"]:
        assert self.reader is not None
        return self.reader.latents(*self.like(kind))

    def _like(self, kind: str | None) -> tuple[UInt8[np.ndarray, "h w 3"], Bool[np.ndarray, "h w"]]:
        """The real defect; of a mask with classes, those of one type or all."""
        photograph, mask = self.options.like, self.options.like_mask
        assert photograph is not None and mask is not None, "the options ask for both"
        return read_picture(photograph), read_mask_for(photograph, mask, kind)


def painted_on(
    generator: WindowGenerator,
    picture: UInt8[np.ndarray, "h w 3"],
    mask: Bool[np.ndarray, "h w"],
    codes: Codes,
    rng: torch.Generator,
    *,
    strength: Float[np.ndarray, "h w"] | None = None,
    grey: bool = False,
) -> Carried:
    """The photograph with a defect under the mask, and the label of it.

    Nobody would label a piece of the mask that nobody sees, so such pieces are left out, unless
    all are such. The label of each other piece is whole. Which are left out does not depend on the
    strength.

    Args:
        generator: The window generator.
        picture: The photograph.
        mask: Place of the defect, not empty.
        codes: See `windows.paint.paint`.
        rng: Source of the layers' noise.
        strength: See `windows.paint.paint`.
        grey: Change the luminance only.
    """
    again, reach = rng.clone_state(), reach_px(*mask.shape)
    box = box_around(mask, reach + 1)
    painted = paint(generator, picture, mask, codes, rng, strength=strength)
    step = _step(picture[box], painted[box], grey=grey)
    seen = _noticed(picture[box], step, mask[box])
    weak = strength is not None and (strength[mask] < 1).any()
    if weak and not seen[mask[box]].all():  # what shows when it is weak shows at full strength
        full = paint(generator, picture, mask, codes, again)
        seen = _noticed(picture[box], _step(picture[box], full[box], grey=grey), mask[box])
    whole = seen if seen.any() else mask[box]
    put = put_on(picture[box], step, within(whole, reach), whole=whole)
    changed, defective = np.zeros(mask.shape, bool), picture.copy()
    changed[box], defective[box] = put.changed, put.picture
    return Carried(picture=defective, changed=changed)


def _step(
    picture: UInt8[np.ndarray, "p q 3"], painted: UInt8[np.ndarray, "p q 3"], *, grey: bool
) -> Float[np.ndarray, "p q 3"]:
    step = painted.astype(np.float32) - picture
    return np.broadcast_to(luminance(step), step.shape) if grey else step


def _noticed(
    picture: UInt8[np.ndarray, "p q 3"],
    step: Float[np.ndarray, "p q 3"],
    mask: Bool[np.ndarray, "p q"],
) -> Bool[np.ndarray, "p q"]:
    """Pieces of the mask of which `NOTICED` or more can be seen."""
    fresh = np.rint(picture + step).clip(0, 255).astype(np.uint8)
    visible = visible_change(fresh, picture)
    _, numbers = cv2.connectedComponents(mask.astype(np.uint8))
    pieces = numbers.astype(np.intp)
    sizes = np.bincount(pieces.ravel())
    shown = np.bincount(pieces.ravel(), visible.ravel()) >= NOTICED * sizes
    return mask & shown[pieces]
