"""The report as a page: figures by type, and items with their nearest real defects."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from blemish.data.pairs import read_mask
from blemish.evaluation.report import Page
from blemish.evaluation.synthesis.evaluate import Subject
from blemish.evaluation.synthesis.realism import METRICS
from blemish.pictures import fit_square, grid, read_picture, write_picture

Report = dict[str, Any]
SHOWN = 12
CELL = 128
DISTANCES = ("rows", "kernel", "kernel_spread", "frechet_rows", "frechet", "frechet_spread")
CLOSE_UPS = {"close_ups": "close-ups", **{metric.name: metric.title for metric in METRICS}}
MASKS = {
    "two_sample_auc": "masks: area under the curve",
    "coverage": "real ones covered",
    "copies": "copies of training masks",
    "off_part": "share off the part",
    "filled": "share that differs visibly",
}
DRIFT = {
    "items": "items with a twin",
    "iou_changed_median": "IoU of label and changed bytes, median",
    "iou_changed_least": "least",
    "iou_visible_median": "IoU of label and visible change, median",
    "iou_requested_median": "IoU of label and request, median",
    "pixels_changed_outside_label": "pixels changed outside labels",
    "pixels_changed_beyond_reach": "beyond the request's reach",
}


def write_synthesis_page(report: Report, subjects: Sequence[Subject], out: Path) -> None:
    """Write `report.html` and the images beside it.

    Args:
        report: Content of `report.json`.
        subjects: Compared sets.
        out: Existing folder.
    """
    page = Page("Synthetic defects compared with real ones")
    _facts(page, report)
    for subject in subjects:
        page.heading(subject.kind)
        _figures(page, report["types"][subject.kind])
        file = out / f"{subject.kind}.png"
        chosen = _chosen(len(subject.items))
        write_picture(file, _rows(subject, chosen))
        page.picture(
            file,
            "Good part, requested mask, synthetic item, label, its surroundings; then the "
            "surroundings of the nearest real ones, whose distances are given below",
        )
        _neighbours(page, [report["types"][subject.kind]["items"][index] for index in chosen])
    page.write(out / "report.html")


def _facts(page: Page, report: Report) -> None:
    page.text(
        f"{report['date']}, {report['machine']}. Features: {report['network']}, "
        f"{report['pooling']}; squares of {report['side']} pixels."
    )
    if report["bundle"] is not None:
        page.text("The critic of '{name}', {digest:.12}.".format(**report["bundle"]))
    for note in report["notes"]:
        page.text(note)
    if report["outcomes"]:
        names = sorted({name for counts in report["outcomes"].values() for name in counts})
        rows = [
            (kind, *(counts.get(name, 0) for name in names), _cell(report["refusal_rate"][kind]))
            for kind, counts in report["outcomes"].items()
        ]
        page.table(("type", *names, "refusal rate"), rows)
    if report["reasons"]:
        page.table(("refused or failed for", "items"), list(report["reasons"].items()))


def _figures(page: Page, found: Report) -> None:
    page.text(
        f"{found['made']} synthetic; {found['real_learnt']} real ones that count as training data, "
        f"{found['real_compared']} to compare with."
    )
    for use, names in found["files"].items():
        page.text(f"{use.capitalize()}: {', '.join(names) or 'none'}.")
    for figure, why in found["unknown"].items():
        page.text(f"The {figure} is unknown: {why}.")
    header = ("distance to real ones", "rows", "kernel", "±", "rows", "Fréchet", "±")
    rows = [
        (f"{look}: {who}", *_cells(found["distances"][look][who], DISTANCES))
        for look in found["distances"]
        for who in ("made", "learnt")
    ]
    page.table(header, rows)
    spread = found["diversity"]
    page.table(
        ("diversity inside", "real ones", "under one mask", "fraction of copies"),
        [
            tuple(
                map(
                    _cell,
                    (spread["made"], spread["real"], spread["under_one_mask"], found["memorised"]),
                )
            )
        ],
    )
    _close_ups(page, found["close_ups"])
    _masks(page, found["masks"])
    if found["drift"] is not None:
        page.table([*DRIFT.values()], [_cells(found["drift"], tuple(DRIFT))])


def _close_ups(page: Page, rows: Report | None) -> None:
    if rows is None:
        return
    header = ("close-ups at the photograph's scale", *CLOSE_UPS.values())
    page.table(header, [(name, *_cells(row, tuple(CLOSE_UPS))) for name, row in rows.items()])
    page.text("sorting.html shows real and synthetic close-ups in random order.")


def _masks(page: Page, found: Report | None) -> None:
    if found is None:
        return
    page.table([*MASKS.values()], [_cells(found, tuple(MASKS))])
    header = ("shape of the mask", "distance to real masks in interquartile ranges")
    page.table(header, [*found["shape_distance"].items()])


def _chosen(n: int) -> list[int]:
    """Items for display, evenly spread."""
    return np.linspace(0, n - 1, min(SHOWN, n)).astype(int).tolist()


def _neighbours(page: Page, items: Sequence[Report]) -> None:
    """Names of the nearest real ones, with their distances."""
    count = len(items[0]["nearest"])
    header = ("item", *(cell for _ in range(count) for cell in ("near", "distance")))
    rows = [
        (item["name"], *(value for one in item["nearest"] for value in one.values()))
        for item in items
    ]
    page.table(header, rows)


def _rows(subject: Subject, chosen: Sequence[int]) -> UInt8[np.ndarray, "H W 3"]:
    cells = [cell for index in chosen for cell in _row(subject, index)]
    return grid(cells, 5 + subject.neighbours.shape[1])


def _row(subject: Subject, index: int) -> list[UInt8[np.ndarray, "s s 3"]]:
    item = subject.items[index]
    beside = [subject.real.shown[k] for k in subject.neighbours[index]]
    files = [
        _picture(item.twin),
        _mask(item.requested),
        _picture(item.image),
        _mask(item.mask),
    ]
    return [*files, subject.synthetic.shown[index], *beside]


def _picture(file: Path | None) -> UInt8[np.ndarray, "s s 3"]:
    if file is None or not file.is_file():
        return np.zeros((CELL, CELL, 3), np.uint8)
    return fit_square(read_picture(file), CELL)


def _mask(file: Path | None) -> UInt8[np.ndarray, "s s 3"]:
    if file is None or not file.is_file():
        return np.zeros((CELL, CELL, 3), np.uint8)
    return fit_square(np.repeat(read_mask(file)[:, :, None] * np.uint8(255), 3, axis=2), CELL)


def _cells(found: Report | None, names: Sequence[str]) -> list[object]:
    return [_cell(None if found is None else found[name]) for name in names]


def _cell(value: object) -> object:
    return "–" if value is None else value
