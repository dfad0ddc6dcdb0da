"""Course of an inversion: its terms at every step, and a few of its images."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from blemish.inversion.search import Terms
from blemish.pictures import grid, to_picture
from blemish.tracking import panels


class Trajectory:
    """Recorder of a search; pass it as `watch`.

    Args:
        frames: Number of images to keep, evenly over the schedule, including the first and the
            last.
    """

    def __init__(self, *, frames: int = 8) -> None:
        assert frames >= 2, "the first and the last"
        self.frames = frames
        self.times: list[float] = []
        self.terms: dict[str, list[Float[Tensor, " n"]]] = {}
        self.drawings: list[UInt8[np.ndarray, "n h w 3"]] = []

    def __call__(self, time: float, terms: Terms, image: Float[Tensor, "n 3 h w"]) -> None:
        """Record a step; see `descent.Watch`."""
        self.times.append(time)
        for name, values in terms.items():
            self.terms.setdefault(name, []).append(values.cpu())
        if time == 1 or time >= len(self.drawings) / (self.frames - 1):
            self.drawings.append(to_picture(image.nan_to_num(-1)))

    def curves(self) -> dict[str, Float[Tensor, "steps n"]]:
        """Unweighted terms, a row for each step and one for the end."""
        return {name: torch.stack(values) for name, values in self.terms.items()}

    def strip(self) -> UInt8[np.ndarray, "H W 3"]:
        """Recorded images from first to last, a row for each item."""
        items = zip(*self.drawings, strict=True)
        return grid([picture for item in items for picture in item], len(self.drawings))

    def draw_curves(self, picture: Path) -> None:
        """Plot the terms, one panel each with a line for each item.

        Raises:
            OutputError: The file can't be written.
        """
        curves = self.curves()
        with panels(picture, [*curves], "fraction of the schedule") as axes:
            for axis, values in zip(axes, curves.values(), strict=True):
                axis.plot(self.times, values.numpy(), linewidth=1)
                if (values > 0).all():
                    axis.set_yscale("log")
