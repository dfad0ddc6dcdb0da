"""Runs: a trial under a seed, in a folder of its own, which is never done twice.

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
    Thirds,
    judge_backbone,
    judge_branch,
    read_parts,
    read_thirds,
    told_of,
)
from benchmarks._training.trials import SIDE, Backbone, Branch
from blemish.checkpoint import Bundle
from blemish.data.folder import DefectFolder
from blemish.devices import make_fabric
from blemish.errors import OptionError, TrainingError
from blemish.evaluation.eyes import Eyes
from blemish.files import ensure_writable, write_atomically
from blemish.generator.defects import train_defects
from blemish.generator.restore import load_generator
from blemish.generator.train import train_generator
from blemish.names import Precision


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What all runs share.

    Attributes:
        folder: The photographs.
        out: The folder of the runs.
        eyes: What looks at the results.
        precision: Of the networks' insides while they learn.
    """

    folder: DefectFolder
    out: Path
    eyes: Eyes
    precision: Precision = "32-true"

    @cached_property
    def parts(self) -> Parts:
        """Photographs of good parts, read once."""
        return read_parts(self.folder, SIDE)

    @cached_property
    def thirds(self) -> Thirds:
        """Real defects, read once."""
        return read_thirds(self.folder, SIDE)

    def backbone(self, name: str, trial: Backbone, seed: int) -> Row:
        """Train and judge stage 1, or tell what that came to before.

        Raises:
            OptionError: The run's folder is of a training with other options.
        """
        place = self.out / f"{name}-{seed}"
        schedule = replace(trial.training.schedule, seed=seed)
        training = replace(trial.training, schedule=schedule)

        def work() -> Row:
            fabric = make_fabric("cpu", precision=self.precision)
            train_generator(self.folder, trial.shape, training, fabric, place, resume=True)
            return judge_backbone(Bundle(place), self.parts, self.eyes)

        return self._kept(place, asdict(replace(trial, training=training)), work)

    def bundle(self, name: str, trial: Backbone) -> Bundle:
        """What stage 1 leaves under seed 0, trained now if it has not been yet.

        Raises:
            OptionError: The run's folder is of a training with other options.
            TrainingError: It diverged.
        """
        if not self.backbone(name, trial, 0):
            raise TrainingError(
                f"Got '{name}' diverged under seed 0. Expected a bundle for stage 2."
            )
        return Bundle(self.out / f"{name}-0")

    def branch(self, name: str, trial: Branch, seed: int, *, on: Bundle) -> Row:
        """Train and judge stage 2 on a copy of a bundle, or tell what that came to before.

        Raises:
            OptionError: The run's folder is of a training with other options.
        """
        place = self.out / f"{name}-{seed}"
        schedule = replace(trial.training.schedule, seed=seed)
        training = replace(trial.training, schedule=schedule)

        def work() -> Row:
            bundle = _copy_backbone(on, place)
            fabric = make_fabric("cpu", precision=self.precision)
            train_defects(self.folder, bundle, trial.shape, training, fabric, resume=True)
            generator, held_out = load_generator(bundle), self.thirds.held_out
            found = judge_branch(generator, held_out, training.placements, self.eyes)
            return {**found, **told_of(bundle.path / "training" / "defects")}

        asked = {**asdict(replace(trial, training=training)), "on": on.digest}
        return self._kept(place, asked, work)

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


def _copy_backbone(source: Bundle, place: Path) -> Bundle:
    """Once: a second time the branch is there already."""
    copy = Bundle(place)
    if not (place / "config.json").exists():
        for name in ("generator", "critic"):
            copy.write(name, source.tensors(name))
        copy.write_config(source.config)  # last: what has one is whole
    return copy


def _refuse_other(file: Path, asked: Mapping[str, Any]) -> None:
    text = json.dumps(asked, indent=2, sort_keys=True)
    if not file.exists():
        write_atomically(file, text.encode())
    elif file.read_text() != text:
        raise OptionError(
            got=f"{file.parent}, where a run with other options or of other data is",
            expected="the options and the folder that it was begun with",
            todo="Give another --out, or the options that its options.json tells.",
        )


def _or_nothing(work: Callable[[], Row]) -> Row:
    """A training that diverges is a result too, and no reason to give up the others."""
    try:
        return work()
    except TrainingError as error:
        print(error, file=sys.stderr, flush=True)
        return {}


def _told(row: Row) -> str:
    figures = (f"{name} {value:.4g}" for name, value in row.items() if value is not None)
    return ", ".join(figures) or "diverged"
