"""Outputs of a step, and whether they are complete.

A training may be killed between its last snapshot and the statistics of the finished network, so
both are checked.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from blemish.checkpoint import Bundle
from blemish.inversion.domain import PREFIX as DOMAIN
from blemish.synthesis.curation.defect_stats import PREFIX as CURATION

Stage = Literal["generator", "encoder", "windows"]
COUNT = {"generator": "nimg"}
LEARNT = {"encoder": DOMAIN, "windows": CURATION}


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Paths of all files, relative to the root of the repository.

    Attributes:
        data: Photographs.
        work: Folder for all output.
        foreign: Photographs of other objects; None if there are none.
    """

    data: Path
    work: Path
    foreign: Path | None = None

    @property
    def recipe(self) -> Path:
        """Recipe of the synthetic set."""
        return self.work / "recipe.toml"

    @property
    def made(self) -> Path:
        """Folder of the synthetic set."""
        return self.work / "made"

    @property
    def pasted(self) -> Path:
        """Folder of the copy-paste set."""
        return self.work / "pasted"

    @property
    def card(self) -> Path:
        """The packed bundle with its card."""
        return self.work / "packed"

    def bundle(self, preset: str) -> Path:
        """Bundle of a rung."""
        return self.work / preset

    def report(self, evaluation: str) -> Path:
        """The folder of an evaluation's report."""
        return self.work / "evaluations" / evaluation

    def log(self, step: str) -> Path:
        """Output of a step, once it is done."""
        return self.work / "logs" / f"{step}.txt"


def trained(path: Path, stage: Stage, kimg: float) -> bool:
    """Whether a stage of a bundle is finished."""
    bundle = Bundle(path)
    if not (path / "config.json").is_file() or not bundle.has(stage):
        return False
    count = bundle.config.get(COUNT.get(stage, f"{stage}_nimg"), 0)
    return count >= round(1000 * kimg) and _knows(bundle, LEARNT.get(stage))


def _knows(bundle: Bundle, prefix: str | None) -> bool:
    if prefix is None:
        return True
    known = bundle.statistics()
    return any(name.startswith(prefix) for name in known)
