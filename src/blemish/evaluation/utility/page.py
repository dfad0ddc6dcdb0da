"""The report as a page: the arms side by side, and their maps on test photographs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from blemish.evaluation.report import Page
from blemish.evaluation.utility.outcome import TrainingOutcome, ap_of
from blemish.evaluation.utility.protocol import Labelled
from blemish.pictures import grid, write_picture

MAPS = "maps.png"
NAMES = {
    "auroc": "pixel AUROC",
    "ap": "AP",
    "f1_max": "F1-max",
    "pro": "PRO",
    "type_accuracy": "type accuracy",
}
MEANING = {
    "real": "the first third of each type's real defects",
    "copy-paste": "the same, half of the time pasted onto good photographs",
    "synthetic": "synthetic defects alone",
    "real+synthetic": "the first third of the real ones and synthetic ones, half and half",
    "copy-paste+synthetic": "real ones, the same pasted, and synthetic ones, a third each",
}


def write_utility_page(
    report: dict[str, Any],
    tested: Labelled,
    shown: Sequence[int],
    outcomes: Sequence[TrainingOutcome],
    out: Path,
) -> None:
    """Write `report.html` and the image beside it.

    Args:
        report: Content of `report.json`.
        tested: Test photographs.
        shown: Indices of the photographs with maps in the outcomes.
        outcomes: Results of all trainings.
        out: Existing folder.
    """
    page = Page("Does the data help a detector?")
    _facts(page, report)
    page.heading("Arms")
    page.table(("arm", "training defects"), [(arm, MEANING[arm]) for arm in report["arms"]])
    _figures(page, report["arms"])
    _types(page, report["arms"], [*report["counts"]["types"]])
    page.heading("Maps")
    firsts = [outcome for outcome in outcomes if outcome.seed == 0]
    write_picture(out / MAPS, _rows(tested, shown, firsts))
    columns = ", ".join(outcome.arm for outcome in firsts)
    page.picture(out / MAPS, f"Test photograph, its mask; then the maps of {columns}")
    page.write(out / "report.html")


def in_percent(found: dict[str, Any], name: str) -> str:
    """Figure of an arm in percent, with its spread if it is known."""
    mean, spread = found["mean"][name], found["spread"][name]
    return f"{100 * mean:.1f}" + ("" if spread is None else f" ± {100 * spread:.1f}")


def _facts(page: Page, report: dict[str, Any]) -> None:
    options, sizes = report["options"], report["parameters"]
    page.text(f"{report['date']}, {report['machine']}.")
    if report["answer"] is not None:
        page.text(report["answer"])
    page.text(
        f"A U-Net of {sizes['segmenter']:,} parameters and a residual classifier of "
        f"{sizes['classifier']:,}, trained for {options['steps']} steps of {options['batch']} "
        f"images, half of them good, with {options['seeds']} seeds; squares of "
        f"{options['size']} pixels. Tested on each type without its first third and on "
        "test/good."
    )
    for note in report["notes"]:
        page.text(note)
    counts = report["counts"]
    rows = [(kind, *found.values()) for kind, found in counts["types"].items()]
    header = ("photographs", "trained on", "tested on", "made")
    page.table(header, [("good", *counts["good"].values(), "–"), *rows])


def _figures(page: Page, arms: dict[str, Any]) -> None:
    page.text("In percent, mean and standard deviation over seeds; higher is better.")
    rows = [(arm, *(in_percent(found, name) for name in NAMES)) for arm, found in arms.items()]
    page.table(("arm", *NAMES.values()), rows)
    runs = [
        (arm, run["seed"], *(f"{100 * run[name]:.1f}" for name in NAMES))
        for arm, found in arms.items()
        for run in found["runs"]
    ]
    page.table(("arm", "seed", *NAMES.values()), runs)


def _types(page: Page, arms: dict[str, Any], types: Sequence[str]) -> None:
    known = [kind for kind in types if all(ap_of(kind) in arm["mean"] for arm in arms.values())]
    if known:
        page.text("AP of each type, on its photographs and the good ones.")
        rows = [
            (arm, *(in_percent(found, ap_of(kind)) for kind in known))
            for arm, found in arms.items()
        ]
        page.table(("arm", *known), rows)


def _rows(
    tested: Labelled, shown: Sequence[int], outcomes: Sequence[TrainingOutcome]
) -> UInt8[np.ndarray, "H W 3"]:
    cells = []
    for place, index in enumerate(shown):
        marked = np.repeat(tested.masks[index][:, :, None] * np.uint8(255), 3, axis=2)
        maps = [_heat(outcome.maps[place]) for outcome in outcomes]
        cells += [tested.pictures[index], marked, *maps]
    return grid(cells, 2 + len(outcomes))


def _heat(likely: Float[np.ndarray, "s s"]) -> UInt8[np.ndarray, "s s 3"]:
    """Black without a defect, pale yellow with a certain one."""
    levels = (255 * likely).round().astype(np.uint8)
    return np.ascontiguousarray(cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO)[:, :, ::-1])
