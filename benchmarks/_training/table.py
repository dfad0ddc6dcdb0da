"""The table: of each trial the mean over seeds, and the range if there are several."""

from collections.abc import Mapping, Sequence
from statistics import fmean

from benchmarks._training.measures import Row
from benchmarks._training.trials import differences

Runs = Mapping[str, Sequence[Row]]
BACKBONE_COLUMNS: dict[str, tuple[str, str]] = {
    "held_out": ("distance to held-out", ".3f"),
    "learnt": ("to learnt", ".3f"),
    "memorised": ("memorised", ".3f"),
    "kept_kimg": ("snapshot to keep, kimg", ".3g"),
    "kept_held_out": ("its distance to held-out", ".3f"),
    "augmentation": ("augmentation at the end", ".2f"),
    "images_per_s": ("images/s", ".1f"),
}
NOTHING = "–"


def table(
    runs: Runs,
    columns: Mapping[str, tuple[str, str]],
    trials: Mapping[str, object],
    base: str,
    known: Mapping[str, Row],
) -> list[str]:
    """Lines of Markdown.

    Args:
        runs: Results of each trial, a row for each seed.
        columns: Title and number format of each figure.
        trials: Trials by name.
        base: Name of their common base.
        known: Rows to compare with, without a training.
    """
    heads = ["trial", "differs in (the base's)", *(title for title, _ in columns.values())]
    lines = [_line(heads), _line(["---", "---", *["---:"] * len(columns)])]
    for name, rows in runs.items():
        changes = differences(trials[name], trials[base]) or "(the base)"
        lines.append(_line([name, changes, *_cells(rows, columns)]))
    lines += [_line([name, "", *_cells([row], columns)]) for name, row in known.items()]
    return lines


def snapshot_choice(runs: Runs) -> str:
    """Comparison of the last snapshot with the one to keep, over all runs."""
    rows = [row for several in runs.values() for row in several if row]
    if not rows:
        return "No run is finished."
    pairs = [(_number(row, "held_out"), _number(row, "kept_held_out")) for row in rows]
    nearer, farther = sum(k < last for last, k in pairs), sum(k > last for last, k in pairs)
    last, kept = (fmean(values) for values in zip(*pairs, strict=True))
    return (
        f"Snapshot choice, over all runs ({len(rows)}): the last one is {last:.3f} from "
        f"the held-out photographs on average, the one that `snapshots.best` would keep "
        f"{kept:.3f}; that is nearer in {nearer}, the same in {len(rows) - nearer - farther}, "
        f"farther in {farther}."
    )


def cell(values: Sequence[float | None], form: str) -> str:
    """A figure over seeds, such as `0.12 [0.1, 0.14]`; a dash without a measurement."""
    found = [value for value in values if value is not None]
    if not found:
        return NOTHING
    mean, least, most = (format(f(found), form) for f in (fmean, min, max))
    return mean if len(found) == 1 else f"{mean} [{least}, {most}]"


def _cells(rows: Sequence[Row], columns: Mapping[str, tuple[str, str]]) -> list[str]:
    """Cells of a trial's line; the first gives the number of diverged runs."""
    cells = [cell([row.get(key) for row in rows], form) for key, (_, form) in columns.items()]
    diverged = sum(not row for row in rows)
    diverged_text = f" ({diverged} of {len(rows)} diverged)" if diverged else ""
    return [cells[0] + diverged_text, *cells[1:]]


def _number(row: Row, name: str) -> float:
    value = row[name]
    assert value is not None
    return value


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
