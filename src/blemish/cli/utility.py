"""`blemish evaluate utility`: value of a synthetic set for a detector."""

import sys
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from blemish.cli.options import Json
from blemish.cli.progress import Progress, print_json
from blemish.names import Device, Precision

Arms = Annotated[
    str | None,
    arg(metavar="NAME,...", help_behavior_hint="(default: the first four that are possible)"),
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
    """Train detectors with and without synthetic defects, and test them on held-out photographs.

    A small U-Net segments defects and a small residual network classifies their type. Writes
    report.html, a self-contained page, and report.json.

    Args:
        real: Folder with train/good, test/good, test/<type> and ground_truth/<type>. Detectors
            train on train/good and the first third of each type by name; the rest is for tests.
        synthetic: Folder written by 'blemish batch' or 'synthesize', or a data set like --real;
            without it only the arms real and copy-paste are trained.
        arms: Training sets to compare: real, copy-paste, synthetic, real+synthetic,
            copy-paste+synthetic.
        seeds: Trainings per arm, with seeds from 0 up.
        steps: Steps per training; detectors may gain from many more.
        batch: Images per step, half of them good.
        size: Side of the square images that the detector sees, in pixels; tests use it, too.
        precision: Number format of the detectors' training; bf16-mixed is faster on hardware with
            bfloat16.
        limit_good: Maximum number of good training photographs, spread evenly over all.
        out: Folder for the report.
        device: Device to compute on; auto uses CUDA if available.
        json: Print the figures as JSON.
    """
    import torch

    from blemish.devices import choose_device
    from blemish.evaluation.utility.evaluate import prepare_utility
    from blemish.evaluation.utility.page import NAMES, in_percent
    from blemish.evaluation.utility.plan import UtilityOptions
    from blemish.evaluation.utility.report import report

    plan = UtilityOptions(
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
    trial = prepare_utility(plan)
    with Progress("training", plan.total) as progress:
        found = report(trial, out, target, progress.part)
    if json:
        print_json(found)
        return
    for arm, figures in found["arms"].items():
        print(
            f"{arm}: " + ", ".join(f"{NAMES[name]} {in_percent(figures, name)}" for name in NAMES)
        )
    if found["answer"] is not None:
        print(found["answer"])
    print(f"{out / 'report.html'} has the figures and maps.", file=sys.stderr)
