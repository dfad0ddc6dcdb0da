"""Plots of reconstructions, and of fidelity over the in-domain percentile."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from blemish.evaluation.inversion.evaluate import Shown
from blemish.files import replacing
from blemish.pictures import grid

LEAST_SIDE = 96
MARKS = {"good": "o", "defective": "^", "own": "s", "own defective": "D", "foreign": "x"}


def strip(shown: Sequence[Shown]) -> UInt8[np.ndarray, "H W 3"]:
    """A row for each subject: the target, then each method's reconstruction and difference."""
    columns = [shown[0].target]
    for one in shown:
        columns += [one.drawn, one.difference]
    pictures = [_enlarged(picture) for row in zip(*columns, strict=True) for picture in row]
    return grid(pictures, len(columns))


def draw_fidelity(rows: Sequence[dict[str, Any]], picture: Path) -> bool:
    """Plot PSNR over the in-domain percentile, one panel per space.

    Colours are methods, shapes are groups, and each mark is an image.

    Args:
        rows: Figures of each method in each space.
        picture: PNG file to write.

    Returns:
        Whether there was anything to plot; otherwise nothing is written.
    """
    points = [(row, group, *_points(found)) for row in rows for group, found in _groups(row)]
    if not any(x for *_, x, _ in points):
        return False
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    spaces = list(dict.fromkeys(row["space"] for row in rows))
    colours = {m: f"C{k}" for k, m in enumerate(dict.fromkeys(row["method"] for row in rows))}
    size = (1.5 + 4 * len(spaces), 4)
    figure, axes = pyplot.subplots(
        1, len(spaces), figsize=size, sharey=True, squeeze=False, layout="constrained"
    )
    for row, group, x, y in points:
        axis = axes[0, spaces.index(row["space"])]
        axis.scatter(x, y, s=14, alpha=0.7, color=colours[row["method"]], marker=MARKS[group])
    for axis, space in zip(axes[0], spaces, strict=True):
        axis.set(title=space, xlabel="in-domain percentile", xlim=(-3, 103))
    axes[0, 0].set_ylabel("PSNR in dB")
    groups = dict.fromkeys(group for _, group, *_ in points)
    figure.legend(handles=_keys(colours, groups), loc="outside right center", fontsize=8)
    with replacing(picture) as temporary:
        figure.savefig(temporary, dpi=100, format="png")
    pyplot.close(figure)
    return True


def _keys(colours: dict[str, str], groups: Iterable[str]) -> list[Any]:
    """Legend of colours and shapes."""
    from matplotlib.lines import Line2D

    known = [Line2D([], [], ls="", marker="o", color=c, label=m) for m, c in colours.items()]
    shapes = [Line2D([], [], ls="", marker=MARKS[g], color="grey", label=g) for g in groups]
    return known + shapes


def _groups(row: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return list(row["groups"].items())


def _points(found: dict[str, Any]) -> tuple[list[float], list[float]]:
    known = [item for item in found["items"] if item["percentile"] is not None]
    return [item["percentile"] for item in known], [item["psnr_db"] for item in known]


def _enlarged(picture: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "H W 3"]:
    """Small images enlarged by whole pixels."""
    times = -(-LEAST_SIDE // picture.shape[0])
    return picture.repeat(times, axis=0).repeat(times, axis=1)
