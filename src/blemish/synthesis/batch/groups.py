"""A group of a recipe: items of one kind, and how they are made."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from blemish.checkpoint import Bundle
from blemish.errors import OptionError
from blemish.inversion.methods import METHODS, Method
from blemish.names import Space
from blemish.synthesis.batch.tables import STRICT, Names
from blemish.synthesis.defect import DefectSearch
from blemish.synthesis.detail import Tone
from blemish.synthesis.fading import refuse_uneven
from blemish.synthesis.masks import MaskPlan, OffPart
from blemish.synthesis.references import ReferenceName
from blemish.synthesis.ways.approach import Approach, WayName


@dataclass(frozen=True, slots=True, kw_only=True)
class Inverting:
    """How photographs are inverted.

    Attributes:
        method: In-domain where the bundle has an encoder, else project, if none is named.
        space: Where codes are searched; w for project, else w+, if none is named.
        steps: Of the search; as many as the method has of its own, if none are named.
    """

    method: Literal["encode", "in-domain", "optimize", "project"] | None = None
    space: Space | None = None
    steps: int | None = None

    def chosen(self, bundle: Bundle) -> Method:
        """The method for a bundle.

        Raises:
            OptionError: Steps are named for a method that does not search, or are out of range.
        """
        name = self.method or ("in-domain" if bundle.has("encoder") else "project")
        method: Any = METHODS[name](space=self.space or ("w" if name == "project" else "w+"))
        if self.steps is None:
            return method
        if not hasattr(method, "search"):
            got = f"{self.steps} steps for the method {name}"
            raise OptionError(got=got, expected="none: it does not search", todo="Leave them out.")
        return replace(method, search=replace(method.search, steps=self.steps))


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Of `photographs` and `parts` one is named, and of `masks` and `draw`.

    Attributes:
        defect: Type of the defect.
        count: Of the items.
        photographs: Of good parts: files, folders in a recipe that is not yet read. Items share
            them evenly, those on one photograph follow each other.
        parts: How many parts the bundle shall draw instead.
        masks: Files or folders too; each item takes one by chance.
        draw: What masks to draw instead.
        off_part: What of a mask from a file lies beside the part is cut off, or refused.
        strength: Of the change, above 0 and up to 1; of two, anything between them.
        method: How the defect is placed; see `Approach.way`.
        polish: Steps of the method hybrid.
        invert: How photographs are inverted for the method optimize.
        search: For the codes of the defect, in the same method.
        reference: Of the defect's look, where something is searched for.
        detail: Whether the fine detail of real defects is put on; see `synthesis.detail`.
        tone: Whose colours a defect has then, where they change slowly: the model's, the real
            one's, or colours drawn around those of the real ones.
        uneven: How much of a defect's strength is gone where it is weakest; see `synthesis.fading`.
        real: Folder with real defects, for the reference, the detail and masks of the kind real.
        first_third: Of these only the first third of each type by name.
    """

    __pydantic_config__ = STRICT

    defect: str
    count: int
    photographs: Names = ()
    parts: int | None = None
    masks: Names = ()
    draw: MaskPlan | None = None
    off_part: OffPart | None = None
    strength: float | tuple[float, float] = 1.0
    method: WayName | None = None
    polish: int = 20
    invert: Inverting | None = None
    search: DefectSearch = field(default_factory=DefectSearch)
    reference: ReferenceName = "none"
    detail: bool = False
    tone: Tone = "model"
    uneven: float = 0.0
    real: str | None = None
    first_third: bool = False

    def __post_init__(self) -> None:
        _refuse_fewer("count", self.count)
        _refuse_fewer("parts", 1 if self.parts is None else self.parts)
        _refuse_both(photographs=bool(self.photographs), parts=self.parts is not None)
        _refuse_both(masks=bool(self.masks), draw=self.draw is not None)
        _refuse_strengths(*self.strengths)
        refuse_uneven(self.uneven)
        self._refuse_idle()

    @property
    def strengths(self) -> tuple[float, float]:
        """The least and the most."""
        if isinstance(self.strength, tuple):
            return self.strength
        return self.strength, self.strength

    @property
    def draws_real(self) -> bool:
        """Whether masks are those of real defects, moved."""
        return self.draw is not None and self.draw.kind == "real"

    def plan(self, here: Path) -> MaskPlan | None:
        """What masks to draw, real ones from the group's folder, named from the recipe's."""
        if self.draw is None or not self.draws_real or self.real is None:
            return self.draw
        return replace(self.draw, folder=here / self.real, first_third=self.first_third)

    def approach(self, bundle: Bundle, here: Path) -> Approach:
        """The options as a synthesis takes them, with folders named from the recipe's.

        Raises:
            OptionError: The method of inversion does not take its options.
        """
        used = self.detail or self.reference != "none"
        return Approach(
            way=self.method,
            invert=self.invert and self.invert.chosen(bundle),
            search=self.search,
            polish=self.polish,
            reference=self.reference,
            detail=self.detail,
            tone=self.tone,
            uneven=self.uneven,
            real=here / self.real if self.real is not None and used else None,
            first_third=self.first_third and used,
        )

    def _refuse_idle(self) -> None:
        """What would change nothing was meant otherwise."""
        draw = self.draw
        folder = draw is not None and (draw.folder is not None or draw.first_third)
        if self.off_part is not None and self.draw is not None:
            raise _idle("off_part beside draw", "Write draw = { …, off_part = … }.")
        if folder or (self.real is None and self.draws_real):
            got = "folder or first_third inside draw" if folder else "masks of the kind real"
            raise OptionError(
                got=got,
                expected="real beside it, a folder with real defects and their masks",
                todo='Write real = "FOLDER" in the group.',
            )
        used = self.detail or self.reference != "none" or self.draws_real
        if self.real is not None and not used:
            raise _idle("real without a use for it", "Add a reference, or leave it out.")
        if self.detail and self.real is None:
            raise OptionError(
                got="detail without real defects",
                expected="real beside it, a folder with real defects and their masks",
                todo='Write real = "FOLDER" in the group.',
            )
        if self.tone != "model" and not self.detail:
            raise _idle(f'tone = "{self.tone}" without detail', "Write detail = true as well.")
        if self.first_third and self.real is None:
            raise _idle("first_third without real", "Name the folder, or leave it out.")


def _refuse_fewer(key: str, count: int) -> None:
    if count < 1:
        raise OptionError(got=f"{key} = {count}", expected="1 or more", todo="Ask for some.")


def _refuse_both(**named: bool) -> None:
    """One of two keys is wanted."""
    if sum(named.values()) != 1:
        got = f"{'both' if all(named.values()) else 'neither'} of {' and '.join(named)}"
        raise OptionError(got=got, expected="one of them", todo="See examples/recipe.toml.")


def _refuse_strengths(low: float, high: float) -> None:
    if not 0 < low <= high <= 1:
        raise OptionError(
            got=f"strength = {low if low == high else [low, high]}",
            expected="a number above 0 and up to 1, or two of them, rising",
            todo="Try [0.6, 1.0].",
        )


def _idle(got: str, todo: str) -> OptionError:
    return OptionError(got=got, expected="only what has an effect", todo=todo)
