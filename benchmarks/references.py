"""The look of defects without a reference, stitched and distilled, side by side on the same masks.

    python -m benchmarks.references DATA [--masks N] [--steps N]

Parts and masks are drawn by the shipped bundle, so the picture shows nobody's photograph; the real
defects that stitching starts from are in DATA. Each item is searched for from the same random code.
Distances are those of the matching critic's features to the nearest real defect, as curation
measures them.
"""

from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import get_args

import cv2
import numpy as np
import tyro

from benchmarks._hardware import heading
from blemish.checkpoint import Bundle, find_bundle
from blemish.files import write_atomically
from blemish.names import ReferenceName
from blemish.pictures import grid, write_picture
from blemish.synthesis.dataset import SyntheticItem
from blemish.synthesis.demo import draw_scene
from blemish.synthesis.options import SynthesisOptions
from blemish.synthesis.part import GoodPart
from blemish.synthesis.request import Request, read_request
from blemish.synthesis.synthesize import Synthesizer

REPORT = Path(__file__).with_suffix(".md")
PICTURE = Path(__file__).parent.parent / "docs/images/references.png"
CELL = 160


def main(
    data: Path,
    /,
    bundle: str = "hazelnut",
    defect: str = "colour",
    masks: int = 6,
    steps: int = 100,
) -> None:
    """Make the items, and write benchmarks/references.md and docs/images/references.png.

    Args:
        data: Folder with real defects.
        bundle: Folder or name of a bundle.
        defect: Type of the defects.
        masks: Number of parts with one mask each.
        steps: Steps of the search.
    """
    found = find_bundle(bundle)
    names = get_args(ReferenceName)
    workers = {name: _worker(found, name, data, steps) for name in names}
    first = workers["none"]
    rows, cells = {name: [] for name in names}, []
    with TemporaryDirectory() as place:
        for seed in range(masks):
            normal, mask = draw_scene(first.networks.generator, Path(place), seed)
            request = read_request(GoodPart.read(normal), mask, defect, first.types)
            made = {name: worker.make(request, seed) for name, worker in workers.items()}
            cells += _cells(request, made)
            for name, item in made.items():
                rows[name].append(item.facts["scores"])
    write_picture(PICTURE, grid(cells, 2 + len(names)))
    lines = [
        "| reference | IoU with the request | distance to the nearest real one | contrast |",
        "| --- | ---: | ---: | ---: |",
    ]
    for name, scores in rows.items():
        values = [median(s[key] for s in scores) for key in ("iou_requested", "distance")]
        contrast = median(s["contrast"] for s in scores)
        lines.append(f"| {name} | {values[0]:.2f} | {values[1]:.2f} | {contrast:.1f} |")
    command = f"python -m benchmarks.references DATA --masks {masks} --steps {steps}"
    about = " ".join((__doc__ or "").split("\n\n")[2].split())
    text = "\n".join([heading("References of the look", command), about, "", *lines, ""])
    write_atomically(REPORT, text.encode())
    print(*lines, sep="\n")


def _worker(bundle: Bundle, name: ReferenceName, data: Path, steps: int) -> Synthesizer:
    real = None if name == "none" else data
    return Synthesizer(
        bundle, SynthesisOptions(method="optimize", defect_steps=steps, reference=name, real=real)
    )


def _cells(request: Request, made: dict[ReferenceName, SyntheticItem]) -> list[np.ndarray]:
    mask = np.repeat(request.requested[:, :, None] * np.uint8(255), 3, axis=2)
    pictures = [request.picture, mask, *(item.picture.picture for item in made.values())]
    return [cv2.resize(p, (CELL, CELL), interpolation=cv2.INTER_AREA) for p in pictures]


if __name__ == "__main__":
    tyro.cli(main)
