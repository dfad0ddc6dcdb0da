"""Which pixels of a mask's file are marked, whatever levels it was saved with.

- The brighter of two levels is the mask. The indices of a palette count, not its colours. Where all
  colours are alike and alpha is not, alpha is the mask.
- 255 beside small class numbers means "don't care", as in PASCAL VOC; it is background.
- Levels between black and white are taken for soft edges where they lie between the two; the mask
  is then what is above the middle.
- More levels are classes. They need `Reading.classes`, which gives the type of each.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, UInt

from blemish.decode import Decoded, UnfitPictureError
from blemish.reading import current

SMALL = 32  # class numbers beside which 255 is no class
FEW = 8  # levels that could be classes; a soft edge usually has more
MOST_BETWEEN = 1 / 3  # of the pixels, at soft edges; a photograph has more
SHOWN = 12
BACKGROUND = "good"  # the type of a class that is no defect

Values = UInt[np.ndarray, "h w"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """What a mask's file marks.

    Attributes:
        mask: True on the defect.
        notes: What was decided about levels that could be meant otherwise.
    """

    mask: Bool[np.ndarray, "h w"]
    notes: tuple[str, ...] = ()


def marks_of(decoded: Decoded, kind: str | None = None) -> Marks:
    """The mask in a file.

    Args:
        decoded: The file.
        kind: Defect type whose classes are marked; None marks those of all types.

    Raises:
        UnfitPictureError: It has more levels than two, and nothing says what they mean.
    """
    values, source = _values(decoded)
    levels, kinds = _levels_in(values), current().kinds
    unsure = _careless(levels, kinds)
    notes = () if unsure is None else (f"level {unsure} means 'don't care': background",)
    binary = {*levels} <= {0, 255} - {*kinds}
    if kinds and not binary and (kind is None or kind in kinds.values()):
        mask = _of_classes(values, levels, unsure, kind, kinds)
        return Marks(mask=mask, notes=(*source, *notes))
    classes = [level for level in levels if level != unsure]
    if len(classes) <= 2:
        return Marks(mask=values == max(classes[-1], 1), notes=(*source, *notes))
    if unsure is not None or not _is_soft(values, levels, decoded):
        raise _several(classes)
    return Marks(mask=values > (levels[0] + levels[-1]) // 2, notes=source)


def kinds_in(decoded: Decoded) -> tuple[str, ...]:
    """The types of the classes that occur in a mask, sorted; none without `Reading.classes`."""
    values, _ = _values(decoded)
    levels, kinds = _levels_in(values), current().kinds
    return tuple(sorted({kinds[level] for level in levels if level in kinds} - {BACKGROUND}))


def _levels_in(values: Values) -> list[int]:
    """Levels that occur, lowest first."""
    return np.flatnonzero(np.bincount(values.ravel())).tolist()


def _values(decoded: Decoded) -> tuple[Values, tuple[str, ...]]:
    """One number a pixel, as the file has it, and a note if that is not the obvious one."""
    colours, alpha = decoded.colours, decoded.alpha
    if decoded.indices is not None:
        return decoded.indices, _notes_of_palette(decoded.indices, colours)
    constant = (colours == colours[:1, :1]).all()
    if alpha is not None and constant and (alpha != alpha[0, 0]).any():
        return np.ascontiguousarray(alpha), ("read from its alpha channel",)
    brightest = colours.max(axis=2)
    if colours.shape[2] == 3 and (colours != colours[:, :, :1]).any():
        _refuse_colours(colours, brightest)
    return brightest // decoded.step, ()


def _notes_of_palette(indices: Values, colours: UInt[np.ndarray, "h w c"]) -> tuple[str, ...]:
    """A note if the colours of the first and the last index are the other way round."""
    first, last = (
        int(colours[indices == index][0].sum()) for index in (indices.min(), indices.max())
    )
    if first <= last:
        return ()
    return (f"index {indices.max()} of its palette is the mask, though its colour is darker",)


def _careless(levels: list[int], kinds: Mapping[int, str]) -> int | None:
    """The level that means "don't care": 255, or all bits, above small class numbers."""
    last = levels[-1]
    if len(levels) < 3 or last not in (255, 65535) or last in kinds:
        return None
    return last if levels[-2] <= SMALL else None


def _of_classes(
    values: Values,
    levels: list[int],
    unsure: int | None,
    kind: str | None,
    kinds: Mapping[int, str],
) -> Bool[np.ndarray, "h w"]:
    unknown = {*levels} - {*kinds, 0, unsure}
    if unknown:
        raise _unmapped(sorted(unknown))
    wanted = {kind} if kind is not None else {*kinds.values()} - {BACKGROUND}
    return np.isin(values, [level for level in levels if kinds.get(level) in wanted])


def _is_soft(values: Values, levels: list[int], decoded: Decoded) -> bool:
    """Whether the levels are those of two colours whose border was smoothed or compressed."""
    if decoded.indices is not None or levels[-1] - levels[0] < _highest(decoded) // 2:
        return False
    if len(levels) <= FEW and _is_noise(levels):
        return True
    few, margin = len(levels) <= FEW, (levels[-1] - levels[0]) // 4
    low, high = (levels[0], levels[-1]) if few else (levels[0] + margin, levels[-1] - margin)
    dark, bright = values <= low, values >= high
    between = ~(dark | bright)
    at_edges = not (between & ~(_near(dark, few) & _near(bright, few))).any()
    return at_edges and (few or float(between.mean()) < MOST_BETWEEN)


def _highest(decoded: Decoded) -> int:
    return int(np.iinfo(decoded.levels.dtype).max) // decoded.step


def _is_noise(levels: list[int]) -> bool:
    """Whether there are two groups, each of several levels close together, as JPEG leaves them."""
    span = levels[-1] - levels[0]
    dark = [level for level in levels if level <= levels[0] + span // 16]
    bright = [level for level in levels if level >= levels[-1] - span // 16]
    return min(len(dark), len(bright)) > 1 and len(dark) + len(bright) == len(levels)


def _near(mask: Bool[np.ndarray, "h w"], few: bool) -> Bool[np.ndarray, "h w"]:
    """What is at most 2 pixels from a mask, or 8: so far does a block of JPEG reach."""
    side = 5 if few else 17
    return cv2.dilate(mask.astype(np.uint8), np.ones((side, side), np.uint8)) > 0


def _refuse_colours(colours: UInt[np.ndarray, "h w 3"], brightest: Values) -> None:
    """Two bright colours, such as red and green, or red on white, are two classes."""
    bright = brightest > int(brightest.max()) // 2
    hues = (colours > (brightest // 2)[:, :, None]) @ np.array([4, 2, 1])
    counts = np.bincount(hues[bright], minlength=8)
    if (counts > counts.sum() // 100).sum() > 1:
        names = [_colour(colours[bright & (hues == hue)]) for hue in np.argsort(-counts)[:3]]
        raise _several([name for name in names if name])


def _colour(pixels: UInt[np.ndarray, "n 3"]) -> str:
    if not len(pixels):
        return ""
    shown = np.median(pixels.astype(np.int64) >> 8 * (pixels.itemsize - 1), axis=0).astype(int)
    return "#" + "".join(f"{level:02x}" for level in shown)


def _several(levels: Iterable[int | str]) -> UnfitPictureError:
    if all(isinstance(level, int) for level in levels):
        todo = "Say with --classes which level is which type, as in --classes 1=crack,2=colour."
    else:
        todo = "Save one colour for the defect on black, or a picture of class numbers."
    return UnfitPictureError(
        f", a mask of several levels: {_listed([*levels])}",
        "two levels, of which the brighter marks the defect",
        todo,
    )


def _unmapped(levels: list[int]) -> UnfitPictureError:
    return UnfitPictureError(
        f", a mask with levels that --classes leaves out: {_listed(levels)}",
        "a type for each level but 0",
        f"Add them to --classes, with the type '{BACKGROUND}' for those that are no defect.",
    )


def _listed(levels: list[int | str] | list[int]) -> str:
    if len(levels) <= SHOWN:
        return ", ".join(map(str, levels))
    return f"{len(levels)} of them from {levels[0]} to {levels[-1]}, without sharp edges"
