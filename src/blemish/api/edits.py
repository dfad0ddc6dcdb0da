"""Edits, filling and repair in Python, on pictures in memory."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool

from blemish.api.inputs import Photo, mask_of, original_of
from blemish.checkpoint import Bundle
from blemish.editing.directions import Direction
from blemish.editing.fill import Filling, margin_of, refuse_hole, widened
from blemish.editing.fillers import HoleFiller
from blemish.editing.find import DefectSearch
from blemish.editing.parts import PartEdits
from blemish.editing.result import Edit
from blemish.editing.subjects import SEED, EditSubject, drawn, of_inversion
from blemish.errors import DataError
from blemish.inversion.invert import Inversion, invert
from blemish.inversion.methods import chosen_method
from blemish.inversion.model import Model
from blemish.pictures import fit_mask
from blemish.seeds import refuse_seeds

Part = Photo | Inversion | EditSubject


class Edits:
    """Edits of parts by their codes.

    A part is a photograph, which is inverted with the bundle's usual method; an inversion of
    `OpenBundle.invert`; or `"seed:N"`, a part that the generator draws.

    Args:
        files: The bundle.
        model: Its networks.
        seed: Random seed of the searches.
    """

    def __init__(self, files: Bundle, model: Model, seed: int = 0) -> None:
        refuse_seeds(seed)
        self.edits = PartEdits(bundle=files, model=model, seed=seed)

    def interpolate(self, a: Part, b: Part, steps: int = 7) -> Edit:
        """Parts on the line between the codes of two parts, both included."""
        return self.edits.interpolate(self._subject(a), self._subject(b), steps)

    def mix(self, a: Part, b: Part, rows: str = "fine") -> Edit:
        """The first part with some rows of the second part's code; see `rows.parse_rows`."""
        return self.edits.mix(self._subject(a), self._subject(b), rows)

    def directions(self) -> dict[str, Direction]:
        """Directions of the bundle by name.

        Raises:
            BundleError: It has none.
        """
        return self.edits.directions()

    def move(self, part: Part, direction: str, distances: Sequence[float]) -> Edit:
        """A part moved along a direction, one picture for each distance."""
        return self.edits.move(self._subject(part), direction, distances)

    def transplant(self, a: Part, b: Part, region: Bool[np.ndarray, "h w"]) -> Edit:
        """A region of the second part on the first, in domain.

        Args:
            a: Part that gives the context.
            b: Part that gives the region.
            region: Mask of the region, of any size.

        Raises:
            BundleError: The bundle has no encoder.
        """
        inside = torch.from_numpy(fit_mask(region, self.edits.model.generator.config.resolution))
        if not inside.any():
            raise DataError(
                got="an empty region", expected="one marked pixel or more", todo="Mark the region."
            )
        return self.edits.transplant(self._subject(a), self._subject(b), inside)

    def _subject(self, part: Part) -> EditSubject:
        model = self.edits.model
        if isinstance(part, EditSubject):
            return part
        if isinstance(part, str) and part.startswith(SEED):
            return drawn(part, model)
        if isinstance(part, Inversion):
            return of_inversion("inversion", part)
        method = chosen_method(model.encoder is not None)
        picture = original_of(part).picture
        (found,) = invert(model, [picture], method, seed=self.edits.seed)
        return of_inversion(str(part) if isinstance(part, str | Path) else "photograph", found)


def fill_photograph(
    filler: HoleFiller, photo: Photo, hole: Photo, *, count: int = 1, seed: int = 0
) -> list[Filling]:
    """Fill a hole of a photograph with good material in several ways; see `OpenBundle.fill`."""
    refuse_seeds(seed, max(1, count))
    original = original_of(photo)
    inside = mask_of(hole, original, "good")
    return [filler.fill(original, inside, seed + k) for k in range(count)]


def repair_photograph(
    filler: HoleFiller,
    search: Callable[[], DefectSearch],
    photo: Photo,
    defect: Photo | None,
    *,
    margin: int | None = None,
    seed: int = 0,
) -> Filling:
    """Replace a defect by good material; see `OpenBundle.repair`."""
    refuse_seeds(seed)
    original = original_of(photo)
    if defect is None:
        marked = search()(original.picture, seed=seed)
    else:
        marked = mask_of(defect, original, "good")
    refuse_hole(marked)
    height, width = marked.shape
    around = margin_of(height, width, margin)
    return filler.fill(original, widened(marked, around), seed, smooth=False)
