"""How real the masks of synthetic defects are: their shapes, and what the pictures show of them.

Shapes are compared as vectors (see `maskshape`): each feature by the Wasserstein distance in
interquartile ranges of the real ones, all of them by a linear classifier that is asked of each
mask while that one is left out. An area under the curve of 0.5 means that it can't tell.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, UInt8
from scipy.stats import wasserstein_distance

from blemish.data.shadow import unshadowed_silhouette
from blemish.evaluation.figures import auroc, mean
from blemish.evaluation.synthesis.items import LabelledDefect
from blemish.evaluation.synthesis.maskshape import FEATURES, mask_vector
from blemish.pictures import read_picture
from blemish.synthesis.real.align import Outline, align, outline_on

FEWEST = 2  # masks of a set
RIDGE = 1.0  # of the classifier, on standardised features
COPY = 0.9  # overlap with a training mask after alignment
NOISE_LEVELS = 3.0  # deviations of the photograph's noise that a change must exceed to be seen


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskView:
    """What is known of one mask.

    Attributes:
        vector: Its shape; see `maskshape`.
        outline: The mask on its part, small; see `synthesis.laying`.
        off_part: Share of it that lies off the part.
        filled: Share of it that differs visibly from the good twin; None without one of its size.
    """

    vector: Float[np.ndarray, " f"]
    outline: Outline
    off_part: float
    filled: float | None


def view_of(
    item: LabelledDefect, picture: UInt8[np.ndarray, "h w 3"], mask: Bool[np.ndarray, "h w"]
) -> MaskView:
    """A mask on its photograph; the part is looked for on the good twin, if there is one."""
    twin = None
    if item.twin is not None and item.twin.is_file():
        found = read_picture(item.twin)
        twin = found if found.shape == picture.shape else None
    part = unshadowed_silhouette(picture if twin is None else twin)
    if twin is None:
        part |= mask  # a defect may look like the ground, and hide the part under it
    return MaskView(
        vector=mask_vector(mask, part),
        outline=outline_on(part, mask),
        off_part=float((mask & ~part).sum() / mask.sum()),
        filled=None if twin is None else filled_share(picture, twin, mask),
    )


def filled_share(
    picture: UInt8[np.ndarray, "h w 3"],
    twin: UInt8[np.ndarray, "h w 3"],
    mask: Bool[np.ndarray, "h w"],
) -> float:
    """The share of a mask where a picture differs from its twin by more than the twin's noise."""
    change = np.abs(picture.astype(np.int16) - twin).max(axis=2)
    return float((change[mask] > max(1.0, NOISE_LEVELS * noise(twin))).mean())


def noise(picture: UInt8[np.ndarray, "h w 3"]) -> float:
    """The deviation of a photograph's noise in levels (Immerkær, 1996, with the median)."""
    grey = picture.mean(axis=2)
    inner = grey[1:-1, 1:-1]
    cross = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]
    corners = grey[:-2, :-2] + grey[2:, 2:] + grey[:-2, 2:] + grey[2:, :-2]
    return float(np.median(np.abs(4 * inner - 2 * cross + corners)) / (6 * 0.6745))


def mask_figures(
    synthetic: Sequence[MaskView], real: Sequence[MaskView], learnt: Sequence[MaskView]
) -> dict[str, Any] | None:
    """Figures of synthetic masks beside real ones.

    Args:
        synthetic: Synthetic masks.
        real: Real ones.
        learnt: Those of them that may have been learnt from.

    Returns:
        None where a set has fewer than two masks.
    """
    if min(len(synthetic), len(real)) < FEWEST:
        return None
    a, b = (np.stack([view.vector for view in views]) for views in (synthetic, real))
    filled = [view.filled for view in synthetic if view.filled is not None]
    return {
        "shape_distance": shape_distances(a, b),
        "two_sample_auc": two_sample_auc(a, b),
        "coverage": coverage(a, b),
        "copies": copied(synthetic, learnt),
        "off_part": fmean(view.off_part for view in synthetic),
        "filled": mean(filled),
    }


def shape_distances(
    synthetic: Float[np.ndarray, "n f"], real: Float[np.ndarray, "m f"]
) -> dict[str, float]:
    """The Wasserstein distance of each feature, in interquartile ranges of the real ones.

    A feature that hardly varies among real masks is measured by its standard deviation over all.
    """
    found = {}
    for name, x, y in zip(FEATURES, synthetic.T, real.T, strict=True):
        low, high = np.percentile(y, (25, 75))
        spread = high - low or np.concatenate([x, y]).std() or 1.0
        found[name] = float(wasserstein_distance(x, y) / spread)
    return found


def two_sample_auc(
    synthetic: Float[np.ndarray, "n f"], real: Float[np.ndarray, "m f"]
) -> float | None:
    """How well a linear classifier tells the sets apart, each mask left out in its turn."""
    x = np.concatenate([synthetic, real])
    y = np.r_[np.full(len(synthetic), 1 / len(synthetic)), np.full(len(real), -1 / len(real))]
    weight = np.abs(y)
    x = (x - x.mean(axis=0)) / np.maximum(x.std(axis=0), 1e-9)
    scores = []
    for left in range(len(x)):
        rest = np.arange(len(x)) != left
        rows = np.column_stack([x[rest], np.ones(rest.sum())])
        weighted = rows * weight[rest, None]
        ridge = RIDGE / len(rows) * np.diag([*np.ones(x.shape[1]), 0.0])
        coefficients = np.linalg.solve(weighted.T @ rows + ridge, rows.T @ y[rest])
        scores.append(float(np.append(x[left], 1.0) @ coefficients))
    return auroc(scores[len(synthetic) :], scores[: len(synthetic)])


def coverage(synthetic: Float[np.ndarray, "n f"], real: Float[np.ndarray, "m f"]) -> float:
    """The share of real masks with a synthetic one nearer than their own second real neighbour."""
    spread = np.maximum(real.std(axis=0), 1e-9)
    apart = np.linalg.norm((real[:, None] - real) / spread, axis=2)
    second = np.sort(apart, axis=1)[:, min(2, len(real) - 1)]  # itself comes first
    nearest = np.linalg.norm((real[:, None] - synthetic) / spread, axis=2).min(axis=1)
    return float((nearest < second).mean())


def copied(synthetic: Sequence[MaskView], learnt: Sequence[MaskView]) -> float:
    """The share of masks that a training mask covers, once it is moved onto them."""
    return fmean(
        any(align(real.outline, view.outline)[1] > COPY for real in learnt) for view in synthetic
    )
