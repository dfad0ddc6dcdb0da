"""Adversarial training of both stages: its options, and the critic's side of it."""

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from lightning_fabric import Fabric
from torch import Tensor, nn

from blemish.data.augment import Symmetries, augment_stack
from blemish.models.critic import Critic
from blemish.models.layers import gaussian_blur
from blemish.models.logits import mean_logit, over_heads
from blemish.models.losses import r1_penalty
from blemish.training.adapt import AdaptiveAugmentation, follow_after, frozen
from blemish.training.loop import Parameters, Schedule, gather_values, optimiser_step


@dataclass(frozen=True, slots=True, kw_only=True)
class AdversarialOptions:
    """Options of adversarial training.

    Attributes:
        schedule: Length and seed.
        learning_rate: Learning rate of Adam with β (0, 0.99); a critic may have its own.
        r1_gamma: Weight of R1 times two, for critics that want R1.
        r1_every: Steps between R1 penalties, each weighted by the interval.
        ema_kimg: Half-life of the weight average that is kept.
        ada_target: Target of the critic's mean sign on real images, for critics that want adaptive
            augmentation.
        ada_kimg: Length over which the augmentation's probability may go from 0 to 1.
        ada_cap: Maximum probability of the augmentation.
        symmetries: Augmentation of a photograph that keeps it plausible.
        grown_steps: Number of initial steps that train the critic alone, if the generator grew from
            a coarser one; that critic must learn finer images before it can teach.
    """

    schedule: Schedule = field(default_factory=Schedule)
    learning_rate: float = 2.5e-3
    r1_gamma: float = 0.1
    r1_every: int = 16
    ema_kimg: float = 5
    ada_target: float = 0.6
    ada_kimg: float = 100
    ada_cap: float = 0.6
    symmetries: Symmetries = field(default_factory=Symmetries)
    grown_steps: int = 100

    def adam(self, parameters: Parameters, rate: float | None = None) -> torch.optim.Adam:
        """Optimiser of either side, at `learning_rate` unless another rate is given."""
        rate = self.learning_rate if rate is None else rate
        return torch.optim.Adam(parameters, lr=rate, betas=(0.0, 0.99), eps=1e-8)

    def follow(self, average: nn.Module, module: nn.Module, index: int) -> None:
        """Update the weight average after step `index`."""
        batch = self.schedule.batch
        follow_after(average, module, index, batch=batch, ema_kimg=self.ema_kimg)


class CriticTrainer:
    """Critic that sees everything augmented, and learns to separate real from generated images.

    What it learns by are the rules of its kind.

    Args:
        critic: Critic to train.
        game: Options.
        fabric: Launched Fabric.
        first: Step at which it comes in; its blur fades from there.
    """

    def __init__(
        self, critic: Critic, game: AdversarialOptions, fabric: Fabric, *, first: int = 0
    ) -> None:
        self.critic, self.rules = critic.to(fabric.device).train(), critic.rules
        self.ada = AdaptiveAugmentation(
            target=game.ada_target, speed_nimg=round(game.ada_kimg * 1000), cap=game.ada_cap
        )
        self.parameters: Parameters = [p for p in self.critic.parameters() if p.requires_grad]
        self.adam = game.adam(self.parameters, self.rules.learning_rate)
        self.rate: float = self.adam.defaults["lr"]
        self.game, self.fabric, self.first, self.blur = game, fabric, first, 0.0

    def modules(self) -> dict[str, nn.Module]:
        """Contents of a checkpoint."""
        return {"critic": self.critic, "ada": self.ada}

    def scale_rate(self, share: float) -> None:
        """Set the critic's learning rate to a share of what it began with."""
        for group in self.adam.param_groups:
            group["lr"] = self.rate * share

    def learn(
        self,
        index: int,
        real: Float[Tensor, "n c h w"],
        fake: Float[Tensor, "n c h w"],
        rng: torch.Generator,
    ) -> dict[str, float]:
        """Run one step of the critic; returns values to log."""
        self.blur = self._blur_at(index)
        penalised = self.rules.penalise and index % self.game.r1_every == 0
        real = self._augmented(real, rng).requires_grad_(penalised)
        fake = self._augmented(fake, rng)
        with self.fabric.autocast():
            on_real, on_fake = self.critic.judge(real), self.critic.judge(fake)
        loss = self.rules.losses.of_critic(on_real, on_fake).mean()
        values = {"critic": loss.item(), "sign_real": over_heads(on_real, torch.sign).mean().item()}
        if penalised:
            penalty = r1_penalty(mean_logit(on_real), real).mean()
            values["r1"] = penalty.item()
            loss = loss + penalty * (self.game.r1_gamma / 2 * self.game.r1_every)
        optimiser_step(self.fabric, loss, self.parameters, self.adam)
        if self.rules.adapt:
            logits = gather_values(self.fabric, mean_logit(on_real).detach())
            self.ada.update(logits, nimg=self.game.schedule.batch)
            values["ada"] = self.ada.probability.item()
        return values

    def generator_loss(
        self, fake: Float[Tensor, "n c h w"], rng: torch.Generator
    ) -> Float[Tensor, " n"]:
        """Generator loss; gradients flow to the generated images, not to the critic's weights."""
        seen = self._augmented(fake, rng)
        with frozen(self.parameters), self.fabric.autocast():
            return self.rules.losses.of_generator(self.critic.judge(seen))

    def _augmented(
        self, stack: Float[Tensor, "n c h w"], rng: torch.Generator
    ) -> Float[Tensor, "n c h w"]:
        if self.rules.adapt:
            p = self.ada.probability
            stack = augment_stack(stack, self.game.symmetries, generator=rng, probability=p)
        if self.rules.augmentation != Symmetries():
            stack = augment_stack(stack, self.rules.augmentation, generator=rng)
        return gaussian_blur(stack, self.blur) if self.blur > 0.1 else stack

    def _blur_at(self, index: int) -> float:
        """Deviation of the blur in pixels: it fades evenly to nothing."""
        nimg = (index - self.first) * self.game.schedule.batch
        span = self.rules.blur_kimg * 1000
        return self.rules.blur_px * (1 - nimg / span) if 0 <= nimg < span else 0.0
