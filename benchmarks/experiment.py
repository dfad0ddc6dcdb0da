"""The experiment: a mask, a photograph and frozen generators, by space and by reference.

    scripts/bench experiment hazelnut DATA

The same photographs and real masks for each row. Reported are the overlap of the mask that the
generators drew with the requested one, at their own resolution; that of the changed pixels of the
photograph; the distance to the photograph outside the mask; the kernel distance of close-ups to
real ones (SqueezeNet, see `blemish.evaluation.synthesis.realism`), if its weights are at hand; and
the time without the inversion of the photograph. Writes benchmarks/experiment.md.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch
import tyro

from benchmarks._hardware import heading
from blemish.checkpoint import Bundle, find_bundle
from blemish.data.folder import DefectFolder
from blemish.data.pairs import read_mask
from blemish.errors import BundleError
from blemish.evaluation.synthesis.closeups import close_ups
from blemish.evaluation.synthesis.realism import RealCloseUps
from blemish.features import FeatureNetwork, load_features
from blemish.files import write_atomically
from blemish.models.load import shape_of
from blemish.names import CodeSpace, MaskControl, ReferenceName
from blemish.pictures import read_picture
from blemish.synthesis.dataset import SyntheticItem
from blemish.synthesis.options import SynthesisOptions
from blemish.synthesis.part import GoodPart
from blemish.synthesis.request import Request, read_request
from blemish.synthesis.synthesize import Synthesizer
from blemish.types import Codes

HERE = Path(__file__).parent
BRANCH_ONLY: tuple[MaskControl, ...] = ("noise",)  # noise maps belong to a defect branch


@dataclass(frozen=True)
class Way:
    """One row of the table.

    Attributes:
        control: How the mask is met.
        space: CodeSpace of the defect's codes.
        reference: Target for the inside.
    """

    control: MaskControl
    space: CodeSpace
    reference: ReferenceName


WAYS = (
    *(Way("codes", space, "none") for space in ("z", "w", "w+")),
    Way("codes", "w", "distil"),
    Way("codes", "w", "stitch"),
    Way("noise", "w", "none"),
    Way("condition", "w", "none"),
    *(Way("condition", space, "distil") for space in ("z", "w", "w+")),
    Way("condition", "w", "stitch"),
)
HEADER = (
    "| mask met by | space | reference | IoU of the drawn mask | IoU of what changed | error "
    "outside | kernel distance | seconds per item |",
    "| --- | --- | --- | ---: | ---: | ---: | ---: | ---: |",
)


def main(
    bundle: str,
    data: Path,
    /,
    defect: str = "colour",
    masks: int = 6,
    steps: int = 150,
) -> None:
    """Measure each way and write the table.

    Args:
        bundle: Folder or name of a bundle.
        data: Folder with good test photographs, and masks of the defect.
        defect: Type of the defects.
        masks: Number of real masks, spread over all by file name.
        steps: Steps of the search.
    """
    torch.set_num_threads(1)
    found, folder = find_bundle(bundle), DefectFolder(data)
    worker = Synthesizer(found, SynthesisOptions(method="optimize"))
    requests = _orders(worker, folder, defect, masks)
    twins = [worker.invert(request) for request in requests]  # the same for all rows, not timed
    pairs, judge = [*zip(requests, twins, strict=True)], _judge()
    real = None if judge is None else _real(judge, folder, defect)
    lines = [*HEADER]
    for way in WAYS:
        if shape_of(found).defect is None and way.control in BRANCH_ONLY:
            continue
        lines.append(_row(found, pairs, way, data, steps, judge, real))
        print(lines[-1], flush=True)
    about = (
        f"Bundle `{found.path.name}`, {len(requests)} real masks of '{defect}' on other "
        "photographs, "
        f"one seed each, {steps} steps; medians, and the mean error outside the mask in [-1, 1]."
    )
    command = f"scripts/bench experiment {bundle} DATA --defect {defect} --masks {masks}"
    title = heading("The experiment", f"{command} --steps {steps}")
    write_atomically(HERE / "experiment.md", "\n".join([title, about, "", *lines, ""]).encode())


def _orders(worker: Synthesizer, folder: DefectFolder, defect: str, masks: int) -> list[Request]:
    good, requests = folder.good("test"), []
    defects = [p.mask_path for p in folder.defects(defect) if p.mask_path is not None]
    for index, mask in enumerate(defects[:: max(1, len(defects) // masks)][:masks]):
        part = GoodPart.read(good[index % len(good)].path)
        requests.append(read_request(part, mask, defect, worker.types))
    return requests


def _judge() -> FeatureNetwork | None:
    try:
        return load_features("squeezenet")
    except BundleError:
        return None


def _real(judge: FeatureNetwork, folder: DefectFolder, defect: str) -> RealCloseUps:
    photographs = [p for p in folder.defects(defect) if p.mask_path is not None]
    pairs = ((read_picture(p.path), read_mask(p.mask_path)) for p in photographs if p.mask_path)
    return RealCloseUps.of(judge, close_ups(pairs))


def _row(
    bundle: Bundle,
    pairs: Sequence[tuple[Request, Codes | None]],
    way: Way,
    data: Path,
    steps: int,
    judge: FeatureNetwork | None,
    real: RealCloseUps | None,
) -> str:
    options = SynthesisOptions(
        method="optimize",
        mask_control=way.control,
        defect_space=way.space,
        defect_steps=steps,
        reference=way.reference,
        real=None if way.reference == "none" else data,
    )
    worker, began = Synthesizer(bundle, options), time.perf_counter()
    worker.prepare(pairs[0][0].kind)
    made = [*_made(worker, pairs)]
    seconds = (time.perf_counter() - began) / len(made)
    scores = [item.facts["scores"] for item in made]
    drawn, changed = (
        median(score[name] for score in scores)
        for name in ("iou_generator_requested", "iou_requested")
    )
    outside = [score["image"] for score in scores if "image" in score]
    shown = "–" if not outside else f"{sum(outside) / len(outside):.4f}"
    look = None
    if judge is not None and real is not None:
        look = real.compare(judge, close_ups((i.picture.picture, i.changed) for i in made))
    near = "–" if look is None else f"{look.kernel_distance:.1f}"
    cells = [way.control, way.space, way.reference, f"{drawn:.2f}", f"{changed:.2f}", shown, near]
    return f"| {' | '.join([*cells, f'{seconds:.1f}'])} |"


def _made(
    worker: Synthesizer, pairs: Sequence[tuple[Request, Codes | None]]
) -> Iterator[SyntheticItem]:
    for seed, (request, twin) in enumerate(pairs):
        yield worker.make(request, seed, twin=twin)


if __name__ == "__main__":
    tyro.cli(main)
