"""What matters in training, by experiments: `python -m benchmarks.training DATA`.

Short trainings at 32² on the CPU, each of which differs from a base in one option, with several
seeds; the base is a preset. Figures are printed and written to OUT/table.md. Each run has a folder
of its own under --out, so an interrupted benchmark resumes, and more trials or seeds cost only
themselves. Needs SqueezeNet's weights: set BLEMISH_WEIGHTS to their folder.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
import tyro
from tyro.conf import arg

from benchmarks._hardware import heading
from benchmarks._training.measures import reference_of_parts
from benchmarks._training.runs import Bench
from benchmarks._training.table import BACKBONE_COLUMNS, snapshot_choice, table
from benchmarks._training.trials import Backbone, backbone_of, backbones, chosen
from benchmarks._training.words import about_backbones
from blemish.data.folder import DefectFolder
from blemish.errors import OptionError
from blemish.evaluation.eyes import FeatureExtractor
from blemish.features import load_features
from blemish.files import ensure_writable, write_atomically
from blemish.names import Precision
from blemish.training.presets import find_preset

BASE = "base"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Options: length, seeds and trials.

    Attributes:
        preset: Name of the preset that is the base.
        kimg: Length of each training, in thousands of images; snapshots are named by whole
            thousands, so that under 4 some replace each other.
        seeds: Number of seeds, from 0 up.
        only: Names of trials, separated by commas; all if empty.
        precision: Number format inside the networks during training; each needs an --out of its
            own.
    """

    preset: str = "bottle-64"
    kimg: float = 4
    seeds: int = 2
    only: str = ""
    precision: Precision = "32-true"

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise OptionError(
                got=f"--seeds {self.seeds}", expected="1 or more", todo="Correct the option."
            )

    def command(self) -> str:
        """Command that gives the same report."""
        only = f" --only {self.only}" if self.only else ""
        how = "" if self.precision == "32-true" else f" --precision {self.precision}"
        return (
            f"python -m benchmarks.training DATA --preset {self.preset} --kimg {self.kimg:g} "
            f"--seeds {self.seeds}{only}{how}"
        )


def main(
    data: Path,
    /,
    asked: Annotated[Asked, arg(name="")] = Asked(),
    out: Path = Path("runs/training-experiments"),
    threads: int = 1,
) -> None:
    """Train, measure, print the tables, and write them.

    Args:
        data: Photographs in the layout of MVTec AD.
        asked: Options: length, seeds and trials.
        out: Folder of the runs and of table.md.
        threads: Number of PyTorch's threads.
    """
    torch.set_num_threads(threads)
    eyes = FeatureExtractor.of_network(load_features("squeezenet"))
    bench = Bench(folder=DefectFolder(data), out=out, eyes=eyes, precision=asked.precision)
    text = report(bench, asked)
    ensure_writable(out)
    write_atomically(out / "table.md", text.encode())
    print(text, end="")


def report(bench: Bench, asked: Asked) -> str:
    """Run the missing trainings, and report all requested ones, in Markdown.

    Raises:
        OptionError: A trial or the preset is unknown, or a run's folder has other options.
        DataError: No data is held out, or a file can't be read.
    """
    preset = find_preset(asked.preset)
    first = backbones(backbone_of(preset, asked.kimg))
    wanted = chosen(asked.only, [*first])
    sections = [
        f"Folder `{bench.folder.root.name}`, {_seeds(asked.seeds)}, 32², "
        f"{bench.eyes.name}'s pooled features.",
        about_backbones(asked.preset, preset, first[BASE]),
        *_rows(bench, first, wanted, asked.seeds),
    ]
    head = heading("What matters in training", asked.command())
    return f"{head}\n" + "\n\n".join(sections) + "\n"


def _rows(
    bench: Bench, trials: Mapping[str, Backbone], wanted: frozenset[str], seeds: int
) -> list[str]:
    runs = {
        name: [bench.backbone(name, trial, seed) for seed in range(seeds)]
        for name, trial in trials.items()
        if name in wanted
    }
    known = {"training photographs": reference_of_parts(bench.parts, bench.eyes)}
    lines = table(runs, BACKBONE_COLUMNS, trials, BASE, known)
    return ["\n".join(lines), snapshot_choice(runs)]


def _seeds(n: int) -> str:
    return "seed 0" if n == 1 else f"seeds 0 to {n - 1}"


if __name__ == "__main__":
    tyro.cli(main)
