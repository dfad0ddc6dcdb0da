"""User's request: a defect on a photograph, under a mask."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

from blemish.data.folder import pictures_in
from blemish.data.masks import silhouette
from blemish.data.names import normal as normal_form
from blemish.decode import KNOWN
from blemish.errors import DataError, OptionError
from blemish.files import check_name, ensure_writable
from blemish.masks.model import MaskModel
from blemish.names import OffPart
from blemish.originals import Original, read_original
from blemish.pairs import read_mask_for
from blemish.pictures import note_oblong, refuse_small
from blemish.synthesis.masks import choose_real, draw_mask, learned_mask, place_mask
from blemish.synthesis.naming import plain_stem
from blemish.synthesis.options import SynthesisOptions

LEAST_ON_PART = 0.5


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

    @cached_property
    def digest(self) -> str:
        """SHA-256 of everything that the result depends on, by content and not by file name."""
        own, levels = self.original, self.original.levels
        facts = (levels.shape, levels.dtype.name, own.orientation, len(own.profile))
        facts += () if own.fills_range else (own.white,)
        total = hashlib.sha256(f"{self.kind} {facts} {float(self.strength)}".encode())
        for content in (own.profile, levels.tobytes(), self.requested.tobytes()):
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


def draw_order(
    normal: Path,
    plan: SynthesisOptions,
    kind: str,
    types: tuple[str, ...],
    *,
    seed: int,
    folder: Path,
    strength: float = 1.0,
    learned: MaskModel | None = None,
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
        learned: Mask generator, for masks of the kind learned.

    Raises:
        BundleError: The mask generator has not learnt the type.
        DataError: The photograph, or a real mask, can't be read or shows no part.
        OptionError: The bundle does not know the type, the part has no room for such a mask, or the
            strength is out of range.
    """
    kind = _known(kind, types)
    original = _read_normal(normal)
    part = Part(original.picture)
    mask = drawn_on(part, plan, kind, seed, learned)
    order = Order(
        normal=normal,
        mask=folder / f"{plain_stem(normal, None)}_{_mask_digest(original, mask)[:10]}.png",
        kind=kind,
        original=original,
        requested=mask,
        part=part,
        strength=strength,
    )
    ensure_writable(folder)
    original.write_mask(order.mask, mask)
    return order


def order_on(
    original: Original,
    requested: Bool[np.ndarray, "h w"],
    kind: str,
    types: tuple[str, ...],
    off_part: OffPart | None = None,
    *,
    strength: float = 1.0,
    normal: Path,
    mask: Path,
) -> Order:
    """Check a request in memory.

    Args:
        original: Photograph of the good part.
        requested: Mask, upright.
        kind: Type of the defect.
        types: Types that the bundle knows.
        off_part: Treatment of what is beside the part; see `read_order`.
        strength: Fraction of the model's change to apply, in (0, 1].
        normal: Name of the photograph.
        mask: Name of the mask.

    Raises:
        DataError: The photograph is too small, the mask is empty, full or off the part.
        OptionError: The bundle does not know the type, or the strength is out of range.
    """
    _refuse_unseen(normal, original)
    return _on_part(
        Part(original.picture),
        requested,
        off_part,
        normal=normal,
        mask=mask,
        kind=_known(kind, types),
        original=original,
        strength=strength,
    )


def drawn_on(
    part: Part, plan: SynthesisOptions, kind: str, seed: int, learned: MaskModel | None = None
) -> Bool[np.ndarray, "h w"]:
    """Draw a mask of the plan's kind on a part.

    Args:
        part: The part.
        plan: Options of the mask.
        kind: Type of the defect.
        seed: Random seed.
        learned: Mask generator, for masks of the kind learned.

    Raises:
        DataError: A real mask can't be read, or the photograph shows no part.
        OptionError: The part has no room for such a mask.
    """
    if plan.mask_kind == "learned":
        assert learned is not None, "a mask generator draws it"
        return learned_mask(learned, part.picture, kind, seed, plan.off_part)
    rng, real = np.random.default_rng(seed), ()
    if plan.mask_kind == "real" and plan.real is not None:
        real = (choose_real(plan.real, kind, rng, first_third=plan.first_third),)
    return draw_mask(plan, part.mask, rng, real)


def _orders(
    normal: Path, masks: Sequence[Path], kind: str, off_part: OffPart | None, strength: float
) -> list[Order]:
    """One request per mask; the photograph is read once, and its part found once."""
    original = _read_normal(normal)
    known = {"normal": normal, "kind": kind, "original": original, "strength": strength}
    part = Part(original.picture)
    return [
        _on_part(part, read_mask_for(original.header, mask, kind), off_part, mask=mask, **known)
        for mask in masks
    ]


def _on_part(
    part: Part, requested: Bool[np.ndarray, "h w"], off_part: OffPart | None, **known: Any
) -> Order:
    _refuse_unfit(known["mask"], requested, part)
    if off_part is not None:
        requested = place_mask(requested, part.mask, off_part, name=str(known["mask"]))
    return Order(requested=requested, part=part, **known)


def _read_normal(path: Path) -> Original:
    original = read_original(path)
    _refuse_unseen(path, original)
    return original


def _refuse_unseen(path: Path, original: Original) -> None:
    """Refuse a photograph that is too small; note one that the model sees squeezed."""
    refuse_small(path, original.picture)
    note_oblong(path, original.header.width, original.header.height)


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
