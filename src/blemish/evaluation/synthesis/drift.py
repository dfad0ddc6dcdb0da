"""Label accuracy: changed pixels in the files, compared with the masks beside them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

from blemish.data.colour import visible_change
from blemish.data.pairs import read_mask
from blemish.evaluation.figures import middle
from blemish.evaluation.synthesis.items import LabelledDefect
from blemish.pictures import read_picture


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """Overlaps of an item's label, and number of pixels that should not have changed.

    Attributes:
        changed: IoU of the label with the pixels that differ from the good twin.
        visible: IoU of the label with the pixels that differ visibly.
        requested: IoU of the label with the requested mask; None without one of its size.
        outside_label: Number of pixels that differ outside the label.
        outside_reach: Number of pixels that differ beyond the reach of the requested mask; None if
            mask or reach is unknown.
    """

    changed: float
    visible: float
    requested: float | None
    outside_label: int
    outside_reach: int | None


def drift_of(
    item: LabelledDefect, picture: UInt8[np.ndarray, "h w 3"], label: Bool[np.ndarray, "h w"]
) -> Drift | None:
    """Drift from an item's files; None without a good twin of the same size."""
    if item.twin is None or not item.twin.is_file():
        return None
    twin = read_picture(item.twin)
    if twin.shape != picture.shape:
        return None
    differs = (picture != twin).any(axis=2)
    visible = visible_change(picture, twin)
    asked = _asked(item, label)
    beyond = None
    if asked is not None and item.reach_px is not None:
        beyond = int((differs & ~_reached(asked, item.reach_px)).sum())
    return Drift(
        changed=_iou(label, differs),
        visible=_iou(label, visible),
        requested=None if asked is None else _iou(label, asked),
        outside_label=int((differs & ~label).sum()),
        outside_reach=beyond,
    )


def drift_summary(drifts: Sequence[Drift | None]) -> dict[str, Any] | None:
    """Summary over items; None if none has a good twin."""
    known = [drift for drift in drifts if drift is not None]
    if not known:
        return None
    asked = [d.requested for d in known if d.requested is not None]
    beyond = [d.outside_reach for d in known if d.outside_reach is not None]
    return {
        "items": len(known),
        "iou_changed_median": middle([d.changed for d in known]),
        "iou_changed_least": min(d.changed for d in known),
        "iou_visible_median": middle([d.visible for d in known]),
        "iou_requested_median": middle(asked),
        "pixels_changed_outside_label": sum(d.outside_label for d in known),
        "pixels_changed_beyond_reach": sum(beyond) if beyond else None,
    }


def _asked(item: LabelledDefect, label: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"] | None:
    """Requested mask; None without one of the label's size."""
    if item.requested is None or not item.requested.is_file():
        return None
    asked = read_mask(item.requested)
    return asked if asked.shape == label.shape else None


def _reached(mask: Bool[np.ndarray, "h w"], reach: int) -> Bool[np.ndarray, "h w"]:
    away = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return away <= reach


def _iou(a: Bool[np.ndarray, "h w"], b: Bool[np.ndarray, "h w"]) -> float:
    union = (a | b).sum()
    return float((a & b).sum() / union) if union else 1.0
