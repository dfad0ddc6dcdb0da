"""What the trainings share on the command line: how long, on what, and from where."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import arg

from blemish.cli.options import Flag
from blemish.errors import BundleError, OptionError
from blemish.names import Device, Precision

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from blemish.checkpoint import Bundle
    from blemish.data import Symmetries
    from blemish.generator.loop import Schedule

OF_PRESET = "(default: the preset's)"
Names = Annotated[str | None, arg(metavar="NAME,...", help_behavior_hint=OF_PRESET)]
AllNames = Annotated[str | None, arg(metavar="NAME,...", help_behavior_hint="(default: all)")]
OF_BUNDLE = "(default: those that the generator was trained with)"
BundleNames = Annotated[str | None, arg(metavar="NAME,...", help_behavior_hint=OF_BUNDLE)]
Grown = Annotated[str | None, arg(metavar="BUNDLE", help_behavior_hint="(default: none)")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """How long, on what, and from where.

    Attributes:
        kimg: Thousands of images that the critic is shown.
        batch: Images in a step, over all processes.
        seed: Of everything random.
        device: What to train on; auto takes CUDA where it is found.
        precision: Of the networks' insides; bf16-mixed is faster where a processor has bfloat16.
        processes: One for each device, or several on the CPU.
        threads: Of each process on the CPU.
        resume: Carry on from the last checkpoint; give the other options as before.
        dry_run: Print the options as they would be used, and do nothing.
    """

    kimg: Annotated[float | None, arg(help_behavior_hint=OF_PRESET)] = None
    batch: Annotated[int | None, arg(help_behavior_hint=OF_PRESET)] = None
    seed: int = 0
    device: Device = "auto"
    precision: Annotated[
        Precision | None, arg(help_behavior_hint="(default: bf16-mixed on CUDA, else 32-true)")
    ] = None
    processes: int = 1
    threads: Annotated[int | None, arg(help_behavior_hint="(default: PyTorch's choice)")] = None
    resume: Flag = False
    dry_run: Flag = False

    def schedule(self, preset: "Schedule") -> "Schedule":
        chosen = {"kimg": self.kimg, "batch": self.batch, "seed": self.seed}
        return replace(preset, **{k: v for k, v in chosen.items() if v is not None})

    def launch(self) -> "Fabric":
        from blemish.devices import make_fabric, use_threads

        if self.threads is not None:
            use_threads(self.threads)
        fabric = make_fabric(self.device, processes=self.processes, precision=self.precision)
        fabric.launch()
        return fabric

    def __post_init__(self) -> None:
        if self.threads is not None and self.threads < 1:
            raise OptionError(
                got=f"--threads {self.threads}", expected="1 or more", todo="Correct the option."
            )


Flat = Annotated[Run, arg(name="")]


def choose_symmetries(names: str | None, default: "Symmetries") -> "Symmetries":
    """The named symmetries, as far as the default ones go."""
    from blemish.data import Symmetries

    if names is None:
        return default
    far = {k: v for k, v in asdict(default).items() if not isinstance(v, bool)}
    return replace(Symmetries.parse(names), **far)


def symmetries_of(bundle: "Bundle") -> "Symmetries | None":
    """What the generator was trained with; a bundle from elsewhere may not say."""
    from blemish.data import Symmetries

    try:
        return Symmetries(**bundle.config["training"]["generator"]["symmetries"])
    except (KeyError, TypeError):
        return None


def given(options: Any) -> dict[str, Any]:
    """Those of a dataclass of options that are not left to a default."""
    return {k: v for k, v in asdict(options).items() if v is not None}


def trainable(path: Path) -> "Bundle":
    """The bundle in a folder, unless it is one that ships.

    Raises:
        BundleError: There is none, or it ships.
    """
    from blemish.checkpoint import EMBEDDED, find_bundle

    bundle = find_bundle(path)
    if bundle.path.resolve().is_relative_to(EMBEDDED.resolve()):
        raise BundleError(
            got=f"{path}, a bundle that is part of Blemish",
            expected="one of your own",
            todo=f"Copy {bundle.path} and train the copy.",
        )
    return bundle


def show(run: Run, **about: Any) -> None:
    """Print the options as they would be used."""
    options = {k: v for k, v in asdict(run).items() if k not in ("kimg", "batch", "seed")}
    print(json.dumps(about | options, indent=2, default=str))


def tell(fabric: "Fabric", text: str) -> None:
    """Say it once, whatever the number of processes."""
    if fabric.is_global_zero:
        print(text, file=sys.stderr)


@contextmanager
def resumable() -> Iterator[None]:
    """An interruption says how to carry on."""
    try:
        yield
    except KeyboardInterrupt:
        hint = "Run the same with --resume to carry on from the last checkpoint."
        raise KeyboardInterrupt(hint) from None
