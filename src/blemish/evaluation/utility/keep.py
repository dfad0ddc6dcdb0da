"""Storage of finished trainings, so that an interrupted trial resumes.

Each is a file of its own, named by its arm and seed, which records what it depends on: the options,
and a digest of the photographs and synthetic items. If any of these differs, the training is run
again.
"""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

import torch

from blemish.checkpoint import load_tensors, save_tensors
from blemish.documents import parse_json
from blemish.errors import BundleError
from blemish.evaluation.utility.arms import about_batches
from blemish.evaluation.utility.outcome import TrainingOutcome
from blemish.evaluation.utility.plan import BASELINES, UtilityOptions
from blemish.evaluation.utility.protocol import Protocol
from blemish.evaluation.utility.sources import SyntheticSource
from blemish.evaluation.utility.training import about_training

FOLDER = "trainings"


class Kept:
    """Stored trainings of a report's folder.

    Args:
        out: Folder of the report.
        plan: Options of the trainings.
        real: Photographs, split by the protocol.
        made: Synthetic defects, if any.
        device: Device of the trainings.
    """

    def __init__(
        self,
        out: Path,
        plan: UtilityOptions,
        real: Protocol,
        made: SyntheticSource | None,
        device: torch.device,
    ) -> None:
        self.folder = out / FOLDER
        options = {name: getattr(plan, name) for name in ("steps", "batch", "size", "precision")}
        about = json.dumps([options, about_batches(), about_training(), device.type])
        self.baseline = digest([about.encode(), *_pixels(real)])
        self.with_synthetic = digest([self.baseline.encode(), *_contents(made)])

    def load(self, arm: str, seed: int) -> TrainingOutcome | None:
        """Result of a training, if it is stored and depends on the same data."""
        file = self._file(arm, seed)
        if not file.is_file():
            return None
        try:
            tensors, about = load_tensors(file)
            if about.get("came_of") != self._origin(arm):
                return None
            figures, maps = parse_json(about["figures"]), tensors["maps"].numpy()
        except (BundleError, KeyError, ValueError):  # damaged by a stranger: treated as missing
            return None
        return TrainingOutcome(arm=arm, seed=seed, figures=figures, maps=maps)

    def save(self, outcome: TrainingOutcome) -> None:
        """Save the result of a training, whole or not at all."""
        about = {"came_of": self._origin(outcome.arm), "figures": json.dumps(outcome.figures)}
        maps = {"maps": torch.from_numpy(outcome.maps)}
        save_tensors(self._file(outcome.arm, outcome.seed), maps, metadata=about)

    def _origin(self, arm: str) -> str:
        return self.baseline if arm in BASELINES else self.with_synthetic

    def _file(self, arm: str, seed: int) -> Path:
        return self.folder / f"{arm}-{seed}.safetensors"


def digest(parts: Iterable[bytes]) -> str:
    """SHA-256 over all parts."""
    total = hashlib.sha256()
    for part in parts:
        total.update(hashlib.sha256(part).digest())
    return total.hexdigest()


def _pixels(real: Protocol) -> Iterable[bytes]:
    for photographs in (real.good, real.learnt, real.tested):
        yield photographs.pictures.tobytes()
        yield photographs.masks.tobytes()
        yield json.dumps(photographs.kinds).encode()


def _contents(made: SyntheticSource | None) -> Iterable[bytes]:
    for path in made.files() if made is not None else ():
        yield path.read_bytes()
