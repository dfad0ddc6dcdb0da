"""Stage 1: a generator of good parts (StyleGAN2-ADA, arranged for a few dozen photographs).

Warm start by reconstruction, then the game by the rules of the critic's kind, with style mixing;
path lengths and augmentation before the critic, limited to the object's own symmetries, come in
where that kind wants them.
"""

from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from lightning_fabric import Fabric
from torch import Tensor, nn

from blemish.checkpoint import Bundle
from blemish.data.augment import augment_stack
from blemish.data.folder import DefectFolder, load_pictures
from blemish.models.critic import CriticConfig, build_critic
from blemish.models.generator import Generator, GeneratorConfig
from blemish.models.losses import kl_to_normal, multiscale_l1, path_lengths
from blemish.models.mixing import fresh_rows
from blemish.models.residual import ResidualConfig
from blemish.pictures import grid, to_picture, to_tensor
from blemish.training.adapt import PathLength, average_of
from blemish.training.adversarial import AdversarialOptions, CriticTrainer
from blemish.training.grow import free_all_but, grow, origin_of
from blemish.training.loop import Options, gather_values, optimiser_step, random_indices, run
from blemish.training.stopping import Ending
from blemish.training.warmstart import LatentEncoder, sample_latent, standardised
from blemish.types import Codes


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratorTraining(AdversarialOptions):
    """Options of stage 1, in addition to those of adversarial training.

    Attributes:
        critic: Kind and options of the critic.
        path_weight: Weight of the path length penalty, for critics that want it; 0 disables it.
        path_every: Steps between path length penalties.
        mixing: Probability that coarse and fine rows come from two latents.
        warm_steps: Steps of reconstruction before the critic is used.
        reconstruction: Weight of the error of reconstructed photographs beside the critic's loss;
            0 disables it.
        kl_weight: Weight of the latent's divergence in reconstruction.
        standardise: Standardise latents over each batch in reconstruction and leave out their
            divergence: for parts that look alike, whose latents would otherwise share one place
            and leave the rest of the space untrained.
        hold: Freeze the layers of a coarser generator; only finer blocks learn. Codes then keep
            their meaning, for encoders as well.
    """

    critic: CriticConfig = field(default_factory=ResidualConfig)
    path_weight: float = 2
    path_every: int = 4
    mixing: float = 0.9
    warm_steps: int = 500
    reconstruction: float = 0
    kl_weight: float = 2e-4
    standardise: bool = False
    hold: bool = False


class GeneratorStage:
    """Stage that `loop.run` trains; see the module's docstring."""

    def __init__(
        self,
        config: GeneratorConfig,
        training: GeneratorTraining,
        pictures: UInt8[np.ndarray, "n h w 3"],
        fabric: Fabric,
        preset: str | None = None,
        coarse: Bundle | None = None,
    ) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(training.schedule.seed)
            self.generator = Generator(config).to(fabric.device)
            critic = build_critic(training.critic, config)
            self.encoder = LatentEncoder(config).to(fabric.device)
        if coarse is not None:
            grow(self.generator, critic, coarse)
        self.grown_from = None if coarse is None else coarse.digest
        self.average = average_of(self.generator)
        first = training.warm_steps if coarse is None else 0
        self.judge = CriticTrainer(critic, training, fabric, first=first)
        self.path_weight = training.path_weight if critic.rules.path_lengths else 0
        self.path = PathLength().to(fabric.device)
        self.config, self.training, self.fabric = config, training, fabric
        self.preset = preset
        self.images = to_tensor(pictures)
        self.learning = free_all_but(self.generator, coarse if training.hold else None)
        self.generator_adam = training.adam(self.learning)
        self.encoder_adam = training.adam(list(self.encoder.parameters()))

    def state(self) -> nn.ModuleDict:
        names = ("generator", "average", "encoder", "path")
        mine = {name: getattr(self, name) for name in names}
        return nn.ModuleDict(mine | self.judge.modules())

    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        return {
            "generator": self.generator_adam,
            "critic": self.judge.adam,
            "encoder": self.encoder_adam,
        }

    def data(self) -> list[Tensor]:
        return [self.images]

    def origin(self) -> dict[str, str]:
        return origin_of(self.grown_from)

    def warm_up(self) -> None:
        """Nothing: this stage learns only in steps."""

    def uncounted_steps(self) -> int:
        return 0 if self.grown_from is not None else self.training.warm_steps

    def step(self, index: int, rng: torch.Generator) -> dict[str, float]:
        grown = self.grown_from is not None
        if grown and index < self.training.grown_steps:
            return self._criticise(index, rng)
        warm = not grown and index < self.training.warm_steps
        values = self._reconstruct(rng) if warm else self._play(index, rng)
        self.training.follow(self.average, self.generator, index)
        return values

    def _reconstruct(self, rng: torch.Generator) -> dict[str, float]:
        """Learn from reconstructed photographs alone."""
        loss, values = self._reconstruction(rng)
        self._learn(loss)
        return values

    def _reconstruction(self, rng: torch.Generator) -> tuple[Float[Tensor, ""], dict[str, float]]:
        """Loss of photographs reconstructed through the encoder, and values to log."""
        real = self._real(rng)
        noise = self._normal(rng, self.config.z_dim)
        with self.fabric.autocast():
            mean, log_variance = self.encoder(real)
            alike = self.training.standardise
            z = standardised(mean, noise) if alike else sample_latent(mean, log_variance, noise)
            image = self.generator.draw(self.generator.codes(z)).image
        far = multiscale_l1(image, real).mean()
        if alike:
            return far, {"l1": far.item()}
        spread = kl_to_normal(mean, log_variance).mean()
        return far + self.training.kl_weight * spread, {"l1": far.item(), "kl": spread.item()}

    def _learn(self, loss: Float[Tensor, ""]) -> None:
        """Step of the generator and of the encoder of its reconstructions."""
        both = [*self.learning, *self.encoder.parameters()]
        optimiser_step(self.fabric, loss, both, self.generator_adam, self.encoder_adam)

    def _criticise(self, index: int, rng: torch.Generator) -> dict[str, float]:
        with torch.no_grad():
            fake = self._draw(rng)
        return self.judge.learn(index, self._real(rng), fake, rng)

    def _play(self, index: int, rng: torch.Generator) -> dict[str, float]:
        values = self._criticise(index, rng)
        loss = self.judge.generator_loss(self._draw(rng), rng).mean()
        values["generator"] = loss.item()
        if self.training.reconstruction:
            far, more = self._reconstruction(rng)
            self._learn(loss + far * self.training.reconstruction)
            values |= more
        else:
            optimiser_step(self.fabric, loss, self.learning, self.generator_adam)
        if self.path_weight and index % self.training.path_every == 0:
            values |= self._smooth(rng)
        return values

    def _smooth(self, rng: torch.Generator) -> dict[str, float]:
        """Path length regularisation on half a batch."""
        z = self._normal(rng, self.config.z_dim)
        z = z[: max(1, len(z) // 2)]
        r = self.config.resolution
        noise = torch.randn(z.shape[0], 3, r, r, generator=rng).to(z.device)
        w = self.generator.codes(z).w.requires_grad_()  # a frozen mapping gives none
        lengths = path_lengths(self.generator.draw(Codes(w=w)).image, w, noise)
        weight = self.path_weight * self.training.path_every
        seen = gather_values(self.fabric, lengths.detach()).to(lengths.device)
        loss = self.path.penalty(lengths, seen).mean() * weight
        optimiser_step(self.fabric, loss, self.learning, self.generator_adam)
        return {"path": lengths.mean().item()}

    def _draw(self, rng: torch.Generator) -> Float[Tensor, "n 3 h w"]:
        """Images of fresh latents, some with fine rows from another latent."""
        w = fresh_rows(self.generator, self._share(), rng, self.training.mixing)
        with self.fabric.autocast():
            return self.generator.draw(Codes(w=w), noise="random", rng=rng).image.float()

    def _real(self, rng: torch.Generator) -> Float[Tensor, "n 3 h w"]:
        chosen = random_indices(self._share(), len(self.images), rng)
        moved = augment_stack(self.images[chosen], self.training.symmetries, generator=rng)
        return moved.to(self.fabric.device)

    def _normal(self, rng: torch.Generator, width: int) -> Float[Tensor, "n d"]:
        return torch.randn(self._share(), width, generator=rng).to(self.fabric.device)

    def _share(self) -> int:
        return self.training.schedule.batch // self.fabric.world_size

    @torch.no_grad()
    def snapshot(self, out: Path, folder: Path, nimg: int) -> None:
        bundle = Bundle(out)
        statistics = {"w_avg": self._mean_w()}
        for mapping in (self.generator.mapping, self.average.mapping):
            mapping.w_avg.copy_(statistics["w_avg"])
        about = {"generator": asdict(self.config), "training": {"generator": asdict(self.training)}}
        bundle.write("generator", self.average.state_dict())
        Bundle(folder).write(f"generator-{nimg // 1000:06d}", self.average.state_dict(), half=True)
        bundle.write("critic", self.judge.critic.state_dict())
        about["critic"] = asdict(self.judge.critic.config)
        grown = {} if self.grown_from is None else {"grown_from": self.grown_from}
        bundle.write_config({"preset": self.preset, **about, "nimg": nimg, **grown})

    def _mean_w(self, n: int = 10_000) -> Float[Tensor, " d"]:
        z = torch.randn(n, self.config.z_dim, generator=torch.Generator().manual_seed(0))
        return self.average.mapping(z.to(self.fabric.device)).mean(dim=0)

    @torch.no_grad()
    def picture(self) -> UInt8[np.ndarray, "h w 3"]:
        rng = torch.Generator().manual_seed(0)
        z = torch.randn(32, self.config.z_dim, generator=rng).to(self.fabric.device)
        return grid(list(to_picture(self.average.draw(self.average.codes(z)).image)), 8)


def train_generator(
    data: DefectFolder,
    config: GeneratorConfig,
    training: GeneratorTraining,
    fabric: Fabric,
    out: Path,
    *,
    resume: bool = False,
    minutes: float | None = None,
    options: Options | None = None,
    everything: bool = False,
    preset: str | None = None,
    coarse: Bundle | None = None,
) -> Ending:
    """Train stage 1 on the good parts of a folder, into a bundle.

    Args:
        data: Folder whose good photographs are read.
        config: Shape of the generator.
        training: Options.
        fabric: Launched Fabric.
        out: Folder of the bundle.
        resume: Continue from the state in that folder.
        minutes: Time limit of the steps; see `loop.run`.
        options: Options of the command, kept in the state; see `loop.run`.
        everything: Train on `test/good` as well; the bundle can't be tested on it then.
        preset: Name to record in the bundle, for later stages.
        coarse: Bundle to grow from; see `grow`.

    Returns:
        Why and where it ended.

    Raises:
        BundleError: The coarser bundle can't be read.
        OptionError: The coarser bundle has another shape.
        DataError: There is no good photograph, or one can't be read.
        TrainingError: The run diverged; the last checkpoint is kept.
    """
    pictures, _ = load_pictures(data.good_to_learn(everything=everything), config.resolution)
    stage = GeneratorStage(config, training, pictures, fabric, preset, coarse)
    return run(
        stage,
        training.schedule,
        fabric,
        out,
        resume=resume,
        minutes=minutes,
        options=options,
        name="generator",
    )
