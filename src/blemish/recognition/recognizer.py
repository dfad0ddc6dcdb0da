"""Recognizer: says whether a photograph shows the object that a bundle was trained for."""

from functools import cached_property

import numpy as np
from jaxtyping import UInt8

from blemish.checkpoint import Bundle
from blemish.devices import one_thread
from blemish.pictures import fit_square, to_tensor
from blemish.recognition.embedding import SIDE, Embedder
from blemish.recognition.statistics import ObjectStatistics


class Recognizer:
    """Statistics of an object, with the network that embeds photographs.

    Args:
        statistics: Statistics of the object's photographs.
    """

    def __init__(self, statistics: ObjectStatistics) -> None:
        self.statistics = statistics

    @cached_property
    def embedder(self) -> Embedder:
        """The network, which is loaded when a photograph is first asked about."""
        return Embedder()

    @classmethod
    def of(cls, bundle: Bundle) -> "Recognizer | None":
        """Recognizer of a bundle's object; None if the bundle has no statistics of it.

        Raises:
            BundleError: The statistics are damaged.
        """
        known = bundle.statistics()
        statistics = ObjectStatistics.read(known)
        return None if statistics is None else cls(statistics)

    @one_thread()
    def strangeness(self, picture: UInt8[np.ndarray, "h w 3"]) -> float:
        """How far a photograph is from the object's own.

        Args:
            picture: Photograph of any size.

        Returns:
            About 0 for a usual photograph of the object; above 1, it shows something else.
        """
        images = to_tensor(fit_square(picture, SIDE))[None]
        return self.statistics.strangeness(self.embedder(images)).item()

    def is_foreign(self, picture: UInt8[np.ndarray, "h w 3"]) -> bool:
        """Whether a photograph shows something else than the object."""
        return self.strangeness(picture) > 1
