"""Batches of windows: real defects as they are, and good parts with real masks laid on them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from blemish.data.folder import GOOD
from blemish.pictures import mask_to_tensor, to_tensor
from blemish.windows.network import WindowInput
from blemish.windows.placing import place
from blemish.windows.sources import Piece, Source, Sources
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
LARGE_SHARE = 0.3  # of the steps, where defects of both sizes are known

Cut = tuple[UInt8[np.ndarray, "s s 3"], Bool[np.ndarray, "s s"], float]


@dataclass(frozen=True, slots=True)
class RealWindows:
    """Windows of real photographs.

    Attributes:
        window: With the masks of their real defects; of good parts, any mask.
        kind: Types, as indices.
    """

    window: WindowInput
    kind: Int[Tensor, " n"]

    def __len__(self) -> int:
        return len(self.kind)


@dataclass(frozen=True, slots=True)
class Tasks:
    """What the generator is to draw in one step.

    Attributes:
        window: The windows.
        own: So many, the first, are real windows that are to be given back.
        copied: So many, the first, are driven by the looks of the real windows.
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

    def sources_as_tensors(self) -> list[Tensor]:
        """Everything that is learnt from, for telling one data set from another."""
        pictures = [torch.from_numpy(source.picture) for source in self.sources.good]
        for piece in self.sources.pieces:
            pictures += [torch.from_numpy(piece.source.picture), torch.from_numpy(piece.mask)]
        return pictures

    def real(self, rng: np.random.Generator, n: int) -> RealWindows:
        """Real windows of one side; of `n` of 128², a quarter as many of 256²."""
        side = self.sides[0]
        if len(self.sides) == 2 and rng.random() < LARGE_SHARE:
            side = LARGE
        n = n if side == SMALL else max(2, n // 4)
        known = [kind for kind, _ in self.by_side[side]]
        good = len(self.sources.types) - 1
        kinds = [
            good if rng.random() < GOOD_SHARE else known[int(rng.integers(len(known)))]
            for _ in range(n)
        ]
        return self.real_of(rng, kinds, side)

    def real_of(self, rng: np.random.Generator, kinds: Sequence[int], side: int) -> RealWindows:
        """Real windows of given types; types without a piece of that size take any other piece."""
        cuts = [self._real_cut(rng, kind, side) for kind in kinds]
        return RealWindows(_stacked(cuts), torch.tensor(list(kinds)))

    def good(self, rng: np.random.Generator, kinds: Sequence[int], side: int) -> WindowInput | None:
        """Good windows under masks of given types; None where no type is named."""
        return _stacked([self._good_cut(rng, kind, side) for kind in kinds]) if kinds else None

    def pieces(self, kind: int) -> Iterator[RealWindows]:
        """Every piece of a type in its usual view."""
        for piece in self.sources.of_kind(kind):
            zoom = usual_zoom(piece.side, min(piece.mask.shape))
            view = upright_view(piece.ellipse.middle, window_side(piece.side), zoom)
            yield RealWindows(_stacked([_cut(piece.source, view)]), torch.tensor([kind]))

    def _real_cut(self, rng: np.random.Generator, kind: int, side: int) -> Cut:
        if self.sources.types[kind] == GOOD:
            return self._good_cut(rng, kind, side)
        piece = self._piece(rng, kind, side)
        return _with_mask(_cut(piece.source, _view_of(piece, side, rng)))

    def _good_cut(self, rng: np.random.Generator, kind: int, side: int) -> Cut:
        source = self.sources.good[int(rng.integers(len(self.sources.good)))]
        piece = self._piece(rng, kind, side)
        placement = place(source, piece, rng)
        zoom = _zoom(piece, rng)
        view = turned_view(placement.middle + _jitter(side, zoom, rng), side, zoom, rng)
        mask = placement.cut(view.matrix, side)
        if placement.matrix is not None and rng.random() < 0.5:
            mask = _bent(mask, rng) & cut_mask(source.part, view.matrix, side)
        return _with_mask((cut_picture(source, view), mask, view.log_zoom))

    def _piece(self, rng: np.random.Generator, kind: int, side: int) -> Piece:
        choices = dict(self.by_side[side])
        if kind not in choices:
            kind = list(choices)[int(rng.integers(len(choices)))]
        pieces = choices[kind]
        return pieces[int(rng.integers(len(pieces)))]


def _view_of(piece: Piece, side: int, rng: np.random.Generator) -> View:
    zoom = _zoom(piece, rng)
    middle = piece.ellipse.middle + _jitter(side, zoom, rng)
    return turned_view(middle, side, zoom, rng)


def _zoom(piece: Piece, rng: np.random.Generator) -> float:
    """The usual zoom, a little more or less; never finer than the photograph's own scale."""
    usual = usual_zoom(piece.side, min(piece.mask.shape))
    return max(1.0, usual * float(np.exp(rng.uniform(-0.1, 0.2))))


def _jitter(side: int, zoom: float, rng: np.random.Generator) -> Float[np.ndarray, "2"]:
    return rng.uniform(-0.2, 0.2, 2) * side * zoom


def _cut(source: Source, view: View) -> Cut:
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
