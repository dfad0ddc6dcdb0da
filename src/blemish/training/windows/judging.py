"""Critic of windows at work: what it sees of them, its step, and the generator's loss by it.

Its frozen features are also those in which looks of defects are measured.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from lightning_fabric import Fabric
from torch import Tensor, nn

from blemish.models.logits import HINGE, over_heads
from blemish.models.look_encoder import look_of
from blemish.training.adapt import frozen
from blemish.training.loop import optimiser_step
from blemish.training.windows.critic import WindowCritic


@dataclass(frozen=True, slots=True)
class SeenWindows:
    """Windows as the critic sees them.

    Attributes:
        image: Windows, possibly tinted.
        plain: Pretrained feature maps.
        mixed: Mixed maps, on which the critic's heads stand.
    """

    image: Float[Tensor, "n 3 h w"]
    plain: list[Tensor]
    mixed: list[Tensor]

    def look(self, mask: Float[Tensor, "n 1 h w"]) -> Float[Tensor, "n s"]:
        """Look of what is inside the masks."""
        return look_of(self.image, self.plain, mask)


class WindowCriticTrainer:
    """Critic of windows with its optimiser.

    Args:
        critic: Critic to train, on its device.
        adam: Optimiser of its heads.
        fabric: Launched Fabric.
        tint: Largest change of a channel before the critic.
    """

    def __init__(
        self, critic: WindowCritic, adam: torch.optim.Adam, fabric: Fabric, tint: float
    ) -> None:
        self.critic, self.adam, self.fabric, self.tint = critic, adam, fabric, tint
        self.parameters: list[nn.Parameter] = adam.param_groups[0]["params"]

    def tinted(
        self, image: Float[Tensor, "n 3 h w"], rng: torch.Generator, *, grad: bool
    ) -> SeenWindows:
        """Windows, faintly tinted at random."""
        tint = torch.rand(len(image), 3, 1, 1, generator=rng).to(image.device) * 2 - 1
        with torch.set_grad_enabled(grad):
            return self.seen(image + tint * self.tint)

    def seen(self, image: Float[Tensor, "n 3 h w"]) -> SeenWindows:
        """Windows as they are."""
        with self.fabric.autocast():
            mixed, plain = self.critic.maps(image)
        return SeenWindows(image, plain, mixed)

    def learn(
        self,
        real: list[Tensor],
        real_mask: Float[Tensor, "n 1 h w"],
        fake: list[Tensor],
        fake_mask: Float[Tensor, "n 1 h w"],
        kind: Int[Tensor, " n"],
    ) -> dict[str, float]:
        """Run one step of the critic; returns values to log.

        Args:
            real: Mixed maps of real windows.
            real_mask: Their masks.
            fake: Mixed maps of generated windows; no gradient flows to them.
            fake_mask: Their masks.
            kind: Types that the masks mark.
        """
        with self.fabric.autocast():
            on_real = self.critic(real, real_mask, kind)
            on_fake = self.critic([x.detach() for x in fake], fake_mask, kind)
        loss = HINGE.of_critic(on_real, on_fake).mean()
        optimiser_step(self.fabric, loss, self.parameters, self.adam)
        sign = over_heads(on_real, torch.sign).mean()
        return {"critic": loss.item(), "sign_real": sign.item()}

    def generator_loss(
        self, fake: list[Tensor], mask: Float[Tensor, "n 1 h w"], kind: Int[Tensor, " n"]
    ) -> Float[Tensor, " n"]:
        """Generator loss; gradients flow to the maps `fake`, not to the critic's weights."""
        with frozen(self.parameters), self.fabric.autocast():
            return HINGE.of_generator(self.critic(fake, mask, kind))
