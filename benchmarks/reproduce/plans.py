"""Lengths of all steps and numbers of items, by name and length, as one literal.

Lengths of trainings are in kimg and give whole steps of their batches. A full plan takes two cores
a night or two; a quick one runs the chain within minutes, and its results are useless.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from blemish.names import Tone
from blemish.synthesis.options import MaskOptions

Length = Literal["full", "quick"]
AS_IT_LAY = MaskOptions(mask_kind="real", where="there")
BENT = MaskOptions(mask_kind="real", where="there", mask_elastic=0.02)
MUCH_BENT = MaskOptions(mask_kind="real", where="there", mask_elastic=0.04)
SCRATCH = MaskOptions(mask_kind="scratch", area=(0.008, 0.06))
BLOB = MaskOptions(mask_kind="blob", area=(0.02, 0.2))


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """Resolution; each rung starts from the one below.

    Attributes:
        preset: Name of the preset.
        generator: Length of stage 1, in kimg.
        defects: Length of stage 2, in kimg.
    """

    preset: str
    generator: float
    defects: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Items:
    """Items of one kind in the synthetic set.

    Attributes:
        defect: Type of the defects.
        count: Number of items.
        draw: Masks of the items.
        strength: Range of the strengths.
        detail: Add the fine detail of the training defects.
        tone: Source of the coarse colours with detail.
        uneven: Loss of strength where a defect is weakest.
        by_chance: Use the branch's random defects at the encoder's codes, not the mapper's.
    """

    defect: str
    count: int
    draw: MaskOptions
    strength: tuple[float, float] = (1.0, 1.0)
    detail: bool = False
    tone: Tone = "model"
    uneven: float = 0.0
    by_chance: bool = False

    @property
    def real(self) -> bool:
        """Whether real defects are used."""
        return self.detail or self.draw.mask_kind == "real"


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """Options of `blemish evaluate inversion`, by their names."""

    methods: str = "encode,in-domain"
    spaces: str = "w+"
    samples: int = 40
    limit: int = 20
    steps: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Options of `blemish evaluate utility`, by their names."""

    seeds: int = 3
    steps: int = 2400
    batch: int = 8
    size: int = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Lengths of all steps.

    Attributes:
        rungs: Rungs from coarse to fine.
        encoder: Length of the encoder's training on the finest rung, in kimg.
        mapper: Length of the mapper's training on the finest rung, in kimg.
        solutions: Groups of solutions for the mapper; see `train mapper`.
        items: Items of the synthetic set.
        side: Side of the squares of the copy-paste set.
        samples: Number of samples to judge snapshots and the card by.
        survey: Options of the evaluation of inversion.
        trial: Options of the evaluation of utility.
    """

    rungs: tuple[Rung, ...]
    encoder: float
    mapper: float
    solutions: int = 24
    items: tuple[Items, ...]
    side: int
    samples: int = 500
    survey: Survey = field(default_factory=Survey)
    trial: Trial = field(default_factory=Trial)

    @property
    def finest(self) -> Rung:
        """Finest rung, whose bundle is used."""
        return self.rungs[-1]

    @property
    def count(self) -> int:
        """Number of items of the synthetic set."""
        return sum(group.count for group in self.items)


TINY = (
    Rung(preset="tiny-16", generator=0.4, defects=0.4),
    Rung(preset="tiny-32", generator=0.4, defects=0.4),
)


def _glass(
    defect: str,
    count: int,
    draw: MaskOptions,
    *,
    tone: Tone = "model",
    faintest: float = 1.0,
    uneven: float = 0.0,
) -> Items:
    # The mapper was made for paint: it colours a whole ring of broken glass.
    return Items(
        defect=defect,
        count=count,
        draw=draw,
        strength=(faintest, 1.0),
        detail=True,
        tone=tone,
        uneven=uneven,
        by_chance=True,
    )


def _broken(defect: str, count: int) -> tuple[Items, ...]:
    """Items of each kind: at their own place, warped or not, in their own colours or others."""
    tones: tuple[Tone, ...] = ("real", "drawn")
    return tuple(
        _glass(defect, count, draw, tone=tone) for draw in (AS_IT_LAY, BENT) for tone in tones
    )


LITTLE = Survey(samples=4, limit=4, steps=5)
BRIEF = Trial(seeds=1, steps=20, size=32)


def _quick(*items: Items) -> Plan:
    return Plan(
        rungs=TINY,
        encoder=0.32,
        mapper=0.32,
        solutions=1,
        items=items,
        side=64,
        samples=40,
        survey=LITTLE,
        trial=BRIEF,
    )


PLANS: Mapping[str, Mapping[Length, Plan]] = {
    "bottle": {
        "full": Plan(
            rungs=(
                Rung(preset="bottle-64", generator=48, defects=18),
                Rung(preset="bottle-128", generator=36, defects=12),
            ),
            encoder=16,
            mapper=4,
            solutions=4,
            items=(
                *_broken("broken_large", 200),
                *_broken("broken_small", 240),
                _glass(
                    "broken_small",
                    80,
                    MaskOptions(mask_kind="blob", area=(0.015, 0.06), where="edge"),
                    tone="real",
                ),
                # What lies in a bottle may be of any colour, as dark as it is, and seen in part.
                _glass("contamination", 440, MUCH_BENT, tone="real", faintest=0.25, uneven=1),
                _glass("contamination", 440, MUCH_BENT, tone="drawn", faintest=0.25, uneven=1),
                _glass("contamination", 300, SCRATCH, tone="drawn"),
                _glass("contamination", 300, BLOB, tone="drawn", faintest=0.25, uneven=1),
            ),
            side=256,
            # Long enough to come near what detectors can learn, which wants that many items.
            trial=Trial(steps=9600),
        ),
        "quick": _quick(
            _glass("broken_large", 4, AS_IT_LAY),
            Items(defect="broken_small", count=4, draw=AS_IT_LAY),
            Items(
                defect="contamination",
                count=4,
                draw=MaskOptions(mask_kind="blob", area=(0.05, 0.2)),
            ),
        ),
    },
    "hazelnut": {
        "full": Plan(
            rungs=(Rung(preset="nut-64", generator=48, defects=24),),
            encoder=26,
            mapper=11.2,
            items=(
                Items(
                    defect="colour",
                    count=100,
                    draw=MaskOptions(mask_kind="real", area=(0.04, 0.15)),
                ),
                Items(
                    defect="colour", count=60, draw=MaskOptions(mask_kind="blob", area=(0.04, 0.15))
                ),
                Items(
                    defect="colour", count=40, draw=MaskOptions(mask_kind="spots", area=(0.04, 0.1))
                ),
                Items(defect="crack", count=200, draw=AS_IT_LAY),
            ),
            side=512,
        ),
        "quick": _quick(
            Items(defect="colour", count=6, draw=MaskOptions(mask_kind="blob", area=(0.04, 0.15))),
            Items(defect="crack", count=4, draw=AS_IT_LAY),
        ),
    },
}
