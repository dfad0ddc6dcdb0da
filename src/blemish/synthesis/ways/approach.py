"""How a defect is placed: the options, and what a way of placing is handed."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from jaxtyping import Float
from torch import Tensor

from blemish.errors import OptionError
from blemish.inversion.methods import Method
from blemish.synthesis.defect import DefectSearch, Reference
from blemish.synthesis.detail import Tone
from blemish.synthesis.fading import refuse_uneven
from blemish.synthesis.references import ReferenceName

WayName = Literal["one-pass", "hybrid", "optimize"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Approach:
    """Options of a synthesis.

    Attributes:
        way: One pass, one pass with polishing steps, or the search; None takes one pass where the
            bundle has a mapper, and else the search.
        invert: Step A of the search; None is `usual_method` for the bundle.
        inverted: A folder that `blemish invert` wrote, whose codes take the place of step A.
        search: Steps B and C.
        polish: Steps that a hybrid polishes for.
        reference: Of the defect's look, in a search.
        detail: Put the fine detail of real defects on; see `synthesis.detail`.
        tone: Whose colours the defect has then, where they change slowly; see `synthesis.detail`.
        uneven: How much of the defect's strength is gone where it is weakest; see
            `synthesis.fading`.
        real: A folder with real defects, for the detail and for references that need it.
        first_third: Use only the first third of each type there, by name.
    """

    way: WayName | None = None
    invert: Method | None = None
    inverted: Path | None = None
    search: DefectSearch = field(default_factory=DefectSearch)
    polish: int = 20
    reference: ReferenceName = "none"
    detail: bool = False
    tone: Tone = "model"
    uneven: float = 0.0
    real: Path | None = None
    first_third: bool = False

    def __post_init__(self) -> None:
        if self.polish < 0:
            raise OptionError(
                got=f"{self.polish} polishing steps", expected="0 or more", todo="Correct it."
            )
        refuse_uneven(self.uneven)
        if self.detail and self.real is None:
            raise OptionError(
                got="the detail of real defects without a folder of them",
                expected="one beside it, laid out as MVTec AD",
                todo="Name it with --real, or leave the detail out.",
            )
        if self.tone != "model" and not self.detail:
            raise OptionError(
                got="the tone of real defects without their detail",
                expected="both, since it is one real defect that gives them",
                todo="Ask for detail as well, or leave the tone to the model.",
            )
        idle = f"--real {self.real}" if self.real else "--first-third" * self.first_third
        if idle and (self.real is None or not (self.detail or self.reference != "none")):
            raise OptionError(
                got=f"{idle} without a use for it",
                expected="--reference stitch or distil, --detail or --mask-kind real beside it",
                todo="Add one of them, or leave it out.",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One defect to place, at the generator's resolution.

    Attributes:
        photograph: Of the good part.
        mask: Where the defect shall be, zeros and ones.
        kind: Index of its type.
        seed: Of everything random.
        reference: What its inside shall look like, where something is searched for.
    """

    photograph: Float[Tensor, "1 3 h w"]
    mask: Float[Tensor, "1 1 h w"]
    kind: int
    seed: int
    reference: Reference | None = None
