r"""Training of the encoder, with the critic as its guide (idinvert, Zhu et al., 2020, §3.1).

On photographs x, with the generator G frozen and the critic D trained as well,

    \lambda_p \lVert x - G(E(x)) \rVert^2 + \lambda_f d_F(x, G(E(x))) + \lambda_a f(-D(G(E(x))))

with f softplus: this is idinvert, which keeps codes where G draws images that D rates real. With
only a few dozen photographs, images that G generated from known codes are added in any number; they
train E on the codes themselves, the defects and their masks:

    \lambda_c \lVert w - E(G(w)) \rVert^2 / \sigma_w^2 + \lambda_s \operatorname{spread}(E(x))
"""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Unpack

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from lightning_fabric import Fabric
from torch import Tensor, nn

from blemish.checkpoint import Bundle, digest_of
from blemish.data.augment import Symmetries
from blemish.data.folder import DefectFolder
from blemish.inversion.losses import squared_error
from blemish.inversion.model import (
    SAMPLES,
    forget_domain,
    learn_domain,
)
from blemish.models.critic import Critic
from blemish.models.encoder import Encoder, Encoding
from blemish.models.generator import Generator
from blemish.models.load import load_critic, load_generator
from blemish.models.losses import overlap_error
from blemish.pictures import grid, to_picture
from blemish.recognition import learn_object
from blemish.training.adapt import average_of
from blemish.training.adversarial import CriticTrainer
from blemish.training.encoder.batches import EncoderBatch, EncoderBatches, read_source
from blemish.training.encoder.grow import grow_encoder
from blemish.training.encoder.perceptual import PerceptualLoss
from blemish.training.encoder.presets import EncoderTraining
from blemish.training.grow import origin_of
from blemish.training.loop import Parameters, RunOptions, Stage, optimiser_step, run
from blemish.training.stopping import Ending
from blemish.types import Codes

ENCODER = "encoder"  # the folder of its training


class EncoderStage(Stage):
    """Stage that `loop.run` trains; see the module's docstring."""

    def __init__(
        self,
        generator: Generator,
        critic: Critic,
        training: EncoderTraining,
        batches: EncoderBatches,
        fabric: Fabric,
        coarse: Bundle | None = None,
    ) -> None:
        self.generator, self.training, self.fabric = generator, training, fabric
        self.batches, self.coarse = batches, coarse
        with torch.random.fork_rng():
            torch.manual_seed(training.schedule.seed)
            encoder = Encoder(generator.config)
        encoder.w_mean.copy_(batches.w_mean)
        encoder.w_defect_mean.copy_(batches.w_defect_mean)
        self.encoder = encoder.to(fabric.device).train()
        self.average = average_of(self.encoder)
        self.perceptual_loss = PerceptualLoss.of(training.features, critic, fabric.device)
        self.judge = CriticTrainer(average_of(critic).requires_grad_(True), training, fabric)
        self.parameters: Parameters = list(self.encoder.parameters())
        self.adam = training.adam(self.parameters)

    def state(self) -> nn.ModuleDict:
        mine: dict[str, nn.Module] = {"encoder": self.encoder, "average": self.average}
        return nn.ModuleDict(mine | self.judge.modules())

    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        return {"encoder": self.adam, "critic": self.judge.adam}

    def data(self) -> list[Tensor]:
        return self.batches.data()

    def origin(self) -> dict[str, str]:
        grown_from = None if self.coarse is None else self.coarse.digest
        known = digest_of(self.generator.state_dict().values())
        return {"generator": known, **origin_of(grown_from)}

    def warm_up(self) -> None:
        """Start from the coarser bundle's encoder, if there is one."""
        if self.coarse is None:
            return
        seed, steps = self.training.schedule.seed, self.training.grown_steps
        grow_encoder(self.encoder, self.coarse, self.batches, seed=seed, steps=steps)
        self.average.load_state_dict(self.encoder.state_dict())

    def step(self, index: int, rng: torch.Generator) -> dict[str, float]:
        for group in self.adam.param_groups:
            group["lr"] = self.training.rate(index)
        self.judge.scale_rate(self.training.decay(index))
        n = self.training.schedule.batch // self.fabric.world_size
        batch = self.batches.draw(n, rng)
        with self.fabric.autocast():
            encoding = self.encoder(batch.image)
        values: dict[str, float] = {}
        terms = self._compare_codes(batch, encoding)
        if self._draws():
            drawn = self._draw(batch, encoding)
            terms["pixels"] = squared_error(drawn, batch.image)
            terms["features"] = self.perceptual_loss.error(drawn, batch.image)
            if batch.good and self.training.adversarial_weight:
                photographs, fakes = batch.image[: batch.good], drawn[: batch.good]
                values |= self.judge.learn(index, photographs, fakes.detach(), rng)
                terms["adversarial"] = self.judge.generator_loss(fakes, rng)
        weights = self.training.weights()
        loss = torch.stack([weights[k] * v.mean() for k, v in terms.items() if len(v)]).sum()
        optimiser_step(self.fabric, loss, self.parameters, self.adam)
        self.training.follow(self.average, self.encoder, index)
        return values | {k: v.mean().item() for k, v in terms.items() if len(v)}

    def _draws(self) -> bool:
        how = self.training
        return how.pixel_weight + how.feature_weight + how.adversarial_weight > 0

    def _draw(self, batch: EncoderBatch, encoding: Encoding) -> Float[Tensor, "n 3 h w"]:
        """Images from the encoder's codes, under the batch's masks if the branch takes them."""
        defect = self.generator.config.defect
        takes = defect is not None and defect.takes_mask
        codes = Codes(w=encoding.w, w_defect=encoding.w_defect if takes else None)
        with self.fabric.autocast():
            return self.generator.draw(codes, mask=batch.mask if takes else None).image.float()

    def _compare_codes(self, batch: EncoderBatch, encoding: Encoding) -> dict[str, Tensor]:
        """Terms that need no generated image."""
        known, flawed = len(batch.w), batch.kind >= 0
        w = encoding.w
        centre = w.mean(dim=1, keepdim=True)
        terms = {"spread": (w - centre).square().mean(dim=(1, 2)) / self.batches.variance}
        far = (w[len(w) - known :] - batch.w).square().mean(dim=(1, 2))
        terms["code"] = far / self.batches.variance
        if encoding.mask_logits is not None and batch.w_defect is not None:
            assert encoding.kind_logits is not None and encoding.w_defect is not None
            known_flawed = flawed[len(w) - known :]
            rows = encoding.w_defect[len(w) - known :]
            far = (rows - batch.w_defect).square().mean(dim=(1, 2))[known_flawed]
            terms["defect_code"] = far / self.batches.defect_variance
            terms["mask"] = overlap_error(encoding.mask_logits, batch.mask)
            terms["kind"] = F.cross_entropy(
                encoding.kind_logits[flawed], batch.kind[flawed], reduction="none"
            )
        return terms

    def snapshot(self, out: Path, folder: Path, nimg: int) -> None:
        bundle = Bundle(out)
        forget_domain(bundle)  # first: an encoder must not be used with another one's domain
        bundle.write("encoder", self.average.state_dict())
        about = {**bundle.config.get("training", {}), "encoder": asdict(self.training)}
        bundle.write_config({**bundle.config, "training": about, "encoder_nimg": nimg})

    @torch.no_grad()
    def picture(self) -> UInt8[np.ndarray, "h w 3"]:
        """Rows of images and their reconstructions: photographs, then generated ones."""
        batch = self.batches.draw(32, torch.Generator().manual_seed(0))
        drawn = self._draw(batch, self.average(batch.image))
        both = [*batch.image[:16], *drawn[:16], *batch.image[16:], *drawn[16:]]
        return grid([to_picture(image.clamp(-1, 1)) for image in both], 16)


def train_encoder(
    data: DefectFolder,
    bundle: Bundle,
    training: EncoderTraining,
    fabric: Fabric,
    *,
    placements: Symmetries,
    everything: bool = False,
    samples: int = SAMPLES,
    coarse: Bundle | None = None,
    on_progress: Callable[[int], None] | None = None,
    **run_options: Unpack[RunOptions],
) -> Ending:
    """Train an encoder for a bundle, and compute the domain of its codes.

    Args:
        data: Photographs of good parts, and of defects of the types that the bundle knows.
        bundle: Bundle from stage 1, and from stage 2 if the encoder should know defects.
        training: Options; its symmetries apply to photographs.
        fabric: Launched Fabric.
        placements: Symmetries of a defect.
        everything: Train on `test/good` and on all defects, not on the first third by name.
        samples: Number of fresh samples of the generator for the domain.
        coarse: Bundle of half the side whose encoder to start from; see `inversion.grow`.
        on_progress: Callback, called with the number of these so far.
        **run_options: Keywords of `loop.run`.

    Returns:
        Why and where it ended.

    Raises:
        DataError: There is no good photograph, or one can't be read.
        OptionError: The coarser bundle has another shape.
        BundleError: The bundle lacks its generator or critic, or the weights for `features`.
        TrainingError: The run diverged; the last checkpoint is kept.
    """
    generator = load_generator(bundle, fabric.device)
    types = generator.config.defect.types if generator.config.defect and training.defects else ()
    source = read_source(
        data,
        types,
        generator.config.resolution,
        symmetries=training.symmetries,
        placements=placements,
        everything=everything,
    )
    batches = EncoderBatches(generator, source, pairs=training.pairs, defects=training.defects)
    critic = load_critic(bundle, fabric.device)
    stage = EncoderStage(generator, critic, training, batches, fabric, coarse)
    ending = run(
        stage,
        training.schedule,
        fabric,
        bundle.path,
        name=ENCODER,
        **run_options,
    )
    if fabric.is_global_zero:
        learn_object(bundle, data, first_third=not everything, everything=everything)
        learn_domain(bundle, fabric.device, samples=samples, on_progress=on_progress)
    return ending
