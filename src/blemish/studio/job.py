"""Record of a job, and what it has left on disk: its log, its progress, curves and samples."""

import json
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from blemish.documents import dataclass_from, read_json
from blemish.errors import DataError
from blemish.files import write_atomically
from blemish.studio.child import ChildFiles
from blemish.tracking import read_statistics

Kind = Literal["run", "export", "report", "check", "train"]
State = Literal["running", "finished", "failed", "stopped"]
RESUMABLE = ("run", "train")
LOG_BYTES = 8000
LAST = 400  # characters of a log that tell why a job failed
POINTS = 200  # of a curve


@dataclass(frozen=True, kw_only=True)
class BackgroundJob:
    """A command.

    Attributes:
        id: Its name.
        kind: What it does.
        title: Name for the page.
        arguments: Arguments of `blemish`.
        folder: Folder that it writes to, relative to the studio's; empty if there is none.
        total: Amount of work: items of a run, minutes of a training; 0 if unknown.
        state: What became of it.
        code: Exit code, once it has ended.
        began: Time of its last start, in seconds since 1970.
        seconds: Time that it took up to its last end.
    """

    id: str
    kind: Kind
    title: str
    arguments: tuple[str, ...]
    folder: str = ""
    total: float = 0
    state: State = "running"
    code: int | None = None
    began: float = field(default_factory=time.time)
    seconds: float = 0


class JobRecords:
    """Records and outputs of jobs on disk.

    Args:
        out: Folder of the studio.
    """

    def __init__(self, out: Path) -> None:
        self.out, self.folder = out, out / "jobs"

    def store(self, job: BackgroundJob) -> None:
        """Write the record of a job."""
        write_atomically(self.folder / f"{job.id}.json", json.dumps(asdict(job)).encode())

    def stored(self) -> list[BackgroundJob]:
        """All jobs that have a record."""
        found = []
        for file in sorted(self.folder.glob("*.json")):
            with suppress(ValueError, DataError):  # a damaged record is left where it is
                found.append(
                    dataclass_from(BackgroundJob, read_json(file, "a job of the studio"), file.name)
                )
        return found

    def files(self, id: str) -> ChildFiles:
        """Files of a job's process."""
        return ChildFiles(self.folder, id)

    def about(self, job: BackgroundJob) -> dict[str, Any]:
        """State and progress of a job, as the page shows them."""
        spent = job.seconds + (time.time() - job.began if job.state == "running" else 0)
        done = self._done(job, spent)
        known = {key: getattr(job, key) for key in ("id", "kind", "title", "state", "folder")}
        return {
            **known,
            "command": ["blemish", *job.arguments],
            "total": job.total,
            "done": job.total if job.state == "finished" else min(done, job.total),
            "seconds": round(spent),
            "message": self.log(job)[-LAST:].strip() if job.state == "failed" else "",
            "resumable": job.kind in RESUMABLE and job.state in ("stopped", "failed"),
        }

    def log(self, job: BackgroundJob) -> str:
        """End of what a job has printed."""
        file = self.files(job.id).log
        if not file.is_file():
            return ""
        with file.open("rb") as log:
            log.seek(max(0, file.stat().st_size - LOG_BYTES))
            return log.read().decode(errors="replace")

    def output(self, job: BackgroundJob) -> str:
        """All that a job has printed on stdout."""
        file = self.files(job.id).output
        return file.read_text(errors="replace") if file.is_file() else ""

    def curves(self, job: BackgroundJob) -> dict[str, dict[str, list[float]]]:
        """Statistics of a training by stage and name, thinned out; `kimg` is the axis."""
        folder = self.out / job.folder / "training"
        if job.kind != "train":
            return {}
        files = sorted(folder.glob("*/stats.jsonl"))
        return {file.parent.name: _columns(read_statistics(file)) for file in files}

    def sample(self, job: BackgroundJob) -> Path | None:
        """Newest grid of samples of a training."""
        found = [*(self.out / job.folder / "training").glob("*/*.png")] if job.folder else []
        grids = [path for path in found if path.name != "curves.png"]
        return max(grids, key=lambda path: path.stat().st_mtime, default=None)

    def _done(self, job: BackgroundJob, spent: float) -> float:
        if job.kind == "train":
            return spent / 60
        if job.kind != "run":
            return 0
        manifest = self.out / job.folder / "manifest.jsonl"
        if not manifest.is_file():
            return 0
        with manifest.open("rb") as file:
            return sum(1 for _ in file)


def _columns(rows: Sequence[dict[str, Any]]) -> dict[str, list[float]]:
    step = max(1, len(rows) // POINTS)
    thin = rows[::step]
    names = [name for name in (thin[-1] if thin else {}) if name != "step"]
    return {name: [row.get(name) for row in thin] for name in names}  # type: ignore[misc]
