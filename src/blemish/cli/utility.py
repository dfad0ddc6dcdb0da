"""`blemish evaluate utility`: whether a made set helps a detector."""

import sys
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from blemish.cli.options import Json
from blemish.cli.progress import Progress, print_json
from blemish.names import Device, Precision

Arms = Annotated[
    str | None,
    arg(metavar="NAME,...", help_behavior_hint="(default: the first four that can be)"),
]


def utility(
    real: Path,
    synthetic: Annotated[Path | None, arg(help_behavior_hint="(default: none)")] = None,
    arms: Arms = None,
    seeds: int = 3,
    steps: int = 800,
    batch: int = 8,
    size: int = 128,
    precision: Precision = "32-true",
    limit_good: Annotated[int | None, arg(help_behavior_hint="(default: all)")] = None,
    out: Path = Path("utility-report"),
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Train detectors with made defects and without, and test them on held-out photographs.

    A small U-Net marks defects and a small residual network tells their type. Writes report.html, a
    page that needs no other file, and report.json.

    Args:
        real: A folder with train/good, test/good, test/<type> and ground_truth/<type>. Learnt from
            are train/good and the first third of each type by name; the rest is tested on.
        synthetic: A folder that 'blemish batch' or 'synthesize' has filled, or one like --real;
            without it the arms real and copy-paste are trained alone.
        arms: What to train on: real, copy-paste, synthetic, real+synthetic, copy-paste+synthetic.
        seeds: Trainings of each arm, under the seeds from 0 up.
        steps: Of each training; detectors may gain from many more.
        batch: Pictures in each step, half of them good.
        size: Of the squares that the detector sees, and is tested on.
        precision: Of the detectors while they learn; bf16-mixed is faster where a processor has
            bfloat16.
        limit_good: At most so many good photographs to learn from, evenly over all.
        out: Folder for the report.
        device: What to work on; auto takes CUDA where it is found.
        json: Print the figures as JSON.
    """
    import torch

    from blemish.devices import choose_device
    from blemish.evaluation.utility.evaluate import prepare
    from blemish.evaluation.utility.page import NAMES, told
    from blemish.evaluation.utility.plan import Plan
    from blemish.evaluation.utility.report import report

    plan = Plan(
        real=real,
        synthetic=synthetic,
        arms=() if arms is None else tuple(name.strip() for name in arms.split(",")),
        seeds=seeds,
        steps=steps,
        batch=batch,
        size=size,
        precision=precision,
        limit_good=limit_good,
    )
    target = torch.device(choose_device(device))
    trial = prepare(plan)
    with Progress("training", plan.total) as progress:
        found = report(trial, out, target, progress.part)
    if json:
        print_json(found)
        return
    for arm, figures in found["arms"].items():
        print(f"{arm}: " + ", ".join(f"{NAMES[name]} {told(figures, name)}" for name in NAMES))
    if found["answer"] is not None:
        print(found["answer"])
    print(f"{out / 'report.html'} has the figures and the maps.", file=sys.stderr)
