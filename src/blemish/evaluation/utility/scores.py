r"""How well maps of scores find defects, over all pixels of all test pictures at once.

At a threshold the pixels above it are taken for defects: TP of the P that are, FP of the N that are
not. Walking the threshold down over all values that occur gives

    AUROC = \int TP/P  d(FP/N),      AP = \sum (R_k - R_{k-1}) TP/(TP + FP),  R = TP/P,
    F1-max = max 2 TP / (P + TP + FP),

and the overlap per region (Bergmann et al., 2020), in which each connected defect counts alike
however large it is: the share of it that is found, averaged over all, against FP/N,

    PRO = 1/0.3 \int_0^{0.3} mean_r |found \cap r| / |r|  d(FP/N).

Pixels of equal score are taken together, so that no figure depends on their order.
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
    """Each in [0, 1], the higher the better.

    Attributes:
        auroc: Area under the curve of hits over false alarms.
        ap: Average precision.
        f1_max: The best F1 of any threshold.
        pro: Overlap per region up to a false positive rate of 0.3.
    """

    auroc: float
    ap: float
    f1_max: float
    pro: float


def pixel_scores(maps: Float[np.ndarray, "n h w"], masks: Bool[np.ndarray, "n h w"]) -> PixelScores:
    """Score maps against masks of which some pixels are marked and some are not.

    Args:
        maps: The higher, the likelier a defect; only their order counts.
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
    """What each pixel adds to the mean overlap: 1 / (its region's pixels · all regions).

    Regions are connected along sides and corners; elsewhere it is zero.
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
    """Sums of weights over the pixels above each threshold, from above them all downwards."""
    order = np.argsort(-scores, kind="stable")
    falls = np.flatnonzero(np.diff(scores[order]))  # the last of each run of ties but the lowest
    ends = np.append(falls, len(scores) - 1)
    sums = [np.cumsum(weight[order], dtype=np.float64)[ends] for weight in weights]
    return [np.concatenate([[0.0], total]) for total in sums]


def _area(x: Float[np.ndarray, " k"], y: Float[np.ndarray, " k"]) -> float:
    return float(trapezoid(y, x))


def _area_to(limit: float, x: Float[np.ndarray, " k"], y: Float[np.ndarray, " k"]) -> float:
    """The mean of a curve up to a limit, between whose points it is straight."""
    near = x < limit
    end = np.interp(limit, x, y)
    return _area(np.append(x[near], limit), np.append(y[near], end)) / limit
