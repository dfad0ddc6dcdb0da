"""Beginning of every benchmark report, and peak memory."""

from pathlib import Path

from blemish.evaluation.provenance import hardware, today


def heading(title: str, command: str) -> str:
    """A report's first lines: title, date, hardware, and the command that made it."""
    return f"# {title}\n\n{today()}, {hardware()}. Made by `{command}`.\n"


def highest_mib() -> float:
    """The most memory that this process has held, in MiB, on Linux."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) / 2**10 for line in lines if line.startswith("VmHWM"))
