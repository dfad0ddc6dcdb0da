"""Batches of real masks on parts: moved, turned, mirrored, scaled, bent and put together anew.

A mask keeps its place on the part, as in `windows.placing`: its middle is taken to coordinates in
which the part is a unit circle, turned about the middle there, and taken back on another part. A
defect that is the whole part takes the other part's outline.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Float, Float32, Int
from torch import Tensor

from blemish.training.masks.sources import FINE, MaskSources, RealMask, Share, distances
from blemish.windows.sources import Affine, Ellipse
from blemish.windows.views import mirrored, rotation

TRIES = 12
ON_PART = 0.995  # least share of a mask that must lie on the part
OWN = 0.3  # share of masks that stay on their own part
PUT_TOGETHER = 0.3  # share of masks with pieces of two photographs
SCALE = 0.15  # largest change of size, as a logarithm
SHIFT = 0.06  # largest change of the distance to the middle, as a logarithm
BEND = 0.022  # deviation of the displacement, as a share of the frame's side
PART_BEND = 0.004
WAVE = 0.08  # deviation of the blur that makes a displacement smooth, likewise
FIELD = 32  # side at which displacements are computed
LEAST = 0.0004  # area of a mask, as a share of the frame

Small = Float32[np.ndarray, "t t"]  # a frame of a batch's side


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskBatch:
    """Masks on parts.

    Attributes:
        part: Signed distance to the part's outline, in pixels of the frame, positive inside.
        mask: Share of each pixel that the mask covers.
        kind: Indices of the types.
    """

    part: Float[Tensor, "n 1 s s"]
    mask: Float[Tensor, "n 1 s s"]
    kind: Int[Tensor, " n"]

    def __len__(self) -> int:
        return len(self.part)

    def __getitem__(self, index: slice) -> "MaskBatch":
        return MaskBatch(part=self.part[index], mask=self.mask[index], kind=self.kind[index])

    def to(self, device: torch.device | str) -> "MaskBatch":
        """The same on another device."""
        part, mask, kind = (x.to(device) for x in (self.part, self.mask, self.kind))
        return MaskBatch(part=part, mask=mask, kind=kind)


class MaskBatches:
    """Random batches of a folder's masks.

    Args:
        sources: Parts and masks.
        side: Side of the frames.
    """

    def __init__(self, sources: MaskSources, side: int) -> None:
        self.sources, self.side = sources, side

    def draw(self, rng: np.random.Generator, n: int, *, kind: int | None = None) -> MaskBatch:
        """Each real mask in turn, of all types or of one, laid on a part.

        Args:
            rng: Random generator.
            n: Number of masks.
            kind: Index of the type.
        """
        known = self.sources.real if kind is None else self.sources.of_kind(kind)
        chosen = [known[k % len(known)] for k in range(n)]
        pairs = [self._pair(rng, real) for real in chosen]
        part, mask = (
            torch.from_numpy(np.stack([pair[k] for pair in pairs]))[:, None] for k in range(2)
        )
        return MaskBatch(part=part, mask=mask, kind=torch.tensor([real.kind for real in chosen]))

    def _pair(
        self, rng: np.random.Generator, real: RealMask
    ) -> tuple[Float32[np.ndarray, "s s"], Float32[np.ndarray, "s s"]]:
        """Signed distances of a part, and a mask on it."""
        known = self.sources.of_kind(real.kind)
        while True:
            turned = _warped(self._part(rng, real), _about(_turning(rng)))
            seen = bent(turned, rng, PART_BEND)
            depth = distances(seen, self.side)
            mask = (
                self._whole(rng, seen, real)
                if real.whole
                else self._aligned(rng, seen, real, known)
            )
            if mask.mean() > LEAST:
                return depth, mask

    def _part(self, rng: np.random.Generator, real: RealMask) -> Share:
        """The mask's own part, or a good one."""
        if not real.whole and rng.random() < OWN:
            return real.part
        return self.sources.parts[int(rng.integers(len(self.sources.parts)))]

    def _whole(self, rng: np.random.Generator, part: Share, real: RealMask) -> Small:
        """The part's own outline, with a margin like real ones."""
        margin = real.margin * FINE * rng.uniform(0, 2)
        wide = distances(part, FINE) + np.float32(margin)
        return _shrunk(np.clip(bent_levels(wide, rng) + 0.5, 0, 1), self.side)

    def _aligned(
        self, rng: np.random.Generator, part: Share, real: RealMask, known: tuple[RealMask, ...]
    ) -> Small:
        """A mask at its own place on another part, or elsewhere if it would hang off there."""
        mask = self._composed(rng, real, known)
        points = np.stack(np.nonzero(mask > 0.5)[::-1]).astype(float)
        if not points.size:
            return np.zeros((self.side, self.side), np.float32)
        target, own = Ellipse.of(part > 0.5), Ellipse.of(mask > 0.5)
        best, most = np.eye(2, 3), -1.0
        for _ in range(TRIES):
            move = _move(target, real.part_ellipse, own, rng)
            share = _share_on(part, move, points[:, :: max(1, points.shape[1] // 200)])
            if share > most:
                best, most = move, share
            if share >= ON_PART:
                break
        moved = bent(_warped(mask, best), rng, BEND * rng.uniform(0, 1))
        return _shrunk(np.minimum(moved, part), self.side)

    def _composed(
        self, rng: np.random.Generator, real: RealMask, known: tuple[RealMask, ...]
    ) -> Share:
        """Pieces of one photograph, or of two of the same type."""
        other = known[rng.integers(len(known))]
        if rng.random() >= PUT_TOGETHER or min(len(real.pieces), len(other.pieces)) < 2:
            return real.mask
        pool = [piece for source in (real, other) for piece in source.pieces if rng.random() < 0.5]
        return np.maximum.reduce(pool) if pool else real.mask


def bent(share: Share, rng: np.random.Generator, amount: float) -> Share:
    """A map warped by a smooth random displacement, `amount` of its side on average."""
    side = len(share)
    noise = cv2.GaussianBlur(
        rng.standard_normal((FIELD, FIELD, 2)).astype(np.float32), (0, 0), WAVE * FIELD
    )
    field = cv2.resize(noise / noise.std() * np.float32(amount * side), (side, side))
    y, x = np.mgrid[:side, :side].astype(np.float32)
    return cv2.remap(share, x + field[:, :, 0], y + field[:, :, 1], cv2.INTER_LINEAR)


def bent_levels(levels: Share, rng: np.random.Generator) -> Share:
    """Signed distances raised and lowered smoothly at random, by parts of a pixel."""
    noise = cv2.GaussianBlur(
        rng.standard_normal((FIELD, FIELD)).astype(np.float32), (0, 0), WAVE * FIELD
    )
    return levels + cv2.resize(noise / noise.std() * np.float32(0.3), levels.shape)


def _turning(rng: np.random.Generator) -> Float[np.ndarray, "2 2"]:
    """A turn, a mirror and a slight stretch."""
    stretch = np.diag(np.exp(rng.uniform(-0.05, 0.05, 2)))
    return stretch @ (rotation(rng.uniform(0, 2 * np.pi)) @ mirrored(rng))


def _move(target: Ellipse, part: Ellipse, mask: Ellipse, rng: np.random.Generator) -> Affine:
    """From pixels of the mask's frame to those of the target's; see the module's docstring."""
    turn = rotation(rng.uniform(0, 2 * np.pi)) @ mirrored(rng)
    scale = target.ratio(part) * np.exp(rng.uniform(-SCALE, SCALE))
    place = np.linalg.solve(part.root(), mask.middle - part.middle)
    place = turn @ place * np.exp(rng.uniform(-SHIFT, SHIFT))
    middle = target.middle + target.root() @ place
    linear = scale * turn
    return np.column_stack([linear, middle - linear @ mask.middle])


def _share_on(part: Share, move: Affine, points: Float[np.ndarray, "2 m"]) -> float:
    """The share of points, x and y, that a move takes onto a part."""
    x, y = np.round(move[:, :2] @ points + move[:, 2:]).astype(int)
    inside = (x >= 0) & (y >= 0) & (x < part.shape[1]) & (y < part.shape[0])
    return float((part[y[inside], x[inside]] > 0.5).sum() / points.shape[1])


def _about(linear: Float[np.ndarray, "2 2"]) -> Affine:
    middle = np.full(2, (FINE - 1) / 2)
    return np.column_stack([linear, middle - linear @ middle])


def _warped(share: Share, forward: Affine) -> Share:
    return cv2.warpAffine(share, forward, share.shape[::-1])


def _shrunk(share: Share, side: int) -> Small:
    return cv2.resize(share, (side, side), interpolation=cv2.INTER_AREA)


class Pool:
    """Masks laid on parts once, each shown in eight positions.

    Laying a mask takes as long as a step of a training on it, so they are laid before.

    Args:
        batches: What is laid.
        n: Number of masks, of each real one as many.
        seed: Random seed.
    """

    def __init__(self, batches: MaskBatches, n: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.all = batches.draw(rng, n)

    def tensors(self) -> list[Tensor]:
        """All masks, and their parts."""
        return [self.all.mask, self.all.part]

    def draw(self, n: int, rng: torch.Generator, *, kind: int | None = None) -> MaskBatch:
        """Masks chosen at random, of all types or of one, turned by quarters and mirrored.

        Args:
            n: Number of masks.
            rng: Random generator.
            kind: Index of the type.
        """
        known = torch.arange(len(self.all))
        known = known if kind is None else known[self.all.kind == kind]
        chosen = known[torch.randint(len(known), (n,), generator=rng)]
        turn = int(torch.randint(8, (1,), generator=rng))
        part, mask = (_positioned(x[chosen], turn) for x in (self.all.part, self.all.mask))
        return MaskBatch(part=part, mask=mask, kind=self.all.kind[chosen])


def _positioned(x: Float[Tensor, "n 1 s s"], turn: int) -> Float[Tensor, "n 1 s s"]:
    """One of the eight positions of a square."""
    turned = torch.rot90(x, turn % 4, dims=(2, 3))
    return (turned.flip(3) if turn >= 4 else turned).contiguous()
