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
from blemish.models.load import shape_of
from blemish.models.losses import path_lengths
from blemish.models.mixing import fresh_rows
from blemish.models.residual import ResidualConfig
from blemish.pictures import grid, to_picture, to_tensor
from blemish.training.adapt import PathLength, average_of
from blemish.training.adversarial import AdversarialOptions, CriticTrainer
from blemish.training.grow import free_all_but, grow, origin_of
from blemish.training.loop import Options, gather_values, optimiser_step, random_indices, run
from blemish.training.stopping import Ending
from blemish.training.warmstart import WarmStartName, WarmStep, build_warm_start
from blemish.types import Codes


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratorTraining(AdversarialOptions):
    """Options of stage 1, in addition to those of adversarial training.

    Attributes:
        critic: Kind and options of the critic.
        path_weight: Weight of the path length penalty, for critics that want it; 0 disables it.
        path_every: Steps between path length penalties.
        mixing: Probability that coarse and fine rows come from two latents.
        warm_steps: Steps of the warm start before the critic is used.
        reconstruction: Weight of the warm start's loss beside the critic's; 0 disables it.
        kl_weight: Weight of the latent's divergence in an autoencoder.
        warm_start: Kind of warm start: "components" for parts that look alike in one place,
            "autoencoder" for others.
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
    warm_start: WarmStartName = "autoencoder"
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
            self.images = to_tensor(pictures)
            start = build_warm_start(
                training.warm_start,
                config,
                self.images,
                kl_weight=training.kl_weight,
                known=0 if coarse is None else shape_of(coarse).resolution,
            )
            self.start = start.to(fabric.device)
        if coarse is None:
            self.start.prepare(self.generator)
        else:
            grow(self.generator, critic, coarse)
        self.grown_from = None if coarse is None else coarse.digest
        self.average = average_of(self.generator)
        self.path = PathLength().to(fabric.device)
        self.config, self.training, self.fabric = config, training, fabric
        first = self.uncounted_steps()
        self.judge = CriticTrainer(critic, training, fabric, first=first)
        self.path_weight = training.path_weight if critic.rules.path_lengths else 0
        self.preset = preset
        learning = free_all_but(self.generator, coarse if training.hold else None)
        self.learning = [*learning, *self.start.parameters()]
        self.adam = training.adam(self.learning)

    def state(self) -> nn.ModuleDict:
        names = ("generator", "average", "start", "path")
        mine = {name: getattr(self, name) for name in names}
        return nn.ModuleDict(mine | self.judge.modules())

    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        return {"generator": self.adam, "critic": self.judge.adam}

    def data(self) -> list[Tensor]:
        return [self.images]

    def origin(self) -> dict[str, str]:
        return origin_of(self.grown_from)

    def warm_up(self) -> None:
        """Nothing: this stage learns only in steps."""

    def uncounted_steps(self) -> int:
        return round(self.training.warm_steps * self.start.share)

    def step(self, index: int, rng: torch.Generator) -> dict[str, float]:
        warm, grown = self.uncounted_steps(), self.grown_from is not None
        if warm <= index < warm + self.training.grown_steps and grown:
            return self._criticise(index, rng)
        values = self._begin(index / warm, rng) if index < warm else self._play(index, rng)
        self.training.follow(self.average, self.generator, index)
        return values

    def _begin(self, done: float, rng: torch.Generator) -> dict[str, float]:
        """Learn from the warm start alone."""
        loss, values = self._start_loss(done, rng)
        rate, momentum = self.start.pace(done) or (self.training.learning_rate, 0.0)
        self._learn(loss, rate, momentum)
        return values

    def _start_loss(
        self, done: float, rng: torch.Generator
    ) -> tuple[Float[Tensor, ""], dict[str, float]]:
        """Loss of the warm start, and values to log."""
        step = WarmStep(self._image, self._real(rng), self._normal(rng, self.config.z_dim), done)
        with self.fabric.autocast():
            return self.start.loss(step)

    def _image(self, z: Float[Tensor, "n z"], side: int | None = None) -> Float[Tensor, "n 3 h w"]:
        return self.generator.draw(self.generator.codes(z), side=side).image

    def _learn(self, loss: Float[Tensor, ""], rate: float, momentum: float = 0.0) -> None:
        for group in self.adam.param_groups:
            group["lr"], group["betas"] = rate, (momentum, group["betas"][1])
        optimiser_step(self.fabric, loss, self.learning, self.adam)

    def _rate(self, index: int) -> float:
        """Learning rate beside the critic."""
        past = index - self.uncounted_steps() + 1
        return self.training.learning_rate * min(1.0, past / max(1, self.start.ramp_steps))

    def _criticise(self, index: int, rng: torch.Generator) -> dict[str, float]:
        with torch.no_grad():
            fake = self._draw(rng)
        return self.judge.learn(index, self._real(rng), fake, rng)

    def _play(self, index: int, rng: torch.Generator) -> dict[str, float]:
        values = self._criticise(index, rng)
        loss = self.judge.generator_loss(self._draw(rng), rng).mean()
        values["generator"] = loss.item()
        if self.training.reconstruction:
            far, more = self._start_loss(1, rng)
            loss = loss + far * self.training.reconstruction
            values |= more
        self._learn(loss, self._rate(index))
        if self.path_weight and index % self.training.path_every == 0:
            values |= self._smooth(rng, self._rate(index))
        return values

    def _smooth(self, rng: torch.Generator, rate: float) -> dict[str, float]:
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
        self._learn(loss, rate)
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
