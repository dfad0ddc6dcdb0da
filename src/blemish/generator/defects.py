"""Stage 2: the defect branch, on a frozen backbone.

One part of a batch is drawn under *given* masks, the other under masks that the branch draws itself
(DFMGAN). A matching critic sees image and mask together; tanh(10·m) represents a drawn mask. In
addition to the adversarial loss, an encoder maps each real defect, stitched onto a generated part,
to a code that must reconstruct its pixels, and also its place if no mask is given (a variational
autoencoder, as in `warmstart`). This ties codes to appearances when there are only a dozen defects.
"""

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from lightning_fabric import Fabric
from torch import Tensor, nn

from blemish.checkpoint import Bundle, digest_of
from blemish.data.augment import Symmetries, augment_stack
from blemish.data.folder import DefectFolder
from blemish.errors import DataError
from blemish.generator.adapt import average_of
from blemish.generator.branch import free_defect_branch, matching_critic, with_branch
from blemish.generator.critic import Critic, CriticConfig, inside_statistics
from blemish.generator.game import Game, Judge
from blemish.generator.grow import origin_of
from blemish.generator.loop import Options, descend, run
from blemish.generator.losses import kl_to_normal, mode_seeking, overlap_error
from blemish.generator.network import BRANCH, DefectConfig, Drawing, Generator
from blemish.generator.residual import ResidualConfig
from blemish.generator.restore import shape_of
from blemish.generator.stitch import Defects, draw_masks, parts_of, read_defects, stitch
from blemish.generator.stopping import Ending
from blemish.generator.warmstart import LatentEncoder, sample_latent
from blemish.pictures import grid, to_picture
from blemish.types import Codes


@dataclass(frozen=True, slots=True, kw_only=True)
class DefectTraining(Game):
    """Options of stage 2, in addition to those of adversarial training.

    Attributes:
        critic: Kind and options of the matching critic.
        reals: Real images for the critic: defects stitched onto generated twins, or photographs.
        taking: Fraction of a batch that is drawn under given masks, the rest under the branch's
            own.
        reconstruction: Weight of the reconstruction of real defects from their codes.
        outside: Weight of changes to the twin outside the mask.
        mask_weight: Weight of the difference between the branch's own mask and the real one.
        mode_weight: Weight of mode seeking.
        mode_every: Steps between terms of mode seeking, each weighted by the interval.
        kl_weight: Weight of the divergence of a real defect's code from the prior.
        placements: Augmentation of a defect that keeps it plausible.
    """

    ema_kimg: float = 3
    critic: CriticConfig = field(default_factory=ResidualConfig)
    reals: Literal["stitched", "photographs"] = "stitched"
    taking: float = 0.5
    reconstruction: float = 4
    outside: float = 4
    mask_weight: float = 1
    mode_weight: float = 0.1
    mode_every: int = 4
    kl_weight: float = 2e-3
    placements: Symmetries = field(default_factory=Symmetries)

    def weights(self) -> dict[str, float]:
        """Weight of each term of the generator's loss."""
        return {
            "generator": 1.0,
            "inside": self.reconstruction,
            "outside": self.outside,
            "mask": self.mask_weight,
            "mode": self.mode_weight,
            "kl": self.kl_weight,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Twins to place defects on.

    Attributes:
        w: Codes of the backbone.
        twin: Images of the backbone.
        part: Silhouettes of the parts.
    """

    w: Float[Tensor, "n layers d"]
    twin: Float[Tensor, "n 3 h w"]
    part: Float[Tensor, "n 1 h w"]

    def __len__(self) -> int:
        return len(self.twin)

    def __getitem__(self, index: slice) -> "Scene":
        return Scene(w=self.w[index], twin=self.twin[index], part=self.part[index])


@dataclass(frozen=True, slots=True, kw_only=True)
class Hand:
    """Generated batch for the critic.

    Attributes:
        stack: Images with masks in [-1, 1].
        kind: Types of the defects.
        rows: Defect codes.
        taking: Number of images under given masks, which come first.
        outside: Difference of these from their twins outside the mask.
    """

    stack: Float[Tensor, "n 4 h w"]
    kind: Int[Tensor, " n"]
    rows: Float[Tensor, "n defect_layers d"]
    taking: int
    outside: Float[Tensor, " taking"]


class DefectStage:
    """Stage that `loop.run` trains; see the module's docstring."""

    def __init__(
        self,
        generator: Generator,
        critic: Critic,
        training: DefectTraining,
        defects: Defects,
        fabric: Fabric,
        *,
        coarse: Bundle | None = None,
    ) -> None:
        self.grown_from = None if coarse is None else coarse.digest
        self.generator = generator.to(fabric.device)
        self.average = average_of(self.generator)
        with torch.random.fork_rng():
            torch.manual_seed(training.schedule.seed)
            encoder = LatentEncoder(generator.config, image_channels=4)
        self.encoder = encoder.to(fabric.device)
        self.judge = Judge(critic, training, fabric)
        self.training, self.defects, self.fabric = training, defects, fabric
        self.parameters = [*free_defect_branch(self.generator), *self.encoder.parameters()]
        self.generator_adam = training.adam(self.parameters)

    def state(self) -> nn.ModuleDict:
        names = ("generator", "average", "encoder")
        mine = {name: getattr(self, name) for name in names}
        return nn.ModuleDict(mine | self.judge.modules())

    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        return {"generator": self.generator_adam, "critic": self.judge.adam}

    def data(self) -> list[Tensor]:
        return [self.defects.image, self.defects.mask, self.defects.kind]

    def origin(self) -> dict[str, str]:
        known = self.generator.state_dict().items()
        # A kept snapshot of this stage restores its backbone in half precision.
        frozen = [v.half() for k, v in known if not k.startswith(BRANCH)]
        return {"backbone": digest_of(frozen), **origin_of(self.grown_from)}

    def warm_up(self) -> None:
        """Nothing: this stage learns only in steps."""

    def uncounted_steps(self) -> int:
        return 0

    def step(self, index: int, rng: torch.Generator) -> dict[str, float]:
        scene = self._scene(rng)
        with torch.no_grad():
            fake = self._deal(scene, rng).stack
        values = self.judge.learn(index, self._real(scene, rng), fake, rng)
        if self.grown_from is not None and index < self.training.grown_steps:
            return values
        values |= self._improve_generator(index, scene, rng)
        self.training.follow(self.average, self.generator, index)
        return values

    def _improve_generator(
        self, index: int, scene: Scene, rng: torch.Generator
    ) -> dict[str, float]:
        hand = self._deal(scene, rng)
        terms = self._give_back(scene[: max(1, len(scene) // 2)], rng)
        terms["outside"] = torch.cat([terms.pop("outside"), hand.outside])
        if self.training.mode_weight and index % self.training.mode_every == 0:
            terms["mode"] = self._seek_modes(scene, hand, rng) * self.training.mode_every
        terms["generator"] = self.judge.displeasure(hand.stack, rng)
        terms = {k: v for k, v in terms.items() if len(v)}  # the mean of nothing is not a number
        weights = self.training.weights()
        loss = torch.stack([weights[k] * v.mean() for k, v in terms.items()]).sum()
        descend(self.fabric, loss, self.parameters, self.generator_adam)
        return {k: v.mean().item() for k, v in terms.items()}

    def _deal(self, scene: Scene, rng: torch.Generator) -> Hand:
        """Draw a defect on each part, the first fraction of them under given masks."""
        chosen = self.defects.some(len(scene), rng)
        kind = self.defects.kind[chosen]
        rows = self._defect_rows(kind, rng)
        taking = round(len(scene) * self.training.taking) if self._takes_mask() else 0
        stacks, outside = [], scene.twin.new_zeros(0)
        if taking:
            # Of the same type: the critic knows types by their masks, and so trains the branch.
            real = self.defects.mask[chosen[:taking]]
            mask = draw_masks(scene.part[:taking], real, self.training.placements, rng)
            image = self._draw(scene.w[:taking], rows[:taking], mask, rng).image
            stacks.append(torch.cat([image, 2 * mask - 1], dim=1))
            outside = _mean_within((image - scene.twin[:taking]).abs(), 1 - mask)
        if taking < len(scene):
            drawing = self._draw(scene.w[taking:], rows[taking:], None, rng)
            stacks.append(torch.cat([drawing.image, _as_seen(drawing)], dim=1))
        return Hand(stack=torch.cat(stacks), kind=kind, rows=rows, taking=taking, outside=outside)

    def _seek_modes(self, scene: Scene, hand: Hand, rng: torch.Generator) -> Tensor:
        """Two codes on one part should give two masks; without drawn masks there is no term."""
        drawn = slice(hand.taking, None)
        if hand.taking == len(scene):
            return scene.twin.new_zeros(1)
        rows = self._defect_rows(hand.kind[drawn], rng)
        other = self._draw(scene.w[drawn], rows, None, rng)
        mask = hand.stack[drawn, 3:]
        terms = mode_seeking(hand.rows[drawn, 0], rows[:, 0], mask, _as_seen(other))
        return terms.clamp(max=10)

    def _give_back(self, scene: Scene, rng: torch.Generator) -> dict[str, Tensor]:
        """Reconstruct real defects through the encoder, on generated parts.

        The first half is drawn under its given mask, so that its code only carries the appearance;
        the other half under the branch's own, so that its code must carry the place as well.
        """
        if not self.training.reconstruction:
            return {"outside": scene.twin.new_zeros(0)}
        chosen = self.defects.some(len(scene), rng)
        target, mask = self._stitch(scene, chosen, rng)
        noise = torch.randn(len(scene), self.generator.config.z_dim, generator=rng)
        with self.fabric.autocast():
            mean, log_variance = self.encoder(torch.cat([target, 2 * mask - 1], dim=1))
        z = sample_latent(mean.float(), log_variance.float(), noise.to(mask.device))
        kind = self.defects.kind[chosen].to(mask.device)
        rows = self._rows(self.generator.defect_mapping(z, kind))
        half = (len(scene) + 1) // 2 if self._takes_mask() else 0
        drawings = [
            self._draw(scene.w[part], rows[part], mask[part] if given else None, rng)
            for part, given in ((slice(half), True), (slice(half, None), False))
            if len(mask[part])
        ]
        far = (torch.cat([drawing.image for drawing in drawings]) - target).abs()
        logits = torch.cat([_logits(drawing) for drawing in drawings])
        return {
            "inside": _mean_within(far, mask),
            "outside": _mean_within(far, 1 - mask),
            "mask": overlap_error(logits, mask),
            "kl": kl_to_normal(mean.float(), log_variance.float()),
        }

    def _real(self, scene: Scene, rng: torch.Generator) -> Float[Tensor, "n 4 h w"]:
        chosen = self.defects.some(len(scene), rng)
        if self.training.reals == "stitched":
            image, mask = self._stitch(scene, chosen, rng)
        else:
            whole = torch.cat([self.defects.image, self.defects.mask], dim=1)[chosen]
            moved = augment_stack(whole, self.training.symmetries, generator=rng)
            moved = moved.to(self.fabric.device)
            image, mask = moved[:, :3], (moved[:, 3:] > 0.5).float()
        return torch.cat([image, 2 * mask - 1], dim=1)

    def _stitch(
        self, scene: Scene, chosen: Int[Tensor, " n"], rng: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        return stitch(scene.twin, scene.part, self.defects, chosen, self.training.placements, rng)

    @torch.no_grad()
    def _scene(self, rng: torch.Generator) -> Scene:
        n = self.training.schedule.batch // self.fabric.world_size
        z = torch.randn(n, self.generator.config.z_dim, generator=rng).to(self.fabric.device)
        codes = self.generator.codes(z)
        with self.fabric.autocast():
            twin = self.generator.draw(codes).image.float()
        return Scene(w=codes.w, twin=twin, part=parts_of(twin))

    def _draw(
        self,
        w: Float[Tensor, "n layers d"],
        w_defect: Float[Tensor, "n defect_layers d"],
        mask: Float[Tensor, "n 1 h w"] | None,
        rng: torch.Generator,
    ) -> Drawing:
        noise = _defect_noise(self.generator, len(w), rng)
        codes = Codes(w=w, w_defect=w_defect, noise=noise)
        with self.fabric.autocast():
            drawing = self.generator.draw(codes, mask=mask)
        return replace(drawing, image=drawing.image.float())

    def _defect_rows(
        self, kind: Int[Tensor, " n"], rng: torch.Generator
    ) -> Float[Tensor, "n defect_layers d"]:
        z = torch.randn(len(kind), self.generator.config.z_dim, generator=rng)
        device = self.fabric.device
        return self._rows(self.generator.defect_mapping(z.to(device), kind.to(device)))

    def _rows(self, w: Float[Tensor, "n d"]) -> Float[Tensor, "n defect_layers d"]:
        return w[:, None].expand(-1, self.generator.config.defect_layers, -1)

    def _takes_mask(self) -> bool:
        defect = self.generator.config.defect
        return defect is not None and defect.takes_mask

    def snapshot(self, out: Path, folder: Path, nimg: int) -> None:
        bundle = Bundle(out)
        Bundle(folder).write(f"generator-{nimg // 1000:06d}", self.average.state_dict(), half=True)
        bundle.drop("mapper")  # first: the mapper was trained for another branch
        bundle.forget("curation.")  # and these bounds belong to another critic
        bundle.write("generator", self.average.state_dict())
        bundle.write("match_critic", self.judge.critic.state_dict())
        known = bundle.tensors("statistics") if bundle.has("statistics") else {}
        bundle.write("statistics", {**known, **self._looks()})
        trained = {**bundle.config.get("training", {}), "defects": asdict(self.training)}
        about = {"generator": asdict(self.generator.config), "training": trained}
        about["match_critic"] = asdict(self.judge.critic.config)
        bundle.write_config({**bundle.config, **about, "defects_nimg": nimg})

    @torch.no_grad()
    def _looks(self) -> dict[str, Tensor]:
        """Statistics of the critic's features inside real defects of each type, for distilling."""
        defect = self.generator.config.defect
        found, device = {}, self.fabric.device
        for index, kind in enumerate(defect.types if defect else ()):
            mine = self.defects.kind == index
            image, mask = self.defects.image[mine].to(device), self.defects.mask[mine].to(device)
            inside = inside_statistics(self.judge.critic, image, mask)
            found[f"distil.{kind}.mean"] = inside.mean(dim=0)
            found[f"distil.{kind}.deviation"] = inside.std(dim=0, unbiased=False)
        return found

    @torch.no_grad()
    def picture(self) -> UInt8[np.ndarray, "h w 3"]:
        """Columns of twin, defect under a given mask, that mask, own defect, own mask."""
        return defect_grid(self.average, self.defects, self.training.placements)


@torch.no_grad()
def defect_grid(
    generator: Generator, defects: Defects, placements: Symmetries, *, n: int = 16, seed: int = 0
) -> UInt8[np.ndarray, "h w 3"]:
    """Twins, defects under given masks, these masks, defects of the branch's own, their masks."""
    rng = torch.Generator().manual_seed(seed)
    device = next(generator.parameters()).device
    z, z_defect = (torch.randn(n, generator.config.z_dim, generator=rng) for _ in range(2))
    chosen = defects.some(n, rng)
    kind = defects.kind[chosen]
    codes = generator.codes(z.to(device), z_defect.to(device), kind.to(device))
    twin = generator(codes.good()).image
    mask = draw_masks(parts_of(twin), defects.mask[chosen], placements, rng)
    own = generator(codes)
    rows = [to_picture(twin), _as_picture(own.mask), to_picture(own.image)]
    if generator.config.defect is not None and generator.config.defect.takes_mask:
        rows += [_as_picture(mask), to_picture(generator(codes, mask=mask).image)]
    return grid([picture for row in rows for picture in row], n)


def train_defects(
    data: DefectFolder,
    bundle: Bundle,
    defect: DefectConfig,
    training: DefectTraining,
    fabric: Fabric,
    *,
    resume: bool = False,
    minutes: float | None = None,
    options: Options | None = None,
    third: bool = True,
    coarse: Bundle | None = None,
) -> Ending:
    """Train stage 2 on the defects of a folder, in a bundle that has a backbone.

    Args:
        data: Folder whose defective photographs are read, with their masks.
        bundle: Bundle from stage 1; it gets the defect branch and the matching critic.
        defect: Shape of the branch; its `types` are the defects to learn.
        training: Options.
        fabric: Launched Fabric.
        resume: Continue from the state in the bundle.
        minutes: Time limit of the steps; see `loop.run`.
        options: Options of the command, kept in the state; see `loop.run`.
        third: Train on the first third of each type by name, the field's few-shot protocol.
        coarse: Coarser bundle whose branch to start from.

    Returns:
        Why and where it ended.

    Raises:
        OptionError: The coarser bundle's branch has another shape.
        DataError: There is no defect, or a file can't be read.
        TrainingError: The run diverged; the last checkpoint is kept.
    """
    config = replace(shape_of(bundle), defect=defect)
    defects = read_defects(data, defect.types, config.resolution, third=third)
    if defects is None:
        raise DataError(
            got=f"{data.root}, with no photograph of a defect",
            expected="test/<type>/ with a photograph and ground_truth/<type>/ with its mask",
            todo="Add some, or check the folder with 'blemish data check'.",
        )
    generator = with_branch(bundle, config, seed=training.schedule.seed, coarse=coarse)
    critic = matching_critic(bundle, config, training.critic, seed=training.schedule.seed)
    stage = DefectStage(generator, critic, training, defects, fabric, coarse=coarse)
    return run(
        stage,
        training.schedule,
        fabric,
        bundle.path,
        resume=resume,
        minutes=minutes,
        options=options,
        name="defects",
    )


def _mean_within(far: Float[Tensor, "n 3 h w"], mask: Float[Tensor, "n 1 h w"]) -> Tensor:
    inside = (far * mask).sum(dim=(1, 2, 3))
    return inside / (3 * mask.sum(dim=(1, 2, 3))).clamp(min=1)


def _as_seen(drawing: Drawing) -> Float[Tensor, "n 1 h w"]:
    """Drawn mask as the critic sees it (DFMGAN, §3.3)."""
    return torch.tanh(10 * _logits(drawing))


def _logits(drawing: Drawing) -> Float[Tensor, "n 1 h w"]:
    assert drawing.mask_logits is not None
    return drawing.mask_logits.float()


def _as_picture(mask: Float[Tensor, "n 1 h w"]) -> UInt8[np.ndarray, "n h w 3"]:
    return to_picture(mask.expand(-1, 3, -1, -1) * 2 - 1)


def _defect_noise(generator: Generator, n: int, rng: torch.Generator) -> dict[str, Tensor]:
    """Fresh noise for the branch; the backbone keeps its constants, so that twins stay the same."""
    device = next(generator.parameters()).device
    return {
        name: torch.randn(n, 1, layer.resolution, layer.resolution, generator=rng).to(device)
        for name, layer in generator.synthesis.layers()
        if name.startswith("res_")
    }
