r"""What the model is too coarse to draw: the fine detail of real defects.

On a photograph much larger than the model's pictures the inside of a defect is soft. The model's
change Δ keeps what is coarse in it: the part's light, the defect's colour. What is fine is taken
from S, a real defect of the type laid under the mask of the photograph x,

    \Delta' = B_\sigma \Delta + (1 - B_\sigma)(S - x),

two bands of a Laplacian pyramid (Burt and Adelson, 1983). B is a Gaussian blur inside the mask,
normalised, so that nothing leaks in over its edge; σ is a few of the model's pixels.
"""

from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from blemish.data.folder import DefectFolder, Photograph
from blemish.errors import OptionError
from blemish.pictures import read_mask, read_picture
from blemish.synthesis.laying import Outline, best_laid, outline_of
from blemish.synthesis.stitched import laid_under

SIGMA_PX = 6.0  # of the model's pixels
SEAM_PX = 1.0

Change = Float[np.ndarray, "h w 3"]
Mask = Bool[np.ndarray, "h w"]


class Details:
    """Real defects whose detail is put on.

    Args:
        folder: With photographs of defects and their masks, in the layout of MVTec AD.
        first_third: Take only the first third of each type by name.
        side: Of the model's pictures.
    """

    def __init__(self, folder: Path, *, first_third: bool, side: int) -> None:
        self.folder, self.first_third, self.side = folder, first_third, side
        self.known = lru_cache(None)(self._read)

    def prepare(self, kind: str) -> None:
        """Find those of a type.

        Raises:
            OptionError: There are none.
            DataError: The folder or a mask can't be read.
        """
        self.known(kind)

    def under(
        self, picture: UInt8[np.ndarray, "h w 3"], mask: Mask, kind: str, seed: int
    ) -> Callable[[Change], Change]:
        """What gives a change its detail.

        Args:
            picture: The good photograph.
            mask: Where the defect shall be.
            kind: Its type.
            seed: Chooses among the real defects that are nearest in shape.

        Raises:
            DataError: The chosen one can't be read.
        """
        defects = self.known(kind)
        chosen = defects[best_laid(outline_of(picture, mask), [o for _, o in defects], seed)][0]
        assert chosen.mask_path is not None
        h, w = mask.shape
        source = cv2.resize(read_picture(chosen.path), (w, h), interpolation=cv2.INTER_AREA)
        where = cv2.resize(read_mask(chosen.mask_path).astype(np.uint8), (w, h)) > 0
        moved, covered = laid_under(picture, mask, source, where)
        fine = moved.astype(np.float32) - picture
        sigma = SIGMA_PX * max(h, w) / self.side
        return partial(detailed, fine=fine, mask=mask, covered=covered & mask, sigma=sigma)

    def _read(self, kind: str) -> list[tuple[Photograph, Outline]]:
        found = DefectFolder(self.folder).defects_to_learn(kind, first_third=self.first_third)
        read = [
            (photograph, read_picture(photograph.path), read_mask(photograph.mask_path))
            for photograph in found
            if photograph.mask_path is not None
        ]
        marked = [(p, outline_of(picture, mask)) for p, picture, mask in read if mask.any()]
        if not marked:
            raise OptionError(
                got=f"{self.folder}, which holds no '{kind}' to take detail from",
                expected=f"photographs under test/{kind}/ with masks under ground_truth/{kind}/",
                todo="Point to a folder that has some, or leave the detail out.",
            )
        return marked


def detailed(change: Change, *, fine: Change, mask: Mask, covered: Mask, sigma: float) -> Change:
    """What is coarse of one change with what is fine of another, inside a mask.

    Args:
        change: The model's, in levels of 0..255.
        fine: The real defect's.
        mask: Where the first is meant; elsewhere it is left as it is.
        covered: Where inside it the second is known.
        sigma: Of the blur between coarse and fine, in pixels.
    """
    known = covered.astype(np.float32)
    difference = (change - fine) * known[:, :, None]
    total = np.maximum(cv2.GaussianBlur(known, (0, 0), sigma), 1e-6)[:, :, None]
    coarse = cv2.GaussianBlur(difference.astype(np.float32), (0, 0), sigma) / total
    inside = np.maximum(cv2.GaussianBlur(mask.astype(np.float32), (0, 0), SEAM_PX), 1e-6)
    share = np.where(mask, cv2.GaussianBlur(known, (0, 0), SEAM_PX) / inside, 0)[:, :, None]
    return change + share * (fine + coarse - change)
