"""Lengths of all steps and numbers of items, by name and length, as one literal.

Lengths of trainings are in kimg and give whole steps of their batches. A full plan takes two cores
a night or two; a quick one runs the chain within minutes, and its results are useless.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from blemish.synthesis.options import MaskOptions

Length = Literal["full", "quick"]
AS_IT_LAY = MaskOptions(mask_kind="real", where="there")
BENT = MaskOptions(mask_kind="real", where="there", mask_elastic=0.02)
MUCH_BENT = MaskOptions(mask_kind="real", where="there", mask_elastic=0.04)
SCRATCH = MaskOptions(mask_kind="scratch", area=(0.008, 0.06))
CHIP = MaskOptions(mask_kind="blob", area=(0.015, 0.06), where="edge")
BLOB = MaskOptions(mask_kind="blob", area=(0.02, 0.2))


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """Resolution; each rung starts from the one below.

    Attributes:
        preset: Name of the preset.
        generator: Length of its training, in kimg.
    """

    preset: str
    generator: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Items:
    """Items of one kind in the synthetic set.

    Attributes:
        defect: Type of the defects.
        count: Number of items.
        draw: Masks of the items.
        strength: Range of the strengths.
    """

    defect: str
    count: int
    draw: MaskOptions
    strength: tuple[float, float] = (1.0, 1.0)


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
        windows: Length of the window generator's training, in kimg.
        items: Items of the synthetic set.
        side: Side of the squares of the copy-paste set.
        samples: Number of samples to judge snapshots and the card by.
        survey: Options of the evaluation of inversion.
        trial: Options of the evaluation of utility.
    """

    rungs: tuple[Rung, ...]
    encoder: float
    windows: float
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
    Rung(preset="tiny-16", generator=0.4),
    Rung(preset="tiny-32", generator=0.4),
)


LITTLE = Survey(samples=4, limit=4, steps=5)
BRIEF = Trial(seeds=1, steps=20, size=32)


def _quick(*items: Items) -> Plan:
    return Plan(
        rungs=TINY,
        encoder=0.32,
        windows=0.32,
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
                Rung(preset="bottle-64", generator=48),
                Rung(preset="bottle-128", generator=36),
            ),
            encoder=16,
            windows=30,
            items=(
                Items(defect="broken_large", count=400, draw=AS_IT_LAY),
                Items(defect="broken_large", count=400, draw=BENT),
                Items(defect="broken_small", count=480, draw=AS_IT_LAY),
                Items(defect="broken_small", count=480, draw=BENT),
                Items(defect="broken_small", count=80, draw=CHIP),
                # What lies in a bottle is seen in part.
                Items(defect="contamination", count=880, draw=MUCH_BENT, strength=(0.25, 1.0)),
                Items(defect="contamination", count=300, draw=SCRATCH),
                Items(defect="contamination", count=300, draw=BLOB, strength=(0.25, 1.0)),
            ),
            side=256,
            # Long enough to come near what detectors can learn, which wants that many items.
            trial=Trial(steps=9600),
        ),
        "quick": _quick(
            Items(defect="broken_large", count=4, draw=AS_IT_LAY),
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
            rungs=(Rung(preset="nut-64", generator=48),),
            encoder=26,
            windows=32,
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
