"""Hardware, software and date in every report."""

import os
import platform
from datetime import UTC, datetime
from pathlib import Path

import torch


def hardware(device: torch.device | None = None) -> str:
    """Processor or accelerator, threads and versions, as one line."""
    threads = torch.get_num_threads()
    cuda = device is not None and device.type == "cuda"
    name = torch.cuda.get_device_name(device) if cuda else _processor()
    return (
        f"{name} ({os.cpu_count()} cores), {threads} thread{'s' * (threads > 1)}, "
        f"PyTorch {torch.__version__}, Python {platform.python_version()}"
    )


def today() -> str:
    """Date in the format of reports."""
    return f"{datetime.now(UTC):%Y-%m-%d}"


def _processor() -> str:
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text().splitlines() if facts.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
