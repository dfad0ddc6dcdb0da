r"""Fine detail of real defects, where the model is too coarse.

On a photograph much larger than the model's images the inside of a defect is soft. The model's
change Δ supplies the coarse band: the part's light, the defect's colour. The fine band comes from
S, a real defect of the type placed under the mask of the photograph x,

    \Delta' = B_\sigma \Delta + (1 - B_\sigma)(S - x),

two bands of a Laplacian pyramid (Burt and Adelson, 1983). B is a normalised Gaussian blur inside
the mask, so that nothing leaks in over its edge; σ is a few of the model's pixels.

A model trained on few photographs draws defects of a type in similar tones: objects in a bottle are
brown, grey or white, and become a pale mean of these. With the tone of the real defect, Δ' = S - x,
and the part that S does not cover keeps the model's change, shifted by the mean of S - x - Δ. With
a drawn tone, S is first shifted in CIELAB so that its mean inside its mask is a sample of a normal
distribution with the mean and covariance of the means of the type's real defects: grey and brown
ones give everything between them and slightly beyond.
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

SIGMA_PX = 6.0  # in pixels of the model
SEAM_PX = 1.0
# Fraction of the best overlap. Uncovered mask area looks sound but is labelled.
ENOUGH = 0.85

Change = Float[np.ndarray, "h w 3"]
Mask = Bool[np.ndarray, "h w"]


@dataclass(frozen=True, slots=True)
class Real:
    """Real defect.

    Attributes:
        photograph: With its mask.
        outline: Outline of the defect on its part.
        tone: Mean colour in CIELAB.
    """

    photograph: Photograph
    outline: Outline
    tone: Float[np.ndarray, "3"]


class Details:
    """Real defects that supply detail.

    Args:
        folder: Folder with photographs of defects and their masks, in the layout of MVTec AD.
        first_third: Use only the first third of each type by name.
        side: Side of the model's images, in pixels.
        tone: Source of the coarse band; "drawn" is the real defect's in another tone.
    """

    def __init__(self, folder: Path, *, first_third: bool, side: int, tone: Tone = "model") -> None:
        self.folder, self.first_third, self.side = folder, first_third, side
        self.tone = tone
        self.known = lru_cache(None)(self._read)

    def prepare(self, kind: str) -> None:
        """Find the real defects of a type.

        Raises:
            OptionError: The type has none.
            DataError: The folder or a mask can't be read.
        """
        self.known(kind)

    def under(
        self, picture: UInt8[np.ndarray, "h w 3"], mask: Mask, kind: str, seed: int
    ) -> Callable[[Change], Change]:
        """Function that adds detail to a change.

        Args:
            picture: The good photograph.
            mask: Mask of the new defect.
            kind: Type of the defect.
            seed: Selects among the real defects with the most similar shapes.

        Raises:
            DataError: The selected one can't be read.
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
                got=f"{self.folder}, which has no '{kind}' for detail",
                expected=f"photographs under test/{kind}/ with masks under ground_truth/{kind}/",
                todo="Use a folder that has some, or leave the detail out.",
            )
        return marked


def detailed(
    change: Change, *, fine: Change, mask: Mask, covered: Mask, sigma: float | None
) -> Change:
    """Combine the coarse band of one change with the fine band of another, inside a mask.

    Args:
        change: Model's change, in levels of 0..255.
        fine: Real defect's change.
        mask: Mask of the model's change; it stays unchanged elsewhere.
        covered: Part of the mask where the real defect is known.
        sigma: Blur between coarse and fine, in pixels; None takes both bands from the real defect
            and shifts the model's change, where the real defect is unknown, by the mean difference.
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
    """Shift all colours of an image equally in CIELAB, clipped to the gamut of sRGB."""
    return of_lab(lab(picture) + shift.astype(np.float32))


def _drawn(
    tones: Sequence[Float[np.ndarray, "3"]], rng: np.random.Generator
) -> Float[np.ndarray, "3"]:
    """Sample a tone from the normal distribution of the given ones; a single one is returned."""
    every = np.stack(tones)
    spread = np.cov(every, rowvar=False) if len(every) > 1 else np.zeros((3, 3))
    return rng.multivariate_normal(every.mean(axis=0), spread)


def _real(photograph: Photograph) -> Real | None:
    """A real defect whose mask marks something."""
    pixels, marked = read_picture(photograph.path), photograph.read_mask()
    if not marked.any():
        return None
    return Real(photograph, outline_of(pixels, marked), lab(pixels)[marked].mean(axis=0))
