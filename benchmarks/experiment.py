"""Three ways to meet a mask, side by side: `python -m benchmarks.experiment BUNDLE DATA`.

The same photographs, masks and seeds with each way to meet a mask: codes, codes and noise maps,
conditioning. Two overlaps with the requested mask are reported: of the changed pixels of the
photograph, and of the mask that the generator itself drew. Writes benchmarks/experiment.md.
"""

import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import get_args

import tyro

from benchmarks._hardware import heading
from blemish.checkpoint import Bundle, find_bundle
from blemish.data.folder import DefectFolder
from blemish.files import write_atomically
from blemish.names import MaskControl
from blemish.synthesis.dataset import Dataset
from blemish.synthesis.options import SynthesisOptions
from blemish.synthesis.order import Order, read_order
from blemish.synthesis.synthesize import Synthesizer, synthesize

HERE = Path(__file__).parent


def main(
    bundle: str,
    data: Path,
    /,
    defect: str = "colour",
    masks: int = 6,
    count: int = 2,
    steps: int = 200,
) -> None:
    """Measure the three ways and write the table.

    Args:
        bundle: Folder or name of a bundle.
        data: Folder with good test photographs, and masks of the defect.
        defect: Type of the defects.
        masks: Number of real masks, spread over all by file name.
        count: Number of seeds per mask.
        steps: Steps of the search.
    """
    found, folder = find_bundle(bundle), DefectFolder(data)
    worker = Synthesizer(found, SynthesisOptions())
    orders = _orders(worker, folder, defect, masks)
    lines = [
        "| mask met by | IoU of what changed | IoU of the drawn mask | seconds per item |",
        "| --- | ---: | ---: | ---: |",
    ]
    for control in get_args(MaskControl):
        lines.append(_row(found, orders, control, count, steps))
        print(lines[-1])
    about = (
        f"Bundle `{found.path.name}`, {len(orders)} real masks of '{defect}' on another photograph "
        f"each, {count} seeds a mask, {steps} steps; medians."
    )
    command = f"python -m benchmarks.experiment {bundle} DATA --defect {defect} --masks {masks}"
    command += f" --count {count} --steps {steps}"
    text = "\n".join([heading("Three ways to meet a mask", command), about, "", *lines, ""])
    write_atomically(HERE / "experiment.md", text.encode())


def _orders(worker: Synthesizer, folder: DefectFolder, defect: str, masks: int) -> list[Order]:
    good, orders = folder.good("test"), []
    defects = [p.mask_path for p in folder.defects(defect) if p.mask_path is not None]
    for index, mask in enumerate(defects[:: max(1, len(defects) // masks)][:masks]):
        photograph = good[index % len(good)].path
        orders.append(read_order(photograph, mask, defect, worker.types))
    return orders


def _row(bundle: Bundle, orders: list[Order], control: MaskControl, count: int, steps: int) -> str:
    approach = SynthesisOptions(mask_control=control, defect_steps=steps)
    worker, changed, own, began = Synthesizer(bundle, approach), [], [], time.perf_counter()
    with TemporaryDirectory() as folder:
        dataset = Dataset(Path(folder))
        for order in orders:
            for row in synthesize(worker, [order], dataset, count=count, seed=0):
                changed.append(row["scores"]["iou_requested"])
                own.append(row["scores"]["iou_generator_requested"])
    seconds = (time.perf_counter() - began) / len(changed)
    return f"| {control} | {median(changed):.2f} | {median(own):.2f} | {seconds:.1f} |"


if __name__ == "__main__":
    tyro.cli(main)
