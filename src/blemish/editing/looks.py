r"""Looks of real defects as codes of windows: interpolated, mixed, moved along directions.

A look is the latents of a real defect's pieces (`windows.codes`). Directions of latents are learnt
from the windows' own drawings: random latents are drawn under one mask, the tone, warmth, gloss and
texture inside are measured, and A, the ridge regression of each on the latents in its deviations,
gives

    D = A (A^T A + \lambda I)^{-1},

whose columns change one attribute by one deviation and the others not at all, to first order.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from blemish.data.colour import lab
from blemish.editing.rows import mixed
from blemish.errors import OptionError
from blemish.types import Codes
from blemish.windows.codes import codes_like
from blemish.windows.paint import WindowModel, paint
from blemish.windows.views import SMALL

LOOKS = ("tone", "warmth", "gloss", "texture")
LOOK_SAMPLES = 240  # drawings of each type from which directions are learnt
RIDGE = 10.0  # samples' worth of a prior on the latents' effects
DAMPING = 0.02
CANVAS = 160  # side of the picture that defects are drawn on to learn directions

Picture = UInt8[np.ndarray, "h w 3"]
Mask = Bool[np.ndarray, "h w"]
Latents = Float[Tensor, "n z"]


@dataclass(frozen=True, slots=True)
class LookDirection:
    """Direction of a defect's latents.

    Attributes:
        name: Attribute, one of `LOOKS`.
        vector: Move of the latents for a distance of 1, about one deviation of the attribute.
        fit: Correlation of the attribute with its regression on fresh latents.
    """

    name: str
    vector: Float[Tensor, " z"]
    fit: float


def between(a: Latents, b: Latents, time: float) -> Latents:
    """Latents at a time in [0, 1] between two looks; pieces are matched by size, in turn."""
    pieces = max(len(a), len(b))
    first, second = (look[torch.arange(pieces) % len(look)] for look in (a, b))
    return first.lerp(second, time)


def mixed_look(
    model: WindowModel, a: Latents, b: Latents, kind: str, mask: Mask, rows: Bool[Tensor, " layers"]
) -> Codes:
    """Codes of the first look with the chosen rows of the second."""
    return mixed(codes_like(model, a, kind, mask), codes_like(model, b, kind, mask), rows)


def scaled(mask: Mask, by: float) -> Mask:
    """A mask enlarged about its middle, cut at the border of the picture.

    Raises:
        OptionError: The factor is not above 0 and up to 10, or nothing is left.
    """
    middle = np.array([np.nonzero(mask)[axis].mean() for axis in (1, 0)])
    found = np.zeros_like(mask)
    if 0 < by <= 10:
        matrix = np.column_stack([np.eye(2) * by, middle * (1 - by)])
        size = mask.shape[1], mask.shape[0]
        found = cv2.warpAffine(mask.astype(np.float32), matrix, size) > 0.5
    if not found.any():
        raise OptionError(
            got=f"a defect of {by} times its size",
            expected="a factor above 0 and up to 10, which leaves some pixels",
            todo="Correct the factor.",
        )
    return found


def place_look(
    model: WindowModel, picture: Picture, mask: Mask, codes: Codes, seed: int
) -> Picture:
    """A photograph with a defect of given codes under a mask."""
    return paint(model.generator, picture, mask, codes, torch.Generator().manual_seed(seed))


@torch.no_grad()
def learn_looks(
    model: WindowModel,
    kind: str,
    *,
    samples: int = LOOK_SAMPLES,
    seed: int = 0,
    on_progress: Callable[[int], None] = lambda _: None,
) -> list[LookDirection]:
    """Directions of the latents of a type.

    Args:
        model: Windows of a bundle.
        kind: Type of the defects.
        samples: Drawings to learn from; a quarter of them is fresh, for the fit.
        seed: Random seed of the latents.
        on_progress: Callback, called with the number of drawings so far.
    """
    rng = torch.Generator().manual_seed(seed)
    canvas, mask = _canvas()
    latents, values = [], []
    for number in range(samples):
        z = model.latent(kind, rng)
        drawn = place_look(model, canvas, mask, model.codes_of(z, kind), seed)
        latents.append(z[0].double().numpy())
        values.append(look_values(drawn, mask))
        on_progress(number + 1)
    return _fitted(np.stack(latents), np.stack(values))


def look_values(picture: Picture, mask: Mask) -> Float[np.ndarray, " a"]:
    """The `LOOKS` inside a mask: means of L* and b*, highlights above the median, fine detail."""
    colours = lab(picture)
    lightness = colours[:, :, 0]
    fine = lightness - cv2.GaussianBlur(lightness, (0, 0), 2)
    inside = lightness[mask]
    gloss = np.percentile(inside, 95) - np.median(inside)
    return np.array([inside.mean(), colours[mask, 2].mean(), gloss, fine[mask].std()])


def _canvas() -> tuple[Picture, Mask]:
    """A plain brown ground with a little grain, and a disc in its middle."""
    grain = np.random.default_rng(0).normal(0, 4, (CANVAS, CANVAS, 1))
    picture = (np.array([120, 85, 60]) + grain).clip(0, 255).astype(np.uint8)
    y, x = np.mgrid[:CANVAS, :CANVAS] - (CANVAS - 1) / 2
    return picture, np.hypot(y, x) < SMALL / 5


def _fitted(z: Float[np.ndarray, "n z"], values: Float[np.ndarray, "n a"]) -> list[LookDirection]:
    known = round(len(z) * 0.75)
    mean, deviations = values[:known].mean(axis=0), values[:known].std(axis=0).clip(min=1e-9)
    standard, centre = (values - mean) / deviations, z[:known].mean(axis=0)
    x = z[:known] - centre
    effects = np.linalg.solve(x.T @ x + RIDGE * np.eye(x.shape[1]), x.T @ standard[:known])
    moves = effects @ np.linalg.inv(effects.T @ effects + DAMPING * np.eye(len(LOOKS)))
    guessed = (z[known:] - centre) @ effects
    fits = [_correlation(guessed[:, k], standard[known:, k]) for k in range(len(LOOKS))]
    return [
        LookDirection(name, torch.from_numpy(moves[:, k]).float(), fits[k])
        for k, name in enumerate(LOOKS)
    ]


def _correlation(a: Float[np.ndarray, " n"], b: Float[np.ndarray, " n"]) -> float:
    spread = a.std() * b.std()
    return float(((a - a.mean()) * (b - b.mean())).mean() / spread) if spread > 0 else 0.0
