"""Parts and masks that the bundle draws itself: the main job without any photograph."""

from math import ceil
from pathlib import Path

import cv2
import numpy as np
import torch

from blemish.data.masks import components, draw_blob, draw_stroke, silhouette
from blemish.files import ensure_writable
from blemish.generator.network import Generator
from blemish.pictures import to_picture, write_picture
from blemish.windows.network import GOOD
from blemish.windows.paint import WindowModel, paint

SIDE = 256
FINE_SIDE = 512  # of parts that a window generator draws again
RIM = 7  # pixels by which their outlines are widened, and one more
TRIES = 100


@torch.no_grad()
def draw_part(generator: Generator, seed: int, windows: WindowModel | None = None) -> np.ndarray:
    """A good part as uint8 `h w 3`, enlarged to at least 256² as a photograph would be.

    Args:
        generator: Draws the part.
        seed: Random seed.
        windows: Window generator that draws the part again at 512², for the details that the
            generator is too coarse for.
    """
    rng = torch.Generator().manual_seed(seed)
    z = torch.randn(1, generator.config.z_dim, generator=rng).to(generator.mapping.w_avg.device)
    picture = to_picture(generator(generator.codes(z, psi=0.7)).image[0])
    side = max(SIDE if windows is None else FINE_SIDE, generator.config.resolution)
    large = cv2.resize(picture, (side, side), interpolation=cv2.INTER_CUBIC)
    return large if windows is None else _redrawn(windows, large, rng)


def _redrawn(windows: WindowModel, picture: np.ndarray, rng: torch.Generator) -> np.ndarray:
    """The part drawn anew inside its outline, as a hole is filled with good material."""
    rim = np.ones((RIM, RIM), np.uint8)
    mask = cv2.dilate(silhouette(picture).astype(np.uint8), rim) > 0
    return paint(windows.generator, picture, mask, windows.codes(GOOD, rng), rng)


def draw_mask(picture: np.ndarray, seed: int) -> np.ndarray:
    """A stroke or a blob as bool `h w`, on the part."""
    dice, part = np.random.default_rng(seed), silhouette(picture)
    for _ in range(TRIES):
        shape = draw_stroke if dice.random() < 0.5 else draw_blob
        mask = shape(len(picture), dice)
        if mask.any() and (mask & part).sum() > 0.8 * mask.sum():
            return max(components(mask & part, least=1), key=np.sum)
    return _where_thickest(part)


def _where_thickest(part: np.ndarray) -> np.ndarray:
    """A disc of half the part's depth, for a part that lies where no mask is drawn."""
    depth = cv2.distanceTransform(part.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    y, x = np.unravel_index(depth.argmax(), depth.shape)
    disc = np.zeros(part.shape, np.uint8)
    cv2.circle(disc, (int(x), int(y)), ceil(depth.max() / 2), 1, cv2.FILLED)
    return disc.astype(bool) & part


def draw_scene(
    generator: Generator, folder: Path, seed: int, windows: WindowModel | None = None
) -> tuple[Path, Path]:
    """Write a drawn part and a drawn mask; returns their files. See `draw_part`."""
    ensure_writable(folder)
    picture = draw_part(generator, seed, windows)
    normal, mask = folder / f"part_{seed:04d}.png", folder / f"part_{seed:04d}_mask.png"
    write_picture(normal, picture)
    write_picture(mask, draw_mask(picture, seed))
    return normal, mask
