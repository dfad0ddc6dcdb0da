"""Parts changed by their codes, with the steps and the bytes of `blemish edit`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from jaxtyping import Bool
from torch import Tensor

from blemish.checkpoint import Bundle
from blemish.documents import limit
from blemish.editing.directions import NETWORK as DIRECTIONS
from blemish.editing.directions import Direction, moved, read_directions
from blemish.editing.interpolate import interpolated
from blemish.editing.regions import box_region
from blemish.editing.result import Edit, KeptDetail, edited
from blemish.editing.rows import mixed, parse_rows, scales_of
from blemish.editing.subjects import EditSubject
from blemish.editing.transplant import diffuse_region
from blemish.errors import OptionError
from blemish.inversion.consult import NETWORK as CONSULTATION
from blemish.inversion.consult import Consultation, load_consultation
from blemish.inversion.descent import Watch
from blemish.inversion.indomain import InDomain
from blemish.inversion.model import Model, load_model
from blemish.types import Codes

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


@dataclass(frozen=True)
class Planned:
    """Codes of an edit.

    Attributes:
        codes: Codes of the results.
        facts: Options of the edit, as `blemish edit` writes them.
        shares: Share of the second part's detail in each result; None keeps the first part's.
        region: Place where detail is left out; None keeps it everywhere.
    """

    codes: Codes
    facts: dict[str, Any]
    shares: tuple[float, ...] | None = None
    region: Bool[Tensor, "h w"] | None = None


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
        planned = PLANS[wish.verb](self, wish, subjects, watch)
        detail = self._detail(planned) if wish.detail else None
        return edited(wish.verb, self.model, subjects, planned.codes, detail, **planned.facts)

    def _detail(self, planned: Planned) -> KeptDetail:
        keep = None
        if planned.region is not None:
            keep = (~planned.region)[None, None].float().to(self.model.device)
        return KeptDetail(branch=self.branch, keep=keep, shares=planned.shares)


Subjects = Sequence[EditSubject]
Plan = Callable[[PartEditor, PartEdit, Subjects, Watch | None], Planned]


def _moved(editor: PartEditor, wish: PartEdit, subjects: Subjects, _: Watch | None) -> Planned:
    moves = [move for move in wish.moves if move.distance] or [*wish.moves[:1]]
    codes = subjects[0].codes
    for move in moves:
        direction = known_direction(move.direction, editor.directions, editor.bundle)
        codes = moved(codes, direction, [move.distance])
    if len(moves) == 1:
        only = moves[0]
        return Planned(codes, {"direction": only.direction, "distances": [float(only.distance)]})
    return Planned(codes, {"moves": {move.direction: float(move.distance) for move in moves}})


def _mixed(editor: PartEditor, wish: PartEdit, subjects: Subjects, _: Watch | None) -> Planned:
    config = editor.model.generator.config
    rows = parse_rows(wish.rows, config.layers, scales_of(config))
    return Planned(mixed(subjects[0].codes, subjects[1].codes, rows), {"rows": wish.rows})


def _interpolated(
    editor: PartEditor, wish: PartEdit, subjects: Subjects, _: Watch | None
) -> Planned:
    codes = interpolated(subjects[0].codes, subjects[1].codes, wish.steps)
    shares = tuple(k / (wish.steps - 1) for k in range(wish.steps))
    return Planned(codes, {"steps": wish.steps}, shares)


def _transplanted(
    editor: PartEditor, wish: PartEdit, subjects: Subjects, watch: Watch | None
) -> Planned:
    region = box_region(wish.box, editor.model.generator.config.resolution)
    first, second = (subject.target for subject in subjects)
    found = diffuse_region(editor.model, first, second, region, InDomain(), watch=watch)
    facts = {"region_share": float(region.float().mean()), "steps": int(found.steps[0])}
    return Planned(found.codes, facts, region=region)


PLANS: dict[str, Plan] = {
    "move": _moved,
    "mix": _mixed,
    "interpolate": _interpolated,
    "transplant": _transplanted,
}


def known_direction(name: str, known: dict[str, Any], bundle: Bundle) -> Any:
    """A direction by its name.

    Raises:
        OptionError: There is none of that name.
    """
    if name in known:
        return known[name]
    raise OptionError(
        got=f"the direction '{name[:40]}'",
        expected=f"one of {', '.join(known)}" if known else "a bundle that knows directions",
        todo="Choose another."
        if known
        else f"Run 'blemish train directions --bundle {bundle.path}'.",
    )
