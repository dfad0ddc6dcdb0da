"""The report as a page: an answer to each question, tables of methods and metrics, images."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from blemish.evaluation.inversion.answers import QUESTIONS
from blemish.evaluation.inversion.evaluate import Shown
from blemish.evaluation.inversion.plot import draw_fidelity, strip
from blemish.evaluation.report import Page
from blemish.pictures import write_picture

Report = dict[str, Any]

IN_DOMAIN = {
    "cycle": "cycle",
    "cycle_percentile": "its percentile",
    "mahalanobis": "Mahalanobis",
    "mahalanobis_percentile": "its percentile",
    "spread": "spread",
    "spread_percentile": "its percentile",
    "percentile": "overall percentile",
    "share_in_domain": "share ≤ 99",
}
MEANING = {
    "mse": "MSE",
    "psnr_db": "PSNR, dB",
    "ms_ssim": "MS-SSIM",
    "sliced_wasserstein": "sliced Wasserstein",
    "kernel_distance": "kernel distance",
    "mask_iou": "mask IoU",
    "boundary_f": "boundary F",
    "type_agreement": "type accuracy",
    "type_agreement_of_targets": "in the target",
}
EDITING = {
    "moved_iou": "moved: IoU of change",
    "changed_outside": "change outside",
    "midpoint_realism": "midpoints: realism percentile",
    "midpoint_percentile": "midpoints: domain percentile",
    "share_monotone": "fraction that grows monotonically",
    "direction_purity": "directions: median purity",
    "direction_monotone": "directions: fraction monotone",
    "direction_outside": "directions: change outside the part",
}
RECOVERY = {
    "n": "samples",
    "share_psnr": "fraction ≥ 30 dB",
    "share_iou": "of defects, IoU ≥ 0.9",
    "share_recovered": "fraction recovered",
    "code_distance": "distance to the true code",
}
REFUSAL = {
    "auroc_strangeness": "AUROC of strangeness",
    "auroc_percentile": "of percentile",
    "auroc_psnr": "of −PSNR",
    "foreign_refused": "others refused",
    "good_refused": "good parts refused",
}


def write_inversion_page(report: Report, shown: Sequence[Shown], out: Path) -> None:
    """Write `report.html` and the images beside it.

    Args:
        report: Content of `report.json`.
        shown: A few reconstructions of each method, space and group.
        out: Existing folder.
    """
    page = Page(f"Inversion with the bundle '{report['bundle']['name']}'")
    _facts(page, report)
    for number, (name, question) in enumerate(QUESTIONS.items(), 1):
        page.heading(f"{number}. {question}")
        page.text(report["answers"][name])
        _TABLES[name](page, report["rows"])
    if draw_fidelity(report["rows"], out / "fidelity.png"):
        page.picture(out / "fidelity.png", "Fidelity and in-domain percentile")
    _strips(page, shown, out)
    page.write(out / "report.html")


def _facts(page: Page, report: Report) -> None:
    counts = ", ".join(f"{n} {group}" for group, n in report["counts"].items())
    networks = report["networks"]
    page.text(f"{report['date']}, {report['machine']}; bundle {report['bundle']['digest'][:12]}.")
    page.text(
        f"Evaluated at {report['resolution']}²: {counts}. 'good' and 'defective' are held-out "
        "photographs, 'own' are the generator's samples, 'foreign' photographs of other objects."
    )
    page.text(
        f"Perceptual distances by {' and '.join(networks['perceptual'])}; the kernel distance by "
        f"{networks['sets']}, of as many reconstructions as targets. Figures of photographs and "
        "codes are medians except MSE, a mean."
    )
    if report["classifier"] is not None:
        known = report["classifier"]
        seen = ", ".join(f"{n} {kind}" for kind, n in known["learnt_from"].items())
        page.text(f"The type classifier was trained on {seen}, on features of {known['network']}.")
        kinds = known["right"]
        rows = [(kind, known["tested_on"][kind], _cell(kinds[kind])) for kind in kinds]
        page.table(("real photographs outside its training set", "n", "accuracy"), rows)
    for note in report["notes"]:
        page.text(note)


def _of_groups(page: Page, rows: Sequence[Report], part: str, columns: dict[str, str]) -> None:
    """A line for each group, method and space, so that methods are below each other."""
    groups = dict.fromkeys(group for row in rows for group in row["groups"])
    known = {
        name: title
        for name, title in columns.items()
        if any(found[part].get(name) is not None for r in rows for found in r["groups"].values())
    }
    if not known:
        return
    body = [
        (group, row["method"], row["space"], found["n"], *_cells(found[part], known))
        for group in groups
        for row in rows
        for found in [row["groups"][group]]
    ]
    page.table(("group", "method", "space", "n", *known.values()), body)


def _of_rows(page: Page, rows: Sequence[Report], part: str, columns: dict[str, str]) -> None:
    """A line for each method and space."""
    found = [row for row in rows if row[part] is not None]
    if found:
        body = [(row["method"], row["space"], *_cells(row[part], columns)) for row in found]
        page.table(("method", "space", *columns.values()), body)


def _in_domain(page: Page, rows: Sequence[Report]) -> None:
    _of_groups(page, rows, "in_domain", IN_DOMAIN)


def _meaning(page: Page, rows: Sequence[Report]) -> None:
    found = [part["meaning"] for row in rows for part in row["groups"].values()]
    seen = dict.fromkeys(k for part in found for k in part if k.startswith("perceptual_"))
    perceptual = {name: name.replace("_", ", ") for name in seen}
    _of_groups(page, rows, "meaning", {**MEANING, **perceptual})


def _editing(page: Page, rows: Sequence[Report]) -> None:
    _of_rows(page, rows, "editing", EDITING)
    grown = {row["editing"].get("growth_of") for row in rows if row["editing"]} - {None}
    for what in grown:
        page.text(f"Growing: {what}.")


def _arbitrary(page: Page, rows: Sequence[Report]) -> None:
    outcomes = dict.fromkeys(
        outcome for r in rows for found in r["groups"].values() for outcome in found["outcomes"]
    )
    header = ("group", "method", "space", *outcomes, "median strangeness")
    groups = dict.fromkeys(group for row in rows for group in row["groups"])
    body = [
        (
            *(group, row["method"], row["space"]),
            *(found["outcomes"].get(outcome, 0) for outcome in outcomes),
            _cell(found["strangeness"]),
        )
        for group in groups
        for row in rows
        for found in [row["groups"][group]]
    ]
    page.table(header, body)
    _of_rows(page, rows, "refusal", REFUSAL)
    _of_rows(page, rows, "recovery", RECOVERY)


_TABLES = {
    "in_domain": _in_domain,
    "meaning": _meaning,
    "editing": _editing,
    "arbitrary": _arbitrary,
}


def _strips(page: Page, shown: Sequence[Shown], out: Path) -> None:
    """An image for each group and space."""
    for group, space in dict.fromkeys((one.group, one.space) for one in shown):
        here = [one for one in shown if (one.group, one.space) == (group, space)]
        file = out / f"{group.replace(' ', '-')}-{space.replace('/', '').replace('+', '-plus')}.png"
        write_picture(file, strip(here))
        methods = ", ".join(one.method for one in here)
        page.picture(
            file,
            f"{group} in {space}: the target, then reconstruction and difference of {methods}",
        )


def _cells(figures: Report, names: Iterable[str]) -> list[object]:
    return [_cell(figures.get(name)) for name in names]


def _cell(value: object) -> object:
    return "–" if value is None else value
