"""What a critic is: the one seam through which all trainings and users of critics reach theirs.

A kind of critic is a file with two classes: the network, a `Critic`, and its options, a
`CriticConfig` that builds it. One line in `critic_kinds` makes it known to bundles and to the
command line. How it is played against (losses, penalties, augmentation) is the kind's own affair
and stands in its `CriticRules`; training does not ask which kind it has.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from blemish.data.augment import Symmetries
from blemish.models.generator import GeneratorConfig
from blemish.models.layers import moments_inside
from blemish.models.logits import LOGISTIC, Heads, Losses, WeightedLogits


@dataclass(frozen=True, slots=True, kw_only=True)
class CriticRules:
    """How a critic is trained, and how a generator is trained against it.

    Attributes:
        losses: Losses of both sides.
        learning_rate: Learning rate of the critic; that of the training if absent.
        penalise: Whether the critic's gradient at real pictures is penalised (R1).
        adapt: Whether augmentation by the part's symmetries is adapted to the critic (ADA).
        augmentation: What is always done to what the critic sees, real or generated.
        blur_px: Deviation of a blur of what the critic sees, in pixels, when it comes in. Real
            pictures then look like unsharp ones (StyleGAN-XL, Sauer et al., 2022).
        blur_kimg: Length over which that blur fades.
        path_lengths: Whether the generator's path lengths are regularised.
    """

    losses: Losses = LOGISTIC
    learning_rate: float | None = None
    penalise: bool = True
    adapt: bool = True
    augmentation: Symmetries = field(default_factory=Symmetries)
    blur_px: float = 0
    blur_kimg: float = 0
    path_lengths: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class CriticConfig(ABC):
    """Options of a critic; each kind adds its own.

    Attributes:
        kind: Name of the kind, as in `critic_kinds.KINDS`.
    """

    kind: str

    @abstractmethod
    def build(self, shape: GeneratorConfig, image_channels: int) -> "Critic":
        """A fresh critic; see `build_critic`."""

    def fits(self, coarse: "CriticConfig") -> bool:
        """Whether a critic of these options can begin as a coarser one; see `Critic.grow_from`."""
        return self == coarse


class Critic(nn.Module, ABC):
    """Judges pictures, or pictures with masks; higher is more like the real ones.

    Args:
        config: Its options.
    """

    rules = CriticRules()

    def __init__(self, config: CriticConfig) -> None:
        super().__init__()
        self.config = config

    @abstractmethod
    def forward(
        self, stack: Float[Tensor, "n c h w"], label: Int[Tensor, " n"] | None = None
    ) -> Float[Tensor, " n"]:
        """A logit per picture.

        Args:
            stack: RGB in [-1, 1], with c = 4 followed by a mask in [-1, 1].
            label: Classes, where the generator has some.
        """

    @abstractmethod
    def features(self, stack: Float[Tensor, "n c h w"]) -> list[Tensor]:
        """Feature maps, fine to coarse, each `n _ _ _`: a perceptual space of pictures."""

    def judge(
        self, stack: Float[Tensor, "n c h w"], label: Int[Tensor, " n"] | None = None
    ) -> Heads:
        """The logits that the losses are made from; by default those of `forward`."""
        return [WeightedLogits.single(self(stack, label))]

    def grow_from(self, known: Mapping[str, Tensor], resolution: int) -> None:
        """Begin as a coarser critic of the same options; by default afresh.

        Args:
            known: Its weights.
            resolution: Side of the pictures it judges.
        """


def build_critic(
    config: CriticConfig, shape: GeneratorConfig, *, image_channels: int = 3
) -> Critic:
    """A fresh critic, with random weights.

    Args:
        config: Its kind and options.
        shape: Shape of the generator that it is trained against.
        image_channels: 3 for images, 4 for images with masks.
    """
    return config.build(shape, image_channels)


def inside_statistics(
    critic: Critic, image: Float[Tensor, "n 3 h w"], mask: Float[Tensor, "n 1 h w"]
) -> Float[Tensor, "n s"]:
    """Mean and deviation of a matching critic's features inside masks, layer after layer.

    Layers coarser than 8² are left out, because a defect is smaller than a pixel there.
    """
    maps = critic.features(torch.cat([image, 2 * mask - 1], dim=1))
    return moments_inside((x for x in maps if x.shape[2] >= 8), mask, floor=1e-6)
