"""Options of the mapper's training."""

from dataclasses import dataclass, field

from blemish.errors import OptionError
from blemish.generator.game import Game
from blemish.generator.loop import Schedule
from blemish.limits import refuse_weights_of
from blemish.synthesis.options import SearchOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class MapperTraining(Game):
    """Options of the mapper's training, in addition to those of adversarial training.

    Attributes:
        drawn: Fraction of a batch that the generator draws with known defects.
        solved: Fraction of a batch that the optimiser has solved; the rest are photographs.
        solutions: Number of groups of solutions to search for before the training begins.
        warm_steps: Steps on the solutions' codes alone, before anything is drawn.
        search: Options of the search for solutions.
        code_weight: Weight of the distance to known defect codes, in units of their variance.
        change_weight: Weight of the distance to known changes, inside the mask.
        mask_weight: Weight of the mismatch between the branch's own mask and the given one.
        visible_weight: Weight of the shortfall from a change of `visible`, inside the mask.
        visible: Desired mean change of a pixel's channels, in units of [-1, 1].
        outside_weight: Weight of the change beyond the mask.
        look_weight: Weight of the distance to the desired colour.
        adversarial_weight: Weight of the adversarial loss.
        stay_weight: Weight of the photographs' displacement of the code, in units of its variance.
    """

    schedule: Schedule = field(default_factory=lambda: Schedule(kimg=12, snapshot_kimg=2))
    learning_rate: float = 1e-3
    ema_kimg: float = 1
    ada_cap: float = 0.3
    drawn: float = 0.125
    solved: float = 0.25
    solutions: int = 24
    warm_steps: int = 5000
    search: SearchOptions = field(default_factory=lambda: SearchOptions(defect_steps=60))
    code_weight: float = 0.25
    change_weight: float = 4
    mask_weight: float = 0.5
    visible_weight: float = 4
    visible: float = 0.15
    outside_weight: float = 4
    look_weight: float = 4
    adversarial_weight: float = 0.1
    stay_weight: float = 0.1

    def __post_init__(self) -> None:
        refuse_weights_of(self)
        if self.drawn <= 0 or self.solved < 0 or self.drawn + self.solved >= 1:
            raise OptionError(
                got=f"fractions of {self.drawn} drawn and {self.solved} solved",
                expected="some drawn, and less than 1 together: the rest are photographs",
                todo="Correct the options.",
            )
        if min(self.solutions, self.warm_steps) < 0:
            raise OptionError(
                got=f"{self.solutions} groups of solutions, {self.warm_steps} warm-up steps",
                expected="0 or more",
                todo="Correct the option.",
            )

    def weights(self) -> dict[str, float]:
        """Weight of each term of the mapper's loss."""
        return {
            "code": self.code_weight,
            "change": self.change_weight,
            "mask": self.mask_weight,
            "visible": self.visible_weight,
            "outside": self.outside_weight,
            "look": self.look_weight,
            "adversarial": self.adversarial_weight,
            "stay": self.stay_weight,
        }
