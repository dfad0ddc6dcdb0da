"""From a real defect to codes: what it looks like, to be drawn under another mask."""

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from blemish.checkpoint import Bundle
from blemish.data.masks import components
from blemish.efficientnet import load_lite0
from blemish.errors import DataError
from blemish.models.load import load_network
from blemish.models.look_encoder import LookEncoder, look_of
from blemish.pictures import mask_to_tensor, to_tensor
from blemish.types import Codes
from blemish.windows.paint import PieceGroup, WindowModel, groups
from blemish.windows.sources import LEAST_PIXELS, SourcePhotograph
from blemish.windows.views import cut_picture

ENCODER = "windows_encoder"


class LookReader:
    """The look encoder of a bundle's windows, with the features that it reads.

    Args:
        bundle: The bundle.
        model: Its window generator.

    Raises:
        BundleError: The bundle has no look encoder.
    """

    def __init__(self, bundle: Bundle, model: WindowModel) -> None:
        bundle.require(ENCODER, "an encoder of real defects' looks", "windows DATA")
        self.device = next(model.generator.parameters()).device
        z_dim = model.generator.config.z_dim
        self.encoder = load_network(
            bundle, ENCODER, lambda: LookEncoder(z_dim), self.device, guard=False
        )
        self.network = load_lite0().to(self.device)

    @torch.no_grad()
    def latents(
        self, picture: UInt8[np.ndarray, "h w 3"], mask: Bool[np.ndarray, "h w"]
    ) -> Float[Tensor, "n z"]:
        """The latent of each piece, the largest first; specks beside one are left out.

        Neighbours have latents of their own, unlike those that are drawn: a mean of two colours
        is the colour of neither.

        Args:
            picture: Photograph of a real defect.
            mask: Its mask.

        Raises:
            DataError: The mask is empty.
        """
        if not mask.any():
            raise DataError(
                got="a mask of a real defect with no pixel marked",
                expected="a mask that is brighter on the defect",
                todo="Mark the defect whose look is to be taken.",
            )
        whole, source = PieceGroup.of(mask), SourcePhotograph(picture, mask)
        pieces = [
            PieceGroup.of(piece, whole.left, whole.top)
            for piece in components(whole.mask, least=LEAST_PIXELS)
        ]
        pieces.sort(key=lambda piece: piece.area, reverse=True)
        return torch.cat([self._latent(source, piece) for piece in pieces]).cpu()

    def _latent(self, source: SourcePhotograph, piece: PieceGroup) -> Float[Tensor, "1 z"]:
        view = piece.view(min(source.mask.shape))
        image = to_tensor(cut_picture(source, view))[None].to(self.device)
        seen = mask_to_tensor(_never_empty(piece.seen(view)))[None].to(self.device)
        mean, _ = self.encoder(look_of(image, [*self.network(image).values()], seen))
        return mean


def codes_like(
    model: WindowModel, latents: Float[Tensor, "n z"], kind: str, mask: Bool[np.ndarray, "h w"]
) -> Codes:
    """Codes for the groups of a mask, from those of a real defect.

    The largest group takes the first latent, the next one the second, and so on in turn.

    Args:
        model: The window generator.
        latents: From `LookReader.latents`, the largest piece's first.
        kind: Type of the new defect.
        mask: Place of the new defect.
    """
    areas = np.array([group.area for group in groups(mask)])
    ranks = np.argsort(np.argsort(-areas, kind="stable"), kind="stable")
    return model.codes_of(latents[torch.from_numpy(ranks) % len(latents)], kind, keep=True)


def _never_empty(mask: Bool[np.ndarray, "s s"]) -> Bool[np.ndarray, "s s"]:
    """The mask, or a dot in its middle where it vanished in a small view."""
    if mask.any():
        return mask
    middle = len(mask) // 2
    return cv2.circle(mask.astype(np.uint8), (middle, middle), 2, [1], cv2.FILLED) > 0
