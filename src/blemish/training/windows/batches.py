"""Batches of windows: real defects as they are, and good parts with real masks laid on them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from blemish.data.folder import GOOD
from blemish.models.window_generator import WindowInput
from blemish.pictures import mask_to_tensor, to_tensor
from blemish.windows.placing import place
from blemish.windows.sources import Piece, SourcePhotograph, Sources
from blemish.windows.views import (
    LARGE,
    SMALL,
    View,
    cut_mask,
    cut_picture,
    turned_view,
    upright_view,
    usual_zoom,
    window_side,
)

LEAST_MASK = 12  # pixels of a mask in its window
GOOD_SHARE = 1 / 8  # of a batch
BENT = 0.1  # largest bending of a mask over the square root of its area
LARGE_SHARE = 0.5  # of the steps, where defects of both sizes are known
ALSO_SMALL = 1 / 4  # chance of a type among large windows, relative to one without small defects
JITTER = {SMALL: 0.2, LARGE: 0.08}  # shift of a view, over its side

Cut = tuple[UInt8[np.ndarray, "s s 3"], Bool[np.ndarray, "s s"], float]


@dataclass(frozen=True, slots=True)
class RealWindows:
    """Windows of real photographs.

    Attributes:
        window: With the masks of their real defects; of good parts, any mask.
        kind: Types, as indices.
        size: Side of the windows that defects of this size are usually shown in.
    """

    window: WindowInput
    kind: Int[Tensor, " n"]
    size: int

    def __len__(self) -> int:
        return len(self.kind)


@dataclass(frozen=True, slots=True)
class Tasks:
    """What the generator is to draw in one step.

    Attributes:
        window: The windows.
        own: Number of windows, the first ones, that are real and must be reconstructed.
        copied: Number of windows, the first ones, whose codes are looks of real windows.
    """

    window: WindowInput
    own: int
    copied: int

    @classmethod
    def joined(cls, real: RealWindows, own: int, placed: WindowInput | None) -> "Tasks":
        """The first real windows, then good ones; as many again copy a real look."""
        mine = real.window[slice(own)]
        if placed is None:
            return cls(mine, own, own)
        window = WindowInput(
            image=torch.cat([mine.image, placed.image]),
            mask=torch.cat([mine.mask, placed.mask]),
            zoom=torch.cat([mine.zoom, placed.zoom]),
        )
        return cls(window, own, 2 * own)


class WindowBatches:
    """Windows at random; a batch is a function of the random generator alone."""

    def __init__(self, sources: Sources) -> None:
        self.sources = sources
        self.by_side: dict[int, list[tuple[int, list[Piece]]]] = {}
        for kind in range(len(sources.types) - 1):
            for side in (SMALL, LARGE):
                pieces = [p for p in sources.of_kind(kind) if window_side(p.side) == side]
                if pieces:
                    self.by_side.setdefault(side, []).append((kind, pieces))
        self.sides = sorted(self.by_side)
        small = {kind for kind, _ in self.by_side.get(SMALL, [])}
        self.chances = {
            side: [ALSO_SMALL if side == LARGE and kind in small else 1.0 for kind, _ in known]
            for side, known in self.by_side.items()
        }

    def sources_as_tensors(self) -> list[Tensor]:
        """Everything that is learnt from, for telling one data set from another."""
        pictures = [torch.from_numpy(source.picture) for source in self.sources.good]
        for piece in self.sources.pieces:
            pictures += [torch.from_numpy(piece.source.picture), torch.from_numpy(piece.mask)]
        return pictures

    def real(self, rng: np.random.Generator, n: int, *, coarse: bool = False) -> RealWindows:
        """Real windows of defects of one size; of `n` of 128², a quarter as many of 256².

        Args:
            rng: Source of everything random.
            n: Number of windows of 128².
            coarse: Show large defects in windows of 128² too, at twice the zoom.
        """
        size = self.sides[0]
        if len(self.sides) == 2 and rng.random() < LARGE_SHARE:
            size = LARGE
        n = n if size == SMALL or coarse else max(2, n // 4)
        kinds = [self._kind(rng, size) for _ in range(n)]
        return self.real_of(rng, kinds, size, coarse=coarse)

    def real_of(
        self, rng: np.random.Generator, kinds: Sequence[int], size: int, *, coarse: bool = False
    ) -> RealWindows:
        """Real windows of given types; types without a piece of that size take any other piece."""
        cuts = [self._real_cut(rng, kind, _Shown(size, coarse)) for kind in kinds]
        return RealWindows(_stacked(cuts), torch.tensor(list(kinds)), size)

    def good(
        self, rng: np.random.Generator, kinds: Sequence[int], size: int, *, coarse: bool = False
    ) -> WindowInput | None:
        """Good windows under masks of given types; None where no type is named."""
        cuts = [self._good_cut(rng, kind, _Shown(size, coarse)) for kind in kinds]
        return _stacked(cuts) if cuts else None

    def pieces(self, kind: int) -> Iterator[RealWindows]:
        """Every piece of a type in its usual view."""
        for piece in self.sources.of_kind(kind):
            zoom = usual_zoom(piece.side, min(piece.mask.shape))
            view = upright_view(piece.ellipse.middle, window_side(piece.side), zoom)
            cuts = [_cut(piece.source, view)]
            yield RealWindows(_stacked(cuts), torch.tensor([kind]), view.side)

    def _kind(self, rng: np.random.Generator, size: int) -> int:
        if rng.random() < GOOD_SHARE:
            return len(self.sources.types) - 1
        chances = np.array(self.chances[size])
        return self.by_side[size][int(rng.choice(len(chances), p=chances / chances.sum()))][0]

    def _real_cut(self, rng: np.random.Generator, kind: int, shown: "_Shown") -> Cut:
        if self.sources.types[kind] == GOOD:
            return self._good_cut(rng, kind, shown)
        piece = self._piece(rng, kind, shown.size)
        return _with_mask(_cut(piece.source, shown.view(piece, piece.ellipse.middle, rng)))

    def _good_cut(self, rng: np.random.Generator, kind: int, shown: "_Shown") -> Cut:
        source = self.sources.good[int(rng.integers(len(self.sources.good)))]
        piece = self._piece(rng, kind, shown.size)
        placement = place(source, piece, rng)
        view = shown.view(piece, placement.middle, rng)
        mask = placement.cut(view.matrix, view.side)
        if placement.matrix is not None and rng.random() < 0.5:
            mask = _bent(mask, rng) & cut_mask(source.part, view.matrix, view.side)
        return _with_mask((cut_picture(source, view), mask, view.log_zoom))

    def _piece(self, rng: np.random.Generator, kind: int, size: int) -> Piece:
        choices = dict(self.by_side[size])
        if kind not in choices:
            kind = list(choices)[int(rng.integers(len(choices)))]
        pieces = choices[kind]
        return pieces[int(rng.integers(len(pieces)))]


@dataclass(frozen=True, slots=True)
class _Shown:
    """How defects of one size are shown: in windows of that side, or coarsely in small ones."""

    size: int
    coarse: bool

    def view(self, piece: Piece, middle: Float[np.ndarray, "2"], rng: np.random.Generator) -> View:
        """A view of about the usual zoom, never finer than the photograph's own scale."""
        usual = usual_zoom(piece.side, min(piece.mask.shape))
        zoom = max(1.0, usual * float(np.exp(rng.uniform(-0.1, 0.2))))
        shift = rng.uniform(-1, 1, 2) * JITTER[self.size] * self.size * zoom
        side = SMALL if self.coarse else self.size
        return turned_view(middle + shift, side, zoom * self.size / side, rng)


def _cut(source: SourcePhotograph, view: View) -> Cut:
    return cut_picture(source, view), cut_mask(source.mask, view.matrix, view.side), view.log_zoom


def _with_mask(cut: Cut) -> Cut:
    """The cut, with a small disc in the middle for the rare window that its mask missed."""
    picture, mask, log_zoom = cut
    if LEAST_MASK <= mask.sum() < mask.size:
        return cut
    side = len(mask)
    disc = cv2.circle(np.zeros((side, side), np.uint8), (side // 2, side // 2), side // 12, 1, -1)
    return picture, disc > 0, log_zoom


def _bent(mask: Bool[np.ndarray, "s s"], rng: np.random.Generator) -> Bool[np.ndarray, "s s"]:
    """A mask bent by a smooth random field."""
    side, most = len(mask), BENT * np.sqrt(mask.sum()) * rng.random()
    coarse = (rng.normal(0, 1, (5, 5, 2)) * most).astype(np.float32)
    field = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)
    places = np.stack(np.meshgrid(np.arange(side), np.arange(side)), axis=2) + field
    there = places.astype(np.float32)
    levels = cv2.remap(mask.astype(np.float32), there[..., 0], there[..., 1], cv2.INTER_LINEAR)
    return levels > 0.5


def _stacked(cuts: Sequence[Cut]) -> WindowInput:
    pictures, masks, zooms = zip(*cuts, strict=True)
    return WindowInput(
        image=to_tensor(np.stack(pictures)),
        mask=mask_to_tensor(np.stack(masks)),
        zoom=torch.tensor(zooms, dtype=torch.float32),
    )
