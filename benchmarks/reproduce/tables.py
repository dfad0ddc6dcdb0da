"""Figures of the evaluations as Markdown tables; all are read from the outputs of the steps."""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.reproduce.outcomes import Places
from blemish.evaluation.synthesis.evaluate import LOOKS
from blemish.evaluation.utility.page import MEANING, NAMES, in_percent

NOTHING = "–"
INVERSION = {  # a column's title, where its figure is, and how it is written
    "good: PSNR, dB": ("groups.good.meaning.psnr_db", ".1f"),
    "MS-SSIM": ("groups.good.meaning.ms_ssim", ".3f"),
    "in domain": ("groups.good.in_domain.share_in_domain", ".0%"),
    "defective: mask IoU": ("groups.defective.meaning.mask_iou", ".2f"),
    "type accuracy": ("groups.defective.meaning.type_agreement", ".0%"),
    "own recovered": ("recovery.share_recovered", ".0%"),
    "others refused": ("refusal.foreign_refused", ".0%"),
}


def table(header: Sequence[str], rows: Iterable[Sequence[str]], *, words: int = 1) -> list[str]:
    """Lines of a table with right-aligned figures after the given number of text columns."""
    dashes = [*["---"] * words, *["---:"] * (len(header) - words)]
    return [f"| {' | '.join(cells)} |" for cells in (header, dashes, *rows)]


def figure(value: float | None, spec: str) -> str:
    """A figure, or a dash without a measurement."""
    return NOTHING if value is None else format(value, spec)


def read(path: Path) -> dict[str, Any]:
    """Report of a step."""
    return json.loads(path.read_text(encoding="utf-8"))


def inversion(places: Places) -> list[str]:
    """Each method on held-out data, and the four answers."""
    found = read(places.report("inversion") / "report.json")
    counts = ", ".join(f"{group} {n}" for group, n in found["counts"].items())
    rows = [
        (
            f"{row['method']} in {row['space']}",
            *(figure(_at(row, path), spec) for path, spec in INVERSION.values()),
        )
        for row in found["rows"]
    ]
    answers = [f"- {answer}" for answer in found["answers"].values()]
    lines = [
        f"At {found['resolution']}²; pictures: {counts}.",
        "",
        *table(("by", *INVERSION), rows),
    ]
    return [*lines, "", *answers, "", *found["notes"]]


def made(places: Places) -> list[str]:
    """Outcomes of the items of the synthetic set."""
    found = read(places.made / "report.json")
    outcomes = ("items", "kept", "refused", "failed")
    rows = [(kind, *(str(of[name]) for name in outcomes)) for kind, of in found["types"].items()]
    reasons = ", ".join(f"{reason} {n}" for reason, n in found["reasons"].items())
    return [*table(("type", *outcomes), rows), "", f"Reasons: {reasons or 'none'}."]


def synthesis(places: Places) -> list[str]:
    """Synthetic set compared with the copy-paste set and the real defects of both."""
    ours, pasted = (
        read(places.report(f"synthesis-{name}") / "report.json") for name in ("made", "pasted")
    )
    kinds = sorted({*ours["types"], *pasted["types"]})
    rows = [
        row for kind in kinds for row in _sets(kind, ours["types"].get(kind), pasted["types"][kind])
    ]
    about = (
        "Kernel distance to the real defects that are held out, mean ± deviation over subsets, "
        "of whole pictures, the defect's surroundings, and its inside; the lower the better. "
        f"Features: {ours['network']}. The training defects show the best possible values. "
        "Copies are as near to a training defect as hardly two of these are to each other."
    )
    header = ("type", "set", "number", *LOOKS, "copies", "diversity inside")
    return [about, "", *table(header, rows, words=2), "", *ours["notes"]]


def utility(places: Places) -> list[str]:
    """Table of the arms."""
    found = read(places.report("utility") / "report.json")
    options = found["options"]
    about = (
        f"In percent, mean ± standard deviation over seeds, of which there are {options['seeds']}; "
        f"{options['steps']} steps of {options['batch']} at {options['size']}², "
        f"{options['precision']}."
    )
    arms = found["arms"]
    rows = [(arm, *(in_percent(of, name) for name in NAMES)) for arm, of in arms.items()]
    meaning = [f"- {arm}: {MEANING[arm]}" for arm in arms]
    lines = [about, "", *table(("arm", *NAMES.values()), rows), "", *meaning, ""]
    return [*lines, *([found["answer"]] if found["answer"] else []), *found["notes"]]


def card(places: Places) -> list[str]:
    """Table of the card."""
    _, _, figures = (places.card / "README.md").read_text(encoding="utf-8").partition("## Figures")
    return figures.strip().splitlines()


def _sets(
    kind: str, ours: dict[str, Any] | None, pasted: dict[str, Any]
) -> Iterator[tuple[str, ...]]:
    """A row for each set; a type without kept items has dashes."""
    unmade = {"made": 0, "memorised": None, "diversity": {"made": None}, "distances": {}}
    for name, found in (("made", ours or unmade), ("copy-paste", pasted)):
        copies, spread = found["memorised"], found["diversity"]["made"]
        tail = (figure(copies, ".0%"), figure(spread, ".2f"))
        yield (kind, name, str(found["made"]), *_distances(found, "made"), *tail)
    learnt, compared = pasted["real_learnt"], pasted["real_compared"]
    tail = (NOTHING, NOTHING)
    yield (kind, "training defects", str(learnt), *_distances(pasted, "learnt"), *tail)
    tail = (NOTHING, figure(pasted["diversity"]["real"], ".2f"))
    yield (kind, "all real", str(learnt + compared), *[NOTHING] * len(LOOKS), *tail)


def _distances(found: dict[str, Any], side: str) -> Iterator[str]:
    for look in LOOKS:
        of = found["distances"].get(look, {}).get(side)
        yield NOTHING if of is None else f"{of['kernel']:.3f} ± {of['kernel_spread']:.3f}"


def _at(row: dict[str, Any], path: str) -> float | None:
    """Value at a path; None if a step of it is missing."""
    value: Any = row
    for key in path.split("."):
        value = (value or {}).get(key)
    return value
