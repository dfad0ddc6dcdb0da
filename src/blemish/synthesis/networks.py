"""Networks of a bundle beside those of the placement method, opened when they are first used."""

from functools import cached_property

import numpy as np
from jaxtyping import UInt8

from blemish.checkpoint import Bundle
from blemish.models.generator import Generator
from blemish.models.load import load_generator
from blemish.names import MaskKind
from blemish.recognition import Recognizer
from blemish.synthesis.masks.learned import MaskModel, load_masks
from blemish.synthesis.placement.drawn import SearchPlacement
from blemish.synthesis.placement.task import PlacementMethod
from blemish.synthesis.placement.window import WindowPlacement
from blemish.windows.paint import NETWORK, WindowModel, load_windows


class Networks:
    """What draws parts and masks, and what recognises the part.

    Args:
        bundle: Bundle of the networks; None where a method needs none.
        placement: Opened placement method, whose networks are not opened twice.
        device: Device to compute on.
    """

    def __init__(self, bundle: Bundle | None, placement: PlacementMethod, device: str) -> None:
        self.bundle, self.placement, self.device = bundle, placement, device
        self.foreign: dict[str, bool] = {}

    @cached_property
    def generator(self) -> Generator:
        """Generator of the bundle, which may draw parts as well."""
        if isinstance(self.placement, SearchPlacement):
            return self.placement.generator
        assert self.bundle is not None, "parts are drawn by a bundle"
        return load_generator(self.bundle, self.device)

    @cached_property
    def windows(self) -> WindowModel | None:
        """The bundle's window generator, if it has one."""
        if isinstance(self.placement, WindowPlacement):
            return self.placement.model
        if self.bundle is None or not self.bundle.has(NETWORK):
            return None
        return load_windows(self.bundle, self.device)

    @cached_property
    def masks(self) -> MaskModel:
        """The bundle's mask generator.

        Raises:
            BundleError: The bundle has none.
        """
        assert self.bundle is not None, "learned masks are drawn by a bundle"
        return load_masks(self.bundle)

    def masks_for(self, kind: MaskKind | None) -> MaskModel | None:
        """The mask generator if it draws masks of a kind; else None, and it is not loaded.

        Raises:
            BundleError: It is needed, and the bundle has none.
        """
        return self.masks if kind == "learned" else None

    @cached_property
    def recognizer(self) -> Recognizer | None:
        """Recognizer of the bundle's object, if the bundle has its statistics."""
        return None if self.bundle is None else Recognizer.of(self.bundle)

    def is_foreign(self, picture: UInt8[np.ndarray, "h w 3"], photograph: str) -> bool | None:
        """Whether a photograph shows something else than the part; None where nobody knows.

        Args:
            picture: The photograph.
            photograph: Its digest; the same one is judged once.
        """
        if self.recognizer is None:
            return None
        if photograph not in self.foreign:
            self.foreign[photograph] = self.recognizer.is_foreign(picture)
        return self.foreign[photograph]
