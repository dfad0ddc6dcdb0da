"""Runs: a trial with a seed, in a folder of its own, which is never repeated.

OUT/<trial>-<seed>/options.json   what is trained, and on what
OUT/<trial>-<seed>/training/      the loop's state, from which an interrupted run carries on
OUT/<trial>-<seed>/row.json       what it has come to; empty where numbers ceased to be finite
"""

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from benchmarks._training.measures import (
    Parts,
    Row,
    judge_backbone,
    read_parts,
)
from benchmarks._training.trials import SIDE, Backbone
from blemish.checkpoint import Bundle
from blemish.data.folder import DefectFolder
from blemish.devices import make_fabric
from blemish.errors import OptionError, TrainingError
from blemish.evaluation.eyes import FeatureExtractor
from blemish.files import ensure_writable, write_atomically
from blemish.names import Precision
from blemish.training.generator import train_generator


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Shared data of all runs.

    Attributes:
        folder: Data set.
        out: Folder of the runs.
        eyes: Feature network for the results.
        precision: Number format inside the networks during training.
    """

    folder: DefectFolder
    out: Path
    eyes: FeatureExtractor
    precision: Precision = "32-true"

    @cached_property
    def parts(self) -> Parts:
        """Photographs of good parts, read once."""
        return read_parts(self.folder, SIDE)

    def backbone(self, name: str, trial: Backbone, seed: int) -> Row:
        """Train and judge, or return the stored result.

        Raises:
            OptionError: The run's folder belongs to a training with other options.
        """
        place = self.out / f"{name}-{seed}"
        schedule = replace(trial.training.schedule, seed=seed)
        training = replace(trial.training, schedule=schedule)

        def work() -> Row:
            fabric = make_fabric("cpu", precision=self.precision)
            train_generator(self.folder, trial.shape, training, fabric, place, resume=True)
            return judge_backbone(Bundle(place), self.parts, self.eyes)

        return self._kept(place, asdict(replace(trial, training=training)), work)

    def _kept(self, place: Path, asked: Mapping[str, Any], work: Callable[[], Row]) -> Row:
        ensure_writable(place)
        about = {"data": str(self.folder.root.resolve()), "precision": self.precision}
        _refuse_other(place / "options.json", {**asked, **about})
        done = place / "row.json"
        if not done.exists():
            row = _or_nothing(work)
            write_atomically(done, json.dumps(row).encode())
            print(f"{place.name}: {_told(row)}", file=sys.stderr, flush=True)
        return json.loads(done.read_text())


def _refuse_other(file: Path, asked: Mapping[str, Any]) -> None:
    text = json.dumps(asked, indent=2, sort_keys=True)
    if not file.exists():
        write_atomically(file, text.encode())
    elif file.read_text() != text:
        raise OptionError(
            got=f"{file.parent}, which has a run with other options or other data",
            expected="the options and the folder of that run",
            todo="Give another --out, or the options in its options.json.",
        )


def _or_nothing(work: Callable[[], Row]) -> Row:
    """A training that diverges is a result too, and no reason to stop the others."""
    try:
        return work()
    except TrainingError as error:
        print(error, file=sys.stderr, flush=True)
        return {}


def _told(row: Row) -> str:
    figures = (f"{name} {value:.4g}" for name, value in row.items() if value is not None)
    return ", ".join(figures) or "diverged"
