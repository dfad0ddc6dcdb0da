"""Long work of the studio: commands in processes of their own, which can be stopped and resumed.

A job is a `blemish` command. What it writes is whole and resumable by itself, so a job that ends
with the machine is started again by the same command. One that outlives a killed server is found by
the next one, which shows and stops it as its own (`child`).
"""

import asyncio
import json
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any, Literal

from blemish.documents import dataclass_from, read_json
from blemish.errors import DataError, OptionError
from blemish.files import ensure_writable, write_atomically
from blemish.studio.child import ChildFiles
from blemish.tracking import read_statistics

Kind = Literal["run", "export", "report", "check", "train"]
State = Literal["running", "finished", "failed", "stopped"]
RESUMABLE = ("run", "train")
STOPPED = (None, 130, 143, -2, -15, -9)  # exit codes of what was stopped or killed
PATIENCE = 30  # seconds between SIGTERM and SIGKILL when the studio ends
LOG_BYTES = 8000
LAST = 400  # characters of a log that tell why a job failed
MOST_JOBS = 500
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


class Jobs:
    """Jobs, each with a record and a log on disk.

    Args:
        out: Folder of the studio.
    """

    def __init__(self, out: Path) -> None:
        self.out, self.folder = out, out / "jobs"
        self.processes: dict[str, asyncio.subprocess.Process] = {}
        self.starting = set[str]()
        self.watchers: dict[str, asyncio.Task[None]] = {}
        self.known = {job.id: job for job in self._stored()}
        self.settle()

    async def start(
        self,
        kind: Kind,
        title: str,
        arguments: Sequence[str],
        *,
        folder: str = "",
        total: float = 0,
    ) -> BackgroundJob:
        """Start a command.

        Raises:
            OptionError: Such a job is running already, or there are too many.
        """
        self.settle()
        if len(self.known) >= MOST_JOBS:
            raise OptionError(
                got=f"more than {MOST_JOBS} jobs",
                expected="fewer",
                todo=f"Remove old files from {self.folder}, and start the studio again.",
            )
        ids = (f"{kind}-{k}" for k in count(1))
        id = next(one for one in ids if one not in self.known)
        job = BackgroundJob(
            id=id, kind=kind, title=title, arguments=(*arguments,), folder=folder, total=total
        )
        return await self._launch(job)

    async def resume(self, id: str) -> BackgroundJob:
        """Start a job's command again; it carries on.

        Raises:
            DataError: There is no such job.
            OptionError: It is running, or can't be resumed.
        """
        job = self.find(id)
        if job.state == "running" or job.kind not in RESUMABLE:
            raise OptionError(
                got=f"the job {id}, which is {job.state}",
                expected="a run or a training that was stopped",
                todo="Start a new one.",
            )
        return await self._launch(replace(job, state="running", began=time.time(), code=None))

    def stop(self, id: str) -> BackgroundJob:
        """Ask a job to stop; it leaves whole files, can be resumed, and may take some seconds."""
        job, process = self.find(id), self.processes.get(id)
        if process is None and job.state == "running":
            self._files(id).stop()
        elif process is not None and process.returncode is None:
            process.terminate()
        return job

    async def close(self) -> None:
        """Stop all jobs."""
        for id in [job.id for job in self.known.values() if job.state == "running"]:
            self.stop(id)
        if self.watchers:
            await asyncio.wait(self.watchers.values(), timeout=PATIENCE)
        for process in self.processes.values():
            process.kill()

    def settle(self) -> None:
        """Note which processes of an earlier server have ended meanwhile."""
        for job in [*self.known.values()]:
            files = self._files(job.id)
            ours = job.id in self.processes or job.id in self.starting
            if job.state == "running" and not ours and not files.is_alive():
                self._store(_ended(job, files.code(), _time_of(files.code_file, job.began)))

    def find(self, id: str) -> BackgroundJob:
        """A job.

        Raises:
            DataError: There is none of that name.
        """
        self.settle()
        if id not in self.known:
            raise DataError(
                got=f"the job '{id[:40]}'", expected="one that exists", todo="Reload the page."
            )
        return self.known[id]

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
        file = self._log(job.id)
        if not file.is_file():
            return ""
        with file.open("rb") as log:
            log.seek(max(0, file.stat().st_size - LOG_BYTES))
            return log.read().decode(errors="replace")

    def output(self, job: BackgroundJob) -> str:
        """All that a job has printed on stdout."""
        file = self.folder / f"{job.id}.out"
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

    async def _launch(self, job: BackgroundJob) -> BackgroundJob:
        self._refuse_second(job)
        ensure_writable(self.folder)
        self._files(job.id).clear()
        self.starting.add(job.id)
        self._store(job)
        try:
            process = self.processes[job.id] = await self._begun(job)
        finally:
            self.starting.discard(job.id)
        self.watchers[job.id] = asyncio.create_task(self._watch(job, process))
        return job

    async def _begun(self, job: BackgroundJob) -> asyncio.subprocess.Process:
        with self._log(job.id).open("ab") as log, self._out(job.id).open("wb") as out:
            return await asyncio.create_subprocess_exec(
                *(*self._files(job.id).command(), *_left(job)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=out,
                stderr=log,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )

    async def _watch(self, job: BackgroundJob, process: asyncio.subprocess.Process) -> None:
        code = await process.wait()
        self._store(_ended(job, code, time.time()))
        del self.processes[job.id]

    def _refuse_second(self, job: BackgroundJob) -> None:
        """Refuse a second run or training beside one; each takes all cores."""
        rivals = [one for one in self.known.values() if one.kind == job.kind]
        if any(one.state == "running" for one in rivals):
            raise OptionError(
                got=f"a second job ({job.kind}) while one is running",
                expected="one at a time",
                todo="Wait for it, or stop it.",
            )

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

    def _store(self, job: BackgroundJob) -> None:
        self.known[job.id] = job
        write_atomically(self.folder / f"{job.id}.json", json.dumps(asdict(job)).encode())

    def _stored(self) -> list[BackgroundJob]:
        found = []
        for file in sorted(self.folder.glob("*.json")):
            with suppress(ValueError, DataError):  # a damaged record is left where it is
                found.append(
                    dataclass_from(BackgroundJob, read_json(file, "a job of the studio"), file.name)
                )
        return found

    def _files(self, id: str) -> ChildFiles:
        return ChildFiles(self.folder, id)

    def _log(self, id: str) -> Path:
        return self.folder / f"{id}.log"

    def _out(self, id: str) -> Path:
        return self.folder / f"{id}.out"


def _ended(job: BackgroundJob, code: int | None, end: float) -> BackgroundJob:
    """A job whose process has ended.

    Args:
        job: The job.
        code: Exit code; None if the process was killed.
        end: Time of the end, in seconds since 1970.
    """
    state: State = "finished" if code == 0 else "stopped" if code in STOPPED else "failed"
    return replace(job, state=state, code=code, seconds=job.seconds + max(0, end - job.began))


def _left(job: BackgroundJob) -> list[str]:
    """Arguments of a job's command; a training that is resumed gets the minutes that are left."""
    words = [*job.arguments]
    if job.kind == "train" and "--minutes" in words:
        left = max(1, job.total - job.seconds / 60)
        words[words.index("--minutes") + 1] = f"{left:g}"
    return words


def _time_of(file: Path, usual: float) -> float:
    return file.stat().st_mtime if file.is_file() else usual


def _columns(rows: Sequence[dict[str, Any]]) -> dict[str, list[float]]:
    step = max(1, len(rows) // POINTS)
    thin = rows[::step]
    names = [name for name in (thin[-1] if thin else {}) if name != "step"]
    return {name: [row.get(name) for row in thin] for name in names}  # type: ignore[misc]
