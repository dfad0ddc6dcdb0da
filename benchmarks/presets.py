"""Cost of a training of the generator: seconds per thousand images and peak memory, by preset.

    python -m benchmarks.presets [--device auto] [--only NAME,...] [--precision 32-true bf16-mixed]

Each preset runs in a process of its own, on pictures of noise: time and memory do not depend on
what is to be seen. Of sixteen steps one has the critic's penalty and the path lengths, so that with
the times t of steps 0 and 1

    seconds for a thousand = 1000 / batch · (t_0 + 15 t_1) / 16,

each t the median of several steps after one that warms up. On a CPU, memory is the peak of the
process minus its memory before the networks were built; on CUDA, the peak of PyTorch's allocator.
"""

import json
import subprocess
import sys
from dataclasses import replace
from itertools import product
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np
import torch
import tyro
from lightning_fabric import Fabric

from benchmarks._hardware import heading, highest_mib
from blemish.devices import choose_device, make_fabric
from blemish.evaluation.provenance import hardware
from blemish.files import write_atomically
from blemish.names import Device, Precision
from blemish.training.generator import GeneratorStage
from blemish.training.loop import Stage, step_rng
from blemish.training.presets import PRESETS, Preset, find_preset

REPORT = Path(__file__).with_suffix(".md")
SHARES = {1: 15, 0: 1}  # of sixteen steps, those that are like the step of that index
REPEATS = 3
HEADER = (
    "| preset | batch | precision | s per 1000 pictures | peak memory, MiB |",
    "| --- | ---: | --- | ---: | ---: |",
)


def main(
    device: Device = "auto",
    only: str = ",".join(PRESETS),
    precision: tuple[Precision, ...] = ("32-true", "bf16-mixed"),
    row: str | None = None,
    out: Path = REPORT,
) -> None:
    """Measure, print the table, and write it.

    Args:
        device: Device to train on.
        only: Names of presets, separated by commas.
        precision: Number formats inside the networks, one after the other.
        row: Measure this preset in this process, in the first of the precisions, and
            print the figures as JSON.
        out: File of the report.
    """
    if row is not None:
        return print(json.dumps(measure(find_preset(row), device, precision[0])))
    names = [name.strip() for name in only.split(",")]
    rows = [_row(*one, device) for one in product(names, precision)]
    on = torch.device(choose_device(device))
    command = f"python -m benchmarks.presets --device {on.type}"
    text = heading("What a training costs", command) + f"\n{hardware(on)}\n\n"
    write_atomically(out, (text + "\n".join([*HEADER, *rows]) + "\n").encode())
    print(out.read_text(encoding="utf-8"))


def measure(preset: Preset, device: Device, precision: Precision) -> dict[str, float]:
    """Seconds for a thousand pictures, the batch, and the peak of memory in MiB."""
    fabric = make_fabric(device, precision=precision)
    before = highest_mib()
    subject = generator_stage(preset, fabric)
    times = {index: _seconds(subject, index, fabric.device) for index in SHARES}
    mean = sum(SHARES[index] * t for index, t in times.items()) / sum(SHARES.values())
    batch = preset.training.schedule.batch
    return {"seconds": 1000 / batch * mean, "batch": batch, "mib": _peak(fabric.device, before)}


def generator_stage(preset: Preset, fabric: Fabric) -> GeneratorStage:
    """The training in the middle of adversarial training."""
    side, rng = preset.shape.resolution, np.random.default_rng(0)
    pictures = rng.integers(0, 256, (32, side, side, 3), dtype=np.uint8)
    training = replace(preset.training, warm_steps=0)
    return GeneratorStage(preset.shape, training, pictures, fabric)


def _seconds(stage: Stage, index: int, device: torch.device) -> float:
    times = [_timed(stage, index, device) for _ in range(1 + REPEATS)]
    return median(times[1:])


def _timed(stage: Stage, index: int, device: torch.device) -> float:
    start = perf_counter()
    stage.step(index, step_rng(0, index))
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return perf_counter() - start


def _row(name: str, precision: Precision, device: Device) -> str:
    command = [sys.executable, "-m", "benchmarks.presets", "--row", name]
    ways = ["--device", device, "--precision", precision]
    done = subprocess.run([*command, *ways], check=True, stdout=subprocess.PIPE, text=True)
    found = json.loads(done.stdout.splitlines()[-1])
    line = (
        f"| {name} | {found['batch']} | {precision} | {found['seconds']:.1f} | {found['mib']:.0f} |"
    )
    print(line, file=sys.stderr)
    return line


def _peak(device: torch.device, before: float) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return highest_mib() - before


if __name__ == "__main__":
    tyro.cli(main)
