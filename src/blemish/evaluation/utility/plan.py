"""Options of a trial: the arms, their seeds and the length of each training."""

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
class UtilityOptions:
    """Options of training and test.

    Attributes:
        real: Folder of photographs with defects, which are split by the protocol.
        synthetic: Folder of synthetic defects; None for the baselines alone.
        arms: Names of the arms; empty for the usual ones that these folders allow.
        seeds: Trainings of each arm, with seeds from 0 up.
        steps: Steps of each training.
        batch: Images per step.
        size: Side of the square images that the detector sees; tests use it, too.
        precision: Number format of the detector's training; bfloat16 is faster on hardware that has
            it.
        limit_good: Maximum number of good training photographs; None for all.

    Raises:
        OptionError: An option is out of range, or arms and folders don't fit.
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
                todo="Choose another, for example 128.",
            )
        if not {*self.arms} <= {*ARMS}:
            raise OptionError(
                got=f"--arms {','.join(self.arms)}",
                expected=f"some of {', '.join(ARMS)}, separated by commas",
                todo="Correct the option.",
            )
        if self.synthetic is None and not {*self.arms} <= {*BASELINES}:
            raise OptionError(
                got=f"--arms {','.join(self.arms)} without --synthetic",
                expected="a folder of synthetic defects for arms that train on them",
                todo="Give one, or leave these arms out.",
            )

    @property
    def chosen(self) -> tuple[ArmName, ...]:
        """Arms to train, without duplicates."""
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
