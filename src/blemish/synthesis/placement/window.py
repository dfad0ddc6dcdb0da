"""Window: the bundle's window generator draws the defect into the photograph at its own scale.

Nothing is inverted: what surrounds the mask is the photograph itself; see `windows.paint`.
"""

import hashlib
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from blemish.checkpoint import Bundle
from blemish.data.colour import luminance
from blemish.data.masks import box_around
from blemish.data.pairs import read_mask_for
from blemish.errors import BundleError
from blemish.inversion.search import Step
from blemish.pictures import read_picture
from blemish.synthesis.composite import Carried, put_on, reach_px, within
from blemish.synthesis.options import SynthesisOptions
from blemish.synthesis.placement.task import DirectPlacement, PlacedDefect
from blemish.synthesis.request import Request
from blemish.types import Codes
from blemish.windows.codes import LookReader, codes_like
from blemish.windows.paint import WindowModel, groups, load_windows, paint


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
        generator, picture, mask = self.model.generator, request.picture, request.requested
        codes = self._codes(request.kind, mask, rng)
        painted = paint(generator, picture, mask, codes, rng, strength=strength)
        carried = _carried(picture, painted, mask, grey=request.original.grey)
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


def _carried(
    picture: UInt8[np.ndarray, "h w 3"],
    painted: UInt8[np.ndarray, "h w 3"],
    mask: Bool[np.ndarray, "h w"],
    *,
    grey: bool,
) -> Carried:
    """What changed near the mask; the label has no holes inside it."""
    reach = reach_px(*mask.shape)
    box = box_around(mask, reach + 1)
    step = painted[box].astype(np.float32) - picture[box]
    if grey:
        step = np.broadcast_to(luminance(step), step.shape)
    allowed = within(mask[box], reach)
    put = put_on(picture[box], step, allowed, whole=mask[box])
    changed, defective = np.zeros(mask.shape, bool), picture.copy()
    changed[box], defective[box] = put.changed, put.picture
    return Carried(picture=defective, changed=changed)
