r"""Training of the filling network, without labels.

Half of a batch is generated from known rows v: the random rows given to the mixing network are v
themselves, and the *whole* picture must come back. The hole can be known through v alone, the rest
best through the erased picture, so both are used (Yildirim et al., 2023). The rest are photographs,
each filled twice with random rows: outside the hole it must come back; inside, the two fillings
must differ, and the critic must take the filled photograph for a real one. The first part of the
schedule trains the codes, the rest the skips with the codes' layers frozen. Losses, weights and
masks are ours; the paper's are not published as code.
"""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal, Unpack

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from lightning_fabric import Fabric
from torch import Tensor, nn

from blemish.checkpoint import Bundle, digest_of
from blemish.data.augment import Symmetries
from blemish.data.folder import DefectFolder
from blemish.data.stitch import draw_masks, parts_of
from blemish.errors import OptionError
from blemish.inversion.domain import Domain
from blemish.inversion.losses import squared_error
from blemish.limits import refuse_weights_of
from blemish.models.encoder import mean_under
from blemish.models.filling import NETWORK, ErasedReading, FillingConfig, FillingNetwork
from blemish.models.mixing import fresh_rows
from blemish.pictures import grid, to_picture
from blemish.training.adapt import average_of
from blemish.training.adversarial import AdversarialOptions, CriticTrainer
from blemish.training.encoder.batches import EncoderBatch
from blemish.training.frozen import FrozenNetworks
from blemish.training.loop import Parameters, RunOptions, Schedule, Stage, optimiser_step, run
from blemish.training.stopping import Ending
from blemish.types import Codes

LARGEST_MARGIN = 1 / 10  # of the side, by which a drawn hole grows at most
COMPARED_SIDE = 128
LAST_RATE = 0.2  # of the learning rate, at the end of either part
RING = 1 / 16  # of the side: the ring around a hole that counts more with the skips


@dataclass(frozen=True, slots=True, kw_only=True)
class FillingTraining(AdversarialOptions):
    """Options of the filling network's training, in addition to those of adversarial training.

    Attributes:
        pairs: Share of a batch that the generator draws; the rest are photographs.
        codes_share: Share of the schedule that trains the codes; the rest trains the skips.
        pixel_weight: Weight of the squared error.
        ring_weight: Weight of the squared error near the hole, with the skips.
        feature_weight: Weight of the perceptual loss.
        code_weight: Weight of the distance to the known rows, in units of w's variance.
        prior_weight: Weight of the excess of the squared Mahalanobis distance over that of fresh
            codes, if the bundle knows its domain.
        spread_weight: Weight of the spread that two fillings lack.
        spread: Mean difference of two fillings in a hole that is enough, of a range of 2. The
            skips do not see this term: they would draw bright spots to meet it.
        adversarial_weight: Weight of the adversarial loss.
        adversarial_every: Steps between two of the critic, each weighted by the interval.
    """

    schedule: Schedule = field(
        default_factory=lambda: Schedule(batch=4, kimg=3, snapshot_kimg=0.5, log_steps=25)
    )
    learning_rate: float = 1e-3
    ema_kimg: float = 0.2
    ada_cap: float = 0.0
    pairs: float = 0.5
    codes_share: float = 0.55
    pixel_weight: float = 10
    ring_weight: float = 20
    feature_weight: float = 1
    code_weight: float = 0.2
    prior_weight: float = 0.1
    spread_weight: float = 1
    spread: float = 0.06
    adversarial_weight: float = 0.1
    adversarial_every: int = 2

    def __post_init__(self) -> None:
        refuse_weights_of(self)
        for name in ("pairs", "codes_share"):
            if not 0 < getattr(self, name) < 1:
                raise OptionError(
                    got=f"{name} of {getattr(self, name)}",
                    expected="a share above 0 and below 1",
                    todo="Correct the option.",
                )

    def part(self, index: int) -> tuple[Literal["codes", "skips"], float]:
        """What a step trains, and its learning rate, which falls linearly in either part."""
        first = self.codes_share * self.schedule.steps
        name, done = ("codes", index / first) if index < first else ("skips", index - first)
        if name == "skips":
            done /= self.schedule.steps - first
        return name, self.learning_rate * (1 - (1 - LAST_RATE) * done)

    def weights(self) -> dict[str, float]:
        """Weight of each term of the loss."""
        names = ("pixel", "ring", "feature", "code", "prior", "spread", "adversarial")
        return {name: getattr(self, f"{name}_weight") for name in names}


class FillingStage(Stage):
    """What `loop.run` trains; see the module's docstring."""

    def __init__(
        self,
        frozen: FrozenNetworks,
        domain: Domain | None,
        config: FillingConfig,
        training: FillingTraining,
        fabric: Fabric,
    ) -> None:
        self.frozen, self.generator, self.batches = frozen, frozen.generator, frozen.batches
        self.domain, self.training, self.fabric = domain, training, fabric
        critic = average_of(frozen.critic).requires_grad_(True)
        self.judge = CriticTrainer(critic, training, fabric)
        with torch.random.fork_rng():
            torch.manual_seed(training.schedule.seed)
            network = FillingNetwork(self.generator.config, config)
        network.w_mean.copy_(self.batches.w_mean)
        network.w_unit.copy_(torch.as_tensor(self.batches.variance).sqrt())
        self.network = network.to(fabric.device)
        self.average = average_of(self.network)
        skips = list(network.skips.parameters())
        known = {id(parameter) for parameter in skips}
        self.parts: dict[str, Parameters] = {
            "codes": [p for p in network.parameters() if id(p) not in known],
            "skips": skips,
        }
        adams = {
            name: torch.optim.Adam(part, lr=training.learning_rate, betas=(0.9, 0.99))
            for name, part in self.parts.items()
        }
        self.adams: dict[str, torch.optim.Optimizer] = {**adams}

    def state(self) -> nn.ModuleDict:
        mine: dict[str, nn.Module] = {"network": self.network, "average": self.average}
        return nn.ModuleDict(mine | self.judge.modules())

    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        return {**self.adams, "critic": self.judge.adam}

    def data(self) -> list[Tensor]:
        return self.batches.data()

    def origin(self) -> dict[str, str]:
        known = (self.generator, self.frozen.encoder)
        return {"generator": digest_of(t for net in known for t in net.state_dict().values())}

    def step(self, index: int, rng: torch.Generator) -> dict[str, float]:
        name, rate = self.training.part(index)
        for part, parameters in self.parts.items():
            for parameter in parameters:
                parameter.requires_grad_(part == name)
        for group in self.adams[name].param_groups:
            group["lr"] = rate
        batch = self.batches.draw(self.training.schedule.batch // self.fabric.world_size, rng)
        known = 1 - draw_holes(batch.image, rng)
        values, terms = self._terms(index, batch, known, rng, skips=name == "skips")
        weights = self.training.weights()
        loss = torch.stack([weights[k] * v.mean() for k, v in terms.items() if len(v)]).sum()
        optimiser_step(self.fabric, loss, self.parts[name], self.adams[name])
        self.training.follow(self.average, self.network, index)
        return values | {k: v.mean().item() for k, v in terms.items() if len(v)}

    def _terms(
        self,
        index: int,
        batch: EncoderBatch,
        known: Float[Tensor, "n 1 h w"],
        rng: torch.Generator,
        *,
        skips: bool,
    ) -> tuple[dict[str, float], dict[str, Tensor]]:
        """Values to log, and the loss's terms; photographs come first, each with two fillings."""
        good = batch.good
        twice = torch.cat([torch.arange(good), torch.arange(len(batch.image))])
        random = fresh_rows(self.generator, 2 * good, rng).to(batch.image.device)
        rows = torch.cat([random, batch.w])
        image, area = batch.image[twice], known[twice]
        with self.fabric.autocast():
            read = _chosen(self.network.read(self.frozen.encoder, batch.image, known), twice)
            w = self.network.mix(read, rows.float())
            drawn = self.network.draw(self.generator, Codes(w=w), read, skips=skips)
        # Inside the hole, only generated pictures know what was there.
        counted = area.clone()
        counted[2 * good :] = 1
        filled = image.lerp(drawn, counted.expand_as(image))
        terms = {
            "pixel": squared_error(drawn, image, counted),
            "feature": self.frozen.perceptual_loss.error(_fewer(filled), _fewer(image)).float(),
            "code": (w[2 * good :] - batch.w).square().mean(dim=(1, 2)) / self.batches.variance,
        }
        if self.domain is not None:
            terms["prior"] = (self.domain.mahalanobis(w).square() - 1).clamp(min=0)
        if skips:
            terms["ring"] = squared_error(drawn, image, ring_of(area))
        else:
            first, second = drawn[:good], drawn[good : 2 * good]
            terms["spread"] = self._lacking(first, second, 1 - known[:good])
        if index % self.training.adversarial_every:
            return {}, terms
        composite = drawn[:good].lerp(batch.image[:good], known[:good].expand_as(drawn[:good]))
        values = self.judge.learn(index, batch.image[:good], composite.detach(), rng)
        every = self.training.adversarial_every
        terms["adversarial"] = every * self.judge.generator_loss(composite, rng)
        return values, terms

    def _lacking(
        self,
        a: Float[Tensor, "n 3 h w"],
        b: Float[Tensor, "n 3 h w"],
        hole: Float[Tensor, "n 1 h w"],
    ) -> Float[Tensor, " n"]:
        """Share of the wanted spread that two fillings lack."""
        spread = mean_under((a - b).abs(), hole).mean(dim=1)
        return F.relu(1 - spread / self.training.spread)

    def snapshot(self, out: Path, folder: Path, nimg: int) -> None:
        bundle = Bundle(out)
        bundle.write(NETWORK, self.average.state_dict(), half=True)
        bundle.record(NETWORK, asdict(self.network.config), asdict(self.training), nimg)

    @torch.no_grad()
    def picture(self) -> UInt8[np.ndarray, "h w 3"]:
        """Rows of erased pictures, and of two fillings of each."""
        rng = torch.Generator().manual_seed(0)
        image = self.batches.draw(8, rng).image
        known = 1 - draw_holes(image, rng)
        read = self.average.read(self.frozen.encoder, image, known)
        shown = [*(image * known)]
        for _ in range(2):
            w = self.average.mix(read, fresh_rows(self.generator, len(image), rng))
            drawn = self.average.draw(self.generator, Codes(w=w), read)
            shown += [*drawn.lerp(image, known.expand_as(drawn)), *drawn]
        return grid([to_picture(one.clamp(-1, 1)) for one in shown], len(image))


def _fewer(image: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 p q"]:
    """Images at no more than `COMPARED_SIDE`, at which the perceptual loss costs little."""
    side = image.shape[-1]
    return F.avg_pool2d(image, side // COMPARED_SIDE) if side > COMPARED_SIDE else image


def _chosen(read: ErasedReading, index: Tensor) -> ErasedReading:
    return ErasedReading(
        rows=read.rows[index],
        known=read.known[index],
        features={side: x[index] for side, x in read.features.items()},
    )


def draw_holes(image: Float[Tensor, "n 3 h w"], rng: torch.Generator) -> Float[Tensor, "n 1 h w"]:
    """Holes on parts: strokes and blobs, some of them with a margin."""
    part, side = parts_of(image), image.shape[-1]
    holes = draw_masks(part, torch.zeros_like(part).cpu(), Symmetries(), rng, share_real=0)
    margins = (torch.rand(len(holes), generator=rng) * side * LARGEST_MARGIN).long().tolist()
    grown = [
        F.max_pool2d(one[None], 2 * margin + 1, stride=1, padding=margin)[0]
        for one, margin in zip(holes, margins, strict=True)
    ]
    return torch.stack(grown)


def ring_of(known: Float[Tensor, "n 1 h w"]) -> Float[Tensor, "n 1 h w"]:
    """1 in the known area near a hole."""
    margin = max(1, round(known.shape[-1] * RING))
    near = F.max_pool2d(1 - known, 2 * margin + 1, stride=1, padding=margin)
    return near * known


def train_filling(
    data: DefectFolder,
    bundle: Bundle,
    config: FillingConfig,
    training: FillingTraining,
    fabric: Fabric,
    *,
    everything: bool = False,
    **run_options: Unpack[RunOptions],
) -> Ending:
    """Train the filling network of a bundle.

    Args:
        data: Photographs of good parts.
        bundle: Bundle with a generator, a critic and an encoder.
        config: Shape of the network.
        training: Options.
        fabric: Launched.
        everything: Learn from `test/good` as well.
        **run_options: Keywords of `loop.run`.

    Returns:
        Why and where it ended.

    Raises:
        DataError: There is no good photograph, or one can't be read.
        BundleError: The bundle lacks its generator, critic or encoder.
        TrainingError: The run diverged; the last checkpoint is kept.
    """
    frozen = FrozenNetworks.of(
        bundle,
        data,
        fabric.device,
        pairs=training.pairs,
        symmetries=training.symmetries,
        everything=everything,
    )
    domain = Domain.read(bundle.statistics())
    domain = None if domain is None else domain.to(fabric.device)
    return run(
        FillingStage(frozen, domain, config, training, fabric),
        training.schedule,
        fabric,
        bundle.path,
        name=NETWORK,
        **run_options,
    )
