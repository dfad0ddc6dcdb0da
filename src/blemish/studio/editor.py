"""Parts changed by their codes, with the steps and the bytes of `blemish edit`."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from blemish.checkpoint import Bundle
from blemish.documents import limit
from blemish.editing.directions import NETWORK as DIRECTIONS
from blemish.editing.directions import Direction, direction_named, moved, read_directions
from blemish.editing.parts import PartEdits
from blemish.editing.regions import box_region
from blemish.editing.result import Edit, KeptDetail
from blemish.editing.rows import scales_of
from blemish.editing.subjects import EditSubject
from blemish.inversion.consult import NETWORK as CONSULTATION
from blemish.inversion.consult import Consultation, load_consultation
from blemish.inversion.descent import Watch
from blemish.inversion.model import Model, load_model

FURTHEST = 10  # distance along a direction
MOST_STEPS = 24
MOST_MOVES = 64


@dataclass(frozen=True, kw_only=True)
class Move:
    """Move along a direction.

    Attributes:
        direction: Its name.
        distance: Its distance, in about one deviation.
    """

    direction: str
    distance: float

    def __post_init__(self) -> None:
        limit({"the distance": (self.distance, -FURTHEST, FURTHEST)})


@dataclass(frozen=True, kw_only=True)
class PartEdit:
    """Edit of a part.

    Attributes:
        bundle: Name of the bundle.
        verb: Kind of edit.
        a: Part: a photograph by its name on the page, or `seed:N` for a drawn part.
        b: Second part, for all but move.
        moves: Moves along directions, for move.
        rows: Rows of the second part, for mix; see `rows.parse_rows`.
        steps: Number of pictures, for interpolate.
        box: Region of the second part, for transplant; see `regions.box_region`.
        detail: Keep the detail of photographs that their codes lose.
    """

    bundle: str
    verb: Literal["move", "mix", "interpolate", "transplant"]
    a: str
    b: str = ""
    moves: tuple[Move, ...] = ()
    rows: str = "fine"
    steps: int = 7
    box: str = ""
    detail: bool = False

    def __post_init__(self) -> None:
        limit({"the steps": (self.steps, 2, MOST_STEPS)})
        limit({"the number of moves": (len(self.moves), 0, MOST_MOVES)})

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the parts that it needs."""
        return (self.a,) if self.verb == "move" else (self.a, self.b)


class PartEditor:
    """Generator of a bundle, ready for edits.

    Args:
        bundle: The bundle.
        device: Device to compute on.

    Raises:
        BundleError: It can't be used.
    """

    def __init__(self, bundle: Bundle, device: str) -> None:
        self.bundle = bundle
        self.model: Model = load_model(bundle, device)

    @cached_property
    def directions(self) -> dict[str, Direction]:
        """Directions by name; none if the bundle has none."""
        if not self.bundle.has(DIRECTIONS):
            return {}
        config = self.model.generator.config
        return read_directions(self.bundle, config.layers, config.w_dim)

    @cached_property
    def branch(self) -> Consultation:
        """What keeps the detail of photographs.

        Raises:
            BundleError: The bundle has no consultation branch.
        """
        return load_consultation(self.bundle, self.model.device)

    def about(self) -> dict[str, Any]:
        """What the page offers."""
        known = self.directions.values()
        return {
            "directions": [{"name": one.name, "attribute": one.attribute} for one in known],
            "scales": [*scales_of(self.model.generator.config)],
            "detail": self.bundle.has(CONSULTATION),
            "transplant": self.model.encoder is not None,
            "side": self.model.generator.config.resolution,
        }

    def edit(
        self, wish: PartEdit, subjects: Sequence[EditSubject], watch: Watch | None = None
    ) -> Edit:
        """Pictures and figures of an edit.

        Args:
            wish: Edit.
            subjects: Its parts.
            watch: Callback for each step of a search.

        Raises:
            UserError: A direction, a row or a region is unknown, or the bundle lacks what it needs.
        """
        detail = KeptDetail(branch=self.branch) if wish.detail else None
        edits = PartEdits(bundle=self.bundle, model=self.model, detail=detail)
        if wish.verb == "move":
            return self._moved(edits, wish.moves, subjects[0])
        first, second = subjects
        if wish.verb == "mix":
            return edits.mix(first, second, wish.rows)
        if wish.verb == "interpolate":
            return edits.interpolate(first, second, wish.steps)
        region = box_region(wish.box, self.model.generator.config.resolution)
        return edits.transplant(first, second, region, watch=watch)

    def _moved(self, edits: PartEdits, wished: Sequence[Move], part: EditSubject) -> Edit:
        """A part moved along one direction, or along several in turn."""
        moves = [move for move in wished if move.distance] or [*wished[:1]]
        if len(moves) == 1:
            return edits.move(part, moves[0].direction, [moves[0].distance])
        codes = part.codes
        for move in moves:
            direction = direction_named(move.direction, self.directions, self.bundle)
            codes = moved(codes, direction, [move.distance])
        facts = {move.direction: float(move.distance) for move in moves}
        return edits.drawn("move", [part], codes, moves=facts)
