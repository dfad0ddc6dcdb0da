"""Measures of an item beside those of curation: overlaps, area and reach."""

import numpy as np

from blemish.data.masks import box_around
from blemish.synthesis.composite import Carried, reach_px, within
from blemish.synthesis.placement.task import PlacedDefect
from blemish.synthesis.request import Request


def measures_of(request: Request, made: PlacedDefect) -> dict[str, float | int]:
    """Intersections over union in 0..1, area as a fraction of the picture, lengths in pixels."""
    carried, drawn = made.carried, made.drawn
    return {
        "iou_requested": round(_iou(carried.changed, request.requested), 4),
        "iou_generator_mask": round(_iou(carried.changed, drawn), 4),
        "iou_generator_requested": round(_iou(drawn, request.requested), 4),
        "area": round(float(carried.changed.mean()), 6),
        "reach_px": reach_px(*request.requested.shape),
        "pixels_changed_beyond_reach": _changed_beyond_reach(request, carried),
    }


def _changed_beyond_reach(request: Request, carried: Carried) -> int:
    """Pixels that differ from the photograph further from the requested mask than the reach."""
    unequal = carried.picture != request.picture
    differs = unequal[..., 0] | unequal[..., 1] | unequal[..., 2]  # `any` takes four times as long
    # Distances to the mask are needed only in the box that holds the mask and what differs.
    box = box_around(differs | request.requested)
    reached = within(request.requested[box], reach_px(*request.requested.shape))
    return int((differs[box] & ~reached).sum())


def _iou(a: np.ndarray, b: np.ndarray) -> float:
    union = (a | b).sum()
    return float((a & b).sum() / union) if union else 1.0
