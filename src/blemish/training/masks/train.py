"""Training of the mask generator, with an encoder of masks and a critic.

Real masks, laid on parts at random, are encoded and drawn again (a variational autoencoder; Kingma
& Welling, 2014), so that codes cover them; masks of random codes on the same parts are judged by a
critic beside the real ones, and their codes must be found again in them.
"""

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Unpack

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import UInt8
from lightning_fabric import Fabric
from torch import Tensor, nn

from blemish.checkpoint import Bundle
from blemish.data.folder import DefectFolder
from blemish.efficientnet import channels_last
from blemish.models.losses import kl_to_normal, overlap_error, r1_penalty
from blemish.models.mask_generator import MaskConfig, MaskGenerator
from blemish.pictures import grid
from blemish.synthesis.masks.learned import NETWORK
from blemish.training.adapt import average_of, follow_after, frozen
from blemish.training.loop import RunOptions, Schedule, Stage, optimiser_step, run
from blemish.training.masks.batches import MaskBatch, MaskBatches, Pool
from blemish.training.masks.critic import MaskCritic, MaskEncoder
from blemish.training.masks.sources import MaskSources, read_mask_sources
from blemish.training.stopping import Ending
from blemish.training.warmstart import sample_latent


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskTraining:
    """Options of a training of masks.

    Attributes:
        schedule: Length and seed.
        pool: Number of real masks laid on parts; each is shown in eight positions.
        rate: Learning rate of the generator and of the encoder.
        critic_rate: Learning rate of the critic.
        ema_kimg: Half-life of the average that is kept, in thousands of masks.
        warm_steps: First steps, without the critic.
        overlap_weight: Weight of the reconstruction.
        judged_weight: Weight of the critic's judgement.
        code_weight: Weight of finding a random code again.
        kl_weight: Weight of the divergence of codes from the prior.
        gamma: Weight of the critic's gradient penalty.
        penalty_every: Steps between two such penalties.
    """

    schedule: Schedule = field(
        default_factory=lambda: Schedule(batch=32, kimg=60, snapshot_kimg=10, log_steps=25)
    )
    pool: int = 2048
    rate: float = 8e-3
    critic_rate: float = 3e-3
    ema_kimg: float = 2
    warm_steps: int = 600
    overlap_weight: float = 5
    judged_weight: float = 0.3
    code_weight: float = 0.5
    kl_weight: float = 3e-4
    gamma: float = 0.1
    penalty_every: int = 4

    def adam(
        self, parameters: list[nn.Parameter], rate: float, momentum: float
    ) -> torch.optim.Adam:
        """The optimiser of either side."""
        return torch.optim.Adam(parameters, lr=rate, betas=(momentum, 0.99), eps=1e-8)


class MaskStage(Stage):
    """What `loop.run` trains; see the module's docstring."""

    def __init__(
        self, config: MaskConfig, training: MaskTraining, sources: MaskSources, fabric: Fabric
    ) -> None:
        config = replace(config, solid=sources.solid())
        with torch.random.fork_rng():
            torch.manual_seed(training.schedule.seed)
            self.generator = channels_last(MaskGenerator(config).to(fabric.device))
            self.critic = channels_last(MaskCritic(config).to(fabric.device))
            self.encoder = channels_last(MaskEncoder(config).to(fabric.device))
        margins = torch.tensor(sources.margins(), device=fabric.device)
        self.generator.margin.copy_(margins * config.side)
        self.average = average_of(self.generator)
        self.config, self.training, self.fabric = config, training, fabric
        self.pool = Pool(MaskBatches(sources, config.side), training.pool, training.schedule.seed)
        self.learning = [*self.generator.parameters(), *self.encoder.parameters()]
        self.judging = [*self.critic.parameters()]
        self.adam = training.adam(self.learning, training.rate, 0.9)
        self.critic_adam = training.adam(self.judging, training.critic_rate, 0.5)

    def state(self) -> nn.ModuleDict:
        names = ("generator", "average", "encoder", "critic")
        return nn.ModuleDict({name: getattr(self, name) for name in names})

    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        return {"generator": self.adam, "critic": self.critic_adam}

    def data(self) -> list[Tensor]:
        return self.pool.tensors()

    def uncounted_steps(self) -> int:
        return self.training.warm_steps

    def step(self, index: int, rng: torch.Generator) -> dict[str, float]:
        batch = self.training.schedule.batch
        real = self.pool.draw(batch // self.fabric.world_size, rng).to(self.fabric.device)
        warm = index < self.training.warm_steps
        values = self._learn(real, rng, index, warm=warm)
        kimg = self.training.ema_kimg
        follow_after(self.average, self.generator, index, batch=batch, ema_kimg=kimg)
        return values

    def _learn(
        self, real: MaskBatch, rng: torch.Generator, index: int, *, warm: bool
    ) -> dict[str, float]:
        """One step of the critic, one of the generator."""
        with self.fabric.autocast():
            mean, log_variance = self.encoder(real.mask, real.part, real.kind)
        mean, log_variance = mean.float(), log_variance.float()
        known = sample_latent(mean, log_variance, self._noise(len(real), rng))
        judged = real[: max(1, len(real) // 2)]
        fresh = self._noise(len(judged), rng)
        z, kind = torch.cat([known, fresh]), torch.cat([real.kind, judged.kind])
        with self.fabric.autocast():
            codes = self.generator.codes(z, kind)
            logits = self.generator.draw(torch.cat([real.part, judged.part]), codes, kind)
        own, fake = logits[: len(real)], logits[len(real) :].sigmoid()
        values = {} if warm else self._learn_critic(judged, fake.detach(), index)
        with self.fabric.autocast():
            found = self.encoder(fake, judged.part, judged.kind)[0].float()
        t = self.training
        terms = {
            "overlap": t.overlap_weight * overlap_error(own, real.mask),
            "kl": t.kl_weight * kl_to_normal(mean, log_variance),
            "code": t.code_weight * (1 - F.cosine_similarity(found, fresh)),
        }
        if not warm:
            terms["generator"] = t.judged_weight * self._judged(judged, fake)
        loss = torch.stack([term.mean() for term in terms.values()]).sum()
        optimiser_step(self.fabric, loss, self.learning, self.adam)
        return values | {name: term.mean().item() for name, term in terms.items()}

    def _noise(self, n: int, rng: torch.Generator) -> Tensor:
        return torch.randn(n, self.config.z_dim, generator=rng).to(self.fabric.device)

    def _learn_critic(self, real: MaskBatch, fake: Tensor, index: int) -> dict[str, float]:
        penalised = index % self.training.penalty_every == 0
        mask = real.mask.detach().requires_grad_(penalised)
        with self.fabric.autocast():
            on_real = self.critic(mask, real.part, real.kind).float()
            on_fake = self.critic(fake, real.part, real.kind).float()
        loss = (F.softplus(-on_real) + F.softplus(on_fake)).mean()
        if penalised:
            weight = self.training.gamma / 2 * self.training.penalty_every
            loss = loss + weight * r1_penalty(on_real, mask).mean()
        optimiser_step(self.fabric, loss, self.judging, self.critic_adam)
        return {"critic": loss.item(), "sign_real": on_real.sign().mean().item()}

    def _judged(self, real: MaskBatch, fake: Tensor) -> Tensor:
        with frozen(self.judging), self.fabric.autocast():
            return F.softplus(-self.critic(fake, real.part, real.kind).float())

    def snapshot(self, out: Path, folder: Path, nimg: int) -> None:
        bundle = Bundle(out)
        Bundle(folder).write(f"masks-{nimg // 1000:06d}", self.average.state_dict(), half=True)
        bundle.write(NETWORK, self.average.state_dict())
        bundle.record(NETWORK, asdict(self.config), asdict(self.training), nimg)

    @torch.no_grad()
    def picture(self) -> UInt8[np.ndarray, "h w 3"]:
        """Rows of real masks laid on parts, and of masks by random codes on the same parts."""
        return mask_grid(self.average, self.pool)


@torch.no_grad()
def mask_grid(
    generator: MaskGenerator, pool: "Pool", *, n: int = 16, seed: int = 0
) -> UInt8[np.ndarray, "h w 3"]:
    """Real masks on parts, and below them two by random codes on the same parts, by type."""
    rng, rows = torch.Generator().manual_seed(seed), []
    device = next(generator.parameters()).device
    for kind in range(len(generator.config.types)):
        real = pool.draw(n, rng, kind=kind).to(device)
        shown = [real.mask]
        for _ in range(2):
            z = torch.randn(n, generator.config.z_dim, generator=rng).to(device)
            codes = generator.codes(z, real.kind)
            shown.append(generator.draw(real.part, codes, real.kind).sigmoid())
        rows += [_shown(real.part, mask) for mask in shown]
    return grid([picture for row in rows for picture in row], n)


def _shown(part: Tensor, mask: Tensor) -> UInt8[np.ndarray, "n s s 3"]:
    """The part dark grey, the mask red."""
    ground = 80 * (part + 0.5).clamp(0, 1)
    picture = torch.cat([ground + 175 * mask, ground, ground], dim=1).clamp(0, 255)
    return picture.permute(0, 2, 3, 1).round().cpu().numpy().astype(np.uint8)


def train_masks(
    data: DefectFolder,
    out: Path,
    config: MaskConfig,
    training: MaskTraining,
    fabric: Fabric,
    *,
    first_third: bool = True,
    everything: bool = False,
    **run_options: Unpack[RunOptions],
) -> Ending:
    """Train a mask generator on a folder, into a bundle.

    Args:
        data: Photographs of good parts, and of defects with their masks.
        out: Folder of the bundle; other networks in it are left alone.
        config: Shape of the generator; its `types` say which defects are learnt.
        training: Options.
        fabric: Launched.
        first_third: Learn from the first third of each type by name, the few-shot protocol.
        everything: Learn from `test/good` as well.
        **run_options: Keywords of `loop.run`.

    Returns:
        Why and where it ended.

    Raises:
        DataError: There is no mask of a type, or a file can't be read.
        TrainingError: The run diverged; the last checkpoint is kept.
    """
    sources = read_mask_sources(data, config.types, first_third=first_third, everything=everything)
    return run(
        MaskStage(config, training, sources, fabric),
        training.schedule,
        fabric,
        out,
        name=NETWORK,
        **run_options,
    )
