r"""Mask and code of a defect, searched for by drawing the defect again.

A finder knows the outline of a defect to a pixel or two; drawing tells the rest where the part
without it is known. With t that part, x the picture and W the frozen window generator, the search
minimises over the logits l of the mask and the latent z of the defect, whose code w(z) so stays in
the domain of the generator (a free code would make up for errors of the mask),

    \lVert W(t, m, w(z)) - x \rVert_1 + \lambda \lVert \nabla m \rVert_1
    + \mu \lVert z \rVert_2^2,    m = \sigma(s l).

The sharpness s rises, so that m ends near zeros and ones. The logits start from the finder's,
capped, so that what it missed can still appear; the latent starts from the encoder's or from that
of a real defect, whichever draws the nearest picture. t is the picture itself, and in a hole around
the defect a reconstruction of the part, with its tone corrected (`membrane`). If the reconstruction
leaves more than `EXACT` of error around the hole, as on most photographs, the mask would take up
the errors of the part: only the code is searched for, and it may leave the domain, as real looks
do.
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
from blemish.editing.membrane import levelled
from blemish.inversion.search import Search, Terms, search
from blemish.models.window_generator import MARGIN, WindowGenerator, WindowInput
from blemish.pictures import to_tensor
from blemish.types import Codes
from blemish.windows.frames import depths_in
from blemish.windows.paint import PieceGroup, WindowModel, groups
from blemish.windows.sources import SourcePhotograph
from blemish.windows.views import View, cut_picture

PLAN = Search(steps=80, learning_rate=0.3)
WEIGHTS = {"likeness": 1.0, "outline": 0.04, "latent": 0.3}
LATENT_RATE = 2 / 3  # learning rate of the latent over that of the logits
ROW_RATE = 0.04 / 0.3  # the same of a row of the code
CAP = 1.5  # largest size of a logit
SHARPEST = 10.0  # factor of the logits at the end
HIDDEN = 1 / 42  # of the side: how far around a finder's mask a picture may show the defect
SEEN = 3  # levels, averaged over a pixel or two, by which a defect differs from the part
REACH = 1 / 10  # of the side: how far beyond a finder's mask its defect may reach
HOLE = 1 / 84  # of the side: margin around what differs
BLUR = 1 / 42  # of the side: blur of the part's error
NEAR = 1 / 20  # of the side: how far around the hole the error that is left is measured
EXACT = 0.012  # mean absolute error, of pictures in [-1, 1]

Picture = UInt8[np.ndarray, "h w 3"]
Mask = Bool[np.ndarray, "h w"]
Logits = Float32[np.ndarray, "h w"]
Latent = Float[Tensor, "1 z"]


def redraw(
    windows: WindowModel,
    picture: Picture,
    part: Picture,
    logits: Logits,
    latent: Latent,
    kind: str,
) -> tuple[Mask, Codes]:
    """Mask and code whose drawing is nearest to a picture; those of the start if none is nearer.

    Args:
        windows: Windows with a frozen generator.
        picture: The picture with the defect.
        part: A reconstruction of the part without it.
        logits: Logits of the mask by a finder, somewhere above zero.
        latent: A first guess of the defect's latent.
        kind: A first guess of its type.

    Returns:
        The mask, and the code; one that left the domain has no latent.
    """
    start = logits > 0
    ground, error = ground_of(picture, part, start)
    drawn = _Drawn(windows.generator, picture, ground, start)
    exact = error <= EXACT
    look = _Look(windows, *_nearest_look(windows, drawn, start, latent, kind), free=not exact)
    known = torch.tensor(logits.clip(-CAP, CAP), device=look.start.w.device)[None, None]

    def terms(time: float) -> Terms:
        soft = exact and time < 1
        mask = (_sharpness(time) * known).sigmoid() if soft else (known > 0).float()
        likeness = drawn.distance(mask, look.code().w)
        return {"likeness": likeness, "outline": _outline(mask), "latent": look.rarity()}

    @torch.no_grad()
    def cap() -> None:
        known.clamp_(-CAP, CAP)

    with torch.no_grad():
        before = _total(terms(1.0))
    leaves = [known.requires_grad_(), look.change] if exact else [look.change]
    reduced = PLAN.reduced(drawn.side)
    outcome = search(leaves, terms, WEIGHTS, PLAN, reduced=reduced, after=cap)
    found = known.detach()[0, 0].cpu().numpy() > 0
    better = found.any() and _total(outcome.terms) < before
    return (found, look.code().detached()) if better else (start, look.start)


def ground_of(picture: Picture, part: Picture, mask: Mask) -> tuple[Picture, float]:
    """The picture with a part's reconstruction in a hole around a defect.

    Args:
        picture: The picture with the defect.
        part: A reconstruction of the part without it.
        mask: The defect by a finder.

    Returns:
        That picture, and the error of the reconstruction around the hole.
    """
    side = len(picture)
    hidden = widened(mask, _pixels(HIDDEN, side))
    away = picture.astype(np.float32) - levelled(picture, part, hidden)
    differs = np.abs(cv2.GaussianBlur(away, (0, 0), 1.5)).max(axis=-1) > SEEN
    reached = mask | (differs & widened(mask, _pixels(REACH, side)))
    _, pieces = cv2.connectedComponents(reached.astype(np.uint8))
    hole = widened(np.isin(pieces, np.unique(pieces[mask])), _pixels(HOLE, side))
    ground = np.where(hole[..., None], levelled(picture, part, hole), picture)
    return ground, error_around(picture, part, hidden)


def error_around(picture: Picture, part: Picture, hole: Mask) -> float:
    """Error of a part's reconstruction around a hole, beyond what a blur of it explains.

    Args:
        picture: What it reconstructs outside of the hole.
        part: The reconstruction.
        hole: The hole.

    Returns:
        Its mean absolute value, of pictures in [-1, 1]; infinite if nothing is around the hole.
    """
    side = len(picture)
    around = widened(hole, _pixels(NEAR, side)) & ~hole
    if not around.any():
        return float("inf")
    seen = (~hole).astype(np.float32)
    error = (picture.astype(np.float32) - part) * seen[..., None]
    share = np.maximum(cv2.GaussianBlur(seen, (0, 0), BLUR * side), 1e-6)[..., None]
    left = error - cv2.GaussianBlur(error, (0, 0), BLUR * side) / share
    return float(np.abs(left[around]).mean() / 127.5)


class _Look:
    """The code of a defect while it is searched for.

    Args:
        windows: Windows with a frozen generator.
        kind: Type of the defect.
        latent: Latent that the search starts from.
        free: Vary one row of w for all layers, and not the latent.

    Attributes:
        start: The code of that latent.
        change: Leaf of the search.
    """

    def __init__(self, windows: WindowModel, kind: str, latent: Latent, *, free: bool) -> None:
        self.windows, self.kind, self.latent, self.free = windows, kind, latent, free
        self.start = windows.codes_of(latent, kind, keep=True).detached()
        self.change = torch.zeros_like(self.start.w[:, :1] if free else latent).requires_grad_()

    def code(self) -> Codes:
        """The code with its change; one that left the domain has no latent."""
        if not self.free:
            return self.windows.codes_of(self._changed_latent(), self.kind, keep=True)
        return replace(self.start, w=self.start.w + ROW_RATE * self.change, z=None)

    def rarity(self) -> Float[Tensor, " 1"]:
        """Squared length of the latent."""
        return self._changed_latent().square().sum(dim=1)

    def _changed_latent(self) -> Latent:
        return self.latent if self.free else self.latent + LATENT_RATE * self.change


def _nearest_look(
    windows: WindowModel, drawn: "_Drawn", mask: Mask, latent: Latent, kind: str
) -> tuple[str, Latent]:
    """Type and latent, of a first guess and of real defects, that draw the nearest picture.

    Args:
        windows: Windows with a frozen generator.
        drawn: The picture to be drawn.
        mask: Mask of the drawings.
        latent: A first guess of the latent.
        kind: A first guess of the type.
    """
    known = [(name, z) for name in windows.types for z in windows.real.get(name, latent[:0])]
    looks = [(kind, latent), *((name, z[None]) for name, z in known)]
    there = torch.tensor(mask[None, None], dtype=torch.float32, device=drawn.device)

    @torch.no_grad()
    def distance(look: tuple[str, Latent]) -> float:
        return float(drawn.distance_of_largest(there, windows.codes_of(look[1], look[0]).w))

    name, nearest = min(looks, key=distance)
    return name, nearest.to(drawn.device)


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
        self, generator: WindowGenerator, picture: Picture, ground: Picture, mask: Mask
    ) -> None:
        self.generator = generator
        pieces = groups(mask)
        nearest = _nearest(pieces, mask.shape)
        before = np.zeros_like(mask)
        self.windows = list[_Window]()
        for k, group in enumerate(pieces):
            shown = np.where(before[..., None], picture, ground)
            view = group.view(min(mask.shape))
            window = _window(view, shown, picture, nearest == k)
            self.windows.append(window.to(next(generator.parameters()).device))
            before = before | (nearest == k)
        self.side = max(len(window.target[0, 0]) for window in self.windows)
        self.device = self.windows[0].target.device
        self.largest = max(range(len(pieces)), key=lambda k: pieces[k].area)

    def distance(
        self, mask: Float[Tensor, "1 1 h w"], row: Float[Tensor, "1 layers d"]
    ) -> Float[Tensor, " 1"]:
        """Sum of absolute differences over the windows' pixels, means of the colours."""
        return torch.stack([self._one(window, mask, row) for window in self.windows]).sum(dim=0)

    def distance_of_largest(
        self, mask: Float[Tensor, "1 1 h w"], row: Float[Tensor, "1 layers d"]
    ) -> Float[Tensor, " 1"]:
        """The same over the window of the largest group alone."""
        return self._one(self.windows[self.largest], mask, row)

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


def _pixels(share: float, side: int) -> int:
    return max(1, round(share * side))


def _sharpness(time: float) -> float:
    return 1 + (SHARPEST - 1) * time


def _outline(mask: Float[Tensor, "1 1 h w"]) -> Float[Tensor, " 1"]:
    """Length of the outline: sum of differences of neighbours."""
    across, down = (mask.diff(dim=dim).abs().sum(dim=(1, 2, 3)) for dim in (3, 2))
    return across + down


def _total(terms: Terms) -> float:
    return float(sum(WEIGHTS[name] * value for name, value in terms.items()))
