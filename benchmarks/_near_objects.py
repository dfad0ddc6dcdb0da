"""Near objects that a training never sees: other outlines, rings, shades, surfaces and parts.

The training's own near objects (`blemish.recognition.near`) are stretched, tinted, grainy or
doubled; these are changed in other ways, or are other objects on the part's own ground.
"""

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from blemish.data.masks import silhouette
from blemish.data.shadow import unshadowed_silhouette
from blemish.recognition.near import Change, Picture, centre, soft, stretched

Bend = Callable[[np.ndarray, np.ndarray], np.ndarray]  # radius (1: the outline), angle: a factor
DARK = 45  # lightness of a dark part


def lobed(picture: Picture, rng: np.random.Generator) -> Picture:
    """Waves along the outline."""
    count, depth, phase = rng.integers(3, 7), rng.uniform(0.12, 0.22), rng.uniform(0, 2 * np.pi)
    return _bent(picture, lambda _, angle: 1 + depth * np.cos(count * angle + phase))


def cornered(picture: Picture, rng: np.random.Generator) -> Picture:
    """Three to six corners."""
    sector, phase = 2 * np.pi / rng.integers(4, 7), rng.uniform(0, 2 * np.pi)

    def bend(_: np.ndarray, angle: np.ndarray) -> np.ndarray:
        within = (angle + phase) % sector - sector / 2
        return 0.9 * np.cos(within) / np.cos(sector / 2)

    return _bent(picture, bend)


def inner(picture: Picture, rng: np.random.Generator) -> Picture:
    """The same outline with wider or narrower rings inside."""
    power = rng.choice([rng.uniform(0.55, 0.75), rng.uniform(1.35, 1.7)])
    return _bent(picture, lambda radius, _: np.where(radius < 1, radius ** (power - 1), 1))


def shaded(picture: Picture, rng: np.random.Generator) -> Picture:
    """A much darker part, or a lighter one if it is dark, a little browner."""
    part = unshadowed_silhouette(picture)
    levels = cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    light, ratio, changed = levels[:, :, 0], rng.uniform(0.5, 0.7), levels + 10
    dark = light[part].mean() < DARK
    changed[:, :, 0] = 100 - (100 - light) * ratio if dark else light * ratio
    mixed = levels + soft(part) * (changed - levels)
    return np.rint(cv2.cvtColor(mixed, cv2.COLOR_LAB2RGB).clip(0, 1) * 255).astype(np.uint8)


def slim_and_shaded(picture: Picture, rng: np.random.Generator) -> Picture:
    """As an almond is beside a hazelnut."""
    return stretched(shaded(picture, rng), rng)


def halved(picture: Picture, rng: np.random.Generator) -> Picture:
    """Half of the part, cut straight."""
    x, y = centre(unshadowed_silhouette(picture))
    angle = rng.uniform(0, 2 * np.pi)
    rows, columns = np.mgrid[: len(picture), : picture.shape[1]]
    gone = (columns - x) * np.cos(angle) + (rows - y) * np.sin(angle) > 0
    share = cv2.GaussianBlur(gone.astype(np.float32), (0, 0), 1)[:, :, None]
    return _mixed(picture, ground(picture), share)


CHANGES: dict[str, Change] = {
    "lobed outline": lobed,
    "cornered outline": cornered,
    "other rings inside": inner,
    "darker or lighter": shaded,
    "slim, and darker or lighter": slim_and_shaded,
    "half of it": halved,
}


def surfaced(picture: Picture, texture: Picture, rng: np.random.Generator) -> Picture:
    """The part with the surface of another photograph, in its own colour and light."""
    part, side = unshadowed_silhouette(picture), len(picture)
    top, left = (rng.integers(0, max(1, size - side)) for size in texture.shape[:2])
    cut = texture[top : top + side, left : left + side].astype(np.float32)
    cut = cv2.resize(cut, (side, side), interpolation=cv2.INTER_AREA)
    light = cv2.GaussianBlur(picture.astype(np.float32), (0, 0), 6)
    surface = (cut - cut.mean(axis=(0, 1))) / max(float(cut.std()), 1.0) * 30 + light
    return _mixed(picture, surface, soft(part))


def placed(picture: Picture, thing: np.ndarray, share: np.ndarray) -> Picture:
    """Another object where the part was, as large as it.

    Args:
        picture: Photograph of the part, whose ground is kept.
        thing: Picture of the other object, cut to its outline's box.
        share: Its silhouette, in [0, 1].
    """
    part = unshadowed_silhouette(picture)
    side = min(int(2 * np.sqrt(part.sum() / np.pi)), len(picture))
    corner = [int(np.clip(at - side / 2, 0, len(picture) - side)) for at in centre(part)]
    box = np.s_[corner[1] : corner[1] + side, corner[0] : corner[0] + side]
    found = ground(picture)
    new = cv2.resize(thing, (side, side), interpolation=cv2.INTER_AREA)
    alpha = cv2.resize(share.astype(np.float32), (side, side))[:, :, None]
    found[box] = _mixed(found[box], new, alpha)
    return found


def cut_out(picture: Picture) -> tuple[np.ndarray, np.ndarray]:
    """The part's box, and its silhouette in it."""
    part = unshadowed_silhouette(picture)
    x, y, width, height = cv2.boundingRect(part.astype(np.uint8))
    box = np.s_[y : y + height, x : x + width]
    return picture[box], soft(part)[box][:, :, 0]


def coins(picture: np.ndarray) -> Sequence[tuple[np.ndarray, np.ndarray]]:
    """Round things that are lighter than their ground, each with its silhouette."""
    grey = cv2.GaussianBlur(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), (0, 0), 1)
    light = cv2.morphologyEx((grey > 110).astype(np.uint8), cv2.MORPH_OPEN, np.ones((5, 5)))
    outlines, _ = cv2.findContours(light, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    found = []
    for outline in outlines:
        x, y, w, h = cv2.boundingRect(outline)
        if 25 < w < 90 and 0.8 < w / h < 1.25 and cv2.contourArea(outline) > 0.6 * w * h:
            share = cv2.drawContours(np.zeros((h, w), np.uint8), [outline - [x, y]], -1, [1], -1)
            found.append((picture[y : y + h, x : x + w], share))
    return found


def ground(picture: Picture) -> Picture:
    """The photograph without its part."""
    gone = cv2.dilate(silhouette(picture).astype(np.uint8), np.ones((9, 9), np.uint8))
    return cv2.inpaint(picture, gone, 3, cv2.INPAINT_TELEA)


def _bent(picture: Picture, bend: Bend) -> Picture:
    part = unshadowed_silhouette(picture)
    x, y = centre(part)
    rows, columns = np.mgrid[: len(picture), : picture.shape[1]].astype(np.float32)
    right, down = columns - x, rows - y
    radius = np.hypot(right, down) / np.sqrt(part.sum() / np.pi) + 1e-6
    factor = bend(radius, np.arctan2(down, right))
    across, along = ((p + q * factor).astype(np.float32) for p, q in ((x, right), (y, down)))
    return cv2.remap(picture, across, along, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)


def _mixed(picture: np.ndarray, other: np.ndarray, share: np.ndarray) -> np.ndarray:
    return (
        np.rint(picture + share * (other.astype(np.float32) - picture))
        .clip(0, 255)
        .astype(np.uint8)
    )
