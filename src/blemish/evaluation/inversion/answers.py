"""The four answers in a sentence each, as the figures have it."""

from collections.abc import Callable, Sequence
from typing import Any

Row = dict[str, Any]
Look = Callable[[Row], float | None]
QUESTIONS = {
    "in_domain": "Does the code lie in the domain of the generator's own latent space?",
    "meaning": "Does it represent the target's meaning, not only its pixels?",
    "editing": "Does it support editing, by reusing what the generator has learnt?",
    "arbitrary": "Can the generator take an arbitrary photograph, and does it say when it can't?",
}
NOTHING = "Nothing was there to measure it on."


def answers(rows: Sequence[Row]) -> dict[str, str]:
    """A sentence or two for each question."""
    told = {
        "in_domain": _in_domain(rows),
        "meaning": _meaning(rows),
        "editing": _editing(rows),
        "arbitrary": _arbitrary(rows),
    }
    return {name: " ".join(sentences) or NOTHING for name, sentences in told.items()}


def look(*path: str) -> Look:
    """What stands at a path in a row; None where a step of it is missing."""

    def found(row: Row) -> float | None:
        value: Any = row
        for key in path:
            value = (value or {}).get(key)
        return value

    return found


def name(row: Row) -> str:
    """The method with its space."""
    return f"{row['method']} in {row['space']}"


def _in_domain(rows: Sequence[Row]) -> list[str]:
    stands = look("groups", "good", "in_domain", "share_in_domain")
    text = "codes of held-out good parts no more extreme than 99 in 100 of the generator's own"
    return _extremes(rows, stands, f"Most {text}", "fewest", _percent)


def _meaning(rows: Sequence[Row]) -> list[str]:
    good, defective = ("groups", "good", "meaning"), ("groups", "defective", "meaning")
    return [
        *_best(rows, look(*good, "psnr_db"), "Nearest in pixels on held-out good parts", _db),
        *_best(rows, look(*good, "kernel_distance"), "nearest as a set", _plain, lowest=True),
        *_best(rows, look(*defective, "mask_iou"), "Best defect masks (median IoU)", _plain),
        *_best(rows, look(*defective, "type_agreement"), "Type told rightly most often", _percent),
    ]


def _editing(rows: Sequence[Row]) -> list[str]:
    return [
        *_best(
            rows, look("editing", "moved_iou"), "Moved defects fall under their mask best", _plain
        ),
        *_best(
            rows,
            look("editing", "midpoint_realism"),
            "Midpoints are most real to the critic (percentile among fresh samples)",
            _plain,
        ),
        *_best(
            rows, look("editing", "share_monotone"), "Defects most often grow one way", _percent
        ),
    ]


def _arbitrary(rows: Sequence[Row]) -> list[str]:
    told = _best(
        rows, look("recovery", "share_recovered"), "Own samples are recovered most often", _percent
    )
    first = rows[0]["refusal"] if rows else None
    if first is not None and first["auroc_strangeness"] is not None:
        told.append(
            f"Strangeness tells other objects from held-out good parts with an AUROC of "
            f"{first['auroc_strangeness']:.3f}."
        )
    refused = look("refusal", "foreign_refused")
    return told + _extremes(rows, refused, "Most other objects refused", "fewest", _percent)


def _best(
    rows: Sequence[Row],
    value: Look,
    what: str,
    show: Callable[[float], str],
    *,
    lowest: bool = False,
) -> list[str]:
    known = _ranked(rows, value)
    if not known:
        return []
    figure, row = known[0 if lowest else -1]
    return [f"{what[0].upper()}{what[1:]}: {name(row)}, {show(figure)}."]


def _extremes(
    rows: Sequence[Row], value: Look, most: str, least: str, show: Callable[[float], str]
) -> list[str]:
    known = _ranked(rows, value)
    if not known:
        return []
    (low, last), (high, first) = known[0], known[-1]
    if high == low:
        return [f"{most}: {show(high)}, the same for all."]
    return [f"{most}: {name(first)}, {show(high)}; {least}: {name(last)}, {show(low)}."]


def _ranked(rows: Sequence[Row], value: Look) -> list[tuple[float, Row]]:
    """From the lowest to the highest; of equal ones the first row counts as the highest."""
    known = [(found, row) for row in reversed(rows) if (found := value(row)) is not None]
    return sorted(known, key=lambda pair: pair[0])


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _db(value: float) -> str:
    return f"{value:.2f} dB"


def _plain(value: float) -> str:
    return f"{value:.3g}"
