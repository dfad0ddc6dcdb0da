"""Edits of parts by their codes: interpolate, mix, move, transplant.

The command, the Python API and the studio all edit parts here, so the same edit has the same bytes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from jaxtyping import Bool
from torch import Tensor

from blemish.checkpoint import Bundle
from blemish.editing.directions import Direction, direction_named, moved, read_directions
from blemish.editing.interpolate import interpolated
from blemish.editing.result import Edit, KeptDetail, edited
from blemish.editing.rows import mixed, parse_rows, scales_of
from blemish.editing.subjects import EditSubject
from blemish.editing.transplant import diffuse_region
from blemish.errors import OptionError
from blemish.inversion.descent import Watch
from blemish.inversion.indomain import InDomain
from blemish.inversion.model import Model
from blemish.types import Codes


@dataclass(frozen=True, slots=True, kw_only=True)
class PartEdits:
    """A bundle, ready for edits of parts.

    Attributes:
        bundle: Bundle.
        model: Its networks.
        seed: Random seed of the searches.
        detail: Detail of photographs that edits keep; None draws the codes alone.
    """

    bundle: Bundle
    model: Model
    seed: int = 0
    detail: KeptDetail | None = None

    def directions(self) -> dict[str, Direction]:
        """Directions of the bundle by name.

        Raises:
            BundleError: It has none.
        """
        config = self.model.generator.config
        return read_directions(self.bundle, config.layers, config.w_dim)

    def direction(self, name: str) -> Direction:
        """A direction by its name.

        Raises:
            BundleError: The bundle has none.
            OptionError: There is none of that name.
        """
        return direction_named(name, self.directions(), self.bundle)

    def rows(self, text: str) -> Bool[Tensor, " layers"]:
        """Rows of a code; see `rows.parse_rows`.

        Raises:
            OptionError: The text names none.
        """
        config = self.model.generator.config
        return parse_rows(text, config.layers, scales_of(config))

    def interpolate(self, a: EditSubject, b: EditSubject, steps: int) -> Edit:
        """Parts on the line between the codes of two parts, both included.

        Raises:
            OptionError: There are less than two steps.
        """
        if steps < 2:
            raise OptionError(got=f"{steps} steps", expected="2 or more", todo="Take more.")
        codes = interpolated(a.codes, b.codes, steps)
        shares = tuple(k / (steps - 1) for k in range(steps))
        return self._with(shares=shares).drawn("interpolate", [a, b], codes, steps=steps)

    def mix(self, a: EditSubject, b: EditSubject, rows: str) -> Edit:
        """The first part with some rows of the second part's code; see `rows`."""
        codes = mixed(a.codes, b.codes, self.rows(rows))
        return self.drawn("mix", [a, b], codes, rows=rows)

    def move(self, part: EditSubject, direction: str, distances: Sequence[float]) -> Edit:
        """A part moved along a direction, one picture for each distance; see `direction`."""
        far = [float(distance) for distance in distances]
        codes = moved(part.codes, self.direction(direction), far)
        return self.drawn("move", [part], codes, direction=direction, distances=far)

    def transplant(
        self,
        a: EditSubject,
        b: EditSubject,
        region: Bool[Tensor, "h w"],
        method: InDomain | None = None,
        watch: Watch | None = None,
    ) -> Edit:
        """A region of the second part on the first, in domain, without detail in the region.

        Args:
            a: Part that gives the context.
            b: Part that gives the region.
            region: Region at the generator's resolution.
            method: Options of the search; the usual ones by default.
            watch: Callback for each step of the search.

        Raises:
            BundleError: The bundle has no encoder.
        """
        search = {"seed": self.seed, "watch": watch}
        found = diffuse_region(
            self.model, a.target, b.target, region, method or InDomain(), **search
        )
        facts = {"region_share": float(region.float().mean()), "steps": int(found.steps[0])}
        return self._without(region).drawn("transplant", [a, b], found.codes, **facts)

    def drawn(self, verb: str, subjects: Sequence[EditSubject], codes: Codes, **facts: Any) -> Edit:
        """Pictures and figures of codes; see `result.edited`."""
        return edited(verb, self.model, subjects, codes, self.detail, **facts)

    def _without(self, region: Bool[Tensor, "h w"]) -> "PartEdits":
        if self.detail is None:
            return self
        outside = (~region)[None, None].float().to(self.model.device)
        keep = outside if self.detail.keep is None else self.detail.keep * outside
        return self._with(keep=keep)

    def _with(self, **detail: Any) -> "PartEdits":
        """The same with other options of the detail, if it is kept."""
        if self.detail is None:
            return self
        return replace(self, detail=replace(self.detail, **detail))
