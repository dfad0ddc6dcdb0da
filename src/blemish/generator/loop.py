"""Training loop of every stage.

A stage defines a step; the loop seeds it, checks for values that are not finite, reports progress
and writes whole checkpoints. Step k draws all its random numbers from (seed, k), so an interrupted
and resumed run gives the same result as an uninterrupted one.
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
    """Length of a stage, and intervals of its reports.

    Attributes:
        batch: Images per step, over all processes.
        kimg: Training length, in thousands of images shown to the critic.
        snapshot_kimg: Interval between checkpoints, in thousands of images.
        log_steps: Number of steps per line of `stats.jsonl`.
        seed: Random seed.
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
                got=f"seed {self.seed}", expected="0 to 2^63 - 1", todo="Choose another seed."
            )

    @property
    def steps(self) -> int:
        return max(1, round(self.kimg * 1000 / self.batch))

    @property
    def snapshot_steps(self) -> int:
        return max(1, round(self.snapshot_kimg * 1000 / self.batch))


@runtime_checkable  # for the tests, which check types
class Stage(Protocol):
    """Kind of training: its networks, and one step."""

    def state(self) -> nn.ModuleDict:
        """All weights and buffers of a checkpoint."""
        ...

    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        """Optimisers by name, in a fixed order."""
        ...

    def data(self) -> list[Tensor]:
        """Training data; a run can be resumed only with the same data."""
        ...

    def origin(self) -> dict[str, str]:
        """Starting networks by the names of options; a resumed run must have the same."""
        ...

    def warm_up(self) -> None:
        """Work before the first step, which a resumed run does not repeat."""
        ...

    def step(self, index: int, rng: torch.Generator) -> dict[str, float]:
        """Run one step; returns values to log."""
        ...

    def snapshot(self, out: Path, folder: Path, nimg: int) -> None:
        """Write the present bundle, and the generator as a snapshot into the folder."""
        ...

    def picture(self) -> UInt8[np.ndarray, "h w 3"]:
        """Grid of samples."""
        ...


def step_rng(seed: int, index: int, rank: int = 0) -> torch.Generator:
    """Random generator of a step, in one process."""
    state = np.random.SeedSequence([seed, index, rank]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state >> np.uint64(1)))


def choose(n: int, of: int, rng: torch.Generator) -> Int[Tensor, " n"]:
    """Indices of `n` out of `of` items, with replacement."""
    return torch.randint(of, (n,), generator=rng)


def descend(
    fabric: Fabric, loss: Tensor, parameters: Parameters, *optimisers: torch.optim.Optimizer
) -> None:
    """Optimiser step along the mean gradient of all processes.

    Raises:
        TrainingError: A gradient is not finite; the weights are unchanged.
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
        raise TrainingError("a gradient is NaN or infinite")
    sizes = [slope.numel() for slope in slopes]
    for slope, piece in zip(slopes, flat.split(sizes), strict=True):
        slope.copy_(piece.view_as(slope))
    for optimiser in optimisers:
        optimiser.step()


def gather(fabric: Fabric, values: Tensor) -> Tensor:
    """Values of all processes, on the CPU."""
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
        stage: Stage on `fabric`'s device.
        schedule: Length of the training; a resumed run may have a longer one than before.
        fabric: Launched Fabric.
        out: Folder of the bundle.
        resume: Continue from the state there, or start if there is none.
        name: Name of the folder under `training/` for the state, statistics and images.

    Raises:
        OptionError: The batch can't be shared out evenly, or the state has other options.
        OutputError: A state exists and `resume` is off, or another run writes there.
        TrainingError: Values are not finite; the last whole checkpoint is kept.
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
                _save(stage, folder, schedule, done)  # last: the others are complete


def _refuse_uneven(batch: int, processes: int) -> None:
    if batch % processes:
        raise OptionError(
            got=f"batch {batch} for {processes} processes",
            expected="a batch that all processes share evenly",
            todo="Change --batch or --processes.",
        )


def _from_scratch(folder: Path) -> int:
    if (folder / STATE).exists():
        raise OutputError(
            got=f"{folder}, which contains the state of a training",
            expected="a folder without a training",
            todo="Continue that training with --resume, or choose another folder.",
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
            f"Got a training that diverged at step {index}: {error}. Expected finite values. "
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
    """Options and data that a run shares with the one it resumes."""
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
            todo=f"Use the same options and data, or remove {file.parent} to start over.",
        )
    modules = {k.removeprefix("module."): v for k, v in tensors.items() if k.startswith("module.")}
    try:
        stage.state().load_state_dict(modules)
    except RuntimeError as error:
        raise OptionError(
            got="--resume with networks of another shape",
            expected=f"those of the training that wrote {file}",
            todo="Use the same options, or start over in another folder.",
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
