r"""Scores of defect maps, over all pixels of all test images at once.

At a threshold, the pixels above it count as defects: TP of the P true ones, FP of the N others.
Lowering the threshold over all occurring values gives

    AUROC = \int TP/P  d(FP/N),      AP = \sum (R_k - R_{k-1}) TP/(TP + FP),  R = TP/P,
    F1-max = max 2 TP / (P + TP + FP),

and the overlap per region (Bergmann et al., 2020), in which each connected defect has the same
weight whatever its size: the found fraction of it, averaged over all, against FP/N,

    PRO = 1/0.3 \int_0^{0.3} mean_r |found \cap r| / |r|  d(FP/N).

Pixels of equal score are grouped, so that no figure depends on their order.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float
from scipy.integrate import trapezoid

PRO_LIMIT = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelScores:
    """Scores, each in [0, 1]; higher is better.

    Attributes:
        auroc: Area under the curve of hits over false alarms.
        ap: Average precision.
        f1_max: Best F1 of any threshold.
        pro: Overlap per region up to a false positive rate of 0.3.
    """

    auroc: float
    ap: float
    f1_max: float
    pro: float


def pixel_scores(maps: Float[np.ndarray, "n h w"], masks: Bool[np.ndarray, "n h w"]) -> PixelScores:
    """Compare score maps with masks, which must have marked and unmarked pixels.

    Args:
        maps: Score maps; higher is more likely a defect, and only the order counts.
        masks: True on defects.
    """
    assert masks.any() and not masks.all()
    shares = region_shares(masks)
    tp, fp, pro = _walk(maps.ravel(), [masks.ravel(), ~masks.ravel(), shares.ravel()])
    recall, fpr = tp / tp[-1], fp / fp[-1]
    return PixelScores(
        auroc=_area(fpr, recall),
        ap=float(np.sum(np.diff(recall) * (tp / np.maximum(tp + fp, 1))[1:])),
        f1_max=float(np.max(2 * tp / (tp[-1] + tp + fp))),
        pro=_area_to(PRO_LIMIT, fpr, pro),
    )


def region_shares(masks: Bool[np.ndarray, "n h w"]) -> Float[np.ndarray, "n h w"]:
    """Weight of each pixel in the mean overlap: 1 / (its region's pixels · all regions).

    Regions are connected along sides and corners; elsewhere the weight is zero.
    """
    shares, regions = np.zeros(masks.shape), 0
    for share, mask in zip(shares, masks, strict=True):
        count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
        share[mask] = 1 / stats[labels[mask], cv2.CC_STAT_AREA]
        regions += count - 1
    return shares / max(regions, 1)


def _walk(
    scores: Float[np.ndarray, " n"], weights: Sequence[np.ndarray]
) -> list[Float[np.ndarray, " k"]]:
    """Sums of weights over the pixels above each threshold, from the highest down."""
    order = np.argsort(-scores, kind="stable")
    falls = np.flatnonzero(np.diff(scores[order]))  # ends of runs of ties, but the last
    ends = np.append(falls, len(scores) - 1)
    sums = [np.cumsum(weight[order], dtype=np.float64)[ends] for weight in weights]
    return [np.concatenate([[0.0], total]) for total in sums]


def _area(x: Float[np.ndarray, " k"], y: Float[np.ndarray, " k"]) -> float:
    return float(trapezoid(y, x))


def _area_to(limit: float, x: Float[np.ndarray, " k"], y: Float[np.ndarray, " k"]) -> float:
    """Mean of a curve up to a limit, linear between its points."""
    near = x < limit
    end = np.interp(limit, x, y)
    return _area(np.append(x[near], limit), np.append(y[near], end)) / limit
