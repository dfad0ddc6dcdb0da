"""One method in one space, run on a group of subjects."""

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

import torch
from jaxtyping import Float
from torch import Tensor

from blemish.editing.defective import DefectInverter
from blemish.evaluation.inversion.subjects import Subjects
from blemish.inversion.descent import Found
from blemish.inversion.invert import Inversion, judge, strangeness
from blemish.inversion.methods import InversionMethod, method_name
from blemish.inversion.model import Model
from blemish.types import Codes

OnProgress = Callable[[float], None]  # called with the number of finished subjects


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodTrial:
    """Result of one method on a group.

    Attributes:
        subjects: Subjects of the trial.
        inversions: Inversion of each subject.
        mask: Mask of the defect in the reconstruction; None without a search for defects.
        seconds: Time of the trial, in seconds.
    """

    subjects: Subjects
    inversions: list[Inversion]
    mask: Float[Tensor, "n 1 h w"] | None
    seconds: float

    def __len__(self) -> int:
        return len(self.inversions)

    @property
    def image(self) -> Float[Tensor, "n 3 h w"]:
        """Images that the codes generate."""
        return torch.cat([inversion.image for inversion in self.inversions])

    @property
    def codes(self) -> Codes:
        """Codes of all subjects."""
        return Codes.joined([inversion.codes for inversion in self.inversions])

    @property
    def psnr(self) -> list[float]:
        """PSNR in dB, of each subject."""
        return [inversion.psnr for inversion in self.inversions]

    def domain_scores(self, name: str) -> list[float]:
        """Distance or percentile of each subject; empty if the domain is unknown."""
        found = [inversion.domain_scores.get(name) for inversion in self.inversions]
        return [value for value in found if value is not None]

    @property
    def strangeness(self) -> list[float]:
        """Strangeness of each photograph; empty for generated samples, and if nobody knows."""
        found = [inversion.strangeness for inversion in self.inversions]
        return [value for value in found if value is not None]


def attempt(
    model: Model,
    method: InversionMethod,
    subjects: Subjects,
    *,
    seed: int = 0,
    batch: int = 8,
    inverter: DefectInverter | None = None,
    on_progress: OnProgress = lambda _: None,
) -> MethodTrial:
    """Run a method on a group.

    Args:
        model: Networks of a bundle.
        method: Inversion method with its space and options.
        subjects: Subjects, on the model's device.
        seed: Random seed of the search, the same for each subject.
        batch: Subjects per search batch; it changes only rounding.
        inverter: Inverter of defects for a bundle whose generator draws none.
        on_progress: Callback, called with the number of finished subjects.
    """
    began, inversions, masks = monotonic(), [], []
    strange = strangeness(model, subjects.pictures) or []
    for first in range(0, len(subjects), batch):
        target = subjects.image[first : first + batch]
        known = strange[first:][:batch] or None
        watch = _watch(on_progress, first, len(target))
        if subjects.defect and inverter is not None:
            here = inverter.find(target, method, seed=seed, strange=known, watch=watch)
            masks += [_mask_of(one) for one in here]
        else:
            rngs = [torch.Generator().manual_seed(seed) for _ in target]
            found = method.find(model, target, rngs=rngs, defect=subjects.defect, watch=watch)
            here = judge(model, target, found, method_name(method), known)
            masks += _masks(model, found) if subjects.defect else []
        inversions += here
        on_progress(first + len(target))
    return MethodTrial(
        subjects=subjects,
        inversions=inversions,
        mask=torch.cat(masks) if masks else None,
        seconds=monotonic() - began,
    )


@torch.no_grad()
def _masks(model: Model, found: Found) -> list[Tensor]:
    """Mask that was given to the branch, or that the branch has drawn."""
    return [found.mask if found.mask is not None else model.generator(found.codes).mask]


def _mask_of(inversion: Inversion) -> Float[Tensor, "1 1 h w"]:
    return torch.zeros_like(inversion.image[:, :1]) if inversion.mask is None else inversion.mask


def _watch(
    on_progress: OnProgress, first: int, size: int
) -> Callable[[float, object, object], None]:
    return lambda time, _terms, _image: on_progress(first + time * size)
