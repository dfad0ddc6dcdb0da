r"""Training of the mapper, in a frozen generator.

It has three sources of training data; the change Δ is the image with the defect minus the twin:

* generated parts under masks, with known defect code w_d and change;
* the optimiser's solutions on photographs, also known: codes that reproduce each real defect;
* photographs under drawn masks or moved real ones, with unknown codes: the branch's own mask must
  match the given one, the change must be visible in all of it and stay inside, its colour must be
  that of a real defect, and a matching critic, which is trained as well, must rate the photograph
  with its change as one with a real defect.

`tasks` draws the batches.
"""

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from lightning_fabric import Fabric
from torch import Tensor, nn

from blemish.checkpoint import Bundle, digest_of
from blemish.data.augment import Symmetries
from blemish.data.folder import DefectFolder
from blemish.errors import BundleError, DataError
from blemish.files import ensure_writable
from blemish.generator.adapt import average_of
from blemish.generator.critic import Critic
from blemish.generator.game import Judge
from blemish.generator.grow import origin_of
from blemish.generator.loop import Options, Parameters, choose, descend, run
from blemish.generator.losses import overlap_error
from blemish.generator.network import Drawing, Generator
from blemish.generator.restore import load_generator, load_matching_critic
from blemish.generator.stopping import Ending
from blemish.inversion.encoder import Encoder, load_encoder
from blemish.inversion.lessons import Lessons, Source, read_source
from blemish.inversion.losses import squared_error
from blemish.inversion.space import w_defect_statistics
from blemish.pictures import grid, to_picture
from blemish.synthesis.mapping.grow import grow_mapper
from blemish.synthesis.mapping.looks import colour_inside
from blemish.synthesis.mapping.mapper import (
    MAPPER,
    Mapper,
    by_chance,
    codes_for,
    fresh_mapper,
    given_to,
    see,
)
from blemish.synthesis.mapping.options import MapperTraining
from blemish.synthesis.mapping.solutions import Solver, find_solutions
from blemish.synthesis.mapping.tasks import Task, Tasks
from blemish.synthesis.options import SearchOptions
from blemish.types import Codes

WARM_BATCH, WARM_PLACES = 64, 256


class MapperStage:
    """Stage that `loop.run` trains; see the module's docstring."""

    def __init__(
        self,
        generator: Generator,
        encoder: Encoder,
        mapper: Mapper,
        critic: Critic,
        training: MapperTraining,
        tasks: Tasks,
        fabric: Fabric,
        grown_from: str | None = None,
    ) -> None:
        self.generator, self.encoder, self.training = generator, encoder, training
        self.tasks, self.fabric = tasks, fabric
        self.grown_from = grown_from
        self.mapper = mapper.train()
        self.average = average_of(self.mapper)
        self.variance = w_defect_statistics(generator).unit ** 2
        self.judge = Judge(average_of(critic).requires_grad_(True), training, fabric)
        self.parameters: Parameters = list(self.mapper.parameters())
        self.adam = training.adam(self.parameters)

    def state(self) -> nn.ModuleDict:
        mine: dict[str, nn.Module] = {"mapper": self.mapper, "average": self.average}
        return nn.ModuleDict(mine | self.judge.modules())

    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        return {"mapper": self.adam, "critic": self.judge.adam}

    def data(self) -> list[Tensor]:
        return self.tasks.lessons.data()

    def origin(self) -> dict[str, str]:
        both = {"generator": self.generator, "encoder": self.encoder}
        known = {name: digest_of(module.state_dict().values()) for name, module in both.items()}
        return known | origin_of(self.grown_from)

    def uncounted_steps(self) -> int:
        return 0

    def step(self, index: int, rng: torch.Generator) -> dict[str, float]:
        n = self.training.schedule.batch // self.fabric.world_size
        task = self.tasks.draw(n, rng)
        known = len(task.w_defect)
        drawing, twin, rows = self._draw(task)
        change = drawing.image - twin
        moved = rows - by_chance(self.generator, task.kind, task.z)
        flawed = (task.image + change * task.mask)[known:]
        made = _stack(flawed, task.mask[known:])
        values = self.judge.learn(index, self.tasks.real(len(made), rng), made.detach(), rng)
        terms = {
            "code": (rows[:known] - task.w_defect).square().mean(dim=(1, 2)) / self.variance,
            "change": _inside((change[:known] - task.change).abs(), task.mask[:known]),
            "mask": overlap_error(_logits(drawing), task.mask),
            "visible": _inside(_missing(change, self.training.visible), task.mask)[known:],
            "outside": squared_error(drawing.image, twin, 1 - task.mask),
            "look": (colour_inside(flawed, task.mask[known:]) - task.colour).square().mean(dim=1),
            "adversarial": self.judge.displeasure(made, rng),
            "stay": moved[known:].square().mean(dim=(1, 2)) / self.variance,
        }
        weights = self.training.weights()
        loss = torch.stack([weights[k] * v.mean() for k, v in terms.items() if len(v)]).sum()
        descend(self.fabric, loss, self.parameters, self.adam)
        self.training.follow(self.average, self.mapper, index)
        return values | {k: v.mean().item() for k, v in terms.items() if len(v)}

    def warm_up(self) -> None:
        """Learn the codes of the solved appearances at any place, before anything is drawn.

        A code that paints blue here does so there too, close enough for a start, and a step that
        draws nothing takes a hundredth of the time. A grown mapper knows codes already.
        """
        solutions = self.tasks.solutions
        if solutions is None or self.grown_from is not None:
            return
        rng = torch.Generator().manual_seed(self.training.schedule.seed)
        adam = torch.optim.Adam(self.parameters, lr=self.training.learning_rate)
        places = self._places(rng)
        for _ in range(self.training.warm_steps):
            known = solutions[choose(WARM_BATCH, len(solutions), rng)]
            z = self.tasks.latents(known, rng)
            described = places[choose(WARM_BATCH, len(places), rng)]
            rows = by_chance(self.generator, known.kind, z) + self.mapper(described, known.kind, z)
            loss = (rows - known.w_defect).square().mean() / self.variance
            descend(self.fabric, loss, self.parameters, adam)
        self.average.load_state_dict(self.mapper.state_dict())

    @torch.no_grad()
    def _places(self, rng: torch.Generator) -> Float[Tensor, "n i"]:
        """Photographs under masks, as the mapper describes them."""
        found = []
        for _ in range(WARM_PLACES // WARM_BATCH):
            seen, mask = self.tasks.places(self.encoder, WARM_BATCH, rng)
            found.append(self.mapper.describe(seen.features, mask))
        return torch.cat(found)

    def _draw(self, task: Task) -> tuple[Drawing, Tensor, Tensor]:
        """Images of the mapper's codes, the twins, and the defect's rows."""
        codes = self._codes(self.mapper, task.image, task.mask, task.kind, task.z)
        with self.fabric.autocast():
            drawing = self.generator.draw(codes, mask=given_to(self.generator, task.mask))
        assert codes.w_defect is not None
        with torch.no_grad():
            twin = self.generator.draw(codes.good()).image
        return drawing, twin, codes.w_defect

    @torch.no_grad()
    def _change(self, mapper: Mapper, *asked: Tensor) -> Float[Tensor, "n 3 h w"]:
        """Change that a mapper's codes draw for photographs, masks, types and random codes."""
        codes = self._codes(mapper, *asked)
        drawing = self.generator.draw(codes, mask=given_to(self.generator, asked[1]))
        return drawing.image - self.generator.draw(codes.good()).image

    def _codes(self, mapper: Mapper, *asked: Tensor) -> Codes:
        photograph, *rest = asked
        return codes_for(self.generator, mapper, see(self.encoder, photograph), *rest)

    def snapshot(self, out: Path, folder: Path, nimg: int) -> None:
        bundle = Bundle(out)
        bundle.write(MAPPER, self.average.state_dict())
        about = {**bundle.config.get("training", {}), MAPPER: asdict(self.training)}
        bundle.write_config({**bundle.config, "training": about, "mapper_nimg": nimg})

    @torch.no_grad()
    def picture(self) -> UInt8[np.ndarray, "h w 3"]:
        """Rows of parts, of masks, and of the defects that three random codes give them."""
        rng = torch.Generator().manual_seed(0)
        task = self.tasks.draw(16, rng)
        rows = [task.image, task.mask.expand(-1, 3, -1, -1) * 2 - 1]
        for _ in range(4):
            _, z = self.tasks.chances(len(task.kind), rng)
            change = self._change(self.average, task.image, task.mask, task.kind, z)
            rows.append(task.image + change * task.mask)
        return grid([to_picture(image.clamp(-1, 1)) for row in rows for image in row], 16)


def train_mapper(
    data: DefectFolder,
    bundle: Bundle,
    training: MapperTraining,
    fabric: Fabric,
    *,
    placements: Symmetries,
    resume: bool = False,
    minutes: float | None = None,
    options: Options | None = None,
    everything: bool = False,
    coarse: Bundle | None = None,
    tell: Callable[[int], None] = lambda _: None,
) -> Ending:
    """Train a mapper for a bundle that has a defect branch and an encoder.

    Args:
        data: Photographs of good parts, and of defects of the types that the bundle knows.
        bundle: Bundle after `train defects` and `train encoder`.
        training: Options; its symmetries apply to photographs.
        fabric: Launched Fabric.
        placements: Symmetries of a defect.
        resume: Continue from the state in the bundle.
        minutes: Time limit of the steps; see `loop.run`.
        options: Options of the command, kept in the state; see `loop.run`.
        everything: Train on `test/good` and on all defects, not on the first third by name.
        coarse: Bundle of half the side whose mapper to start from; see `mapping.grow`.
        tell: Callback, called with the number of solution groups so far.

    Returns:
        Why and where it ended.

    Raises:
        DataError: There is no good photograph or no defect, or one can't be read.
        OptionError: The coarser bundle has another shape.
        BundleError: The bundle has no defect branch or no encoder.
        TrainingError: The run diverged; the last checkpoint is kept.
    """
    generator = load_generator(bundle, fabric.device)
    _refuse_branchless(bundle, generator)
    encoder = load_encoder(bundle, fabric.device)
    critic = load_matching_critic(bundle, fabric.device)
    mapper = fresh_mapper(generator, seed=training.schedule.seed)
    if coarse is not None:  # It may not fit, which is reported before the search for solutions.
        grow_mapper(mapper, generator.config, coarse)
    grown_from = None if coarse is None else coarse.digest
    source = _source(data, generator, training, placements, everything)
    lessons = Lessons(generator, source, pairs=0, defects=0)
    file = bundle.path / "training" / MAPPER / "solutions.safetensors"
    ensure_writable(file.parent)
    solutions = None
    if training.solved and training.solutions:
        solver = Solver(
            generator=generator,
            encoder=encoder,
            source=source,
            lessons=lessons,
            search=_search(training, generator),
        )
        seed = training.schedule.seed
        solutions = find_solutions(solver, training.solutions, file, seed=seed, tell=tell)
    tasks = Tasks(generator, lessons, solutions, training)
    stage = MapperStage(generator, encoder, mapper, critic, training, tasks, fabric, grown_from)
    return run(
        stage,
        training.schedule,
        fabric,
        bundle.path,
        resume=resume,
        minutes=minutes,
        options=options,
        name=MAPPER,
    )


def _source(
    data: DefectFolder,
    generator: Generator,
    training: MapperTraining,
    placements: Symmetries,
    everything: bool,
) -> Source:
    assert generator.config.defect is not None
    source = read_source(
        data,
        generator.config.defect.types,
        generator.config.resolution,
        symmetries=training.symmetries,
        placements=placements,
        everything=everything,
    )
    types = generator.config.defect.types
    shown = set() if source.defects is None else {types[k] for k in source.defects.kind.tolist()}
    if shown != {*types}:
        raise DataError(
            got=f"{data.root}, with no photograph of {' or '.join(sorted({*types} - shown))}",
            expected="the defect types of the bundle: real defects are the training targets",
            todo="Add some, or check the folder with 'blemish data check'.",
        )
    return source


def _search(training: MapperTraining, generator: Generator) -> SearchOptions:
    """Options of the search for solutions: codes alone if the branch takes no mask."""
    defect = generator.config.defect
    takes = defect is not None and defect.takes_mask
    return training.search if takes else replace(training.search, mask_control="codes")


def _refuse_branchless(bundle: Bundle, generator: Generator) -> None:
    if generator.config.defect is None:
        raise BundleError(
            got=f"{bundle.path}, a bundle without a defect branch",
            expected="one that has learnt defects",
            todo=f"Run 'blemish train defects DATA --bundle {bundle.path}' first.",
        )


def _missing(change: Float[Tensor, "n 3 h w"], wanted: float) -> Float[Tensor, "n 1 h w"]:
    """Shortfall of each pixel from a visible change."""
    return (1 - change.abs().mean(dim=1, keepdim=True) / wanted).relu()


def _inside(far: Float[Tensor, "n c h w"], mask: Float[Tensor, "n 1 h w"]) -> Float[Tensor, " n"]:
    total = mask.sum(dim=(1, 2, 3)).clamp(min=1)
    return (far.mean(dim=1, keepdim=True) * mask).sum(dim=(1, 2, 3)) / total


def _logits(drawing: Drawing) -> Float[Tensor, "n 1 h w"]:
    assert drawing.mask_logits is not None
    return drawing.mask_logits.float()


def _stack(image: Float[Tensor, "n 3 h w"], mask: Float[Tensor, "n 1 h w"]) -> Tensor:
    return torch.cat([image, 2 * mask - 1], dim=1)
