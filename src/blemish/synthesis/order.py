"""User's request: a defect on a photograph, under a mask; or several on one photograph."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

from blemish.data.folder import pictures_in
from blemish.data.masks import silhouette
from blemish.data.names import normal as normal_form
from blemish.decode import KNOWN
from blemish.errors import DataError, OptionError
from blemish.files import check_name, ensure_writable
from blemish.names import OffPart
from blemish.originals import Original, read_original
from blemish.pairs import read_mask_for
from blemish.pictures import note_oblong, refuse_small
from blemish.reading import current
from blemish.seeds import seed_of
from blemish.synthesis.masks import choose_real, draw_mask, place_mask
from blemish.synthesis.naming import plain_stem
from blemish.synthesis.options import SynthesisOptions

LEAST_ON_PART = 0.5
COMBINED = "combined"  # type of an item with defects of several types, as MVTec AD calls it


class Part:
    """Silhouette of the part on a photograph, computed once for each size.

    Args:
        picture: Photograph, upright.
    """

    def __init__(self, picture: UInt8[np.ndarray, "h w 3"]) -> None:
        self.picture = picture
        self._known: dict[tuple[int, int], Bool[np.ndarray, "_ _"]] = {}

    @property
    def mask(self) -> Bool[np.ndarray, "h w"]:
        """Silhouette at the photograph's size."""
        h, w = self.picture.shape[:2]
        return self.at((w, h))

    def at(self, size: tuple[int, int]) -> Bool[np.ndarray, "p q"]:
        """Silhouette at another size.

        Args:
            size: Width and height.
        """
        if size not in self._known:
            small = cv2.resize(self.picture, size, interpolation=cv2.INTER_AREA)
            self._known[size] = silhouette(small)
        return self._known[size]


@dataclass(frozen=True, kw_only=True)
class Order:
    """Request for a defect: the photograph of a good part, the mask and the type.

    Attributes:
        normal: File of the photograph.
        mask: File of the mask.
        kind: Type of the defect.
        original: Photograph as stored in its file.
        requested: Requested mask, upright.
        part: Silhouette of the part.
        strength: Fraction of the model's change to apply, in (0, 1].
        also: Further defects on the same photograph, each laid over the earlier ones.

    Raises:
        OptionError: The strength is out of range.
    """

    normal: Path
    mask: Path
    kind: str
    original: Original
    requested: Bool[np.ndarray, "h w"]
    part: Part
    strength: float = 1.0
    also: tuple["Order", ...] = ()

    def __post_init__(self) -> None:
        if not 0 < self.strength <= 1:
            raise OptionError(
                got=f"the strength {self.strength}",
                expected="more than 0 and at most 1 (the model's full change)",
                todo="Try 0.5 for a fainter defect.",
            )

    @property
    def picture(self) -> UInt8[np.ndarray, "h w 3"]:
        """The photograph, upright."""
        return self.original.picture

    @property
    def defects(self) -> "tuple[Order, ...]":
        """A request for each defect."""
        return (replace(self, also=()), *self.also)

    @property
    def item_kind(self) -> str:
        """Type of an item with all of them: theirs, or `COMBINED` if they differ."""
        return self.kind if {one.kind for one in self.also} <= {self.kind} else COMBINED

    @property
    def united(self) -> "Order":
        """The same request as if it were one defect, under the union of the masks."""
        if not self.also:
            return self
        marked = np.any([one.requested for one in self.defects], axis=0)
        return replace(self, requested=marked, also=())

    @cached_property
    def digest(self) -> str:
        """SHA-256 of everything that the result depends on, by content and not by file name."""
        own, levels = self.original, self.original.levels
        facts = (levels.shape, levels.dtype.name, own.orientation, len(own.profile))
        facts += () if own.fills_range else (own.white,)
        total = hashlib.sha256(f"{self.kind} {facts} {float(self.strength)}".encode())
        others = (one.digest.encode() for one in self.also)
        for content in (own.profile, levels.tobytes(), self.requested.tobytes(), *others):
            total.update(content)
        return total.hexdigest()


def read_order(
    normal: Path,
    mask: Path,
    kind: str,
    types: tuple[str, ...],
    off_part: OffPart | None = None,
    *,
    strength: float = 1.0,
) -> Order:
    """Read and check a request.

    How the mask lies on the photograph is decided in `pairs`.

    Args:
        normal: File of the photograph.
        mask: File of the mask.
        kind: Type of the defect.
        types: Types that the bundle knows.
        off_part: Cut off or refuse what is beside the part; None accepts the mask unchanged if at
            least half of it is on the part.
        strength: Fraction of the model's change to apply, in (0, 1].

    Raises:
        DataError: A file can't be read, the photograph is too small, the mask is empty, full, of
            another size, or off the part, or could lie in two ways.
        OptionError: The bundle does not know the type, or the strength is out of range.
    """
    kind = _known(kind, types)
    (order,) = _orders(normal, [mask], kind, off_part, strength)
    return order


def read_orders(
    normal: Path,
    masks: Path,
    kind: str,
    types: tuple[str, ...],
    off_part: OffPart | None = None,
    *,
    strength: float = 1.0,
) -> list[Order]:
    """Call `read_order` for a mask, or for each mask of a folder, by name.

    Raises:
        DataError: Same as in `read_order`, or the folder has no image.
    """
    kind = _known(kind, types)
    files = pictures_in(masks) if masks.is_dir() else [masks]
    if not files:
        raise DataError(
            got=f"{masks}, a folder without a mask",
            expected=f"{KNOWN} of a mask",
            todo="Give a mask, or a folder that has some.",
        )
    return _orders(normal, files, kind, off_part, strength)


def read_together(
    normal: Path,
    masks: Sequence[Path],
    kinds: Sequence[str],
    types: tuple[str, ...],
    off_part: OffPart | None = None,
    *,
    strength: float = 1.0,
) -> Order:
    """Read a request for several defects on one photograph.

    Args:
        normal: File of the photograph.
        masks: A mask for each type; or several for one type; or one whose classes are the types.
        kinds: Types of the defects, in the order in which they are laid.
        types: Types that the bundle knows.
        off_part: Same as in `read_order`.
        strength: Same as in `read_order`.

    Raises:
        DataError: Same as in `read_order`.
        OptionError: Same as in `read_order`, or masks and types don't fit each other.
    """
    _refuse_unpaired(masks, kinds)
    n = max(len(masks), len(kinds))
    pairs = [(masks[k % len(masks)], kinds[k % len(kinds)]) for k in range(n)]
    return together(
        [read_order(normal, mask, kind, types, off_part, strength=strength) for mask, kind in pairs]
    )


def together(orders: Sequence[Order]) -> Order:
    """One request for several defects on the same photograph, laid in this order."""
    first, *rest = orders
    shared = {"original": first.original, "part": first.part}
    return replace(first, also=tuple(replace(one, **shared) for one in rest))


def draw_order(
    normal: Path,
    plan: SynthesisOptions,
    kind: str,
    types: tuple[str, ...],
    *,
    seed: int,
    folder: Path,
    strength: float = 1.0,
) -> Order:
    """Request with a drawn mask, written to a folder under a name that depends on its content.

    The mask's file has the photograph's EXIF orientation.

    Args:
        normal: File of the photograph.
        plan: Options of the mask.
        kind: Type of the defect.
        types: Types that the bundle knows.
        seed: Random seed of the mask.
        folder: Folder for the mask, created if missing.
        strength: Fraction of the model's change to apply, in (0, 1].

    Raises:
        DataError: The photograph, or a real mask, can't be read or shows no part.
        OptionError: The bundle does not know the type, the part has no room for such a mask, or the
            strength is out of range.
    """
    return draw_together(normal, plan, [kind], types, seed=seed, folder=folder, strength=strength)


def draw_together(
    normal: Path,
    plan: SynthesisOptions,
    kinds: Sequence[str],
    types: tuple[str, ...],
    *,
    seed: int,
    folder: Path,
    strength: float = 1.0,
) -> Order:
    """Request for several defects on one photograph, with a drawn mask for each.

    The masks are written once all are drawn.

    Args:
        normal: Same as in `draw_order`.
        plan: Same as in `draw_order`.
        kinds: Types of the defects, in the order in which they are laid.
        types: Same as in `draw_order`.
        seed: Random seed of the first mask, from which those of the others follow.
        folder: Same as in `draw_order`.
        strength: Same as in `draw_order`.

    Raises:
        DataError: Same as in `draw_order`.
        OptionError: Same as in `draw_order`.
    """
    kinds = [_known(kind, types) for kind in kinds]
    original = _read_normal(normal)
    known = {"normal": normal, "original": original, "part": Part(original.picture)}
    drawn = [
        Order(
            mask=folder / f"{plain_stem(normal, None)}_{_mask_digest(original, mask)[:10]}.png",
            kind=kind,
            requested=mask,
            strength=strength,
            **known,
        )
        for number, kind in enumerate(kinds)
        for mask in [_drawn(plan, kind, known["part"], seed_of(seed, number))]
    ]
    ensure_writable(folder)
    for one in drawn:
        original.write_mask(one.mask, one.requested)
    return together(drawn)


def _drawn(plan: SynthesisOptions, kind: str, part: Part, seed: int) -> Bool[np.ndarray, "h w"]:
    rng = np.random.default_rng(seed)
    real = ()
    if plan.mask_kind == "real" and plan.real is not None:
        real = (choose_real(plan.real, kind, rng, first_third=plan.first_third),)
    return draw_mask(plan, part.mask, rng, real)


def _orders(
    normal: Path, masks: Sequence[Path], kind: str, off_part: OffPart | None, strength: float
) -> list[Order]:
    """One request per mask; the photograph is read once, and its part found once."""
    original = _read_normal(normal)
    known = {"normal": normal, "kind": kind, "original": original, "strength": strength}
    part, orders = Part(original.picture), []
    for mask in masks:
        requested = read_mask_for(original.header, mask, kind)
        _refuse_unfit(mask, requested, part)
        if off_part is not None:
            requested = place_mask(requested, part.mask, off_part, name=str(mask))
        orders.append(Order(mask=mask, requested=requested, part=part, **known))
    return orders


def _read_normal(path: Path) -> Original:
    original = read_original(path)
    refuse_small(path, original.picture)
    note_oblong(path, original.header.width, original.header.height)
    return original


def _mask_digest(original: Original, mask: Bool[np.ndarray, "h w"]) -> str:
    facts = f"{mask.shape} {original.orientation}".encode()
    return hashlib.sha256(facts + mask.tobytes()).hexdigest()


def _known(kind: str, types: tuple[str, ...]) -> str:
    """The bundle's type of this name, in whatever normal form the one or the other is."""
    found = next((known for known in types if normal_form(known) == normal_form(kind)), None)
    if found is None:
        raise OptionError(
            got=f"the defect type '{kind}'",
            expected=f"one of those that are known: {', '.join(types) or 'none'}",
            todo="Choose one with --defect, or another bundle or folder of real defects.",
        )
    return check_name(found, "the defect type", OptionError)


def _refuse_unpaired(masks: Sequence[Path], kinds: Sequence[str]) -> None:
    """Refuse several masks and types that don't say which type is where."""
    given = f"{len(masks)} mask(s) and {len(kinds)} type(s) of defects"
    if min(len(masks), len(kinds)) > 1 and len(masks) != len(kinds):
        raise OptionError(
            got=given,
            expected="as many masks as types, or one of either",
            todo="Repeat --mask and --defect in the same order, once for each defect.",
        )
    if len(masks) == 1 and len(kinds) > 1 and not current().kinds:
        raise OptionError(
            got=f"{given}, and nothing that says which level of {masks[0]} is which type",
            expected="--classes, or a mask for each type",
            todo="Add --classes, as in --classes 1=colour,2=crack.",
        )
    folder = next((mask for mask in masks if mask.is_dir()), None)
    if folder is not None:
        raise OptionError(
            got=f"{folder}, a folder of masks, for several defects on one photograph",
            expected="a file for each mask",
            todo="Name the files with --mask, once for each defect.",
        )


def _refuse_unfit(path: Path, requested: Bool[np.ndarray, "h w"], part: Part) -> None:
    if not requested.any() or requested.all():
        raise DataError(
            got=f"{path}, a mask with {'every' if requested.all() else 'no'} pixel marked",
            expected="a mask that is brighter where the defect should be",
            todo="Paint the place of the defect white and everything else black.",
        )
    on_part = (requested & part.mask).sum() / requested.sum()
    if on_part < LEAST_ON_PART:
        raise DataError(
            got=f"{path}, a mask with {on_part:.0%} of its area on the part",
            expected=f"at least {LEAST_ON_PART:.0%}",
            todo="Move the mask onto the part; Blemish draws no defects on the background.",
        )
