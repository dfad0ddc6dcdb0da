"""What the browser is shown of pictures: reduced ones, and cut-outs at their own pixels."""

import base64
from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

PREVIEW_SIDE = 1600
MOST_SIDE = 2048  # of a cut-out
THUMBNAIL = 192

Picture = UInt8[np.ndarray, "h w 3"]


def reduced(picture: Picture, side: int) -> Picture:
    """A picture of at most `side` pixels per side."""
    h, w = picture.shape[:2]
    share = min(1, side / max(h, w))
    size = max(1, round(w * share)), max(1, round(h * share))
    return picture if share == 1 else cv2.resize(picture, size, interpolation=cv2.INTER_AREA)


def jpeg(picture: Picture, quality: int = 92) -> bytes:
    """A picture as a JPEG."""
    return _encoded(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])


def quick_png(picture: Picture) -> bytes:
    """A picture as a PNG, compressed for speed."""
    return _encoded(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 1])


def crop_view(picture: Picture, x: int, y: int, width: int, height: int) -> Picture:
    """A part of a picture at its own pixels, at most `MOST_SIDE` per side."""
    h, w = picture.shape[:2]
    left, top = min(max(x, 0), w - 1), min(max(y, 0), h - 1)
    right, low = min(left + min(width, MOST_SIDE), w), min(top + min(height, MOST_SIDE), h)
    return picture[top : max(low, top + 1), left : max(right, left + 1)]


def preview_around(picture: Picture, mask: Bool[np.ndarray, "h w"]) -> Picture:
    """The surroundings of a mask, square; all of the picture for an empty one."""
    x, y, w, h = cv2.boundingRect(mask.astype(np.uint8))
    if w == 0:
        return picture
    side = min(max(THUMBNAIL, 2 * max(w, h)), *mask.shape)
    left = min(max(0, x + w // 2 - side // 2), mask.shape[1] - side)
    top = min(max(0, y + h // 2 - side // 2), mask.shape[0] - side)
    return picture[top : top + side, left : left + side]


def outline_points(mask: Bool[np.ndarray, "h w"], left: int, top: int) -> list[list[list[int]]]:
    """Outlines of a mask, as points on the photograph.

    Args:
        mask: A mask in a box.
        left: Column of the box on the photograph.
        top: Row of the box on the photograph.
    """
    found, _ = cv2.findContours(
        mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE, offset=(left, top)
    )
    return [one[:, 0].tolist() for one in found]


def changed_crop(before: Picture, after: Picture, where: Bool[np.ndarray, "h w"]) -> dict[str, Any]:
    """What a page needs of a changed photograph: the box of a mask, its pixels, and what differs.

    Args:
        before: Photograph.
        after: The same with a change.
        where: Mask that holds all that differs.
    """
    x, y, w, h = cv2.boundingRect(where.astype(np.uint8))
    box = slice(y, y + h), slice(x, x + w)
    differs = where[box] & (after[box] != before[box]).any(axis=2)
    return {
        "box": [x, y, w, h],
        "crop": base64_png(after[box]) if w else "",
        "outlines": outline_points(differs, x, y) if w else [],
        "area": int(differs.sum()),
    }


def base64_png(picture: Picture) -> str:
    """A picture as a PNG within JSON."""
    return base64.b64encode(quick_png(picture)).decode()


def _encoded(suffix: str, picture: Picture, options: list[int]) -> bytes:
    fine, data = cv2.imencode(suffix, np.ascontiguousarray(picture[:, :, ::-1]), options)
    assert fine, "an array of 8 bits can be encoded"
    return data.tobytes()
