r"""Training of the mapper, in a frozen generator.

It learns from three sides at once, the change Δ being what is drawn with the defect less the twin:

* drawn parts under masks, whose defect code w_d and change are known;
* solutions of the optimiser on photographs, likewise: codes that draw the like of each real defect;
* photographs under masks that are drawn or moved real ones, for which nobody knows the answer: the
  branch's own mask must meet the one that is given, the change must be seen in all of it and stay
  inside, its colour must be that of a real defect, and a matching critic, trained along, must take
  the photograph with its change for one with a real defect.

The random code of a known defect, or of a real one whose colour is wanted, is fresh but for its
first numbers, which `looks` assigns.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from lightning_fabric import Fabric
from torch import Tensor, nn

from blemish.checkpoint import Bundle
from blemish.data.augment import Symmetries
from blemish.data.folder import DefectFolder
from blemish.errors import BundleError, DataError, OptionError
from blemish.generator.adapt import average_of
from blemish.generator.critic import Critic
from blemish.generator.game import Game, Judge
from blemish.generator.loop import Parameters, Schedule, choose, descend, run
from blemish.generator.losses import overlap_error
from blemish.generator.network import Drawing, Generator
from blemish.generator.restore import load_generator, load_matching_critic
from blemish.inversion.encoder import Encoder, load_encoder
from blemish.inversion.lessons import Lessons, Source, draw_flaws, read_source
from blemish.inversion.losses import squared_error
from blemish.inversion.search import refuse_weights
from blemish.inversion.space import w_defect_statistics
from blemish.pictures import grid, to_picture
from blemish.synthesis.defect import DefectSearch
from blemish.synthesis.mapping.looks import colour_inside, find_looks, with_look
from blemish.synthesis.mapping.mapper import MAPPER, Mapper, by_chance, codes_for, fresh_mapper, see
from blemish.synthesis.mapping.solutions import Solutions, Solver, find_solutions, joined
from blemish.types import Codes

WARM_BATCH, WARM_PLACES = 64, 256


@dataclass(frozen=True, slots=True, kw_only=True)
class MapperTraining(Game):
    """Options of the mapper's training, beside those of the game.

    Attributes:
        drawn: Share of a batch that the generator draws with known defects.
        solved: Share of a batch that the optimiser has solved; the rest are photographs.
        solutions: Groups of solutions that are searched for before the training begins.
        warm_steps: Steps that learn the solutions' codes before anything is drawn.
        search: How they are.
        code_weight: Of the distance to known defect codes, in units of their variance.
        change_weight: Of the distance to known changes, inside the mask.
        mask_weight: Of the branch's own mask not meeting the one that is given.
        visible_weight: Of what is missing to a change of `visible`, inside the mask.
        visible: Mean change of a pixel's channels that is wanted, in [-1, 1].
        outside_weight: Of the change beyond the mask.
        look_weight: Of the distance to the wanted colour.
        adversarial_weight: Of the critic's displeasure.
        stay_weight: Of how far photographs move the code, in units of its variance.
    """

    schedule: Schedule = field(default_factory=lambda: Schedule(kimg=12, snapshot_kimg=2))
    learning_rate: float = 1e-3
    ema_kimg: float = 1
    ada_cap: float = 0.3
    drawn: float = 0.125
    solved: float = 0.25
    solutions: int = 24
    warm_steps: int = 5000
    search: DefectSearch = field(default_factory=lambda: DefectSearch(steps=60))
    code_weight: float = 0.25
    change_weight: float = 4
    mask_weight: float = 0.5
    visible_weight: float = 4
    visible: float = 0.15
    outside_weight: float = 4
    look_weight: float = 4
    adversarial_weight: float = 0.1
    stay_weight: float = 0.1

    def __post_init__(self) -> None:
        names = [name for name in self.__dataclass_fields__ if name.endswith("_weight")]
        refuse_weights(**{name: getattr(self, name) for name in names})
        if self.drawn <= 0 or self.solved < 0 or self.drawn + self.solved >= 1:
            raise OptionError(
                got=f"shares of {self.drawn} drawn and {self.solved} solved",
                expected="some drawn, and together below 1: the rest are photographs",
                todo="Correct the options.",
            )
        if min(self.solutions, self.warm_steps) < 0:
            raise OptionError(
                got=f"{self.solutions} groups of solutions, {self.warm_steps} steps to warm up",
                expected="0 or more",
                todo="Correct the option.",
            )

    def weights(self) -> dict[str, float]:
        """The weight of each term of the mapper's loss."""
        return {
            "code": self.code_weight,
            "change": self.change_weight,
            "mask": self.mask_weight,
            "visible": self.visible_weight,
            "outside": self.outside_weight,
            "look": self.look_weight,
            "adversarial": self.adversarial_weight,
            "stay": self.stay_weight,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A batch: first what is known, drawn and solved, then photographs.

    Attributes:
        image: Of good parts.
        mask: Where the defects shall be.
        kind: Of which type.
        z: Random codes.
        w_defect: The known ones' defect rows.
        change: And their changes.
        colour: What the photographs' defects shall have.
    """

    image: Float[Tensor, "n 3 h w"]
    mask: Float[Tensor, "n 1 h w"]
    kind: Int[Tensor, " n"]
    z: Float[Tensor, "n z"]
    w_defect: Float[Tensor, "k defect_layers d"]
    change: Float[Tensor, "k 3 h w"]
    colour: Float[Tensor, "m 3"]


class MapperStage:
    """What `loop.run` trains; see the module's docstring."""

    def __init__(
        self,
        generator: Generator,
        encoder: Encoder,
        critic: Critic,
        training: MapperTraining,
        lessons: Lessons,
        solutions: Solutions | None,
        fabric: Fabric,
    ) -> None:
        self.generator, self.encoder, self.training = generator, encoder, training
        self.lessons, self.fabric = lessons, fabric
        assert lessons.source.defects is not None
        self.looks = find_looks(lessons.source.defects)
        self.solutions = None if solutions is None else solutions.to(fabric.device)
        self.mapper = fresh_mapper(generator, seed=training.schedule.seed).train()
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
        return self.lessons.data()

    def step(self, index: int, rng: torch.Generator) -> dict[str, float]:
        n = self.training.schedule.batch // self.fabric.world_size
        task = self._task(n, rng)
        known = len(task.w_defect)
        drawing, twin, rows = self._draw(task)
        change = drawing.image - twin
        moved = rows - by_chance(self.generator, task.kind, task.z)
        flawed = (task.image + change * task.mask)[known:]
        values = self.judge.learn(
            index, self._real(len(flawed), rng), _stack(flawed.detach(), task.mask[known:]), rng
        )
        terms = {
            "code": (rows[:known] - task.w_defect).square().mean(dim=(1, 2)) / self.variance,
            "change": _inside((change[:known] - task.change).abs(), task.mask[:known]),
            "mask": overlap_error(_logits(drawing), task.mask),
            "visible": _inside(_missing(change, self.training.visible), task.mask)[known:],
            "outside": squared_error(drawing.image, twin, 1 - task.mask),
            "look": (colour_inside(flawed, task.mask[known:]) - task.colour).square().mean(dim=1),
            "adversarial": self.judge.displeasure(_stack(flawed, task.mask[known:]), rng),
            "stay": moved[known:].square().mean(dim=(1, 2)) / self.variance,
        }
        weights = self.training.weights()
        loss = torch.stack([weights[k] * v.mean() for k, v in terms.items() if len(v)]).sum()
        descend(self.fabric, loss, self.parameters, self.adam)
        self.training.follow(self.average, self.mapper, index)
        return values | {k: v.mean().item() for k, v in terms.items() if len(v)}

    def warm_up(self) -> None:
        """Learn the codes of the solved looks, wherever they shall be, before anything is drawn.

        A code that paints blue here does so there too, near enough to start with; and a step that
        draws nothing takes a hundredth of the time.
        """
        if self.solutions is None:
            return
        rng = torch.Generator().manual_seed(self.training.schedule.seed)
        adam = torch.optim.Adam(self.parameters, lr=self.training.learning_rate)
        places = self._places(rng)
        for _ in range(self.training.warm_steps):
            known = self.solutions[choose(WARM_BATCH, len(self.solutions), rng)]
            z = self._latents(known, rng)
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
            image, _, _ = self.lessons.photographs(WARM_BATCH, rng)
            mask = draw_flaws(image, self.lessons.source, rng)
            found.append(self.mapper.describe(see(self.encoder, image).features, mask))
        return torch.cat(found)

    def _task(self, n: int, rng: torch.Generator) -> Task:
        solved = 0 if self.solutions is None else round(n * self.training.solved)
        some = [self._drawn(max(1, round(n * self.training.drawn)), rng)]
        if self.solutions is not None:
            some.append(self.solutions[choose(solved, len(self.solutions), rng)])
        known = joined(some)
        image, _, _ = self.lessons.photographs(n - len(known), rng)
        mask = draw_flaws(image, self.lessons.source, rng)
        _, z = self._chances(len(image), rng)
        kind, place, colour = self.looks.some(len(image), rng, image.device)
        return Task(
            image=torch.cat([known.photograph, image]),
            mask=torch.cat([known.mask, mask]),
            kind=torch.cat([known.kind, kind]),
            z=torch.cat([self._latents(known, rng), with_look(z, place)]),
            w_defect=known.w_defect,
            change=known.change,
            colour=colour,
        )

    def _latents(self, known: Solutions, rng: torch.Generator) -> Float[Tensor, "k z"]:
        """Random codes that ask for the looks of known defects."""
        _, z = self._chances(len(known), rng)
        colour = colour_inside(known.photograph + known.change, known.mask)
        return with_look(z, self.looks.of(colour, known.kind))

    @torch.no_grad()
    def _drawn(self, n: int, rng: torch.Generator) -> Solutions:
        """Parts that the generator draws, and what it makes of them under a mask."""
        z = torch.randn(n, self.generator.config.z_dim, generator=rng).to(self.fabric.device)
        codes = self.generator.codes(z)
        twin = self.generator.draw(codes).image
        mask = draw_flaws(twin, self.lessons.source, rng)
        kind, z_defect = self._chances(n, rng)
        rows = by_chance(self.generator, kind, z_defect)
        flawed = self.generator.draw(Codes(w=codes.w, w_defect=rows), mask=self._given(mask)).image
        return Solutions(
            photograph=twin.clamp(-1, 1), mask=mask, kind=kind, w_defect=rows, change=flawed - twin
        )

    def _chances(self, n: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Types and random codes."""
        kinds = max(1, len(self._types))
        kind = torch.randint(kinds, (n,), generator=rng)
        z = torch.randn(n, self.generator.config.z_dim, generator=rng)
        return kind.to(self.fabric.device), z.to(self.fabric.device)

    def _draw(self, task: Task) -> tuple[Drawing, Tensor, Tensor]:
        """What the mapper's codes draw, the twins, and the defect's rows."""
        codes = self._codes(self.mapper, task.image, task.mask, task.kind, task.z)
        with self.fabric.autocast():
            drawing = self.generator.draw(codes, mask=self._given(task.mask))
        assert codes.w_defect is not None
        with torch.no_grad():
            twin = self.generator.draw(codes.good()).image
        return drawing, twin, codes.w_defect

    @torch.no_grad()
    def _change(self, mapper: Mapper, *asked: Tensor) -> Float[Tensor, "n 3 h w"]:
        """What a mapper's codes draw for photographs, masks, types and random codes, less twins."""
        codes = self._codes(mapper, *asked)
        drawing = self.generator.draw(codes, mask=self._given(asked[1]))
        return drawing.image - self.generator.draw(codes.good()).image

    def _codes(self, mapper: Mapper, *asked: Tensor) -> Codes:
        photograph, *rest = asked
        return codes_for(self.generator, mapper, see(self.encoder, photograph), *rest)

    def _given(self, mask: Tensor) -> Tensor | None:
        defect = self.generator.config.defect
        return mask if defect is not None and defect.takes_mask else None

    def _real(self, n: int, rng: torch.Generator) -> Float[Tensor, "n 4 h w"]:
        """Real defects on photographs of good parts."""
        image, mask, _ = self.lessons.stitched(n, rng)
        return _stack(image, mask)

    @property
    def _types(self) -> tuple[str, ...]:
        defect = self.generator.config.defect
        return defect.types if defect else ()

    def snapshot(self, out: Path, folder: Path, nimg: int) -> None:
        bundle = Bundle(out)
        bundle.write(MAPPER, self.average.state_dict())
        about = {**bundle.config.get("training", {}), MAPPER: asdict(self.training)}
        bundle.write_config({**bundle.config, "training": about, "mapper_nimg": nimg})

    @torch.no_grad()
    def picture(self) -> UInt8[np.ndarray, "h w 3"]:
        """Rows of parts, of masks, and of the defects that three random codes give them."""
        rng = torch.Generator().manual_seed(0)
        task = self._task(16, rng)
        rows = [task.image, task.mask.expand(-1, 3, -1, -1) * 2 - 1]
        for _ in range(4):
            _, z = self._chances(len(task.kind), rng)
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
    everything: bool = False,
    tell: Callable[[int], None] = lambda _: None,
) -> None:
    """Train a mapper for a bundle that has a defect branch and an encoder.

    Args:
        data: Photographs of good parts, and of defects of the types that the bundle knows.
        bundle: As `train defects` and `train encoder` left it.
        training: Options; its symmetries are what may be done to photographs.
        fabric: Launched.
        placements: What may be done to a defect so that it still could be one.
        resume: Continue from the state in the bundle.
        everything: Learn from `test/good` and from all defects, not from the first third by name.
        tell: Called with the number of solution groups so far.

    Raises:
        DataError: There is no good photograph or no defect, or one can't be read.
        BundleError: The bundle has no defect branch or no encoder.
        TrainingError: The run diverged; the last checkpoint is kept.
    """
    generator = load_generator(bundle, fabric.device)
    _refuse_branchless(bundle, generator)
    encoder = load_encoder(bundle, fabric.device)
    critic = load_matching_critic(bundle, fabric.device)
    source = _source(data, generator, training, placements, everything)
    lessons = Lessons(generator, source, pairs=0, defects=0)
    solutions = None
    if training.solved and training.solutions:
        solver = Solver(
            generator=generator,
            encoder=encoder,
            source=source,
            lessons=lessons,
            search=_search(training, generator),
        )
        file = bundle.path / "training" / MAPPER / "solutions.safetensors"
        file.parent.mkdir(parents=True, exist_ok=True)
        seed = training.schedule.seed
        solutions = find_solutions(solver, training.solutions, file, seed=seed, tell=tell)
    stage = MapperStage(generator, encoder, critic, training, lessons, solutions, fabric)
    stage.warm_up()
    run(stage, training.schedule, fabric, bundle.path, resume=resume, name=MAPPER)


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
            expected="the defects that the bundle has learnt: real ones show what is wanted",
            todo="Add some, or check the folder with 'blemish data check'.",
        )
    return source


def _search(training: MapperTraining, generator: Generator) -> DefectSearch:
    """How solutions are searched for: with codes alone where the branch takes no mask."""
    defect = generator.config.defect
    takes = defect is not None and defect.takes_mask
    return training.search if takes else replace(training.search, control="codes")


def _refuse_branchless(bundle: Bundle, generator: Generator) -> None:
    if generator.config.defect is None:
        raise BundleError(
            got=f"{bundle.path}, a bundle without a defect branch",
            expected="one that has learnt defects",
            todo=f"Run 'blemish train defects DATA --bundle {bundle.path}' first.",
        )


def _missing(change: Float[Tensor, "n 3 h w"], wanted: float) -> Float[Tensor, "n 1 h w"]:
    """What each pixel lacks to be seen as changed."""
    return (1 - change.abs().mean(dim=1, keepdim=True) / wanted).relu()


def _inside(far: Float[Tensor, "n c h w"], mask: Float[Tensor, "n 1 h w"]) -> Float[Tensor, " n"]:
    total = mask.sum(dim=(1, 2, 3)).clamp(min=1)
    return (far.mean(dim=1, keepdim=True) * mask).sum(dim=(1, 2, 3)) / total


def _logits(drawing: Drawing) -> Float[Tensor, "n 1 h w"]:
    assert drawing.mask_logits is not None
    return drawing.mask_logits.float()


def _stack(image: Float[Tensor, "n 3 h w"], mask: Float[Tensor, "n 1 h w"]) -> Tensor:
    return torch.cat([image, 2 * mask - 1], dim=1)
