"""Detector of defects that says whether a repair still shows one (after PatchCore; Roth, 2022).

The detector knows features of EfficientNet-Lite0 at strides 8 and 16 of photographs in train/good.
The score of a place is the distance of its features to the nearest ones that it knows.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from blemish.data.shadow import unshadowed_silhouette
from blemish.efficientnet import load_lite0
from blemish.pictures import fit_square, to_tensor

SIDE = 256
STRIDES = (8, 16)
KEPT = 8000  # features that the detector knows
Picture = UInt8[np.ndarray, "_h _w 3"]


@dataclass(frozen=True)
class PatchDetector:
    """Features of good photographs.

    Attributes:
        known: A row for each place that is known.
        usual: Median score of held-out good photographs, on the part.
    """

    known: Float[Tensor, "k c"]
    usual: float = 0.0

    @classmethod
    def of(cls, good: Iterable[Picture], held_out: Iterable[Picture]) -> Self:
        """Learn good photographs."""
        every = torch.cat([_features(picture).flatten(1).T for picture in good])
        some = torch.randperm(len(every), generator=torch.Generator().manual_seed(0))[:KEPT]
        found = cls(known=every[some])
        scores = [found._on_part(picture) for picture in held_out]
        return cls(found.known, float(np.median(np.concatenate(scores))))

    def scores(self, picture: Picture) -> Float[np.ndarray, "s s"]:
        """Score of each place of a picture."""
        features = _features(picture)
        far = torch.cdist(features.flatten(1).T, self.known).amin(dim=1)
        return far.view(features.shape[1:]).numpy()

    def inside(self, picture: Picture, mask: Bool[np.ndarray, "_h _w"]) -> float:
        """Mean score inside a mask, above the usual score of good parts."""
        return float(self._under(picture, mask).mean()) - self.usual

    def _on_part(self, picture: Picture) -> Float[np.ndarray, " k"]:
        return self._under(picture, unshadowed_silhouette(picture))

    def _under(self, picture: Picture, mask: Bool[np.ndarray, "_h _w"]) -> Float[np.ndarray, " k"]:
        return cv2.resize(self.scores(picture), mask.shape[::-1])[mask]


@torch.no_grad()
def _features(picture: Picture) -> Float[Tensor, "c s s"]:
    maps = load_lite0()(to_tensor(fit_square(picture, SIDE))[None]).values()
    chosen = [one for one in maps if SIDE // one.shape[-1] in STRIDES]
    side = SIDE // STRIDES[0]
    means = [F.avg_pool2d(one, 3, stride=1, padding=1) for one in chosen]
    scaled = [F.interpolate(one / one.std(), size=(side, side), mode="bilinear") for one in means]
    return torch.cat(scaled, dim=1)[0]
