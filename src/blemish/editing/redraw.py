r"""Mask and code of a defect, searched for by drawing the defect again.

A finder knows the outline of a defect to a pixel or two; drawing tells the rest where the part
without it is known. With t that part, x the picture and W the frozen window generator, the search
minimises over the logits l of the mask and a row w of the defect code

    \lVert W(t, m, w) - x \rVert_1 + \lambda \lVert \nabla m \rVert_1,    m = \sigma(s l).

The sharpness s rises, so that m ends near zeros and ones. The logits start from the finder's,
capped, so that what it missed can still appear. t is a reconstruction of the part, with its error
outside of the defect, blurred, taken away. If more than `EXACT` of that error is left, as on
most photographs, the mask would take up the errors of the part: only the code is searched for.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Float32, UInt8
from torch import Tensor

from blemish.editing.fill import widened
from blemish.inversion.search import Search, Terms, search
from blemish.models.window_generator import MARGIN, WindowGenerator, WindowInput
from blemish.pictures import to_tensor
from blemish.types import Codes
from blemish.windows.frames import depths_in
from blemish.windows.paint import PieceGroup, groups
from blemish.windows.sources import SourcePhotograph
from blemish.windows.views import View, cut_picture

PLAN = Search(steps=80, learning_rate=0.3)
WEIGHTS = {"likeness": 1.0, "outline": 0.04}
CODE_RATE = 0.04 / 0.3  # learning rate of the code over that of the logits
CAP = 1.5  # largest size of a logit
SHARPEST = 10.0  # factor of the logits at the end
HOLE = 1 / 42  # of the side: how far around the mask a picture may show the defect
BLUR = 1 / 42  # of the side: blur of the part's error
NEAR = 1 / 20  # of the side: how far around the hole the error that is left is measured
EXACT = 0.012  # mean absolute error, of pictures in [-1, 1]

Picture = UInt8[np.ndarray, "h w 3"]
Mask = Bool[np.ndarray, "h w"]
Logits = Float32[np.ndarray, "h w"]


def redraw(
    generator: WindowGenerator, picture: Picture, part: Picture, logits: Logits, codes: Codes
) -> tuple[Mask, Codes]:
    """Mask and code whose drawing is nearest to a picture; those of the start if none is nearer.

    Args:
        generator: Frozen window generator.
        picture: The picture with the defect.
        part: A reconstruction of the part without it.
        logits: Logits of the mask by a finder, somewhere above zero.
        codes: A first guess of the defect's code, one item.

    Returns:
        The mask and the code; a code that was searched for has no latent.
    """
    start = logits > 0
    good, error = corrected(part, picture, start)
    drawn = _Drawn(generator, picture, good, start)
    known = torch.tensor(logits.clip(-CAP, CAP), device=codes.w.device)[None, None]
    known.requires_grad_(error <= EXACT)
    change = torch.zeros_like(codes.w[:, :1]).requires_grad_()

    def row(by: Tensor) -> Float[Tensor, "1 layers d"]:
        return codes.w + CODE_RATE * by

    def terms(time: float) -> Terms:
        binary = time == 1 or not known.requires_grad
        mask = (known > 0).float() if binary else (_sharpness(time) * known).sigmoid()
        return {"likeness": drawn.distance(mask, row(change)), "outline": _outline(mask)}

    @torch.no_grad()
    def cap() -> None:
        known.clamp_(-CAP, CAP)

    with torch.no_grad():
        first = _total(terms(1.0))
    leaves = [leaf for leaf in (known, change) if leaf.requires_grad]
    reduced = PLAN.reduced(drawn.side)
    outcome = search(leaves, terms, WEIGHTS, PLAN, reduced=reduced, after=cap)
    found = known.detach()[0, 0].cpu().numpy() > 0
    if not (found.any() and _total(outcome.terms) < first):
        return start, codes
    return found, replace(codes, w=row(change.detach()), z=None)


def corrected(part: Picture, picture: Picture, mask: Mask) -> tuple[Picture, float]:
    """A reconstruction of a part with its colours corrected, and how far it still is.

    Args:
        part: The reconstruction.
        picture: What it reconstructs, but for the defect.
        mask: The defect.

    Returns:
        The part less its blurred error, and the mean absolute error of that around the defect, of
        pictures in [-1, 1].
    """
    side = len(picture)
    hole = widened(mask, max(1, round(HOLE * side)))
    seen = (~hole).astype(np.float32)
    error = (picture.astype(np.float32) - part) * seen[..., None]
    blurred = cv2.GaussianBlur(error, (0, 0), BLUR * side)
    share = cv2.GaussianBlur(seen, (0, 0), BLUR * side)
    good = part + blurred / np.maximum(share, 1e-6)[..., None]
    good = np.rint(good).clip(0, 255).astype(np.uint8)
    around = widened(hole, max(1, round(NEAR * side))) & ~hole
    if not around.any():
        return good, float("inf")
    left = np.abs(picture[around].astype(np.float32) - good[around])
    return good, float(left.mean() / 127.5)


@dataclass(frozen=True, slots=True)
class _Window:
    """A window in which a group of the mask's pieces is drawn.

    Attributes:
        shown: Input of the generator, on which the groups before it are drawn already.
        target: The picture.
        own: Ones where the group is the nearest one.
        grid: From the window to the photograph, as `grid_sample` takes it.
    """

    shown: WindowInput
    target: Float[Tensor, "1 3 s s"]
    own: Float[Tensor, "1 1 s s"]
    grid: Float[Tensor, "1 s s 2"]

    def to(self, device: torch.device) -> "_Window":
        """The same on another device."""
        target, own, grid = (x.to(device) for x in (self.target, self.own, self.grid))
        return _Window(shown=self.shown.to(device), target=target, own=own, grid=grid)


class _Drawn:
    """Distance of a picture from the drawing of a mask and a code, as `windows.paint` draws."""

    def __init__(
        self, generator: WindowGenerator, picture: Picture, good: Picture, mask: Mask
    ) -> None:
        self.generator = generator
        pieces = groups(mask)
        nearest = _nearest(pieces, mask.shape)
        before = np.zeros_like(mask)
        self.windows = list[_Window]()
        for k, group in enumerate(pieces):
            shown = np.where(before[..., None], picture, good)
            view = group.view(min(mask.shape))
            window = _window(view, shown, picture, nearest == k)
            self.windows.append(window.to(next(generator.parameters()).device))
            before = before | (nearest == k)
        self.side = max(len(window.target[0, 0]) for window in self.windows)

    def distance(
        self, mask: Float[Tensor, "1 1 h w"], row: Float[Tensor, "1 layers d"]
    ) -> Float[Tensor, " 1"]:
        """Sum of absolute differences over the windows' pixels, means of the colours."""
        return torch.stack([self._one(window, mask, row) for window in self.windows]).sum(dim=0)

    def _one(
        self, window: _Window, mask: Float[Tensor, "1 1 h w"], row: Float[Tensor, "1 layers d"]
    ) -> Float[Tensor, " 1"]:
        seen = F.grid_sample(mask, window.grid, align_corners=False) * window.own
        place = replace(window.shown, mask=seen)
        change = self.generator.draw(place, Codes(w=row)).image - place.image
        drawn = place.image + change * fading(seen)
        return ((drawn - window.target) * window.own).abs().mean(dim=1).sum(dim=(1, 2))


def fading(mask: Float[Tensor, "n 1 h w"]) -> Float[Tensor, "n 1 h w"]:
    """Share of the change that remains around a soft mask; `windows.paint` has that of a hard one.

    A grey-scale dilation by a cone that falls to zero over `MARGIN` pixels.
    """
    reach = MARGIN - 1
    h, w = mask.shape[2:]
    padded, found = F.pad(mask, (reach,) * 4), mask
    for y in range(-reach, reach + 1):
        for x in range(-reach, reach + 1):
            lost = np.hypot(y, x) / MARGIN
            if 0 < lost < 1:
                moved = padded[..., reach + y : reach + y + h, reach + x : reach + x + w]
                found = torch.maximum(found, moved - lost)
    return found


def _window(view: View, shown: Picture, picture: Picture, own: Mask) -> _Window:
    none = np.zeros(own.shape, bool)
    image, target = (
        to_tensor(cut_picture(SourcePhotograph(one, none), view))[None] for one in (shown, picture)
    )
    grid = _grid(view, *own.shape)
    near = torch.tensor(own[None, None], dtype=torch.float32)
    return _Window(
        shown=WindowInput(
            image=image,
            mask=torch.zeros(1, 1, view.side, view.side),
            zoom=torch.tensor([view.log_zoom]),
        ),
        target=target,
        own=(F.grid_sample(near, grid, align_corners=False) > 0.5).float(),
        grid=grid,
    )


def _grid(view: View, h: int, w: int) -> Float[Tensor, "1 s s 2"]:
    """Place of each pixel of a window on the photograph, in [-1, 1] along each axis."""
    across, down = np.meshgrid(np.arange(view.side), np.arange(view.side))
    places = np.stack([across, down], axis=-1) @ view.matrix[:, :2].T + view.matrix[:, 2]
    return torch.tensor((2 * places + 1) / [w, h] - 1, dtype=torch.float32)[None]


def _nearest(pieces: Sequence[PieceGroup], shape: tuple[int, ...]) -> np.ndarray:
    """Number of the nearest group at each pixel."""
    away = list[np.ndarray]()
    for group in pieces:
        outside = np.ones(shape, bool)
        h, w = group.mask.shape
        outside[group.top : group.top + h, group.left : group.left + w] = ~group.mask
        away.append(depths_in(outside))
    return np.argmin(away, axis=0)


def _sharpness(time: float) -> float:
    return 1 + (SHARPEST - 1) * time


def _outline(mask: Float[Tensor, "1 1 h w"]) -> Float[Tensor, " 1"]:
    """Length of the outline: sum of differences of neighbours."""
    across, down = (mask.diff(dim=dim).abs().sum(dim=(1, 2, 3)) for dim in (3, 2))
    return across + down


def _total(terms: Terms) -> float:
    return float(sum(WEIGHTS[name] * value for name, value in terms.items()))
