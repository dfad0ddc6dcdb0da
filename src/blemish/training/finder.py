"""Training of the finder, on defects that the bundle's windows draw.

Good photographs and generated parts get defects under learnt masks, real masks moved, or drawn
ones, so every mask is exact and none was drawn by a person; a share of them stays good, or gets
good material drawn under a mask, which is no defect: what gives windows away must not be what is
found. The real defects that the windows learnt from are shown as well.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Unpack

import numpy as np
import torch
from jaxtyping import Bool, UInt8
from lightning_fabric import Fabric
from torch import Tensor, nn

from blemish.checkpoint import Bundle
from blemish.data.augment import Symmetries, augment_stack
from blemish.data.folder import DefectFolder
from blemish.data.masks import draw_blob, draw_stroke
from blemish.data.shadow import unshadowed_silhouette
from blemish.efficientnet import channels_last
from blemish.errors import DataError
from blemish.models.finder import NETWORK, Finder, FinderConfig
from blemish.models.generator import Generator
from blemish.models.load import load_generator
from blemish.models.losses import overlap_error
from blemish.models.mixing import fresh_rows
from blemish.models.window_generator import GOOD
from blemish.pictures import fit_mask, fit_square, grid, to_picture
from blemish.synthesis.masks.learned import NETWORK as MASKS
from blemish.synthesis.masks.learned import MaskModel, load_masks
from blemish.training.adapt import average_of, follow_after
from blemish.training.loop import (
    RunOptions,
    Schedule,
    Stage,
    optimiser_step,
    random_indices,
    run,
)
from blemish.training.stopping import Ending
from blemish.types import Codes
from blemish.windows.paint import WindowModel, groups, load_windows, paint
from blemish.windows.placing import place
from blemish.windows.sources import LEAST_PIXELS, SourcePhotograph, Sources, read_sources

Picture = UInt8[np.ndarray, "h w 3"]
Mask = Bool[np.ndarray, "h w"]
FAINTEST = 0.5  # strength of a defect


@dataclass(frozen=True, slots=True, kw_only=True)
class FinderTraining:
    """Options of a training of the finder.

    Attributes:
        schedule: Length and seed.
        pool: Number of pictures that are made; each is shown in random positions.
        rate: Learning rate at the start; it falls to nothing by a cosine.
        ema_kimg: Half-life of the average that is kept, in thousands of pictures.
        good: Share of pictures without a defect.
        repaired: Share of pictures with good material drawn under a mask.
        real: Share of pictures that are photographs of real defects.
        generated: Share of the other pictures that show a generated part.
        symmetries: Symmetries of the part.
    """

    schedule: Schedule = field(
        default_factory=lambda: Schedule(batch=8, kimg=24, snapshot_kimg=2, log_steps=25)
    )
    pool: int = 4000
    rate: float = 2e-3
    ema_kimg: float = 0.5
    good: float = 0.15
    repaired: float = 0.1
    real: float = 0.1
    generated: float = 0.5
    symmetries: Symmetries = field(default_factory=Symmetries)

    def rate_at(self, index: int) -> float:
        """Learning rate of a step."""
        done = min(1.0, index / self.schedule.steps)
        return self.rate * (1 + float(np.cos(np.pi * done))) / 2


class FlawedPictures:
    """Pictures with and without defects, and their masks; picture k depends on (seed, k) alone.

    Args:
        sources: Good photographs and real defects.
        windows: Window generator that draws defects.
        masks: Generator of masks; None if the bundle has none.
        generator: Generator of parts; None shows photographs alone.
        training: Shares of each kind of picture.
    """

    def __init__(
        self,
        sources: Sources,
        windows: WindowModel,
        masks: MaskModel | None,
        generator: Generator | None,
        training: FinderTraining,
    ) -> None:
        self.sources, self.windows, self.masks = sources, windows, masks
        self.generator, self.training = generator, training
        self.photographs = tuple({id(p.source): p.source for p in sources.pieces}.values())

    def draw(self, seed: int, index: int) -> tuple[Picture, Mask]:
        """A picture at its own size, and the mask of its defect."""
        rng = np.random.default_rng((seed, index))
        torch_rng = torch.Generator().manual_seed(int(rng.integers(2**31)))
        chance, t = rng.random(), self.training
        if chance < t.real:
            real = self.photographs[int(rng.integers(len(self.photographs)))]
            return real.picture, real.mask
        good = self._part(rng, torch_rng)
        none = np.zeros(good.part.shape, bool)
        if chance < t.real + t.good:
            return good.picture, none
        kind = self.windows.types[int(rng.integers(len(self.windows.types)))]
        mask = self._mask(good, kind, rng, torch_rng)
        if mask.sum() < LEAST_PIXELS:
            return good.picture, none
        repaired = (
            GOOD in self.windows.generator.config.types
            and rng.random() * (1 - t.real - t.good) < t.repaired
        )
        drawn = self._painted(good.picture, mask, GOOD if repaired else kind, rng, torch_rng)
        return drawn, none if repaired else mask

    def _part(self, rng: np.random.Generator, torch_rng: torch.Generator) -> SourcePhotograph:
        if self.generator is None or rng.random() >= self.training.generated:
            return self.sources.good[int(rng.integers(len(self.sources.good)))]
        codes = Codes(w=fresh_rows(self.generator, 1, torch_rng))
        with torch.no_grad():
            picture = to_picture(self.generator.draw(codes).image[0])
        return SourcePhotograph(picture, np.zeros(picture.shape[:2], bool))

    def _mask(
        self,
        good: SourcePhotograph,
        kind: str,
        rng: np.random.Generator,
        torch_rng: torch.Generator,
    ) -> Mask:
        """A learnt mask, a real one moved, or a drawn one."""
        part, chance = unshadowed_silhouette(good.picture), rng.random()
        if self.masks is not None and kind in self.masks.types and chance < 0.5:
            try:
                return self.masks.draw(part, kind, torch_rng)
            except DataError:  # an odd part, on which no learnt mask lies
                return np.zeros(part.shape, bool)
        if chance < 0.8:
            marks = self.sources.marks(self.sources.types.index(kind))
            return place(good, marks[int(rng.integers(len(marks)))], rng).on_photograph() & part
        drawn = (draw_blob if rng.random() < 0.5 else draw_stroke)(max(part.shape), rng)
        return drawn[: part.shape[0], : part.shape[1]] & part

    def _painted(
        self,
        picture: Picture,
        mask: Mask,
        kind: str,
        rng: np.random.Generator,
        torch_rng: torch.Generator,
    ) -> Picture:
        codes = self.windows.codes(kind, torch_rng, len(groups(mask)))
        level = 1.0 if rng.random() < 0.5 else rng.uniform(FAINTEST, 1)
        strength = np.full(mask.shape, level, np.float32)
        return paint(self.windows.generator, picture, mask, codes, torch_rng, strength=strength)


class FinderStage(Stage):
    """What `loop.run` trains; see the module's docstring."""

    def __init__(
        self,
        pictures: FlawedPictures,
        config: FinderConfig,
        training: FinderTraining,
        fabric: Fabric,
        on_made: Callable[[int], None] = lambda _: None,
    ) -> None:
        self.training, self.fabric = training, fabric
        with torch.random.fork_rng():
            torch.manual_seed(training.schedule.seed)
            self.finder = channels_last(Finder(config).to(fabric.device))
        self.average = average_of(self.finder)
        self.parameters = list(self.finder.parameters())
        self.adam = torch.optim.Adam(self.parameters, lr=training.rate, betas=(0.9, 0.99))
        self.pool, self.masks = _made(pictures, config.side, training, on_made)

    def state(self) -> nn.ModuleDict:
        return nn.ModuleDict({"finder": self.finder, "average": self.average})

    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        return {"finder": self.adam}

    def data(self) -> list[Tensor]:
        return [self.pool, self.masks]

    def step(self, index: int, rng: torch.Generator) -> dict[str, float]:
        batch = self.training.schedule.batch
        image, mask = self._shown(batch // self.fabric.world_size, rng)
        for group in self.adam.param_groups:
            group["lr"] = self.training.rate_at(index)
        with self.fabric.autocast():
            logits = self.finder(image)
        loss = overlap_error(logits.float(), mask).mean()
        optimiser_step(self.fabric, loss, self.parameters, self.adam)
        kimg = self.training.ema_kimg
        follow_after(self.average, self.finder, index, batch=batch, ema_kimg=kimg)
        return {"overlap": loss.item()}

    def _shown(self, n: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Pictures of the pool, half of them moved by the part's symmetries."""
        chosen = random_indices(n, len(self.pool), rng)
        image = self.pool[chosen].float() / 127.5 - 1
        stack = torch.cat([image, self.masks[chosen].float()], dim=1)
        stack = augment_stack(stack, self.training.symmetries, generator=rng, probability=0.5)
        stack = stack.to(self.fabric.device)
        return stack[:, :3], stack[:, 3:].clamp(0, 1)

    def snapshot(self, out: Path, folder: Path, nimg: int) -> None:
        bundle = Bundle(out)
        bundle.write(NETWORK, self.average.state_dict(), half=True)
        bundle.record(NETWORK, asdict(self.finder.config), asdict(self.training), nimg)

    @torch.no_grad()
    def picture(self) -> UInt8[np.ndarray, "h w 3"]:
        """Rows of pictures, their masks, and what is found."""
        image, mask = self._shown(8, torch.Generator().manual_seed(0))
        found = self.average(image).sigmoid()
        shown = [*image, *(2 * mask - 1).expand_as(image), *(2 * found - 1).expand_as(image)]
        return grid([to_picture(one.clamp(-1, 1)) for one in shown], len(image))


def _made(
    pictures: FlawedPictures,
    side: int,
    training: FinderTraining,
    on_made: Callable[[int], None],
) -> tuple[UInt8[Tensor, "n 3 s s"], Bool[Tensor, "n 1 s s"]]:
    """The pool: pictures in levels, and their masks."""
    images, masks = [], []
    for k in range(training.pool):
        picture, mask = pictures.draw(training.schedule.seed, k)
        images.append(torch.from_numpy(fit_square(picture, side)).permute(2, 0, 1))
        masks.append(torch.from_numpy(fit_mask(mask, side))[None])
        on_made(k + 1)
    return torch.stack(images).contiguous(), torch.stack(masks)


def train_finder(
    data: DefectFolder,
    bundle: Bundle,
    config: FinderConfig,
    training: FinderTraining,
    fabric: Fabric,
    *,
    everything: bool = False,
    on_made: Callable[[int], None] = lambda _: None,
    **run_options: Unpack[RunOptions],
) -> Ending:
    """Train the finder of a bundle.

    Args:
        data: Photographs of good parts, and of defects with their masks.
        bundle: Bundle with windows; its generator and its masks are used if it has them.
        config: Shape of the finder.
        training: Options.
        fabric: Launched.
        everything: Learn from all defects of a type, not from the first third by name, and from
            `test/good`.
        on_made: Callback with the number of pictures that are made before the first step.
        **run_options: Keywords of `loop.run`.

    Returns:
        Why and where it ended.

    Raises:
        DataError: There is no good photograph or no defect of a type, or a file can't be read.
        BundleError: The bundle has no windows.
        TrainingError: The run diverged; the last checkpoint is kept.
    """
    windows = load_windows(bundle)
    sources = read_sources(data, windows.types, first_third=not everything, everything=everything)
    masks = load_masks(bundle) if bundle.has(MASKS) else None
    generator = load_generator(bundle) if bundle.has("generator") else None
    pictures = FlawedPictures(sources, windows, masks, generator, training)
    return run(
        FinderStage(pictures, config, training, fabric, on_made),
        training.schedule,
        fabric,
        bundle.path,
        name=NETWORK,
        **run_options,
    )
