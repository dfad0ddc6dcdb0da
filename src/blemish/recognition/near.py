"""Near objects: photographs of the part, changed until they show another one.

They help to choose the limit of strangeness. A photograph is changed as a whole where that is
possible, so that nothing but the part looks wrong.
"""

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from blemish.data.shadow import unshadowed_silhouette

STRETCH = 1.6, 2.2  # ratio of the new axes of a round part
TINT = 20.0, 35.0  # distance in CIELAB's plane of colours
GRAIN = 15.0, 30.0  # deviation in levels
GRAIN_PX = 1.0, 4.0
EDGE_PX = 2.0  # softness of the part's outline

Picture = UInt8[np.ndarray, "s s 3"]
Change = Callable[[Picture, np.random.Generator], Picture]


def stretched(picture: Picture, rng: np.random.Generator) -> Picture:
    """The part longer in a random direction and narrower across it, with the same area."""
    x, y = centre(unshadowed_silhouette(picture))
    angle, ratio = rng.uniform(0, np.pi), np.sqrt(rng.uniform(*STRETCH))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = turn @ np.diag([1 / ratio, ratio]) @ turn.T
    affine = np.column_stack([matrix, np.array([x, y]) - matrix @ [x, y]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    size = picture.shape[1::-1]
    return cv2.warpAffine(picture, affine, size, flags=flags, borderMode=cv2.BORDER_REFLECT)


def recoloured(picture: Picture, rng: np.random.Generator) -> Picture:
    """The part in another tint."""
    angle, far = rng.uniform(0, 2 * np.pi), rng.uniform(*TINT)
    tint = np.array([0, np.cos(angle), np.sin(angle)], np.float32) * far
    levels = cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    levels += soft(unshadowed_silhouette(picture)) * tint
    return np.rint(cv2.cvtColor(levels, cv2.COLOR_LAB2RGB).clip(0, 1) * 255).astype(np.uint8)


def grainy(picture: Picture, rng: np.random.Generator) -> Picture:
    """The part with a rough surface."""
    noise = rng.standard_normal(picture.shape[:2]).astype(np.float32)
    noise = cv2.GaussianBlur(noise, (0, 0), rng.uniform(*GRAIN_PX))
    grain = noise / noise.std() * rng.uniform(*GRAIN)
    changed = picture + soft(unshadowed_silhouette(picture)) * grain[:, :, None]
    return np.rint(changed).clip(0, 255).astype(np.uint8)


def doubled(picture: Picture, rng: np.random.Generator) -> Picture:
    """The part twice, at half the size, side by side."""
    side = len(picture)
    small = cv2.resize(picture, (side // 2, side // 2), interpolation=cv2.INTER_AREA)
    above = (side - len(small)) // 2
    margins = ((above, side - len(small) - above), (0, side - 2 * len(small)), (0, 0))
    both = np.pad(np.concatenate([small, small[::-1]], axis=1), margins, mode="edge")
    return both if rng.random() < 0.5 else np.ascontiguousarray(both.transpose(1, 0, 2))


CHANGES: tuple[Change, ...] = (stretched, recoloured, grainy, doubled)


def near_objects(pictures: Sequence[Picture], rng: np.random.Generator) -> list[Picture]:
    """Each picture with each of the `CHANGES`."""
    return [change(picture, rng) for picture in pictures for change in CHANGES]


def centre(part: Bool[np.ndarray, "h w"]) -> tuple[float, float]:
    """Mean position of the part, x and y in pixels."""
    y, x = np.nonzero(part)
    return float(x.mean()), float(y.mean())


def soft(part: Bool[np.ndarray, "h w"]) -> Float[np.ndarray, "h w 1"]:
    """The part's silhouette with a soft edge, in [0, 1]."""
    return cv2.GaussianBlur(part.astype(np.float32), (0, 0), EDGE_PX)[:, :, None]
