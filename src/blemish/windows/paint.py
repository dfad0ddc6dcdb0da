r"""A trained window generator at work on a photograph of any size.

Each group of neighbouring pieces of the mask gets a window of its own, one after another, so the
memory does not grow with the photograph. The window shows the photograph at its own scale where the
group fits; otherwise what was drawn is enlarged:

    y = x (1 - up(a)) + up(drawn) up(a),

with the coverage a.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from blemish.checkpoint import Bundle
from blemish.data.masks import components
from blemish.errors import BundleError
from blemish.pictures import mask_to_tensor, to_tensor
from blemish.types import Codes
from blemish.windows.looks import mix_latents
from blemish.windows.network import GOOD, WindowConfig, WindowGenerator, WindowInput
from blemish.windows.sources import Source
from blemish.windows.views import (
    View,
    cut_mask,
    cut_picture,
    inverted,
    upright_view,
    usual_zoom,
    window_side,
)

NETWORK = "windows"
APART = 24  # pixels between pieces that get windows of their own


@dataclass(frozen=True)
class WindowModel:
    """A window generator with the latents of the real defects it learned from.

    Attributes:
        generator: Frozen.
        real: Latents of the real defects, by type.
    """

    generator: WindowGenerator
    real: dict[str, Float[Tensor, "m z"]]

    @property
    def types(self) -> tuple[str, ...]:
        """Types of defects, without "good"."""
        return tuple(kind for kind in self.generator.config.types if kind != GOOD)

    def codes(self, kind: str, rng: torch.Generator) -> Codes:
        """The code of one more defect of a type: between two real ones, with noise around.

        Latents of real defects are mixed into the prior, since a random latent alone may lie where
        no real look is known.
        """
        device = next(self.generator.parameters()).device
        z = self._latent(kind, rng).to(device)
        index = torch.tensor([self.generator.config.types.index(kind)], device=device)
        return self.generator.codes(z, index)

    def _latent(self, kind: str, rng: torch.Generator) -> Float[Tensor, "1 z"]:
        noise = torch.randn(1, self.generator.config.z_dim, generator=rng)
        known = self.real.get(kind)
        if known is None:
            return noise
        first, second = known[torch.randint(len(known), (2,), generator=rng)].split(1)
        return mix_latents(first, second, torch.rand(1, 1, generator=rng) / 2, noise)


def load_windows(bundle: Bundle, device: str = "cpu") -> WindowModel:
    """The window generator of a bundle.

    Raises:
        BundleError: The bundle has none, or it does not fit its configuration.
    """
    if not bundle.has(NETWORK):
        raise BundleError(
            got=f"{bundle.path}, a bundle without a window generator",
            expected="a bundle with windows.safetensors",
            todo=f"Run 'blemish train windows DATA --bundle {bundle.path}'.",
        )
    generator = WindowGenerator(_shape_of(bundle))
    bundle.load_into(generator, NETWORK)
    known = bundle.tensors("statistics") if bundle.has("statistics") else {}
    prefix = "windows.z."
    real = {k.removeprefix(prefix): v for k, v in known.items() if k.startswith(prefix)}
    return WindowModel(generator.to(device).eval().requires_grad_(False), real)


@torch.no_grad()
def paint(
    generator: WindowGenerator,
    picture: UInt8[np.ndarray, "h w 3"],
    mask: Bool[np.ndarray, "h w"],
    codes: Codes,
    rng: torch.Generator,
) -> Float[np.ndarray, "h w 3"]:
    """The photograph with a defect under the mask, in levels of 0 to 255, not yet rounded.

    Args:
        generator: The window generator.
        picture: The photograph.
        mask: Place of the defect, not empty.
        codes: One item.
        rng: Source of the layers' noise.
    """
    painted = picture.astype(np.float32)
    for group in groups(mask):
        source = Source(np.rint(painted).clip(0, 255).astype(np.uint8), mask)
        view = view_of(group, min(mask.shape))
        _lay(painted, view, *_drawn(generator, source, group, view, codes, rng))
    return painted


def groups(mask: Bool[np.ndarray, "h w"]) -> list[Bool[np.ndarray, "h w"]]:
    """Pieces of a mask that lie close together, each group as a mask."""
    size = 2 * (APART // 2) + 1
    near = cv2.dilate(mask.astype(np.uint8), np.ones((size, size), np.uint8)) > 0
    return [piece & mask for piece in components(near, least=1)]


def view_of(mask: Bool[np.ndarray, "h w"], photograph_side: int) -> View:
    """The view that a group of pieces is drawn in, around the middle of its bounding box."""
    y, x = np.nonzero(mask)
    side = int(max(np.ptp(x), np.ptp(y))) + 1
    middle = np.array([x.min() + x.max(), y.min() + y.max()]) / 2
    return upright_view(middle, window_side(side), usual_zoom(side, photograph_side))


def _drawn(
    generator: WindowGenerator,
    source: Source,
    group: Bool[np.ndarray, "h w"],
    view: View,
    codes: Codes,
    rng: torch.Generator,
) -> tuple[Float[np.ndarray, "s s 3"], Float[np.ndarray, "s s"]]:
    """The window with its defect, in levels, and the coverage."""
    device = next(generator.parameters()).device
    window = WindowInput(
        image=to_tensor(cut_picture(source, view))[None],
        mask=mask_to_tensor(cut_mask(group, view.matrix, view.side))[None],
        zoom=torch.tensor([view.log_zoom]),
    )
    drawing = generator.draw(window.to(device), codes, rng)
    image = (drawing.image[0].permute(1, 2, 0).cpu().numpy() + 1) * 127.5
    return image, drawing.cover[0, 0].cpu().numpy()


def _lay(
    painted: Float[np.ndarray, "h w 3"],
    view: View,
    drawn: Float[np.ndarray, "s s 3"],
    cover: Float[np.ndarray, "s s"],
) -> None:
    """Lay a window over the photograph, in place, as far as the coverage goes."""
    h, w = painted.shape[:2]
    if view.zoom == 1:
        left, top = (round(float(v)) for v in view.matrix[:, 2])
        for target, there in _overlap(h, w, left, top, view.side):
            touched = cover[there] > 0
            painted[target][touched] = drawn[there][touched]
        return
    left, top, right, bottom = _bounds(view, h, w)
    matrix = inverted(view.matrix)
    matrix[:, 2] += matrix[:, :2] @ np.array([left, top])
    size = (right - left, bottom - top)
    wide = cv2.warpAffine(drawn, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    share = cv2.warpAffine(cover, matrix, size, flags=cv2.INTER_LINEAR)[..., None]
    part = painted[top:bottom, left:right]
    # Where the coverage is partial the window already holds its share of the photograph.
    part += np.minimum(share * 4, 1) * (wide - part)


def _overlap(h: int, w: int, left: int, top: int, side: int) -> Iterator[tuple]:
    """Slices of the photograph and of the window where both lie over each other, if they do."""
    y0, y1, x0, x1 = max(top, 0), min(top + side, h), max(left, 0), min(left + side, w)
    if y0 < y1 and x0 < x1:
        there = np.s_[y0 - top : y1 - top, x0 - left : x1 - left]
        yield np.s_[y0:y1, x0:x1], there


def _bounds(view: View, h: int, w: int) -> tuple[int, int, int, int]:
    half = view.zoom * view.side / 2 + 2
    x, y = view.matrix[:, :2] @ np.full(2, (view.side - 1) / 2) + view.matrix[:, 2]
    left, top = max(0, int(x - half)), max(0, int(y - half))
    return left, top, min(w, int(x + half) + 1), min(h, int(y + half) + 1)


def _shape_of(bundle: Bundle) -> WindowConfig:
    known = bundle.config.get(NETWORK, {})
    try:
        types, channels = tuple(known["types"]), tuple(known["channels"])
        return WindowConfig(**{**known, "types": types, "channels": channels})
    except (KeyError, TypeError) as error:
        raise BundleError(
            got=f"{bundle.path}/config.json, whose '{NETWORK}' can't be read ({error})",
            expected="the shape of a window generator",
            todo="Restore the file, or train the windows again.",
        ) from error
