"""What to find out: the arms, how often, and for how long each is trained."""

from dataclasses import dataclass
from pathlib import Path
from typing import cast, get_args

from blemish.errors import OptionError
from blemish.evaluation.utility.arms import ArmName
from blemish.evaluation.utility.detector import STRIDE
from blemish.names import Precision

ARMS: tuple[ArmName, ...] = get_args(ArmName)
USUAL: tuple[ArmName, ...] = ("real", "copy-paste", "synthetic", "real+synthetic")
BASELINES: tuple[ArmName, ...] = ("real", "copy-paste")
LEAST_SIZE = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to train and to test.

    Attributes:
        real: A folder of photographs with defects, which are parted by the protocol.
        synthetic: A folder of made ones; None for the baselines alone.
        arms: By name; empty for the usual ones that these folders can be used for.
        seeds: Trainings of each arm, under the seeds from 0 up.
        steps: Of each training.
        batch: Pictures in each step.
        size: Of the squares that the detector sees, and is tested on.
        precision: Of the detector's insides while it learns; bfloat16 is faster where a processor
            has it.
        limit_good: At most so many good photographs to learn from; None for all.

    Raises:
        OptionError: One of these can't be done.
    """

    real: Path
    synthetic: Path | None = None
    arms: tuple[str, ...] = ()
    seeds: int = 3
    steps: int = 800
    batch: int = 8
    size: int = 128
    precision: Precision = "32-true"
    limit_good: int | None = None

    def __post_init__(self) -> None:
        _at_least(1, "seeds", self.seeds)
        _at_least(1, "steps", self.steps)
        _at_least(2, "batch", self.batch)
        _at_least(1, "limit-good", 1 if self.limit_good is None else self.limit_good)
        if self.size < LEAST_SIZE or self.size % STRIDE:
            raise OptionError(
                got=f"--size {self.size}",
                expected=f"a multiple of {STRIDE} from {LEAST_SIZE} up",
                todo="Choose another, 128 for example.",
            )
        if not {*self.arms} <= {*ARMS}:
            raise OptionError(
                got=f"--arms {','.join(self.arms)}",
                expected=f"some of {', '.join(ARMS)}, with commas between them",
                todo="Correct the option.",
            )
        if self.synthetic is None and not {*self.arms} <= {*BASELINES}:
            raise OptionError(
                got=f"--arms {','.join(self.arms)} without --synthetic",
                expected="a folder of made defects for arms that learn from them",
                todo="Name one, or leave these arms out.",
            )

    @property
    def chosen(self) -> tuple[ArmName, ...]:
        """The arms to be trained, each once."""
        able = BASELINES if self.synthetic is None else USUAL
        return cast(tuple[ArmName, ...], tuple(dict.fromkeys(self.arms))) or able

    @property
    def total(self) -> int:
        """Steps of all trainings."""
        return len(self.chosen) * self.seeds * self.steps


def _at_least(least: int, name: str, value: int) -> None:
    if value < least:
        raise OptionError(
            got=f"--{name} {value}", expected=f"{least} or more", todo="Correct the option."
        )
