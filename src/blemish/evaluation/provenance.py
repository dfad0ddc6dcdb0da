"""What every report says of where and when it was made."""

import os
import platform
from datetime import UTC, datetime
from pathlib import Path

import torch


def hardware(device: torch.device | None = None) -> str:
    """Processor, or the accelerator that was worked on, threads and versions, in a line."""
    threads = torch.get_num_threads()
    cuda = device is not None and device.type == "cuda"
    name = torch.cuda.get_device_name(device) if cuda else _processor()
    return (
        f"{name} ({os.cpu_count()} cores), {threads} thread{'s' * (threads > 1)}, "
        f"PyTorch {torch.__version__}, Python {platform.python_version()}"
    )


def today() -> str:
    """The date, as reports have it."""
    return f"{datetime.now(UTC):%Y-%m-%d}"


def _processor() -> str:
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text().splitlines() if facts.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
