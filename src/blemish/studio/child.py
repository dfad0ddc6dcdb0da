"""Process of a job, which may outlive the studio that started it.

It holds a lock as long as it lives, however it ends, and leaves its exit code. So a studio that is
opened again knows what has become of the job, and can stop it.
"""

import os
import runpy
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout


@dataclass(frozen=True)
class ChildFiles:
    """Files of a job's process.

    Args:
        folder: Folder of the jobs.
        id: Name of the job.
    """

    folder: Path
    id: str

    @property
    def lock(self) -> FileLock:
        """Lock of the process."""
        return FileLock(self.folder / f"{self.id}.lock")

    @property
    def code_file(self) -> Path:
        """File of the exit code."""
        return self.folder / f"{self.id}.code"

    @property
    def number_file(self) -> Path:
        """File of the process's number."""
        return self.folder / f"{self.id}.pid"

    @property
    def log(self) -> Path:
        """File of what the process prints on stderr."""
        return self.folder / f"{self.id}.log"

    @property
    def output(self) -> Path:
        """File of what the process prints on stdout."""
        return self.folder / f"{self.id}.out"

    def command(self) -> list[str]:
        """Command that runs a `blemish` command, whose arguments follow."""
        return [sys.executable, "-m", "blemish.studio.child", str(self.folder), self.id]

    def is_alive(self) -> bool:
        """Whether the process is there."""
        try:
            with self.lock.acquire(blocking=False):
                return False
        except Timeout:
            return True

    def stop(self) -> None:
        """Ask the process to stop."""
        with suppress(OSError, ValueError):
            os.kill(int(self.number_file.read_text()), signal.SIGTERM)

    def code(self) -> int | None:
        """Exit code; None if the process was killed."""
        with suppress(OSError, ValueError):
            return int(self.code_file.read_text())
        return None

    def clear(self) -> None:
        """Forget an earlier process."""
        self.code_file.unlink(missing_ok=True)
        self.number_file.unlink(missing_ok=True)


def run_job(folder: str, id: str, *words: str) -> int:
    """Run a `blemish` command; returns its exit code."""
    files, code = ChildFiles(Path(folder), id), 0
    with files.lock:
        files.number_file.write_text(str(os.getpid()))
        sys.argv = ["blemish", *words]
        try:
            runpy.run_module("blemish", run_name="__main__", alter_sys=True)
        except SystemExit as ending:
            code = ending.code if isinstance(ending.code, int) else 2
        files.code_file.write_text(str(code))
    return code


if __name__ == "__main__":
    sys.exit(run_job(*sys.argv[1:]))
