r"""Training of the consultation branch, without labels.

A photograph or an own sample x is encoded, w = E(x); the branch sees its distortion map misaligned
at random and must draw x all the same (HFGI). It must also keep the detail through an edit and back
(StyleRes): with random codes w'' mixed into w as w', it draws y from w' and the detail of x, then
draws w from the detail of y, which must be x again; and y, averaged over large squares, must be
what the generator draws from w'.
"""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Unpack

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from lightning_fabric import Fabric
from torch import Tensor, nn

from blemish.checkpoint import Bundle, digest_of
from blemish.data.augment import Symmetries, augment_stack
from blemish.data.folder import DefectFolder
from blemish.inversion.consult import BLOCK, NETWORK, Consultation, ConsultConfig, Plain, consult
from blemish.inversion.losses import squared_error
from blemish.limits import refuse_weights_of
from blemish.models.mixing import fresh_rows
from blemish.pictures import grid, to_picture
from blemish.training.adapt import average_of, follow_after
from blemish.training.frozen import FrozenNetworks
from blemish.training.loop import RunOptions, Schedule, Stage, optimiser_step, run
from blemish.training.stopping import Ending
from blemish.types import Codes

MISALIGNED = Symmetries(
    rotate=True, shift=True, scale=True, degrees=4, shift_by=0.02, scale_by=0.03
)
COARSE = 16  # side to which pictures of an edit are averaged before they are compared


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsultTraining:
    """Options of a training of the consultation branch.

    Attributes:
        schedule: Length and seed.
        rate: Learning rate.
        ema_kimg: Half-life of the average that is kept, in thousands of pictures.
        pairs: Share of a batch that the generator draws; the rest are photographs.
        misaligned: Probability that the distortion map is misaligned.
        edit_by: Share of a random code in an edited one, at most.
        pixel_weight: Weight of the squared error.
        feature_weight: Weight of the perceptual loss.
        align_weight: Weight of the aligned map's distance, for the residual transform.
        cycle_weight: Weight of the squared error after an edit and back.
        edit_weight: Weight of the distance of an edit to what the generator draws.
        symmetries: Symmetries of the part.
    """

    schedule: Schedule = field(
        default_factory=lambda: Schedule(batch=4, kimg=6, snapshot_kimg=1, log_steps=25)
    )
    rate: float = 1e-3
    ema_kimg: float = 0.5
    pairs: float = 0.25
    misaligned: float = 0.5
    edit_by: float = 0.7
    pixel_weight: float = 20
    feature_weight: float = 0.5
    align_weight: float = 0.1
    cycle_weight: float = 40
    edit_weight: float = 2
    symmetries: Symmetries = field(default_factory=Symmetries)

    def __post_init__(self) -> None:
        refuse_weights_of(self)

    def weights(self) -> dict[str, float]:
        """Weight of each term of the loss."""
        names = ("pixel", "feature", "align", "cycle", "edit")
        return {name: getattr(self, f"{name}_weight") for name in names}


class ConsultStage(Stage):
    """What `loop.run` trains; see the module's docstring."""

    def __init__(
        self,
        frozen: FrozenNetworks,
        config: ConsultConfig,
        training: ConsultTraining,
        fabric: Fabric,
    ) -> None:
        self.frozen, self.generator = frozen, frozen.generator
        self.training, self.fabric = training, fabric
        with torch.random.fork_rng():
            torch.manual_seed(training.schedule.seed)
            self.branch = Consultation(self.generator.config, config).to(fabric.device)
        self.average = average_of(self.branch)
        self.parameters = list(self.branch.parameters())
        self.adam = torch.optim.Adam(self.parameters, lr=training.rate, betas=(0.9, 0.99))

    def state(self) -> nn.ModuleDict:
        return nn.ModuleDict({"branch": self.branch, "average": self.average})

    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        return {"branch": self.adam}

    def data(self) -> list[Tensor]:
        return self.frozen.batches.data()

    def origin(self) -> dict[str, str]:
        return {"generator": digest_of(self.generator.state_dict().values())}

    def step(self, index: int, rng: torch.Generator) -> dict[str, float]:
        batch = self.training.schedule.batch
        seen = self.frozen.batches.draw(batch // self.fabric.world_size, rng).image
        with self.fabric.autocast():
            before = self._encoded(seen)
            terms = self._again(seen, before, rng) | self._edited(seen, before, rng)
        weights = self.training.weights()
        loss = torch.stack([weights[k] * v.mean() for k, v in terms.items()]).sum()
        optimiser_step(self.fabric, loss, self.parameters, self.adam)
        kimg = self.training.ema_kimg
        follow_after(self.average, self.branch, index, batch=batch, ema_kimg=kimg)
        return {name: term.mean().item() for name, term in terms.items()}

    @torch.no_grad()
    def _encoded(self, seen: Float[Tensor, "n 3 h w"]) -> Plain:
        return Plain.of(self.generator, self.branch.side, Codes(w=self.frozen.encoder(seen).w))

    def _again(
        self, seen: Float[Tensor, "n 3 h w"], before: Plain, rng: torch.Generator
    ) -> dict[str, Tensor]:
        """Terms of the reconstruction from a misaligned distortion map."""
        lost, likely = seen - before.image, self.training.misaligned
        moved = augment_stack(lost, MISALIGNED, generator=rng, probability=likely)
        again = consult(self.generator, self.branch, moved, before, before)
        terms = {
            "pixel": squared_error(again.image, seen),
            "feature": self.frozen.perceptual_loss.error(again.image, seen).float(),
        }
        if self.branch.config.transform == "residual":
            wanted = F.pixel_unshuffle(lost, BLOCK)
            terms["align"] = (again.aligned.float() - wanted).abs().mean(dim=(1, 2, 3))
        return terms

    def _edited(
        self, seen: Float[Tensor, "n 3 h w"], before: Plain, rng: torch.Generator
    ) -> dict[str, Tensor]:
        """Terms of an edit, there and back."""
        n, device, side = len(seen), seen.device, self.branch.side
        by = self.training.edit_by * torch.rand(n, 1, 1, generator=rng).to(device)
        other = Codes(w=before.codes.w.lerp(fresh_rows(self.generator, n, rng).float(), by))
        after = Plain.of(self.generator, side, other)
        there = consult(self.generator, self.branch, seen - before.image, before, after).image
        back = consult(self.generator, self.branch, there - after.image, after, before).image
        coarse = [F.adaptive_avg_pool2d(x, COARSE) for x in (there, after.image)]
        return {"cycle": squared_error(back, seen), "edit": squared_error(*coarse)}

    def snapshot(self, out: Path, folder: Path, nimg: int) -> None:
        bundle = Bundle(out)
        bundle.write(NETWORK, self.average.state_dict(), half=True)
        bundle.record(NETWORK, asdict(self.branch.config), asdict(self.training), nimg)

    @torch.no_grad()
    def picture(self) -> UInt8[np.ndarray, "h w 3"]:
        """Rows of pictures, what their codes draw, and the same with the detail."""
        seen = self.frozen.batches.draw(8, torch.Generator().manual_seed(0)).image
        plain = self._encoded(seen)
        lost = seen - plain.image
        again = consult(self.generator, self.average, lost, plain, plain).image
        shown = [*seen, *plain.image, *again]
        return grid([to_picture(image.clamp(-1, 1)) for image in shown], len(seen))


def train_consultation(
    data: DefectFolder,
    bundle: Bundle,
    config: ConsultConfig,
    training: ConsultTraining,
    fabric: Fabric,
    *,
    everything: bool = False,
    **run_options: Unpack[RunOptions],
) -> Ending:
    """Train the consultation branch of a bundle.

    Args:
        data: Photographs of good parts.
        bundle: Bundle with a generator, a critic and an encoder.
        config: Shape of the branch.
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
    return run(
        ConsultStage(frozen, config, training, fabric),
        training.schedule,
        fabric,
        bundle.path,
        name=NETWORK,
        **run_options,
    )
