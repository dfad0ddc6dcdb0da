"""Options that all trainings share: length, device, resuming."""

import json
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import arg

from blemish.cli.options import Flag
from blemish.errors import BundleError, OptionError
from blemish.names import CriticKind, Device, LoggerName, Precision

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from blemish.checkpoint import Bundle
    from blemish.data import Symmetries
    from blemish.models.critic import CriticConfig
    from blemish.training.loop import Schedule

OF_PRESET = "(default: the preset's)"
Names = Annotated[str | None, arg(metavar="NAME,...", help_behavior_hint=OF_PRESET)]
AllNames = Annotated[str | None, arg(metavar="NAME,...", help_behavior_hint="(default: all)")]
OF_BUNDLE = "(default: those of the generator's training)"
BundleNames = Annotated[str | None, arg(metavar="NAME,...", help_behavior_hint=OF_BUNDLE)]
CriticOption = Annotated[CriticKind | None, arg(help_behavior_hint=OF_PRESET)]
Logger = Annotated[LoggerName | None, arg(help_behavior_hint="(default: none)")]
Grown = Annotated[str | None, arg(metavar="BUNDLE", help_behavior_hint="(default: none)")]
Threads = Annotated[int | None, arg(help_behavior_hint="(default: PyTorch's choice)")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Options of a training run.

    Attributes:
        kimg: Training length, in kimg: thousands of images shown to the critic. One kimg of the
            generator takes about a minute on one CPU core at 64², and 2 to 4 minutes at 128².
        minutes: Time limit; the training then stops with a snapshot, and --resume continues it.
        batch: Images per step, over all processes.
        seed: Random seed.
        device: Device to train on; auto uses CUDA if available.
        precision: Number format inside the networks; bf16-mixed is faster on hardware with
            bfloat16.
        processes: Number of processes of a machine: one per device, or several on the CPU.
        nodes: Number of machines that train together; run the same command on each, by srun or
            torchrun, or with NODE_RANK, MASTER_ADDR and MASTER_PORT set.
        threads: CPU threads per process.
        log: Logger of the figures beside stats.jsonl; each needs the extra of its name.
        resume: Continue from the last checkpoint; the other options need not be repeated.
        dry_run: Print the options and stop.
    """

    kimg: Annotated[float | None, arg(help_behavior_hint=OF_PRESET)] = None
    minutes: Annotated[float | None, arg(help_behavior_hint="(default: no limit)")] = None
    batch: Annotated[int | None, arg(help_behavior_hint=OF_PRESET)] = None
    seed: Annotated[int | None, arg(help_behavior_hint="(default: 0)")] = None
    device: Device = "auto"
    precision: Annotated[
        Precision | None, arg(help_behavior_hint="(default: bf16-mixed on CUDA, else 32-true)")
    ] = None
    processes: Annotated[int | None, arg(help_behavior_hint="(default: 1)")] = None
    nodes: Annotated[int | None, arg(help_behavior_hint="(default: 1)")] = None
    threads: Threads = None
    log: Logger = None
    resume: Flag = False
    dry_run: Flag = False

    def schedule(self, preset: "Schedule") -> "Schedule":
        chosen = {"kimg": self.kimg, "batch": self.batch, "seed": self.seed}
        return replace(preset, **{k: v for k, v in chosen.items() if v is not None})

    def launch(self) -> "Fabric":
        from blemish.devices import make_fabric, use_threads

        if self.log is not None:
            from blemish.loggers import refuse_without_package  # slow to import

            refuse_without_package(self.log)
        if self.threads is not None:
            use_threads(self.threads)
        counts = {"processes": self.processes, "nodes": self.nodes}
        known = {name: count for name, count in counts.items() if count is not None}
        fabric = make_fabric(self.device, **known, precision=self.precision)
        fabric.launch()
        return fabric

    def __post_init__(self) -> None:
        if self.threads is not None and self.threads < 1:
            raise OptionError(
                got=f"--threads {self.threads}", expected="1 or more", todo="Correct the option."
            )
        if self.minutes is not None and not self.minutes > 0:
            raise OptionError(
                got=f"--minutes {self.minutes}", expected="more than 0", todo="Correct the option."
            )


Flat = Annotated[Run, arg(name="")]


def choose_symmetries(names: str | None, default: "Symmetries") -> "Symmetries":
    """The named symmetries, with the ranges of the default ones."""
    from blemish.data import Symmetries

    if names is None:
        return default
    far = {k: v for k, v in asdict(default).items() if not isinstance(v, bool)}
    return replace(Symmetries.parse(names), **far)


def choose_critic(kind: str | None, default: "CriticConfig") -> "CriticConfig":
    """The critic of that kind with its usual options, or the default one."""
    from blemish.models.critic_kinds import critic_from

    return default if kind in (None, default.kind) else critic_from({"kind": kind})


def symmetries_of(bundle: "Bundle") -> "Symmetries | None":
    """Symmetries of the generator's training; None if an imported bundle lacks them."""
    from blemish.models.load import trained_symmetries

    return trained_symmetries(bundle, "generator", "symmetries")


def given(options: Any) -> dict[str, Any]:
    """The options of a dataclass that have a value."""
    return {k: v for k, v in asdict(options).items() if v is not None}


def trainable(path: Path) -> "Bundle":
    """The bundle in a folder, unless it is a shipped one.

    Raises:
        BundleError: The folder has no bundle, or a shipped one.
    """
    from blemish.checkpoint import find_bundle

    bundle = find_bundle(path)
    if bundle.embedded:
        raise BundleError(
            got=f"{path}, a bundle that is part of Blemish",
            expected="a bundle of your own",
            todo=f"Copy {bundle.path} and train the copy.",
        )
    return bundle


def show(run: Run, **about: Any) -> None:
    """Print the options."""
    options = {k: v for k, v in asdict(run).items() if k not in ("kimg", "batch", "seed")}
    print(json.dumps(about | options, indent=2, default=str))


def report(fabric: "Fabric", text: str) -> None:
    """Print once, whatever the number of processes."""
    if fabric.is_global_zero:
        print(text, file=sys.stderr)
