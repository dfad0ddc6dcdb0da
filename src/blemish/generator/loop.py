"""The one training loop, which every stage runs in.

A stage says what a step is; the loop seeds it, watches for numbers that are not finite, tells how
it goes and writes whole checkpoints. Step k draws all its randomness from (seed, k), so a run that
was interrupted and resumed is the run that was not.
"""

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from math import inf, isfinite
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Int, UInt8
from lightning_fabric import Fabric
from torch import Tensor, nn

from blemish.checkpoint import digest_of, load_tensors, save_tensors
from blemish.errors import OptionError, OutputError, TrainingError
from blemish.files import alone
from blemish.pictures import write_picture
from blemish.tracking import Statistics, draw_curves, progress_bar

Parameters = list[nn.Parameter]
STATE = "state.safetensors"


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """How long a stage runs and how often it tells.

    Attributes:
        batch: Pictures per step, over all processes.
        kimg: Thousands of pictures that the critic is shown.
        snapshot_kimg: Between checkpoints.
        log_steps: Steps that a line of `stats.jsonl` stands for.
        seed: Of everything random.
    """

    batch: int = 16
    kimg: float = 300
    snapshot_kimg: float = 4
    log_steps: int = 25
    seed: int = 0

    def __post_init__(self) -> None:
        lengths = (self.batch, self.kimg, self.snapshot_kimg, self.log_steps)
        if not all(0 < length < inf for length in lengths):
            raise OptionError(
                got=f"a schedule of batch {self.batch}, {self.kimg} kimg, a snapshot every "
                f"{self.snapshot_kimg} kimg and a line every {self.log_steps} steps",
                expected="numbers above zero",
                todo="Correct the option.",
            )
        if not 0 <= self.seed < 2**63:
            raise OptionError(
                got=f"seed {self.seed}", expected="0 up to 2^63 - 1", todo="Choose another."
            )

    @property
    def steps(self) -> int:
        return max(1, round(self.kimg * 1000 / self.batch))

    @property
    def snapshot_steps(self) -> int:
        return max(1, round(self.snapshot_kimg * 1000 / self.batch))


@runtime_checkable  # for the tests, which check types
class Stage(Protocol):
    """A kind of training: what it holds, and what one step does."""

    def state(self) -> nn.ModuleDict:
        """Everything with weights or buffers that a checkpoint must hold."""
        ...

    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        """By name, in a fixed order."""
        ...

    def data(self) -> list[Tensor]:
        """What it learns from; a run can be resumed on the same data only."""
        ...

    def origin(self) -> dict[str, str]:
        """What it began as, by the names of options; the same for a run and the one it resumes."""
        ...

    def warm_up(self) -> None:
        """What comes before the first step, and not again when a run is resumed."""
        ...

    def step(self, index: int, rng: torch.Generator) -> dict[str, float]:
        """One step; returns what to log."""
        ...

    def snapshot(self, out: Path, folder: Path, nimg: int) -> None:
        """Write the bundle as it stands, and the generator for later choice into the folder."""
        ...

    def picture(self) -> UInt8[np.ndarray, "h w 3"]:
        """A grid of samples."""
        ...


def step_rng(seed: int, index: int, rank: int = 0) -> torch.Generator:
    """The generator of a step's randomness, in one process."""
    state = np.random.SeedSequence([seed, index, rank]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state >> np.uint64(1)))


def choose(n: int, of: int, rng: torch.Generator) -> Int[Tensor, " n"]:
    """Indices of `n` out of `of` items, with replacement."""
    return torch.randint(of, (n,), generator=rng)


def descend(
    fabric: Fabric, loss: Tensor, parameters: Parameters, *optimisers: torch.optim.Optimizer
) -> None:
    """Step down the mean slope of all processes.

    Raises:
        TrainingError: A slope is not finite; no weight has been touched by it.
    """
    for parameter in parameters:
        parameter.grad = None
    loss.backward()
    slopes = [p.grad for p in parameters if p.grad is not None]
    flat = torch.cat([slope.flatten() for slope in slopes])
    if fabric.world_size > 1:
        reduced = fabric.all_reduce(flat, reduce_op="mean")
        assert isinstance(reduced, Tensor)
        flat = reduced
    if not flat.isfinite().all():
        raise TrainingError("a slope is NaN or infinite")
    sizes = [slope.numel() for slope in slopes]
    for slope, piece in zip(slopes, flat.split(sizes), strict=True):
        slope.copy_(piece.view_as(slope))
    for optimiser in optimisers:
        optimiser.step()


def gather(fabric: Fabric, values: Tensor) -> Tensor:
    """The values of all processes, on the CPU."""
    together = values.new_zeros(fabric.world_size, *values.shape)
    together[fabric.global_rank] = values
    gathered = fabric.all_reduce(together, reduce_op="sum")
    assert isinstance(gathered, Tensor)
    return gathered.flatten().cpu()


def run(
    stage: Stage, schedule: Schedule, fabric: Fabric, out: Path, *, resume: bool, name: str
) -> None:
    """Train a stage to the end of its schedule.

    Args:
        stage: On `fabric`'s device.
        schedule: Its length; a resumed run may have a longer one than it began with.
        fabric: Launched.
        out: The bundle's folder.
        resume: Continue from the state there, or begin where there is none.
        name: Of the folder under `training/` for the state, statistics and pictures.

    Raises:
        OptionError: The batch can't be shared out evenly, or the state is of other options.
        OutputError: Without `resume`, there is a state already; or another run writes there.
        TrainingError: Numbers ceased to be finite; the last whole checkpoint is kept.
    """
    folder = out / "training" / name
    _refuse_uneven(schedule.batch, fabric.world_size)
    # One process of several holds it for all.
    with alone(folder) if fabric.global_rank == 0 else nullcontext():
        start = _restore(stage, folder / STATE, schedule) if resume else _from_scratch(folder)
        if start == 0:
            stage.warm_up()
        _run(stage, schedule, fabric, out, folder, start)


def _run(
    stage: Stage, schedule: Schedule, fabric: Fabric, out: Path, folder: Path, start: int
) -> None:
    if fabric.global_rank == 0:
        told = Statistics(folder / "stats.jsonl", resume_step=start)
    else:
        told = None
    with progress_bar(quiet=fabric.global_rank != 0) as bar:
        line = bar.add_task(
            "training",
            total=schedule.steps * schedule.batch,
            completed=start * schedule.batch,
            note="images",
        )
        for index in range(start, schedule.steps):
            rng = step_rng(schedule.seed, index, fabric.global_rank)
            values = _guarded_step(stage, index, rng, folder)
            done, nimg = index + 1, (index + 1) * schedule.batch
            bar.update(line, completed=nimg)
            if told is None:
                continue
            told.add(values)
            due = done % schedule.snapshot_steps == 0 or done == schedule.steps
            if due or done % schedule.log_steps == 0:
                bar.update(line, note=told.flush(step=done, nimg=nimg))
            if due:
                stage.snapshot(out, folder, nimg)
                write_picture(folder / f"samples-{nimg // 1000:06d}.png", stage.picture())
                draw_curves(told.path, folder / "curves.png")
                _save(stage, folder, schedule, done)  # last: what it says is done, is done


def _refuse_uneven(batch: int, processes: int) -> None:
    if batch % processes:
        raise OptionError(
            got=f"batch {batch} for {processes} processes",
            expected="a batch that all share evenly",
            todo="Change --batch or --processes.",
        )


def _from_scratch(folder: Path) -> int:
    if (folder / STATE).exists():
        raise OutputError(
            got=f"{folder}, where a training has left its state",
            expected="a folder without one",
            todo="Carry that training on with --resume, or choose another folder.",
        )
    return 0


def _guarded_step(
    stage: Stage, index: int, rng: torch.Generator, folder: Path
) -> Mapping[str, float]:
    try:
        values = stage.step(index, rng)
        bad = [name for name, value in values.items() if not isfinite(value)]
        if bad:
            raise TrainingError(f"{', '.join(bad)} is NaN or infinite")
    except TrainingError as error:
        raise TrainingError(
            f"Got a training that diverged at step {index}: {error}. Expected finite numbers. "
            f"The last good state is kept in {folder}; resume with a lower learning rate."
        ) from error
    return values


def _save(stage: Stage, folder: Path, schedule: Schedule, done: int) -> None:
    tensors = {f"module.{k}": v for k, v in stage.state().state_dict().items()}
    for name, optimiser in stage.optimisers().items():
        for k, slots in optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{name}.{k}.{slot}": v for slot, v in slots.items()}
    about = {"step": str(done), **_identity(stage, schedule)}
    save_tensors(folder / STATE, tensors, metadata=about)


def _identity(stage: Stage, schedule: Schedule) -> dict[str, str]:
    """What must be the same for a run to be the one that it resumes."""
    mine = {"batch": str(schedule.batch), "seed": str(schedule.seed)}
    return {**mine, "photographs": digest_of(stage.data()), **stage.origin()}


def _restore(stage: Stage, file: Path, schedule: Schedule) -> int:
    if not file.exists():
        return 0
    tensors, about = load_tensors(file)
    mine = _identity(stage, schedule)
    other = [name for name, value in mine.items() if about.get(name, value) != value]
    if other:
        raise OptionError(
            got="--resume with " + ", ".join(f"{name} {mine[name]}" for name in other),
            expected=", ".join(f"{name} {about.get(name)}" for name in other) + f", as in {file}",
            todo=f"Use the same options and data, or remove {file.parent} to begin anew.",
        )
    modules = {k.removeprefix("module."): v for k, v in tensors.items() if k.startswith("module.")}
    try:
        stage.state().load_state_dict(modules)
    except RuntimeError as error:
        raise OptionError(
            got="--resume with networks of another shape",
            expected=f"those of the training that left {file}",
            todo="Use the same options, or begin anew in another folder.",
        ) from error
    for name, optimiser in stage.optimisers().items():
        _restore_optimiser(optimiser, f"optimiser.{name}.", tensors)
    return int(about["step"])


def _restore_optimiser(
    optimiser: torch.optim.Optimizer, prefix: str, tensors: Mapping[str, Tensor]
) -> None:
    slots: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith(prefix):
            k, slot = name.removeprefix(prefix).split(".")
            slots.setdefault(int(k), {})[slot] = tensor
    optimiser.load_state_dict({**optimiser.state_dict(), "state": slots})
