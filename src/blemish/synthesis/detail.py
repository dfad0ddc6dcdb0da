r"""What the model is too coarse to draw: the fine detail of real defects.

On a photograph much larger than the model's pictures the inside of a defect is soft. The model's
change Δ keeps what is coarse in it: the part's light, the defect's colour. What is fine is taken
from S, a real defect of the type laid under the mask of the photograph x,

    \Delta' = B_\sigma \Delta + (1 - B_\sigma)(S - x),

two bands of a Laplacian pyramid (Burt and Adelson, 1983). B is a Gaussian blur inside the mask,
normalised, so that nothing leaks in over its edge; σ is a few of the model's pixels.

A model of few photographs draws defects of a type in much the same tone: what lies in a bottle
is brown, grey or white, and comes out as a pale mean of these. With the tone of the real defect,
Δ' = S - x, and what that one does not cover is the model's, moved by the mean of S - x - Δ. With a
drawn tone S is moved in CIELAB before, so that its mean inside its mask comes from a normal
distribution, which has the mean and the covariance of the means of the real ones of its type: grey
ones and brown ones bring forth whatever lies between and a little beyond.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from blemish.data.colour import lab, of_lab
from blemish.data.folder import DefectFolder, Photograph
from blemish.errors import OptionError
from blemish.names import Tone
from blemish.pictures import read_picture
from blemish.synthesis.laying import Outline, best_laid, outline_of
from blemish.synthesis.stitched import laid_under

SIGMA_PX = 6.0  # of the model's pixels
SEAM_PX = 1.0
# Of the best overlap: what a real defect leaves uncovered of the mask looks sound, and is labelled.
ENOUGH = 0.85

Change = Float[np.ndarray, "h w 3"]
Mask = Bool[np.ndarray, "h w"]


@dataclass(frozen=True, slots=True)
class Real:
    """A real defect.

    Attributes:
        photograph: With its mask.
        outline: Where it is on its part.
        tone: Its mean colour in CIELAB.
    """

    photograph: Photograph
    outline: Outline
    tone: Float[np.ndarray, "3"]


class Details:
    """Real defects whose detail is put on.

    Args:
        folder: With photographs of defects and their masks, in the layout of MVTec AD.
        first_third: Take only the first third of each type by name.
        side: Of the model's pictures.
        tone: Whose change is kept where it is coarse; "drawn" is the real one's in another tone.
    """

    def __init__(self, folder: Path, *, first_third: bool, side: int, tone: Tone = "model") -> None:
        self.folder, self.first_third, self.side = folder, first_third, side
        self.tone = tone
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
        reals = self.known(kind)
        outlines = [r.outline for r in reals]
        chosen = reals[best_laid(outline_of(picture, mask), outlines, seed, enough=ENOUGH)]
        h, w = mask.shape
        whole = read_picture(chosen.photograph.path)
        source = cv2.resize(whole, (w, h), interpolation=cv2.INTER_AREA)
        where = cv2.resize(chosen.photograph.read_mask().astype(np.uint8), (w, h)) > 0
        if self.tone == "drawn":
            tone = _drawn([r.tone for r in reals], np.random.default_rng(seed))
            source = moved_by(source, tone - chosen.tone)
        moved, covered = laid_under(picture, mask, source, where)
        fine = moved.astype(np.float32) - picture
        sigma = None if self.tone != "model" else SIGMA_PX * max(h, w) / self.side
        return partial(detailed, fine=fine, mask=mask, covered=covered & mask, sigma=sigma)

    def _read(self, kind: str) -> list[Real]:
        found = DefectFolder(self.folder).defects_to_learn(kind, first_third=self.first_third)
        read = [_real(photograph) for photograph in found if photograph.mask_path is not None]
        marked = [real for real in read if real is not None]
        if not marked:
            raise OptionError(
                got=f"{self.folder}, which holds no '{kind}' to take detail from",
                expected=f"photographs under test/{kind}/ with masks under ground_truth/{kind}/",
                todo="Point to a folder that has some, or leave the detail out.",
            )
        return marked


def detailed(
    change: Change, *, fine: Change, mask: Mask, covered: Mask, sigma: float | None
) -> Change:
    """What is coarse of one change with what is fine of another, inside a mask.

    Args:
        change: The model's, in levels of 0..255.
        fine: The real defect's.
        mask: Where the first is meant; elsewhere it is left as it is.
        covered: Where inside it the second is known.
        sigma: Of the blur between coarse and fine, in pixels; None takes all of the second, and
            moves the first, where the second is not known, by the mean of what parts them.
    """
    known = covered.astype(np.float32)
    if sigma is None:
        apart = (fine - change)[covered].mean(axis=0) if covered.any() else 0
        change = np.where(mask[:, :, None], change + apart, change)
    else:
        difference = (change - fine) * known[:, :, None]
        total = np.maximum(cv2.GaussianBlur(known, (0, 0), sigma), 1e-6)[:, :, None]
        fine = fine + cv2.GaussianBlur(difference.astype(np.float32), (0, 0), sigma) / total
    inside = np.maximum(cv2.GaussianBlur(mask.astype(np.float32), (0, 0), SEAM_PX), 1e-6)
    share = np.where(mask, cv2.GaussianBlur(known, (0, 0), SEAM_PX) / inside, 0)[:, :, None]
    return change + share * (fine - change)


def moved_by(
    picture: UInt8[np.ndarray, "h w 3"], shift: Float[np.ndarray, "3"]
) -> UInt8[np.ndarray, "h w 3"]:
    """A picture whose colours are all moved alike in CIELAB, and clipped to what sRGB can show."""
    return of_lab(lab(picture) + shift.astype(np.float32))


def _drawn(
    tones: Sequence[Float[np.ndarray, "3"]], rng: np.random.Generator
) -> Float[np.ndarray, "3"]:
    """A tone from the normal distribution of others; of one alone, that one."""
    every = np.stack(tones)
    spread = np.cov(every, rowvar=False) if len(every) > 1 else np.zeros((3, 3))
    return rng.multivariate_normal(every.mean(axis=0), spread)


def _real(photograph: Photograph) -> Real | None:
    """One whose mask marks something."""
    pixels, marked = read_picture(photograph.path), photograph.read_mask()
    if not marked.any():
        return None
    return Real(photograph, outline_of(pixels, marked), lab(pixels)[marked].mean(axis=0))
