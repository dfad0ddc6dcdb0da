"""Reproduction of all figures on real photographs, by the protocol of the field.

    sh scripts/reproduce bottle|hazelnut [--quick] [--dry-run] [--data DIR] [--work DIR]

Checks the photographs, trains a generator from coarse to fine, an encoder and a
window generator, makes a set of defects, holds it against real ones and against copy-paste,
trains detectors with it and without, and writes benchmarks/reproduced-<name>.md. Run again, it goes
on where it was left. `--quick` does all of this within minutes and proves that the chain holds, no
more; its report stays in the working folder.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
import tyro
from tyro.conf import Positional

from benchmarks.reproduce.outcomes import Places
from benchmarks.reproduce.plans import PLANS, Length
from benchmarks.reproduce.recipe import recipe
from benchmarks.reproduce.report import Report
from benchmarks.reproduce.run import INTERRUPTED, in_shell, run
from benchmarks.reproduce.steps import Step, Ways, chain
from benchmarks.reproduce.subjects import SUBJECTS, foreign_to, refuse_absent
from blemish.errors import BlemishError, BundleError, OptionError
from blemish.features import load_features
from blemish.files import ensure_writable, write_atomically
from blemish.names import Precision

ROOT = Path(__file__).resolve().parents[2]


def reproduce(
    name: Positional[Literal["bottle", "hazelnut"]],
    data: Path | None = None,
    work: Path | None = None,
    quick: bool = False,
    threads: int | None = None,
    precision: Precision = "32-true",
    dry_run: bool = False,
) -> int:
    """Train, synthesize, measure and report, from scratch.

    Args:
        name: Name of the photographs.
        data: Folder of the photographs, by default the one in ../shared/data beside the repository.
        work: Folder for all output, by default runs/<name>, or runs/<name>-quick.
        quick: Run the whole chain in minutes; the figures mean nothing.
        threads: Threads of every process, by default PyTorch's choice.
        precision: Number format of all trainings; bf16-mixed is faster on hardware with bfloat16.
        dry_run: Print the commands and stop.

    Returns:
        The exit code.
    """
    _refuse_threads(threads)
    subject, length = SUBJECTS[name], _length(quick)
    plan = PLANS[name][length]
    work = Path("runs") / (f"{name}-quick" if quick else name) if work is None else _shown(work)
    data = subject.usual if data is None else _shown(data)
    os.chdir(ROOT)
    places = Places(data=data, work=work, foreign=foreign_to(subject))
    ways = Ways(threads=threads, precision=precision, weights=_has_weights())
    steps = chain(name, subject, plan, places, ways)
    if dry_run:
        print(*(in_shell(step.command) for step in steps), sep="\n")
        return 0
    refuse_absent(subject, data)
    ensure_writable(work)
    write_atomically(places.recipe, recipe(plan, data, work).encode())
    code = run(steps, places, root=ROOT, variables=_variables(threads))
    if code == 0:
        _write(name, length, places, steps, ways)
    return code


def main(args: Sequence[str] | None = None) -> int:
    """Run the command; a user's mistake is reported in one message."""
    try:
        return tyro.cli(
            reproduce, prog="scripts/reproduce", args=args, config=(tyro.conf.FlagCreatePairsOff,)
        )
    except BlemishError as error:
        print(f"Error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("Interrupted. Run the same again to carry on from here.", file=sys.stderr)
        return INTERRUPTED


def _write(name: str, length: Length, places: Places, steps: Sequence[Step], ways: Ways) -> None:
    """Write the report; a quick run writes only into the working folder."""
    if ways.threads is not None:
        torch.set_num_threads(ways.threads)  # which the report names
    quick = length == "quick"
    report = Report(
        name=name,
        length=length,
        command=f"sh scripts/reproduce {name}" + (" --quick" if quick else ""),
        subject=SUBJECTS[name],
        plan=PLANS[name][length],
        places=places,
        steps=steps,
        weights=ways.weights,
    )
    path = places.work / "report.md" if quick else Path("benchmarks") / f"reproduced-{name}.md"
    report.write(path, root=ROOT)
    print(f"{path} has the figures.")


def _length(quick: bool) -> Length:
    return "quick" if quick else "full"


def _shown(path: Path) -> Path:
    """A user's path, from the root of the repository if it is inside."""
    whole = path.resolve()
    return whole.relative_to(ROOT) if whole.is_relative_to(ROOT) else whole


def _has_weights() -> bool:
    try:
        load_features("squeezenet")
    except BundleError:
        return False
    return True


def _variables(threads: int | None) -> dict[str, str]:
    return {} if threads is None else {"OMP_NUM_THREADS": str(threads)}


def _refuse_threads(threads: int | None) -> None:
    if threads is not None and threads < 1:
        raise OptionError(
            got=f"--threads {threads}", expected="1 or more", todo="Correct the option."
        )


if __name__ == "__main__":
    sys.exit(main())
