"""Masks inside boxes: what there differs from good parts, or else from the surroundings.

A window around the box is compared with good material in CIELAB, after the median of the difference
on the ring between box and window is taken away: light is no defect. Good material is the window of
photographs of good parts, turned about the middle of the part where one is found, of which those
are kept that agree best on the ring. The difference is the mean of the least ones at each pixel.
Without any, it is Mahalanobis' distance to the colours of the ring.

The mask is what lies above Otsu's threshold in the box. An annotator's box is tight, so where that
does not reach from side to side both ways, the threshold is lowered until it does (compare
Lempitsky et al., 2009, "Image segmentation with a bounding box prior"). Where none does, the whole
box is marked.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from blemish.data.colour import lab
from blemish.data.importing.importing import ProposalMethod
from blemish.data.importing.layout import Proposer
from blemish.data.shadow import unshadowed_silhouette
from blemish.pictures import read_picture

MOST_GOOD = 10  # photographs of good parts that are compared
KEPT = 6  # looks of good parts
LEAST = 3  # of them, whose differences count at a pixel
TURNS = 18
MARGIN = 0.5  # of the box's longer side, around it
LEAST_MARGIN = 8
SIDE, COARSE_SIDE = 256, 24  # of a window at most: for the mask, and for the choice of looks
BLUR = 1.5  # pixels
TIGHT = 0.9  # of the box's sides, which the mask must reach
SPECK = 0.05  # of the largest piece; what is smaller is left out
HIGHEST, LOWEST, STEP = 98, 6, 4  # percentiles of the difference in the box, tried as thresholds

Picture = UInt8[np.ndarray, "h w 3"]
Mask = Bool[np.ndarray, "h w"]
Inner = Bool[np.ndarray, "p q"]
Colours = Float[np.ndarray, "p q 3"]
Affine = Float[np.ndarray, "2 3"]


@dataclass(frozen=True)
class BoxSurroundings:
    """Surroundings of a box, made smaller.

    Attributes:
        left: First column.
        top: First row.
        width: Columns of the photograph.
        height: Rows of the photograph.
        most: Longer side at most, after it is made smaller.
    """

    left: int
    top: int
    width: int
    height: int
    most: int = SIDE

    @property
    def scale(self) -> float:
        """Window pixels per pixel of the photograph."""
        return min(1.0, self.most / max(self.width, self.height))

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, made smaller."""
        return max(1, round(self.width * self.scale)), max(1, round(self.height * self.scale))

    def of(self, array: np.ndarray) -> np.ndarray:
        """The window of a photograph or of a mask, made smaller."""
        inner = array[self.top : self.top + self.height, self.left : self.left + self.width]
        if inner.dtype == bool:
            return (
                cv2.resize(inner.astype(np.float32), self.size, interpolation=cv2.INTER_AREA) > 0.5
            )
        return cv2.resize(inner, self.size, interpolation=cv2.INTER_AREA)

    def seen_on(self, good: Picture, move: Affine) -> UInt8[np.ndarray, "p q 3"]:
        """The window on another photograph.

        Args:
            good: The other photograph.
            move: Map from this photograph to the other.
        """
        corner = move[:, :2] @ np.array([self.left, self.top]) + move[:, 2]
        onto = np.column_stack([move[:, :2] / self.scale, corner])
        how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return cv2.warpAffine(good, onto, self.size, flags=how, borderMode=cv2.BORDER_REPLICATE)

    def put_back(self, mask: Inner, inside: Mask) -> Mask:
        """A mask of the window on the photograph, inside the box."""
        size = self.width, self.height
        large = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_LINEAR) > 0.5
        whole = np.zeros_like(inside)
        whole[self.top : self.top + self.height, self.left : self.left + self.width] = large
        return whole & inside


@dataclass(frozen=True)
class Posed:
    """Photograph with the middle of its part."""

    picture: Picture

    @cached_property
    def middle(self) -> Float[np.ndarray, "2"] | None:
        """Middle of the part; None if it fills the photograph."""
        part = unshadowed_silhouette(self.picture)
        y, x = np.nonzero(part)
        return None if part.all() else np.array([x.mean(), y.mean()])


def outlined(evidence: Float[np.ndarray, "h w"], inside: Mask) -> Mask:
    """Mask inside a box, where evidence of a defect is highest.

    Args:
        evidence: Higher where a defect is, at each pixel of the photograph.
        inside: The box, not empty.

    Returns:
        A mask inside the box; the whole box if nothing stands out.
    """
    window = _around(inside)
    return _filled(window.of(evidence), inside, window)


def _by_good(paths: Sequence[Path]) -> Proposer:
    known: list[Posed] = []

    def propose(picture: Picture, inside: Mask) -> Mask:
        if not known:  # they are read only if there is a box
            chosen = paths[:: -(-len(paths) // MOST_GOOD) or 1]
            known.extend(Posed(read_picture(path)) for path in chosen)
        window = _around(inside)
        return _marked(picture, _looks(picture, known, inside, window), inside, window)

    return propose


BY_GOOD = ProposalMethod(
    "comparison with photographs of good parts, or with the surroundings", _by_good
)


def _around(inside: Mask, most: int = SIDE) -> BoxSurroundings:
    h, w = inside.shape
    x, y, width, height = cv2.boundingRect(inside.astype(np.uint8))
    margin = max(LEAST_MARGIN, int(MARGIN * max(width, height)))
    left, top = max(0, x - margin), max(0, y - margin)
    right, bottom = min(w, x + width + margin), min(h, y + height + margin)
    return BoxSurroundings(left, top, right - left, bottom - top, most)


def _looks(
    picture: Picture, known: Sequence[Posed], inside: Mask, window: BoxSurroundings
) -> list[Colours]:
    """The window on photographs of good parts, those that agree best around the box."""
    coarse = _around(inside, COARSE_SIDE)
    ring, seen = ~coarse.of(inside), lab(coarse.of(picture))
    if not ring.any():
        return []
    here = Posed(picture)
    moves = [(good, move) for good in known for move in _moves(here, good)]
    soft = {id(good): _softened(good.picture, coarse) for good in known}
    errors = []
    for good, move in moves:
        away = _levelled(seen, lab(coarse.seen_on(soft[id(good)], move)), ring)
        errors.append(float(np.abs(away[ring]).mean()))
    best = np.argsort(errors, kind="stable")[:KEPT]
    return [lab(window.seen_on(moves[k][0].picture, moves[k][1])) for k in best]


def _moves(here: Posed, good: Posed) -> Iterator[Affine]:
    """Maps from a photograph to that of a good part: as it lies, and turned about its middle."""
    (h, w), (good_h, good_w) = here.picture.shape[:2], good.picture.shape[:2]
    yield np.array([[good_w / w, 0.0, 0.0], [0.0, good_h / h, 0.0]])
    if here.middle is None or good.middle is None:
        return
    for phi in np.arange(TURNS) * 2 * np.pi / TURNS:
        turn = np.array([[np.cos(phi), -np.sin(phi)], [np.sin(phi), np.cos(phi)]]) * (good_w / w)
        yield np.column_stack([turn, good.middle - turn @ here.middle])


def _softened(picture: Picture, window: BoxSurroundings) -> Picture:
    """Photograph without detail that the window would alias."""
    return cv2.GaussianBlur(picture, (0, 0), max(0.01, 0.5 / window.scale))


def _marked(
    picture: Picture, looks: Sequence[Colours], inside: Mask, window: BoxSurroundings
) -> Mask:
    seen, box = lab(window.of(picture)), window.of(inside)
    if not box.any() or box.all():
        return inside
    far = [_distance(_levelled(seen, look, ~box)) for look in looks]
    return _filled(_least(far) if far else _unlike_colours(seen, ~box), inside, window)


def _filled(evidence: Float[np.ndarray, "p q"], inside: Mask, window: BoxSurroundings) -> Mask:
    """Mask of the evidence in a window; the whole box if nothing stands out."""
    found = window.put_back(_reaching(evidence, window.of(inside)), inside)
    return found if found.any() else inside


def _least(far: Sequence[Float[np.ndarray, "p q"]]) -> Float[np.ndarray, "p q"]:
    """Mean of the least differences at each pixel: what some good parts look like is good."""
    return np.sort(np.stack(far), axis=0)[:LEAST].mean(axis=0)


def _levelled(seen: Colours, look: Colours, ring: Inner) -> Colours:
    away = seen - look
    return away - np.median(away[ring], axis=0)


def _distance(away: Colours) -> Float[np.ndarray, "p q"]:
    return np.linalg.norm(cv2.GaussianBlur(away, (0, 0), BLUR), axis=2)


def _unlike_colours(seen: Colours, ring: Inner) -> Float[np.ndarray, "p q"]:
    """Mahalanobis' distance to the colours of the ring."""
    spread = np.cov(seen[ring].T) + np.eye(3)
    away = seen - seen[ring].mean(axis=0)
    far = np.sqrt(np.einsum("hwc,cd,hwd->hw", away, np.linalg.inv(spread), away))
    return cv2.GaussianBlur(far.astype(np.float32), (0, 0), BLUR)


def _reaching(difference: Float[np.ndarray, "p q"], box: Inner) -> Inner:
    """Set above the highest threshold, of those from Otsu's down, that reaches every side."""
    _, _, width, height = cv2.boundingRect(box.astype(np.uint8))
    for threshold in _thresholds(difference[box]):
        found = _whole(box & (difference > threshold)) & box
        _, _, across, down = cv2.boundingRect(found.astype(np.uint8))
        if across >= TIGHT * width and down >= TIGHT * height:
            return found
    return box


def _thresholds(values: Float[np.ndarray, " n"]) -> Float[np.ndarray, " m"]:
    """Otsu's threshold (1979), then lower percentiles."""
    most = max(float(np.percentile(values, 99.5)), 1e-6)
    levels = (values / most * 255).clip(0, 255).astype(np.uint8)
    cut, _ = cv2.threshold(levels[:, None], 0, 1, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    lower = np.percentile(values, np.arange(HIGHEST, LOWEST, -STEP))
    otsu = cut * most / 255
    return np.array([otsu, *lower[lower < otsu]])


def _whole(mask: Inner) -> Inner:
    """A mask without specks and holes."""
    closed = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    outlines, _ = cv2.findContours(closed, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    areas = [cv2.contourArea(outline) for outline in outlines]
    large = [o for o, area in zip(outlines, areas, strict=True) if area >= SPECK * max(areas)]
    return cv2.drawContours(np.zeros_like(closed), large, -1, [1], cv2.FILLED) > 0
