"""What a training costs: seconds for a thousand pictures and peak memory, by preset and stage.

    python -m benchmarks.presets [--device auto] [--only NAME,...] [--precision 32-true bf16-mixed]

Each preset and stage runs in a process of its own, on pictures of noise: time and memory do not
depend on what is to be seen. Of sixteen steps one has the critic's penalty and the path lengths and
three more have mode seeking, so that with the times t of steps 0, 4 and 1

    seconds for a thousand = 1000 / batch · (t_0 + 3 t_4 + 12 t_1) / 16,

each t the median of several steps behind one that warms up. Memory is the highest that the process
has held less what it held before the networks were made, on a CPU, and what PyTorch's allocator had
in use at most, on CUDA.
"""

import json
import subprocess
import sys
from dataclasses import replace
from itertools import product
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Literal

import numpy as np
import torch
import tyro
from lightning_fabric import Fabric

from benchmarks._hardware import heading, highest_mib
from blemish.devices import choose_device, make_fabric
from blemish.evaluation.provenance import hardware
from blemish.files import write_atomically
from blemish.generator.critic import Critic
from blemish.generator.defects import DefectStage
from blemish.generator.loop import Stage, step_rng
from blemish.generator.network import Generator
from blemish.generator.presets import PRESETS, Preset, find_preset
from blemish.generator.stitch import Defects
from blemish.generator.train import GeneratorStage
from blemish.names import Device, Precision

REPORT = Path(__file__).with_suffix(".md")
StageName = Literal["generator", "defects"]
STAGES: dict[StageName, str] = {"generator": "1, good parts", "defects": "2, defects"}
SHARES = {1: 12, 4: 3, 0: 1}  # of sixteen steps, those that are like the step of that index
REPEATS = 3
HEADER = (
    "| preset | stage | batch | precision | s per 1000 pictures | peak memory, MiB |",
    "| --- | --- | ---: | --- | ---: | ---: |",
)


def main(
    device: Device = "auto",
    only: str = ",".join(PRESETS),
    precision: tuple[Precision, ...] = ("32-true", "bf16-mixed"),
    row: tuple[str, StageName] | None = None,
    out: Path = REPORT,
) -> None:
    """Measure, print the table, and write it.

    Args:
        device: What to train on.
        only: Names of presets, with commas between them.
        precision: Of the networks' insides, one after the other.
        row: Measure this preset and stage in this process, in the first of the precisions, and
            print the figures as JSON.
        out: File of the report.
    """
    if row is not None:
        return print(json.dumps(measure(find_preset(row[0]), row[1], device, precision[0])))
    names = [name.strip() for name in only.split(",")]
    rows = [_row(*one, device) for one in product(names, STAGES, precision)]
    on = torch.device(choose_device(device))
    command = f"python -m benchmarks.presets --device {on.type}"
    text = heading("What a training costs", command) + f"\n{hardware(on)}\n\n"
    write_atomically(out, (text + "\n".join([*HEADER, *rows]) + "\n").encode())
    print(out.read_text(encoding="utf-8"))


def measure(
    preset: Preset, stage: StageName, device: Device, precision: Precision
) -> dict[str, float]:
    """Seconds for a thousand pictures, the batch, and the peak of memory in MiB."""
    fabric = make_fabric(device, precision=precision)
    before = highest_mib()
    subject = first_stage(preset, fabric) if stage == "generator" else second_stage(preset, fabric)
    training = preset.training if stage == "generator" else preset.defects
    times = {index: _seconds(subject, index, fabric.device) for index in SHARES}
    mean = sum(SHARES[index] * t for index, t in times.items()) / sum(SHARES.values())
    batch = training.schedule.batch
    return {"seconds": 1000 / batch * mean, "batch": batch, "mib": _peak(fabric.device, before)}


def first_stage(preset: Preset, fabric: Fabric) -> GeneratorStage:
    """Stage 1 in the midst of the game."""
    side, rng = preset.shape.resolution, np.random.default_rng(0)
    pictures = rng.integers(0, 256, (32, side, side, 3), dtype=np.uint8)
    training = replace(preset.training, warm_steps=0)
    return GeneratorStage(preset.shape, training, pictures, fabric)


def second_stage(preset: Preset, fabric: Fabric) -> DefectStage:
    """Stage 2, with square defects of one type."""
    config = replace(preset.shape, defect=replace(preset.branch, types=("square",)))
    side, n = config.resolution, 8
    mask = torch.zeros(n, 1, side, side)
    mask[:, :, side // 4 : side // 2, side // 4 : side // 2] = 1
    image, kind = torch.rand(n, 3, side, side) * 2 - 1, torch.zeros(n, dtype=torch.long)
    defects = Defects(image=image, mask=mask, kind=kind)
    critic = Critic(config, image_channels=4)
    return DefectStage(Generator(config), critic, preset.defects, defects, fabric)


def _seconds(stage: Stage, index: int, device: torch.device) -> float:
    times = [_timed(stage, index, device) for _ in range(1 + REPEATS)]
    return median(times[1:])


def _timed(stage: Stage, index: int, device: torch.device) -> float:
    start = perf_counter()
    stage.step(index, step_rng(0, index))
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return perf_counter() - start


def _row(name: str, stage: StageName, precision: Precision, device: Device) -> str:
    command = [sys.executable, "-m", "benchmarks.presets", "--row", name, stage]
    ways = ["--device", device, "--precision", precision]
    done = subprocess.run([*command, *ways], check=True, stdout=subprocess.PIPE, text=True)
    found = json.loads(done.stdout.splitlines()[-1])
    line = (
        f"| {name} | {STAGES[stage]} | {found['batch']} | {precision} "
        f"| {found['seconds']:.1f} | {found['mib']:.0f} |"
    )
    print(line, file=sys.stderr)
    return line


def _peak(device: torch.device, before: float) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return highest_mib() - before


if __name__ == "__main__":
    tyro.cli(main)
