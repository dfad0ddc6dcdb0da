"""What every report says of where and when it was made."""

import os
import platform
from datetime import UTC, datetime
from pathlib import Path

import torch


def hardware() -> str:
    """Processor, threads and versions, in a line."""
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text().splitlines() if facts.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    processor = names[0] if names else platform.processor()
    threads = torch.get_num_threads()
    return (
        f"{processor} ({os.cpu_count()} cores), {threads} thread{'s' * (threads > 1)}, "
        f"PyTorch {torch.__version__}, Python {platform.python_version()}"
    )


def today() -> str:
    """The date, as reports have it."""
    return f"{datetime.now(UTC):%Y-%m-%d}"


def heading(title: str, command: str) -> str:
    """A report's first lines: title, date, hardware, and the command that made it."""
    return f"# {title}\n\n{today()}, {hardware()}. Made by `{command}`.\n"
