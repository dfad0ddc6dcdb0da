"""Training of the window generator and its critic.

Each step cuts real windows with defects and good windows with real masks laid on them. A quarter of
the generated windows reconstruct a real one from its own look; a quarter carry the look of a real
defect to another place and mask; the rest are driven by random codes, which must be found again in
what was drawn. One pass of the generator serves the critic's step and its own.
"""

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Unpack

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, UInt8
from lightning_fabric import Fabric
from torch import Tensor, nn

from blemish.checkpoint import Bundle
from blemish.data.folder import DefectFolder
from blemish.efficientnet import channels_last
from blemish.models.look_encoder import LookEncoder, mix_latents
from blemish.models.losses import kl_to_normal
from blemish.models.window_generator import (
    GOOD,
    WindowConfig,
    WindowGenerator,
    WindowInput,
    dilated,
)
from blemish.pictures import grid, to_picture
from blemish.recognition import learn_object
from blemish.training.adapt import Module, average_of, follow_after
from blemish.training.loop import RunOptions, Schedule, Stage, optimiser_step, run
from blemish.training.stopping import Ending
from blemish.training.warmstart import sample_latent
from blemish.training.windows.batches import RealWindows, Tasks, WindowBatches
from blemish.training.windows.critic import WindowCritic
from blemish.training.windows.judging import WindowCriticTrainer
from blemish.windows.sources import Sources, read_sources


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowTraining:
    """Options of a window training.

    Attributes:
        schedule: Length and seed; the batch counts windows of 128², a quarter as many of 256².
        generator_rate: Learning rate of the generator and of the look encoder.
        critic_rate: Learning rate of the critic's heads.
        ema_kimg: Half-life of the average that is kept, in thousands of windows.
        warm_steps: First steps, which only reconstruct real windows.
        coarse_kimg: First windows, in thousands, that show large defects at 128² too.
        coarse_weight: Weight of the reconstruction at a quarter of the resolution.
        pixel_weight: Weight of the reconstruction pixel by pixel.
        look_weight: Weight of the distance between the looks of a real defect and its copy.
        code_weight: Weight of finding a random code again.
        kl_weight: Weight of the divergence of looks' codes from the prior.
        tint: Largest change of a channel before the critic.
    """

    schedule: Schedule = field(default_factory=lambda: Schedule(kimg=48, snapshot_kimg=2))
    generator_rate: float = 2e-3
    critic_rate: float = 2e-4
    ema_kimg: float = 3
    warm_steps: int = 100
    coarse_kimg: float = 10
    coarse_weight: float = 4
    pixel_weight: float = 1
    look_weight: float = 0.5
    code_weight: float = 0.5
    kl_weight: float = 1e-2
    tint: float = 0.03

    @property
    def weights(self) -> dict[str, float]:
        """Weight of each term of the generator's loss."""
        return {
            "generator": 1.0,
            "coarse": self.coarse_weight,
            "pixel": self.pixel_weight,
            "look": self.look_weight,
            "code": self.code_weight,
            "kl": self.kl_weight,
        }

    def adam(self, parameters: list[nn.Parameter], rate: float) -> torch.optim.Adam:
        """The optimiser of either side."""
        return torch.optim.Adam(parameters, lr=rate, betas=(0.0, 0.99), eps=1e-8)


class WindowStage(Stage):
    """What `loop.run` trains; see the module's docstring."""

    def __init__(
        self, config: WindowConfig, training: WindowTraining, sources: Sources, fabric: Fabric
    ) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(training.schedule.seed)
            self.generator = _on(fabric, WindowGenerator(config))
            critic = _on(fabric, WindowCritic(len(config.types)))
            self.encoder = LookEncoder(config.z_dim).to(fabric.device)
        self.average, self.average_encoder = average_of(self.generator), average_of(self.encoder)
        self.config, self.training, self.fabric = config, training, fabric
        self.batches = WindowBatches(sources)
        self.learning = [*self.generator.parameters(), *self.encoder.parameters()]
        self.adam = training.adam(self.learning, training.generator_rate)
        judging = [p for p in critic.parameters() if p.requires_grad]
        critic_adam = training.adam(judging, training.critic_rate)
        self.judge = WindowCriticTrainer(critic, critic_adam, fabric, training.tint)

    def state(self) -> nn.ModuleDict:
        names = ("generator", "average", "encoder", "average_encoder")
        own = {name: getattr(self, name) for name in names}
        return nn.ModuleDict({**own, "critic": self.judge.critic})

    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        return {"generator": self.adam, "critic": self.judge.adam}

    def data(self) -> list[Tensor]:
        return self.batches.sources_as_tensors()

    @torch.no_grad()
    def warm_up(self) -> None:
        """Learn the usual spread of real looks."""
        rng = np.random.default_rng(self.training.schedule.seed)
        batch = self.training.schedule.batch
        looks = [self._look(self.batches.real(rng, batch)) for _ in range(16)]
        for encoder in (self.encoder, self.average_encoder):
            encoder.standardise(torch.cat(looks))

    def uncounted_steps(self) -> int:
        return self.training.warm_steps

    def step(self, index: int, rng: torch.Generator) -> dict[str, float]:
        np_rng = np.random.default_rng(int(torch.randint(2**62, (1,), generator=rng)))
        n = self.training.schedule.batch // self.fabric.world_size
        coarse = index * self.training.schedule.batch < self.training.coarse_kimg * 1000
        real = self._to(self.batches.real(np_rng, n, coarse=coarse))
        warm = index < self.training.warm_steps
        tasks = self._tasks(real, np_rng, warm=warm, coarse=coarse)
        values = self._learn(real, tasks, rng, warm)
        pace = {"batch": self.training.schedule.batch, "ema_kimg": self.training.ema_kimg}
        follow_after(self.average, self.generator, index, **pace)
        follow_after(self.average_encoder, self.encoder, index, **pace)
        return values

    def _tasks(
        self, real: RealWindows, np_rng: np.random.Generator, *, warm: bool, coarse: bool
    ) -> Tasks:
        n = len(real)
        own = n if warm else max(1, n // 4)
        kinds = real.kind[own:].tolist()
        placed = self.batches.good(np_rng, kinds, real.size, coarse=coarse)
        return Tasks.joined(real, own, None if placed is None else placed.to(self.fabric.device))

    def _learn(
        self, real: RealWindows, tasks: Tasks, rng: torch.Generator, warm: bool
    ) -> dict[str, float]:
        """One step of the critic, one of the generator."""
        seen_real = self.judge.tinted(real.window.image, rng, grad=False)
        look_real = seen_real.look(real.window.mask)
        z, mean, log_variance = self._latents(look_real, real.kind, tasks, rng)
        with self.fabric.autocast():
            codes = self.generator.codes(z, real.kind)
            drawing = self.generator.draw(tasks.window, codes, rng)
        image, mask = drawing.image.float(), tasks.window.mask
        seen, values = self.judge.tinted(image, rng, grad=True), {}
        if not warm:
            real_pair = seen_real.mixed, real.window.mask
            values = self.judge.learn(*real_pair, seen.mixed, mask, real.kind)
        terms = reconstruction(image[: tasks.own], real.window)
        terms |= self._looks(tasks, seen.look(mask), look_real, z)
        terms["kl"] = kl_to_normal(mean, log_variance)
        if not warm:
            terms["generator"] = self.judge.generator_loss(seen.mixed, mask, real.kind)
        weights = self.training.weights
        terms = {k: v for k, v in terms.items() if len(v)}
        loss = torch.stack([weights[k] * v.mean() for k, v in terms.items()]).sum()
        optimiser_step(self.fabric, loss, self.learning, self.adam)
        return values | {k: v.mean().item() for k, v in terms.items()}

    def _latents(
        self,
        look: Float[Tensor, "n s"],
        kind: Int[Tensor, " n"],
        tasks: Tasks,
        rng: torch.Generator,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Latents of real looks for the first tasks; half of the rest mixed, half random."""
        mean, log_variance = self.encoder(look)
        noise = torch.randn(len(look), self.config.z_dim, generator=rng).to(look.device)
        known = sample_latent(mean, log_variance, noise)
        partner, share = _partners(kind.cpu(), rng), torch.rand(len(look), 1, generator=rng) / 2
        mixed = mix_latents(mean, mean[partner], share.to(look.device), noise).detach()
        copied, mixes = tasks.copied, (tasks.copied + len(look)) // 2
        z = torch.cat([known[:copied], mixed[copied:mixes], noise[mixes:]])
        return z, mean[:copied], log_variance[:copied]

    def _looks(self, tasks: Tasks, look: Tensor, look_real: Tensor, z: Tensor) -> dict[str, Tensor]:
        """Copies have the look of their originals; random codes are found in what they drew."""
        copied, standard = tasks.copied, self.encoder.standardised
        far = standard(look[:copied]) - standard(look_real[:copied])
        found, _ = self.encoder(look[copied:])
        return {
            "look": far.abs().clamp(max=5).mean(dim=1),
            "code": 1 - F.cosine_similarity(found, z[copied:]),
        }

    def _look(self, real: RealWindows) -> Float[Tensor, "n s"]:
        window = self._to(real).window
        return self.judge.seen(window.image).look(window.mask)

    def _to(self, real: RealWindows) -> RealWindows:
        device = self.fabric.device
        return replace(real, window=real.window.to(device), kind=real.kind.to(device))

    def snapshot(self, out: Path, folder: Path, nimg: int) -> None:
        bundle = Bundle(out)
        Bundle(folder).write(f"windows-{nimg // 1000:06d}", self.average.state_dict(), half=True)
        bundle.write("windows", self.average.state_dict())
        bundle.write("windows_encoder", self.average_encoder.state_dict())
        known = bundle.statistics()
        bundle.write("statistics", {**known, **self._real_codes()})
        bundle.record("windows", asdict(self.config), asdict(self.training), nimg)

    @torch.no_grad()
    def _real_codes(self) -> dict[str, Tensor]:
        """Latents of the real defects of each type, to mix into the prior."""
        found = {}
        for k, kind in enumerate(self.config.types):
            if kind != GOOD:
                looks = [self._look(real) for real in self.batches.pieces(k)]
                found[f"windows.z.{kind}"] = self.average_encoder(torch.cat(looks))[0]
        return found

    @torch.no_grad()
    def picture(self) -> UInt8[np.ndarray, "h w 3"]:
        """Columns of a good window with its hole, two defects by random codes, a real one."""
        return window_grid(self.average, self.batches)


def reconstruction(image: Float[Tensor, "n 3 h w"], real: WindowInput) -> dict[str, Tensor]:
    """Distances to the first real windows inside their masks, coarse and pixel by pixel."""
    n = len(image)
    inside = dilated(real.mask[:n], 2)
    far = (image - real.image[:n]) * inside
    size = inside.mean(dim=(1, 2, 3)).clamp(min=1e-4)
    coarse = F.avg_pool2d(far, 4).abs().mean(dim=(1, 2, 3)) / size
    return {"coarse": coarse, "pixel": far.abs().mean(dim=(1, 2, 3)) / size}


@torch.no_grad()
def window_grid(
    generator: WindowGenerator, batches: WindowBatches, *, n: int = 12, seed: int = 0
) -> UInt8[np.ndarray, "h w 3"]:
    """Good windows with holes, two defects under each by random codes, real ones below."""
    np_rng, rng = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    kinds = [k % len(generator.config.types) for k in range(n)]
    device = next(generator.parameters()).device
    rows: list[Tensor] = []
    for side in batches.sides:
        window = batches.good(np_rng, kinds, side)
        assert window is not None
        kind = torch.tensor(kinds, device=device)
        holes = window.image * (1 - window.mask) - 0.2 * window.mask
        shown = [holes]
        for _ in range(2):
            z = torch.randn(n, generator.config.z_dim, generator=rng).to(device)
            codes = generator.codes(z, kind)
            drawn = [
                generator.draw(window[k : k + 1].to(device), codes[k : k + 1], rng).image
                for k in range(n)
            ]
            shown.append(torch.cat(drawn).float().cpu())
        shown.append(batches.real_of(np_rng, kinds, side).window.image)
        rows += [F.interpolate(x, size=128, mode="area") for x in shown]
    return grid([picture for row in rows for picture in to_picture(row)], n)


def train_windows(
    data: DefectFolder,
    out: Path,
    config: WindowConfig,
    training: WindowTraining,
    fabric: Fabric,
    *,
    first_third: bool = True,
    everything: bool = False,
    sources: Sources | None = None,
    **run_options: Unpack[RunOptions],
) -> Ending:
    """Train a window generator on a folder, into a bundle.

    Args:
        data: Photographs of good parts, and of defects with their masks.
        out: Folder of the bundle; other networks in it are left alone.
        config: Shape of the generator; its `types` say which defects are learnt.
        training: Options.
        fabric: Launched.
        first_third: Learn from the first third of each type by name, the few-shot protocol.
        everything: Learn from `test/good` as well.
        sources: What `windows.sources.read_sources` reads of the folder, if it is read already.
        **run_options: Keywords of `loop.run`.

    Returns:
        Why and where it ended.

    Raises:
        DataError: There is no defect of a type, or a file can't be read.
        TrainingError: The run diverged; the last checkpoint is kept.
    """
    if sources is None:
        types = [kind for kind in config.types if kind != GOOD]
        sources = read_sources(data, types, first_third=first_third, everything=everything)
    stage = WindowStage(config, training, sources, fabric)
    ending = run(
        stage,
        training.schedule,
        fabric,
        out,
        name="windows",
        **run_options,
    )
    if fabric.is_global_zero:
        learn_object(Bundle(out), data, first_third=first_third, everything=everything)
    return ending


def _partners(kind: Int[Tensor, " n"], rng: torch.Generator) -> Int[Tensor, " n"]:
    """For each item another of its type, itself where there is none."""
    scores = torch.rand(len(kind), len(kind), generator=rng)
    scores = scores + (kind[:, None] == kind) * 2.0 - torch.eye(len(kind))
    return scores.argmax(dim=1)


def _on(fabric: Fabric, module: Module) -> Module:
    return channels_last(module.to(fabric.device))
