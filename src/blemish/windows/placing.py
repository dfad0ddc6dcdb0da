"""Real masks laid on other parts, where such defects can lie.

A piece keeps its place on the part: its middle is taken to coordinates in which the part's
silhouette is a unit circle, turned about the middle there, and taken back on the other part. Place
and shape turn together: by the random turn and from the one part's longer axis to the other's. A
defect that is the whole part takes the other part's outline.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float

from blemish.windows.sources import Ellipse, Piece, SourcePhotograph
from blemish.windows.views import Affine, chained, cut_mask, inverted, mirrored, rotation

TRIES = 8
ON_PART = 0.95  # least share of a mask that must lie on the part


@dataclass(frozen=True)
class Placement:
    """A real mask on a photograph of a good part.

    Attributes:
        source: The photograph.
        piece: The defect whose mask it is.
        matrix: From pixels of the good photograph to those of the piece's; None where the mask is
            the part's own outline, widened by `margin` pixels.
    """

    source: SourcePhotograph
    piece: Piece
    matrix: Affine | None
    margin: int = 0

    def cut(self, view: Affine, side: int) -> Bool[np.ndarray, "s s"]:
        """The mask in a window, through an affine map from window to photograph pixels."""
        part = cut_mask(self.source.part, view, side)
        if self.matrix is not None:
            mask = cut_mask(self.piece.mask, chained(view, self.matrix), side)
            return mask & part if (mask & part).any() else mask
        outline = part.astype(np.uint8)
        size = 2 * self.margin + 1
        return cv2.dilate(outline, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))) > 0

    def on_photograph(self) -> Bool[np.ndarray, "h w"]:
        """The mask over the whole photograph."""
        h, w = self.source.part.shape
        return self.cut(np.eye(2, 3), max(h, w))[:h, :w]

    @property
    def middle(self) -> Float[np.ndarray, "2"]:
        """Middle of the mask on the good photograph."""
        if self.matrix is None:
            return self.source.ellipse.middle
        return _apply(inverted(self.matrix), self.piece.ellipse.middle)


def place(source: SourcePhotograph, piece: Piece, rng: np.random.Generator) -> Placement:
    """Lay a piece's mask on a good part at random, on the part if any try gets it there."""
    if piece.whole:
        return Placement(source, piece, None, margin=int(rng.integers(0, 6)))
    best, most = None, -1.0
    for _ in range(TRIES):
        matrix = _move(source.ellipse, piece, rng)
        share = _share_on_part(source, piece, matrix)
        if share > most:
            best, most = Placement(source, piece, matrix), share
        if share >= ON_PART:
            break
    assert best is not None
    return best


def _move(target: Ellipse, piece: Piece, rng: np.random.Generator) -> Affine:
    """A map from the good photograph's pixels to the piece's photograph."""
    part, turn = piece.source.ellipse, rng.uniform(0, 2 * np.pi)
    turned = rotation(turn + target.angle) @ mirrored(rng) @ rotation(-part.angle)
    scale = np.exp(rng.uniform(-0.25, 0.25)) * target.ratio(part)
    place = np.linalg.solve(part.root(), piece.ellipse.middle - part.middle)
    place = turned @ place * rng.uniform(0.9, 1.1)
    middle = target.middle + target.root() @ place
    backward = turned.T / scale
    return np.column_stack([backward, piece.ellipse.middle - backward @ middle])


def _share_on_part(source: SourcePhotograph, piece: Piece, matrix: Affine) -> float:
    """Share of the piece's pixels that fall on the part."""
    y, x = np.nonzero(piece.mask)
    step = max(1, len(x) // 200)
    points = np.stack([x[::step], y[::step]]).astype(float)
    there = np.round(_apply(inverted(matrix), points)).astype(int)
    h, w = source.part.shape
    inside = (there[0] >= 0) & (there[0] < w) & (there[1] >= 0) & (there[1] < h)
    on = source.part[there[1][inside], there[0][inside]]
    return float(np.count_nonzero(on) / points.shape[1])


def _apply(matrix: Affine, points: np.ndarray) -> np.ndarray:
    shift = matrix[:, 2] if points.ndim == 1 else matrix[:, 2:]
    return matrix[:, :2] @ points + shift
