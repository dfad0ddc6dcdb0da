"""The critic on frozen EfficientNet-Lite0 features (Projected GAN, Sauer et al., 2021).

A critic that learns from thirty photographs what pictures are learns little; this one knows it. A
`Projector` mixes the pretrained maps, and a small head judges each of the four mixed maps. Pictures
alone are judged by heads that see far. With masks, the heads see each mask as a channel beside the
mixed map and weigh places near it; one more head weighs the whole picture evenly, so that it sees
defects in wrong places. It plays the hinge game without R1, at a low learning rate, and sees
colours changed faintly: stronger changes taught generators wrong colours.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from blemish.data.augment import Symmetries
from blemish.efficientnet import enlarged
from blemish.errors import OptionError
from blemish.models.critic import Critic, CriticConfig, CriticRules
from blemish.models.generator import GeneratorConfig
from blemish.models.heads import logits_beside, picture_head, place_head
from blemish.models.logits import HINGE, Heads, WeightedLogits, mean_logit
from blemish.models.projector import Projector


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectedConfig(CriticConfig):
    """Options of the projected critic.

    Attributes:
        width: Channels of the mixed maps.
        least_side: Side in pixels to which smaller pictures are enlarged first; at least 32.
        learning_rate: Learning rate of the heads.
        colour_by: Largest change of brightness, contrast and each channel's gain.
        shift_by: Largest shift before the critic, as a fraction of the side; 0 disables it.
        blur_px: Deviation of the blur before the critic when it comes in, in pixels.
        blur_kimg: Length over which the blur fades.
    """

    kind: str = "projected"
    width: int = 64
    least_side: int = 128
    learning_rate: float = 2e-4
    colour_by: float = 0.03
    shift_by: float = 0
    blur_px: float = 0
    blur_kimg: float = 0

    def __post_init__(self) -> None:
        if self.width < 1 or self.least_side < 32:
            raise OptionError(
                got=f"a projected critic of width {self.width} and side {self.least_side}",
                expected="a width of 1 or more and a side of 32 or more",
                todo="Correct the options.",
            )

    def build(self, shape: GeneratorConfig, image_channels: int) -> "ProjectedCritic":
        return ProjectedCritic(self, masks=image_channels == 4)

    def fits(self, coarse: CriticConfig) -> bool:
        """The layers decide: rate, blur and augmentation may be others."""
        return isinstance(coarse, ProjectedConfig) and self.width == coarse.width


class ProjectedCritic(Critic):
    """Heads on mixed pretrained maps; see the module's docstring.

    Args:
        config: Its options.
        masks: Whether it judges pictures with masks.
    """

    def __init__(self, config: ProjectedConfig, *, masks: bool) -> None:
        super().__init__(config)
        self.projector = Projector(config.width)
        if masks:
            inputs = config.width + 1
            self.heads = nn.ModuleList(place_head(inputs, halve=k < 2) for k in range(4))
            self.whole = place_head(inputs, halve=True)
        else:  # maps of a picture of 128² end at 4²
            heads = (picture_head(config.width, halvings=3 - k) for k in range(4))
            self.heads = nn.ModuleList(heads)
        self.masks, self.least_side = masks, config.least_side
        self.rules = CriticRules(
            losses=HINGE,
            learning_rate=config.learning_rate,
            penalise=False,
            adapt=False,
            augmentation=Symmetries(
                colour=True,
                colour_by=config.colour_by,
                shift=config.shift_by > 0,
                shift_by=config.shift_by,
            ),
            blur_px=config.blur_px,
            blur_kimg=config.blur_kimg,
            path_lengths=False,
        )

    def features(self, stack: Float[Tensor, "n c h w"]) -> list[Tensor]:
        """The pretrained maps of the picture, at strides 4, 8, 16 and 32 of the enlarged one."""
        return list(self.projector.pretrained(self._enlarged(stack[:, :3])).values())

    def forward(
        self, stack: Float[Tensor, "n c h w"], label: Int[Tensor, " n"] | None = None
    ) -> Float[Tensor, " n"]:
        return mean_logit(self.judge(stack, label))

    def judge(
        self, stack: Float[Tensor, "n c h w"], label: Int[Tensor, " n"] | None = None
    ) -> Heads:
        stack = self._enlarged(stack)
        mixed, _ = self.projector(stack[:, :3])
        pairs = zip(self.heads, mixed, strict=True)
        if not self.masks:
            return [WeightedLogits.even(head(x).float()) for head, x in pairs]
        mask = (stack[:, 3:] + 1) / 2
        found = [logits_beside(head, x, mask, mask) for head, x in pairs]
        return [*found, logits_beside(self.whole, mixed[1], mask, None)]

    def grow_from(self, known: Mapping[str, Tensor], resolution: int) -> None:
        """Begin as the coarser critic: its layers fit pictures of any size."""
        self.load_state_dict(known)

    def requires_grad_(self, requires_grad: bool = True) -> "ProjectedCritic":
        """Only the heads ever learn."""
        super().requires_grad_(requires_grad)
        self.projector.requires_grad_(False)
        return self

    def _enlarged(self, stack: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c p q"]:
        return enlarged(stack, self.least_side)


def pretrained_features(device: torch.device | str = "cpu") -> ProjectedCritic:
    """Critic of pictures with masks; only its features, which are pretrained, are of use."""
    critic = ProjectedCritic(ProjectedConfig(), masks=True)
    return critic.to(device).eval().requires_grad_(False)
