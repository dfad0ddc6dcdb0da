"""Looks of real defects, changed and laid on a photograph as `blemish edit defect` does."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from blemish.checkpoint import Bundle
from blemish.data.closeup import close_up
from blemish.data.folder import DefectFolder, Photograph
from blemish.devices import one_thread
from blemish.documents import limit
from blemish.editing.directions import direction_named
from blemish.editing.fill import greyed
from blemish.editing.lookfile import read_looks
from blemish.editing.looks import between, place_look, scaled
from blemish.editing.saved_looks import save_looks
from blemish.errors import DataError, OptionError
from blemish.models.window_generator import GOOD
from blemish.pictures import read_picture
from blemish.studio.editor import Move
from blemish.studio.painted import PaintedMask
from blemish.studio.photographs import Opened
from blemish.studio.views import THUMBNAIL, changed_crop, jpeg
from blemish.types import Codes
from blemish.windows.codes import ENCODER, LookReader, codes_like
from blemish.windows.paint import WindowModel, load_windows

LARGEST = 10  # factor of a mask's size
MOST_MOVES = 16


@dataclass(frozen=True, kw_only=True)
class LookEdit:
    """Defect with the look of a real one, laid on a photograph.

    Attributes:
        bundle: Name of the bundle.
        type: Type of the defect.
        mask: Its place.
        like: Number of the real defect among those of the type.
        to: Number of a second real defect; None for none.
        time: Place between both looks, from 0 to 1.
        moves: Moves of the look along directions.
        size: Factor of the mask's size.
        seed: Random seed of the drawing's noise.
    """

    bundle: str
    type: str
    mask: PaintedMask
    like: int = 0
    to: int | None = None
    time: float = 0
    moves: tuple[Move, ...] = ()
    size: float = 1
    seed: int = 0

    def __post_init__(self) -> None:
        limit({"the time": (self.time, 0, 1), "the size": (self.size, 0.01, LARGEST)})
        limit({"the seed": (self.seed, 0, 2**31 - 1)})
        limit({"the number of moves": (len(self.moves), 0, MOST_MOVES)})

    @property
    def step(self) -> dict[str, Any]:
        """What is changed, as `blemish edit defect` writes it where it is one thing."""
        size, time = {"size": float(self.size)}, {"time": float(self.time)}
        moves = {move.direction: float(move.distance) for move in self.moves}
        if self.to is None and not moves:
            return size
        if self.size != 1 or len(moves) + (self.to is not None) > 1:
            return {**size, **time, "moves": moves}
        return time if self.to is not None else {"distance": next(iter(moves.values()))}


@dataclass(frozen=True)
class DrawnLook:
    """A photograph with a defect.

    Attributes:
        picture: The photograph with the defect.
        codes: Codes of the defect.
        place: Mask that was asked for.
    """

    picture: UInt8[np.ndarray, "h w 3"]
    codes: Codes
    place: Bool[np.ndarray, "h w"]


class LookEditor:
    """Windows of a bundle, ready to lay looks of real defects.

    Args:
        bundle: The bundle.
        real: Folder of real defects.
        device: Device to compute on.

    Raises:
        BundleError: The bundle has no windows, or can't read looks.
    """

    def __init__(self, bundle: Bundle, real: Path, device: str) -> None:
        self.bundle, self.real = bundle, real
        self.model: WindowModel = load_windows(bundle, device)
        self.reader = LookReader(bundle, self.model)
        self.known: dict[Path, Float[Tensor, "n z"]] = {}

    @cached_property
    def folder(self) -> DefectFolder:
        """The real defects."""
        return DefectFolder(self.real)

    def about(self) -> dict[str, Any]:
        """Types with their directions and the names of their real defects."""
        types = [kind for kind in self.model.types if kind != GOOD]
        found = {kind: self._about(kind) for kind in types}
        return {kind: about for kind, about in found.items() if about["like"]}

    def closeup(self, kind: str, number: int) -> bytes:
        """A real defect as a JPEG."""
        one = self._real(kind, number)
        return jpeg(close_up(read_picture(one.path), one.read_mask(), THUMBNAIL)[0], 88)

    @one_thread()
    def draw(self, opened: Opened, wish: LookEdit) -> DrawnLook:
        """A photograph with the defect.

        Raises:
            UserError: The mask is empty, or the type, a real defect or a direction is unknown.
        """
        place = wish.mask.mask(*opened.size)
        if not place.any():
            raise DataError(
                got="no mask", expected="a mask for the defect", todo="Paint one on the photograph."
            )
        where = place if wish.size == 1 else scaled(place, wish.size)
        codes = codes_like(self.model, self._look(wish), wish.type, where)
        picture = place_look(self.model, opened.original.picture, where, codes, wish.seed)
        picture = greyed(picture) if opened.original.grey else picture
        return DrawnLook(picture, codes, place)

    def show(self, opened: Opened, wish: LookEdit) -> dict[str, Any]:
        """What the page shows of it."""
        found, before = self.draw(opened, wish), opened.original.picture
        return changed_crop(before, found.picture, (found.picture != before).any(axis=2))

    def save(self, opened: Opened, wish: LookEdit, out: Path) -> dict[str, Any]:
        """Write it into a new folder as the command line does; returns the figures."""
        found = self.draw(opened, wish)
        drawn, codes, steps = [found.picture], [found.codes], [wish.step]
        return save_looks(out, opened.original, drawn, codes, found.place, steps, self.bundle)

    def _look(self, wish: LookEdit) -> Float[Tensor, "n z"]:
        look = self._latents(wish.type, wish.like)
        if wish.to is not None:
            look = between(look, self._latents(wish.type, wish.to), wish.time)
        directions = read_looks(self.bundle, wish.type)
        for move in wish.moves:
            direction = direction_named(move.direction, directions, self.bundle)
            look = look + move.distance * direction.vector
        return look

    def _latents(self, kind: str, number: int) -> Float[Tensor, "n z"]:
        one = self._real(kind, number)
        if one.path not in self.known:
            self.known[one.path] = self.reader.latents(read_picture(one.path), one.read_mask())
        return self.known[one.path]

    def _real(self, kind: str, number: int) -> Photograph:
        found = self._reals(kind)
        if not 0 <= number < len(found):
            raise OptionError(
                got=f"the real defect {number} of the type '{kind[:40]}'",
                expected="one of the real defects of the studio's folder",
                todo="Reload the page.",
            )
        return found[number]

    def _reals(self, kind: str) -> list[Photograph]:
        if kind not in self.model.types:
            return []
        return [one for one in self.folder.defects(kind) if one.mask_path is not None]

    def _about(self, kind: str) -> dict[str, Any]:
        names = [one.path.name for one in self._reals(kind)]
        return {"directions": [*read_looks(self.bundle, kind)], "like": names}


def can_read_looks(bundle: Bundle) -> bool:
    """Whether a bundle has what `LookEditor` needs."""
    return bundle.has(ENCODER)
