"""How real the defects of a window generator look, how fast they are drawn, and in how much memory.

    scripts/bench windows --bundle hazelnut --data DATA --everything

compares close-ups with real ones beside copy-paste in three forms and halves of the real ones, and
times the drawing of a defect into photographs of two sizes. SqueezeNet's weights are looked for as
`blemish evaluate synthesis` does.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import torch
import tyro
from tyro.conf import arg

from benchmarks._hardware import heading, highest_mib
from blemish.checkpoint import find_bundle
from blemish.data.folder import DefectFolder
from blemish.evaluation.synthesis.baselines import BASELINES
from blemish.evaluation.synthesis.closeups import close_ups
from blemish.evaluation.synthesis.items import read_real_defects
from blemish.evaluation.synthesis.realism import RealCloseUps, Realism
from blemish.evaluation.windows import judge_model, real_close_ups
from blemish.features import FeatureNetwork, load_features
from blemish.files import write_atomically
from blemish.windows.paint import WindowModel, load_windows, paint
from blemish.windows.sources import Sources, read_sources

SIZES = ((512, 512), (3000, 4000))
ROW = "| {} | {} | {} | {:.1f} | {:.0f} % | {} | {} | {} |"


@dataclass(frozen=True)
class Speed:
    """Medians of drawing one defect, without reading and writing files.

    Attributes:
        seconds: Processor time.
        mib: Memory beyond what was held before, at its highest.
    """

    seconds: float
    mib: float


def rows_of(
    network: FeatureNetwork,
    model: WindowModel,
    sources: Sources,
    data: Path,
    real: dict[str, RealCloseUps],
) -> Iterator[str]:
    """Lines of the table of realism."""
    defects = read_real_defects(data, model.types)
    found = judge_model(network, model, sources, real, count=60)
    for kind, known in real.items():
        yield _row(kind, "window", found.get(kind))
        for name, baseline in BASELINES.items():
            pasted = known.compare(network, close_ups(baseline(data, defects[kind], 1)))
            yield _row(kind, name, pasted)
        yield _row(kind, "halves of the real ones", known.halves())


def measure(model: WindowModel, height: int, width: int, *, runs: int = 5) -> Speed:
    """Time a defect of 60 × 40 pixels in the middle of a photograph of noise."""
    picture = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    mask = np.zeros((height, width), np.uint8)
    cv2.ellipse(mask, (width // 2, height // 2), (30, 20), 0, 0, 360, 1, -1)
    before, took = highest_mib(), []
    for seed in range(runs):
        rng, start = torch.Generator().manual_seed(seed), time.process_time()
        paint(model.generator, picture, mask > 0, model.codes(model.types[0], rng), rng)
        took.append(time.process_time() - start)
    return Speed(sorted(took)[runs // 2], highest_mib() - before)


def main(
    data: Path,
    bundle: str = "hazelnut",
    everything: Annotated[bool, arg(help_behavior_hint="")] = False,
    out: Path = Path("benchmarks/windows.md"),
) -> None:
    """Write the report.

    Args:
        data: Folder with photographs of good parts and real defects.
        bundle: Folder of a bundle with a window generator, or the name of an embedded one.
        everything: The bundle learned from all real defects: lay all their masks on good parts.
        out: File of the report.
    """
    torch.set_num_threads(1)
    model = load_windows(find_bundle(bundle))
    speeds = [measure(model, height, width) for height, width in SIZES]  # first: memory only grows
    network = load_features("squeezenet")
    types = model.types
    sources = read_sources(
        DefectFolder(data), types, first_third=not everything, everything=everything
    )
    all_real = read_sources(DefectFolder(data), types, first_third=False, everything=True)
    real = real_close_ups(network, all_real)
    flag = " --everything" if everything else ""
    lines = [
        heading("Windows", f"scripts/bench windows --data DATA --bundle {bundle}{flag}"),
        f"Photographs in DATA: {data.name}. Kernel distance and probe: lower is nearer to real; "
        "sharpness: 1 is alike; copies: inside nearer to a real defect than the nearest twentieth "
        "of those are to each other.",
        "",
        "| type | method | close-ups | kernel distance | probe | sharpness | diversity | copies |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        *rows_of(network, model, sources, data, real),
        "",
        "| photograph | processor time of a defect | memory beyond the photograph |",
        "| --- | ---: | ---: |",
    ]
    for (height, width), speed in zip(SIZES, speeds, strict=True):
        lines.append(f"| {width} × {height} | {speed.seconds:.3f} s | {speed.mib:.0f} MiB |")
    write_atomically(out, ("\n".join(lines) + "\n").encode())
    print("\n".join(lines))


def _row(kind: str, method: str, found: Realism | None) -> str:
    if found is None:
        return f"| {kind} | {method} | too few | – | – | – | – | – |"
    figures = found.figures
    more = ("–" if (x := figures[k]) is None else f"{x:.2f}" for k in ("sharpness", "diversity"))
    copies = "–" if figures["copies"] is None else f"{figures['copies']:.0%}"
    known = found.close_ups, found.kernel_distance, figures["probe"]
    return ROW.format(kind, method, *known, *more, copies)


if __name__ == "__main__":
    tyro.cli(main)
