"""Recipes of encoder training, and their options."""

from dataclasses import dataclass

import torch

from blemish.errors import OptionError
from blemish.limits import refuse_weights_of
from blemish.names import EncoderRecipe, FeatureSource
from blemish.training.adversarial import AdversarialOptions
from blemish.training.loop import Parameters, Schedule

DECAY = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderTraining(AdversarialOptions):
    """Options of the encoder's training, in addition to those of adversarial training.

    Attributes:
        grown_steps: Number of steps that train the new layers alone, if the encoder grew from a
            coarser one.
        pairs: Fraction of a batch that G generated from known codes; the rest are photographs.
        defects: Fraction of either that shows a defect, if the bundle knows defects.
        pixel_weight: Weight of the squared error.
        feature_weight: Weight of the perceptual loss.
        features: Feature network of the perceptual loss.
        adversarial_weight: Weight of the adversarial loss; 0 disables the critic.
        code_weight: Weight of the distance to known codes, in units of w's variance.
        spread_weight: Weight of the rows' variance around their mean, in the same units.
        mask_weight: Weight of the mask's cross-entropy.
        kind_weight: Weight of the type's cross-entropy.
    """

    learning_rate: float = 1e-3
    r1_gamma: float = 0.1
    ema_kimg: float = 1
    ada_cap: float = 0.0
    grown_steps: int = 300
    pairs: float = 0.5
    defects: float = 0.5
    pixel_weight: float = 10
    feature_weight: float = 1
    features: FeatureSource = "efficientnet-lite0"
    adversarial_weight: float = 0.1
    code_weight: float = 1
    spread_weight: float = 0.1
    mask_weight: float = 1
    kind_weight: float = 0.1

    def __post_init__(self) -> None:
        refuse_weights_of(self)
        for name in ("pairs", "defects"):
            if not 0 <= getattr(self, name) <= 1:
                raise OptionError(
                    got=f"a fraction of {name} of {getattr(self, name)}",
                    expected="a number from 0 to 1",
                    todo="Correct the option.",
                )

    def adam(self, parameters: Parameters, rate: float | None = None) -> torch.optim.Adam:
        """Optimiser of encoder or critic, at `learning_rate` unless another rate is given."""
        rate = self.learning_rate if rate is None else rate
        return torch.optim.Adam(parameters, lr=rate, betas=(0.9, 0.99), eps=1e-8)

    def decay(self, index: int) -> float:
        """Share of the learning rates at a step: idinvert's, less by a fifth after each quarter."""
        quarter = min(3, 4 * index // self.schedule.steps)
        return DECAY**quarter

    def rate(self, index: int) -> float:
        """The learning rate at a step."""
        return self.learning_rate * self.decay(index)

    def weights(self) -> dict[str, float]:
        """Weight of each term of the encoder's loss."""
        return {
            "pixels": self.pixel_weight,
            "features": self.feature_weight,
            "adversarial": self.adversarial_weight,
            "code": self.code_weight,
            "defect_code": self.code_weight,
            "spread": self.spread_weight,
            "mask": self.mask_weight,
            "kind": self.kind_weight,
        }


RECIPES: dict[EncoderRecipe, EncoderTraining] = {
    "in-domain": EncoderTraining(schedule=Schedule(kimg=16, snapshot_kimg=2)),
    "idinvert": EncoderTraining(
        schedule=Schedule(batch=128, kimg=14_000, snapshot_kimg=100),
        learning_rate=1e-4,
        r1_gamma=10,
        r1_every=1,
        ema_kimg=0,  # the last weights are kept, not their average
        pairs=0,
        defects=0,
        pixel_weight=1,
        feature_weight=5e-5,
        features="vgg16",
        adversarial_weight=0.1,
        code_weight=0,
        spread_weight=0,
    ),
    "ordinary": EncoderTraining(
        schedule=Schedule(kimg=16, snapshot_kimg=2),
        pairs=1,
        pixel_weight=0,
        feature_weight=0,
        adversarial_weight=0,
        spread_weight=0,
    ),
}
