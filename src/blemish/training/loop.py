"""Training loop of every stage.

A stage defines a step; the loop seeds it, checks for values that are not finite, reports progress
and writes whole checkpoints. Step k draws all its random numbers from (seed, k), so an interrupted
and resumed run gives the same result as an uninterrupted one.
"""

import json
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from math import inf, isfinite
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any, Protocol, TypedDict, cast, get_args, runtime_checkable

import numpy as np
import torch
from jaxtyping import Int, UInt8
from torch import Tensor, nn

from blemish.checkpoint import digest_of, load_tensors, read_metadata, save_tensors
from blemish.documents import parse_json
from blemish.errors import BundleError, OptionError, OutputError, TrainingError
from blemish.files import alone
from blemish.names import LoggerName
from blemish.pictures import write_picture
from blemish.tracking import ProgressLine, Statistics, draw_curves
from blemish.training.stopping import TIME_LIMIT, Ending, Stop, raise_signal

if TYPE_CHECKING:
    from lightning_fabric import Fabric  # which only trainings import
    from lightning_fabric.loggers.logger import Logger

Parameters = list[nn.Parameter]
Options = Mapping[str, Any]  # of a command, as JSON holds them
_SCALARS = (str, int, float, bool, NoneType)
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


class RunOptions(TypedDict, total=False):
    """Keywords of `run` that every training takes: resume, minutes and options."""

    resume: bool
    minutes: float | None
    options: Options | None


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
        return {}

    def warm_up(self) -> None:
        """Work before the first step, which a resumed run does not repeat."""

    def uncounted_steps(self) -> int:
        """Steps at the start that show the critic nothing; they do not count as kimg."""
        return 0

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


def random_indices(n: int, of: int, rng: torch.Generator) -> Int[Tensor, " n"]:
    """Indices of `n` out of `of` items, with replacement."""
    return torch.randint(of, (n,), generator=rng)


def optimiser_step(
    fabric: "Fabric", loss: Tensor, parameters: Parameters, *optimisers: torch.optim.Optimizer
) -> None:
    """Optimiser step along the mean gradient of all processes.

    Raises:
        TrainingError: A gradient is not finite; the weights are unchanged.
    """
    for parameter in parameters:
        parameter.grad = None
    loss.backward()
    if fabric.world_size > 1:
        _share_gradients(fabric, parameters)
    gradients = [p.grad.flatten() for p in parameters if p.grad is not None]
    if not torch.cat(gradients).isfinite().all():
        raise TrainingError("a gradient is NaN or infinite")
    for optimiser in optimisers:
        optimiser.step()


def _share_gradients(fabric: "Fabric", parameters: Parameters) -> None:
    """Replace gradients by their means over all processes.

    A parameter may lack a gradient in some of them, because a term of the loss had no items there;
    one that lacks it in all of them stays without.
    """
    mine = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    has = mine[0].new_tensor([float(p.grad is not None) for p in parameters])
    flat = torch.cat([*(gradient.flatten() for gradient in mine), has])
    shared = fabric.all_reduce(flat, reduce_op="mean")
    assert isinstance(shared, Tensor)
    *means, known = shared.split([*(p.numel() for p in parameters), len(parameters)])
    for parameter, gradient, mean, share in zip(parameters, mine, means, known, strict=True):
        parameter.grad = gradient.copy_(mean.view_as(gradient)) if share else None


def gather_values(fabric: "Fabric", values: Tensor) -> Tensor:
    """Values of all processes, on the CPU."""
    together = values.new_zeros(fabric.world_size, *values.shape)
    together[fabric.global_rank] = values
    gathered = fabric.all_reduce(together, reduce_op="sum")
    assert isinstance(gathered, Tensor)
    return gathered.flatten().cpu()


def run(
    stage: Stage,
    schedule: Schedule,
    fabric: "Fabric",
    out: Path,
    *,
    name: str,
    resume: bool = False,
    minutes: float | None = None,
    options: Options | None = None,
) -> Ending:
    """Train a stage to the end of its schedule.

    Ctrl-C and SIGTERM stop it between two steps: it writes a checkpoint, from which a resumed run
    goes on as if it had never stopped, and raises.

    Args:
        stage: The training's networks and step, on `fabric`'s device.
        schedule: Length; a resumed run may have a longer one than it began with.
        fabric: Launched Fabric.
        out: Folder of the bundle.
        resume: Continue from the state there, or start if there is none.
        name: Name of the folder under `training/` for the state, statistics and pictures.
        minutes: Time limit; at the next step's end a snapshot and a checkpoint are written.
        options: Options of the command, kept in the state for `stored_options`.

    Returns:
        Why and where it ended: at its end, or at the time limit.

    Raises:
        OptionError: The batch can't be shared out evenly, the time limit is not above zero, or the
            state has other options.
        OutputError: A state exists and `resume` is off, another run writes there, or the processes
            see different folders.
        TrainingError: Values are not finite; the last whole checkpoint is kept.
        KeyboardInterrupt: Ctrl-C; the checkpoint is written, and the text says where it stands.
        Terminated: SIGTERM, likewise.
    """
    folder = out / "training" / name
    _refuse_uneven(schedule.batch, fabric.world_size)
    # One process of several holds it for all.
    with alone(folder) if fabric.global_rank == 0 else nullcontext():
        if not resume:
            refuse_state(folder)
        start = _restore(stage, folder / STATE, schedule) if resume else 0
        stop = Stop(fabric, minutes)
        if start == 0:
            stage.warm_up()
        if fabric.world_size > 1:
            _agree(stage, fabric, start, folder)
        plan = _Plan(schedule=schedule, uncounted=stage.uncounted_steps(), options=options or {})
        return _run(stage, plan, fabric, out, folder, start, stop)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """Steps of a run: those that count as kimg, and the uncounted ones before them."""

    schedule: Schedule
    uncounted: int
    options: Options

    @property
    def steps(self) -> int:
        return self.uncounted + self.schedule.steps

    def nimg(self, done: int) -> int:
        """Images that the critic has been shown after so many steps."""
        return max(0, done - self.uncounted) * self.schedule.batch

    def is_due(self, done: int) -> bool:
        """Whether a snapshot is due after so many steps."""
        regular = (done - self.uncounted) % self.schedule.snapshot_steps == 0
        return regular or done == self.steps

    def phase(self, done: int) -> str:
        return "warming up" if done < self.uncounted else "training"

    def count(self, done: int) -> str:
        shown, total = (self.nimg(steps) / 1000 for steps in (done, self.steps))
        digits = 1 if total >= 10 else 3
        return f"{shown:.{digits}f}/{total:.{digits}f} kimg"


def _run(
    stage: Stage, plan: _Plan, fabric: "Fabric", out: Path, folder: Path, start: int, stop: Stop
) -> Ending:
    writer = _Writer(stage, plan, out, folder, start) if fabric.global_rank == 0 else None
    done, cause = start, 0
    line = ProgressLine("training", plan.steps, quiet=writer is None)
    line.update(done, what=plan.phase(done), count=plan.count(done))
    with stop, line:
        while done < plan.steps and not cause:
            rng = step_rng(plan.schedule.seed, done, fabric.global_rank)
            values = _guarded_step(stage, done, rng, folder)
            done, cause = done + 1, stop.cause()
            note = None if writer is None else writer.hear(done, values, cause)
            line.update(done, what=plan.phase(done), count=plan.count(done), note=note)
        cause = cause or stop.cause()  # of a signal during the last snapshot
        if writer is not None:
            writer.close()
        if cause:
            fabric.barrier()  # no process leaves before the checkpoint is written
    raise_signal(cause, f"The checkpoint stands at {plan.count(done)}.")
    reason = "time limit" if done < plan.steps else "finished"
    return Ending(reason=reason, steps=done, nimg=plan.nimg(done))


class _Writer:
    """What a run leaves in its folder: statistics, snapshots and checkpoints."""

    def __init__(self, stage: Stage, plan: _Plan, out: Path, folder: Path, start: int) -> None:
        self.stage, self.plan, self.out, self.folder = stage, plan, out, folder
        window = read_metadata(folder / STATE).get("window", "{}") if start else "{}"
        self.statistics = Statistics(
            folder / "stats.jsonl", batch=plan.schedule.batch, resume_step=start, window=window
        )
        self.logger = _logger(plan.options, folder, start)

    def hear(self, done: int, values: Mapping[str, float], cause: int) -> str | None:
        """Take a step's values, and write what is due; returns a line's figures."""
        self.statistics.add(values)
        due = self.plan.is_due(done) or cause == TIME_LIMIT
        note = None
        if due or done % self.plan.schedule.log_steps == 0:
            note = self.statistics.flush(step=done, nimg=self.plan.nimg(done))
            if self.logger is not None:
                self.logger.log_metrics(self.statistics.last, done)
        if due:
            self._snapshot(done)
        if due or cause:  # a signal leaves no more than the checkpoint: it must be quick
            self._save(done)  # last: what it says is done, is done
        return note

    def close(self) -> None:
        """Close the logger, if there is one."""
        if self.logger is not None:
            self.logger.finalize("success")

    def _snapshot(self, done: int) -> None:
        nimg, folder = self.plan.nimg(done), self.folder
        self.stage.snapshot(self.out, folder, nimg)
        write_picture(folder / f"samples-{nimg // 1000:06d}.png", self.stage.picture())
        draw_curves(self.statistics.path, folder / "curves.png")

    def _save(self, done: int) -> None:
        more = {"window": self.statistics.window(), "options": json.dumps(self.plan.options)}
        _save(self.stage, self.folder, self.plan.schedule, done, more)


def stored_options(folder: Path) -> Options:
    """Options of the command whose training left its state in a folder; empty without one.

    Raises:
        BundleError: The state can't be read.
    """
    file = folder / STATE
    if not file.exists():
        return {}
    try:
        options = parse_json(read_metadata(file).get("options", "{}"))
    except ValueError as error:
        raise _damaged(file, f"holds options that can't be read ({error})") from error
    if not isinstance(options, dict) or not all(isinstance(v, _SCALARS) for v in options.values()):
        raise _damaged(file, "holds options that are no text, number or switch each")
    return options


def _refuse_uneven(batch: int, processes: int) -> None:
    if batch % processes:
        raise OptionError(
            got=f"batch {batch} for {processes} processes",
            expected="a batch that all processes share evenly",
            todo="Change --batch or --processes.",
        )


def _logger_name(options: Options) -> LoggerName | None:
    name = options.get("log")
    return cast(LoggerName, name) if name in get_args(LoggerName) else None


def _logger(options: Options, folder: Path, start: int) -> "Logger | None":
    """Logger that the command asks for; its parameters are the command's options."""
    name = _logger_name(options)
    if name is None:
        return None
    from blemish.loggers import make_logger

    logger = make_logger(name, folder, start)
    logger.log_hyperparams({**options})
    return logger


def refuse_state(folder: Path) -> None:
    """Raise an OutputError if a folder contains the state of a training."""
    if (folder / STATE).exists():
        raise OutputError(
            got=f"{folder}, which contains the state of a training",
            expected="a folder without a training",
            todo="Continue that training with --resume, or choose another folder.",
        )


def _agree(stage: Stage, fabric: "Fabric", start: int, folder: Path) -> None:
    """Let all processes begin with the networks of the first one, whatever machines they run on.

    Raises:
        OutputError: They found different states, so they don't see the same folder.
    """
    starts = gather_values(fabric, torch.tensor([start], device=fabric.device))
    if (starts != start).any():
        raise OutputError(
            got=f"{folder}, which is not the same for all processes: they stand at the steps "
            + ", ".join(str(int(step)) for step in starts),
            expected="a folder that all machines see",
            todo="Put it on a file system that they share.",
        )
    state = stage.state()
    first = fabric.broadcast({name: value.cpu() for name, value in state.state_dict().items()})
    state.load_state_dict(first)


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


def _save(
    stage: Stage, folder: Path, schedule: Schedule, done: int, more: Mapping[str, str]
) -> None:
    tensors = {f"module.{k}": v for k, v in stage.state().state_dict().items()}
    for name, optimiser in stage.optimisers().items():
        for k, slots in optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{name}.{k}.{slot}": v for slot, v in slots.items()}
    about = {"step": str(done), "tensors": str(len(tensors)), **_identity(stage, schedule), **more}
    save_tensors(folder / STATE, tensors, metadata=about)


def _identity(stage: Stage, schedule: Schedule) -> dict[str, str]:
    """Options and data that a run shares with the one it resumes."""
    mine = {"batch": str(schedule.batch), "seed": str(schedule.seed)}
    return {**mine, "photographs": digest_of(stage.data()), **stage.origin()}


def _restore(stage: Stage, file: Path, schedule: Schedule) -> int:
    if not file.exists():
        return 0
    tensors, about = load_tensors(file)
    step = _step_of(file, about, len(tensors))
    mine = _identity(stage, schedule)
    other = [name for name, value in mine.items() if about.get(name, value) != value]
    if other:
        raise OptionError(
            got="--resume with " + ", ".join(f"{name} {mine[name]}" for name in other),
            expected=", ".join(f"{name} {about.get(name)}" for name in other) + f", as in {file}",
            todo=f"Use the same options and data, or remove {file.parent} to start over.",
        )
    _refuse_beyond(file, step, last=stage.uncounted_steps() + schedule.steps)
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
        _restore_optimiser(optimiser, f"optimiser.{name}.", tensors, file)
    return step


def _step_of(file: Path, about: Mapping[str, str], tensors: int) -> int:
    """Steps of the training that wrote a state, if the state is whole."""
    text = about.get("step", "")
    step = int(text) if text.isdecimal() and len(text) < 18 else -1
    if step < 0:
        raise _damaged(file, f"says it is of step {text[:40]!r}")
    if about.get("tensors", str(tensors)) != str(tensors):  # older states do not say
        raise _damaged(file, f"holds {tensors} tensors, not {about['tensors'][:40]}")
    return step


def _refuse_beyond(file: Path, step: int, *, last: int) -> None:
    if step > last:
        raise OptionError(
            got=f"--resume from step {step}, as {file} says",
            expected=f"at most step {last}, where the training ends",
            todo="Train longer with --kimg, or leave the training as it is.",
        )


def _restore_optimiser(
    optimiser: torch.optim.Optimizer, prefix: str, tensors: Mapping[str, Tensor], file: Path
) -> None:
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    slots: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith(prefix):
            k, _, slot = name.removeprefix(prefix).partition(".")
            if not (k.isdecimal() and int(k[:9]) < len(parameters)):
                raise _damaged(file, f"holds '{name[:80]}', which belongs to no parameter")
            slots.setdefault(int(k), {})[slot] = tensor
    for k, found in slots.items():
        shapes = {slot: tensor.shape for slot, tensor in found.items()}
        shape = parameters[k].shape
        if shapes != {"step": torch.Size(), "exp_avg": shape, "exp_avg_sq": shape}:
            raise _damaged(file, f"lacks moments of the parameter {prefix}{k}, or has odd ones")
    optimiser.load_state_dict({**optimiser.state_dict(), "state": slots})


def _damaged(file: Path, complaint: str) -> BundleError:
    return BundleError(
        got=f"{file}, which {complaint}",
        expected="the state of a training as Blemish wrote it",
        todo=f"Remove {file.parent} to start over.",
    )
