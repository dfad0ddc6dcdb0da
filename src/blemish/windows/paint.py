r"""A trained window generator at work on a photograph of any size.

Each group of neighbouring pieces of the mask gets a window of its own, one after another, so the
memory does not grow with the photograph. It may have a code of its own: real marks less than
`APART` pixels from each other mostly look alike, and others no more than by chance. The window
shows the photograph at its own scale where the group fits; otherwise the change is enlarged:

    y = x + up(f (drawn - window)).

The learnt coverage has a faint skirt around the mask, which would be labelled and makes a label
twice as wide as a thin mask. So the change fades out over `MARGIN` pixels: f = 1 - d / `MARGIN` at
a distance d from the mask.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from blemish.checkpoint import Bundle
from blemish.errors import BundleError
from blemish.models.load import load_network
from blemish.models.look_encoder import mix_latents
from blemish.models.window_generator import GOOD, MARGIN, WindowConfig, WindowGenerator, WindowInput
from blemish.pictures import mask_to_tensor, to_tensor
from blemish.types import Codes
from blemish.windows.sources import SourcePhotograph
from blemish.windows.views import (
    View,
    cut_mask,
    cut_picture,
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

    def codes(self, kind: str, rng: torch.Generator, n: int = 1) -> Codes:
        """Codes of defects of a type: each between two real ones, with noise around.

        Latents of real defects are mixed into the prior, since a random latent alone may lie where
        no real look is known.

        Args:
            kind: Type of the defects.
            rng: Random generator.
            n: Number of codes.
        """
        return self.codes_of(torch.cat([self.latent(kind, rng) for _ in range(n)]), kind)

    def codes_of(self, z: Float[Tensor, "n z"], kind: str, *, keep: bool = False) -> Codes:
        """Codes of latents.

        Args:
            z: Latents.
            kind: Type of the defects.
            keep: Keep the latents beside the codes.
        """
        device = next(self.generator.parameters()).device
        index = torch.tensor([self.generator.config.types.index(kind)], device=device)
        codes = self.generator.codes(z.to(device), index.expand(len(z)))
        return replace(codes, z=z) if keep else codes

    def latent(self, kind: str, rng: torch.Generator) -> Float[Tensor, "1 z"]:
        """A latent of a type between two real defects, with noise around; see `codes`."""
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
    bundle.require(NETWORK, "a window generator", "windows DATA")
    config = bundle.shape_of(WindowConfig, NETWORK, "a window generator")
    generator = load_network(bundle, NETWORK, lambda: WindowGenerator(config), device, guard=False)
    known = bundle.statistics()
    prefix = "windows.z."
    real = {k.removeprefix(prefix): v for k, v in known.items() if k.startswith(prefix)}
    return WindowModel(generator, real)


def load_good_windows(bundle: Bundle, device: str = "cpu") -> WindowModel:
    """The window generator of a bundle, which must draw good material, too.

    Raises:
        BundleError: The bundle has none, or it draws defects alone.
    """
    model = load_windows(bundle, device)
    if GOOD not in model.generator.config.types:
        raise BundleError(
            got=f"{bundle.path}, whose windows draw defects alone",
            expected="windows that draw the type good, too",
            todo=f"{bundle.advice('windows DATA')} again.",
        )
    return model


@dataclass(frozen=True, slots=True)
class PieceGroup:
    """Pieces of a mask that lie close together.

    Attributes:
        mask: The pieces, in their bounding box.
        left: Column of the box on the photograph.
        top: Row of the box on the photograph.
    """

    mask: Bool[np.ndarray, "p q"]
    left: int
    top: int

    @classmethod
    def of(cls, mask: Bool[np.ndarray, "p q"], left: int = 0, top: int = 0) -> "PieceGroup":
        """All that a mask marks.

        Args:
            mask: Not empty.
            left: Column of the mask on the photograph.
            top: Row of the mask on the photograph.
        """
        x, y, w, h = cv2.boundingRect(mask.astype(np.uint8))
        return cls(mask[y : y + h, x : x + w], left + x, top + y)

    @property
    def area(self) -> int:
        """Number of marked pixels."""
        return int(self.mask.sum())

    def view(self, photograph_side: int) -> View:
        """The view that the group is drawn in, around the middle of its box."""
        h, w = self.mask.shape
        middle = np.array([self.left + (w - 1) / 2, self.top + (h - 1) / 2])
        side = max(h, w)
        return upright_view(middle, window_side(side), usual_zoom(side, photograph_side))

    def seen(self, view: View) -> Bool[np.ndarray, "s s"]:
        """The pieces in a window."""
        matrix = view.matrix.copy()
        matrix[:, 2] -= self.left, self.top
        return cut_mask(self.mask, matrix, view.side)


@torch.no_grad()
def paint(
    generator: WindowGenerator,
    picture: UInt8[np.ndarray, "h w 3"],
    mask: Bool[np.ndarray, "h w"],
    codes: Codes,
    rng: torch.Generator,
    *,
    strength: Float[np.ndarray, "h w"] | None = None,
    fades: bool = True,
) -> UInt8[np.ndarray, "h w 3"]:
    """The photograph with a defect under the mask.

    Args:
        generator: The window generator.
        picture: The photograph.
        mask: Place of the defect, not empty.
        codes: One item that all groups share, or one for each of `groups(mask)`.
        rng: Source of the layers' noise.
        strength: Strength of the change at each pixel, in [0, 1]; 1 everywhere without it.
        fades: Let the change fade out around the mask; otherwise it ends as the learnt coverage
            does, which hides more of what was there before.
    """
    painted = picture.copy()
    for k, group in enumerate(groups(mask)):
        view = group.view(min(mask.shape))
        box = _box(view, *mask.shape)
        region = painted[box]
        matrix = view.matrix.copy()
        matrix[:, 2] -= box[1].start, box[0].start
        local = replace(view, matrix=matrix)
        source = SourcePhotograph(region, np.zeros(region.shape[:2], bool))
        code = codes if len(codes) == 1 else codes[k : k + 1]
        seen = group.seen(view)
        change = _drawn(generator, source, local, seen, code, rng)
        change = change * _fading(seen)[..., None] if fades else change
        step = _enlarged(local, change, *region.shape[:2])
        step = step if strength is None else step * strength[box][..., None]
        painted[box] = np.rint(region + step).clip(0, 255).astype(np.uint8)
    return painted


def groups(mask: Bool[np.ndarray, "h w"]) -> list[PieceGroup]:
    """The pieces of a mask, those that lie close to each other together."""
    left, top, width, height = cv2.boundingRect(mask.astype(np.uint8))
    inner = mask[top : top + height, left : left + width].astype(np.uint8)
    size = 2 * (APART // 2) + 1
    near = cv2.dilate(inner, np.ones((size, size), np.uint8))
    _, labels, stats, _ = cv2.connectedComponentsWithStats(near)
    marked = [(labels == label) & (inner > 0) for label in range(1, len(stats))]
    return [PieceGroup.of(pieces, left, top) for pieces in marked]


def _drawn(
    generator: WindowGenerator,
    source: SourcePhotograph,
    view: View,
    mask: Bool[np.ndarray, "s s"],
    codes: Codes,
    rng: torch.Generator,
) -> Float[np.ndarray, "s s 3"]:
    """The change of the window, in levels of 0 to 255; nothing where nothing covers it."""
    device = next(generator.parameters()).device
    window = WindowInput(
        image=to_tensor(cut_picture(source, view))[None],
        mask=mask_to_tensor(mask)[None],
        zoom=torch.tensor([view.log_zoom]),
    ).to(device)
    change = generator.draw(window, codes, rng).image - window.image
    return change[0].permute(1, 2, 0).cpu().numpy() * 127.5


def _fading(mask: Bool[np.ndarray, "s s"]) -> Float[np.ndarray, "s s"]:
    """Share of the change that remains around the mask: 1 on it, 0 from `MARGIN` pixels on."""
    away = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.clip(1 - away / MARGIN, 0, 1)


def _enlarged(
    view: View, change: Float[np.ndarray, "s s 3"], height: int, width: int
) -> Float[np.ndarray, "p q 3"]:
    """The change on a region of the photograph.

    Not the picture but its change is enlarged: what is finer than a pixel of the window, grain
    above all, stays the photograph's own.
    """
    smooth = cv2.INTER_NEAREST if view.zoom == 1 else cv2.INTER_CUBIC
    return cv2.warpAffine(change, view.matrix, (width, height), flags=smooth)


def _box(view: View, h: int, w: int) -> tuple[slice, slice]:
    """Rows and columns of the photograph that a view may touch."""
    half = view.zoom * view.side / 2 + 2
    x, y = view.matrix[:, :2] @ np.full(2, (view.side - 1) / 2) + view.matrix[:, 2]
    left, top = max(0, int(x - half)), max(0, int(y - half))
    return slice(top, min(h, int(y + half) + 1)), slice(left, min(w, int(x + half) + 1))
