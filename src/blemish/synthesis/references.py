"""References from their names: from a bundle's statistics, or a folder of real defects."""

from functools import cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from blemish.checkpoint import Bundle
from blemish.data.folder import DefectFolder, load
from blemish.errors import OptionError
from blemish.generator.critic import Critic
from blemish.generator.projected import pretrained_features
from blemish.generator.restore import load_matching_critic, shape_of
from blemish.names import ReferenceName
from blemish.pictures import to_picture, to_tensor
from blemish.synthesis.defect import Reference
from blemish.synthesis.distilled import Distilled, distil
from blemish.synthesis.laying import Outline, best_laid, outline_of
from blemish.synthesis.stitched import Stitched, stitch_defect


class References:
    """References of one kind for any type of defect; their data is read once.

    Args:
        bundle: Bundle that makes the items.
        name: Name of the reference.
        real: Folder with real defects.
        first_third: Use only the first third of each type there, by name.
        device: Device to compute on.
    """

    def __init__(
        self,
        bundle: Bundle,
        name: ReferenceName,
        real: Path | None,
        *,
        first_third: bool = False,
        device: str = "cpu",
    ) -> None:
        self.bundle, self.name, self.folder, self.device = bundle, name, real, device
        self.first_third = first_third
        self.real, self.distilled = cache(self._load), cache(self._distil)
        self.outlines = cache(self._outlined)

    def prepare(self, kind: str) -> None:
        """Read the data of a type; see `Synthesizer.prepare`."""
        if self.name == "distil":
            self.distilled(kind)
        elif self.name == "stitch":
            self.outlines(kind)

    def choose(
        self,
        kind: str,
        photograph: Float[Tensor, "1 3 h w"],
        mask: Float[Tensor, "1 1 h w"],
        seed: int,
    ) -> Reference | None:
        """Reference for a defect under a mask."""
        if self.name == "none":
            return None
        if self.name == "distil":
            return self.distilled(kind)
        return self._stitched(kind, photograph, mask, seed)

    def _stitched(self, kind: str, photograph: Tensor, mask: Tensor, seed: int) -> Stitched:
        """One of the best-placed real defects, selected by the seed, and pasted."""
        pictures, masks = self.real(kind)
        picture, target = to_picture(photograph[0].cpu()), mask[0, 0].cpu().numpy() > 0.5
        k = best_laid(outline_of(picture, target), self.outlines(kind), seed)
        pasted = stitch_defect(picture, target, pictures[k], masks[k] > 0)
        return Stitched(to_tensor(pasted)[None].to(self.device))

    def _distil(self, kind: str) -> Distilled:
        critic = self._judge()
        if self.folder is not None:
            pictures, masks = self.real(kind)
            real = torch.from_numpy(masks).float()[:, None].to(self.device)
            return distil(critic, to_tensor(pictures).to(self.device), real)
        known = self.bundle.tensors("statistics") if self.bundle.has("statistics") else {}
        names = [f"distil.{kind}.mean", f"distil.{kind}.deviation"]
        if any(name not in known for name in names):
            raise self._no_real()
        return Distilled(critic, *(known[name].to(self.device) for name in names))

    def _judge(self) -> Critic:
        """The critic in whose features defects are compared: the bundle's, or pretrained ones."""
        if shape_of(self.bundle).defect is not None:
            return load_matching_critic(self.bundle, self.device)
        return pretrained_features(self.device)

    def _load(self, kind: str) -> tuple[np.ndarray, np.ndarray]:
        """Images and masks of real defects, without those with an empty mask."""
        if self.folder is None:
            raise self._no_real()
        side = shape_of(self.bundle).resolution
        found = DefectFolder(self.folder).defects_to_learn(kind, first_third=self.first_third)
        pictures, masks = load(found, side)
        marked = masks.any(axis=(1, 2))
        if not marked.any():
            raise OptionError(
                got=f"--real {self.folder}, which has no '{kind}'",
                expected=f"photographs under test/{kind}/ with masks under ground_truth/{kind}/",
                todo="Use a folder that has some.",
            )
        return pictures[marked], masks[marked]

    def _outlined(self, kind: str) -> list[Outline]:
        return [outline_of(p, m > 0) for p, m in zip(*self.real(kind), strict=True)]

    def _no_real(self) -> OptionError:
        return OptionError(
            got=f"--reference {self.name} without real defects to learn from",
            expected="--real DIR, a folder with photographs and masks of such defects",
            todo="Add --real, or use --reference none.",
        )
