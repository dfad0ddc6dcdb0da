"""Four answers, one sentence each, from the figures."""

from collections.abc import Callable, Sequence
from typing import Any

Row = dict[str, Any]
Look = Callable[[Row], float | None]
QUESTIONS = {
    "in_domain": "Does the code lie in the domain of the generator's latent space?",
    "meaning": "Does it represent the meaning of the target, not only its pixels?",
    "editing": "Does it support editing, by reusing the knowledge of the generator?",
    "arbitrary": "Can the generator invert any photograph, and does it report when it can't?",
}
NOTHING = "There was no data to measure this."


def answers(rows: Sequence[Row]) -> dict[str, str]:
    """One or two sentences for each question."""
    found = {
        "in_domain": _in_domain(rows),
        "meaning": _meaning(rows),
        "editing": _editing(rows),
        "arbitrary": _arbitrary(rows),
    }
    return {name: " ".join(sentences) or NOTHING for name, sentences in found.items()}


def value_at(*path: str) -> Look:
    """Value at a path in a row; None if a step of it is missing."""

    def found(row: Row) -> float | None:
        value: Any = row
        for key in path:
            value = (value or {}).get(key)
        return value

    return found


def name(row: Row) -> str:
    """Method with its space."""
    return f"{row['method']} in {row['space']}"


def _in_domain(rows: Sequence[Row]) -> list[str]:
    stands = value_at("groups", "good", "in_domain", "share_in_domain")
    text = "codes of held-out good parts no more extreme than 99 in 100 of the generator's own"
    return _extremes(rows, stands, f"Most {text}", "fewest", _percent)


def _meaning(rows: Sequence[Row]) -> list[str]:
    good, defective = ("groups", "good", "meaning"), ("groups", "defective", "meaning")
    return [
        *_best(
            rows, value_at(*good, "psnr_db"), "Smallest pixel error on held-out good parts", _db
        ),
        *_best(rows, value_at(*good, "kernel_distance"), "nearest as a set", _plain, lowest=True),
        *_best(rows, value_at(*defective, "mask_iou"), "Best defect masks (median IoU)", _plain),
        *_best(rows, value_at(*defective, "type_agreement"), "Best type accuracy", _percent),
    ]


def _editing(rows: Sequence[Row]) -> list[str]:
    return [
        *_best(
            rows, value_at("editing", "moved_iou"), "Moved defects match their mask best", _plain
        ),
        *_best(
            rows,
            value_at("editing", "midpoint_realism"),
            "Most realistic midpoints (critic's percentile among fresh samples)",
            _plain,
        ),
        *_best(
            rows,
            value_at("editing", "share_monotone"),
            "Most defects that grow monotonically",
            _percent,
        ),
    ]


def _arbitrary(rows: Sequence[Row]) -> list[str]:
    sentences = _best(
        rows, value_at("recovery", "share_recovered"), "Most own samples recovered", _percent
    )
    first = rows[0]["refusal"] if rows else None
    if first is not None and first["auroc_strangeness"] is not None:
        sentences.append(
            f"Strangeness tells other objects from held-out good parts: AUROC "
            f"{first['auroc_strangeness']:.3f}."
        )
    refused = value_at("refusal", "foreign_refused")
    return sentences + _extremes(rows, refused, "Most other objects refused", "fewest", _percent)


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
    """From lowest to highest; of equal ones the first row counts as the highest."""
    known = [(found, row) for row in reversed(rows) if (found := value(row)) is not None]
    return sorted(known, key=lambda pair: pair[0])


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _db(value: float) -> str:
    return f"{value:.2f} dB"


def _plain(value: float) -> str:
    return f"{value:.3g}"
