"""Long work of the studio: commands in processes of their own, which can be stopped and resumed.

A job is a `blemish` command. What it writes is whole and resumable by itself, so a job that ends
with the machine is started again by the same command. One that outlives a killed server is found by
the next one, which shows and stops it as its own (`child`).
"""

import asyncio
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path

from blemish.errors import DataError, OptionError
from blemish.files import ensure_writable
from blemish.studio.job import RESUMABLE, BackgroundJob, JobRecords, Kind, State

STOPPED = (None, 130, 143, -2, -15, -9)  # exit codes of what was stopped or killed
PATIENCE = 30  # seconds between SIGTERM and SIGKILL when the studio ends
MOST_JOBS = 500


class Jobs:
    """Jobs, each with a record and a log on disk.

    Args:
        out: Folder of the studio.
    """

    def __init__(self, out: Path) -> None:
        self.records = JobRecords(out)
        self.processes: dict[str, asyncio.subprocess.Process] = {}
        self.starting = set[str]()
        self.watchers: dict[str, asyncio.Task[None]] = {}
        self.known = {job.id: job for job in self.records.stored()}
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
                todo=f"Remove old files from {self.records.folder}, and start the studio again.",
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
            self.records.files(id).stop()
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
            files = self.records.files(job.id)
            ours = job.id in self.processes or job.id in self.starting
            if job.state == "running" and not ours and not files.is_alive():
                self._note(_ended(job, files.code(), _time_of(files.code_file, job.began)))

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

    async def _launch(self, job: BackgroundJob) -> BackgroundJob:
        self._refuse_second(job)
        ensure_writable(self.records.folder)
        self.records.files(job.id).clear()
        self.starting.add(job.id)
        self._note(job)
        try:
            process = self.processes[job.id] = await self._begun(job)
        finally:
            self.starting.discard(job.id)
        self.watchers[job.id] = asyncio.create_task(self._watch(job, process))
        return job

    async def _begun(self, job: BackgroundJob) -> asyncio.subprocess.Process:
        files = self.records.files(job.id)
        with files.log.open("ab") as log, files.output.open("wb") as out:
            return await asyncio.create_subprocess_exec(
                *(*files.command(), *_left(job)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=out,
                stderr=log,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )

    async def _watch(self, job: BackgroundJob, process: asyncio.subprocess.Process) -> None:
        code = await process.wait()
        self._note(_ended(job, code, time.time()))
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

    def _note(self, job: BackgroundJob) -> None:
        self.known[job.id] = job
        self.records.store(job)


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
