"""One method in one space, tried on a group of subjects."""

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

import torch
from jaxtyping import Float
from torch import Tensor

from blemish.evaluation.inversion.subjects import Subjects, joined
from blemish.inversion.descent import Found
from blemish.inversion.invert import Inversion, judge
from blemish.inversion.methods import Method, name_of
from blemish.inversion.model import Model
from blemish.types import Codes

Tell = Callable[[float], None]  # hears how many subjects are done, and parts of them


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What became of a group.

    Attributes:
        subjects: Who was tried.
        inversions: Of each of them.
        mask: Of the defect in what was drawn; None where none was looked for.
        seconds: That it took.
    """

    subjects: Subjects
    inversions: list[Inversion]
    mask: Float[Tensor, "n 1 h w"] | None
    seconds: float

    def __len__(self) -> int:
        return len(self.inversions)

    @property
    def image(self) -> Float[Tensor, "n 3 h w"]:
        """What the codes draw."""
        return torch.cat([inversion.image for inversion in self.inversions])

    @property
    def codes(self) -> Codes:
        """Of all subjects."""
        return joined([inversion.codes for inversion in self.inversions])

    @property
    def psnr(self) -> list[float]:
        """In dB, of each subject."""
        return [inversion.psnr for inversion in self.inversions]

    def standing(self, name: str) -> list[float]:
        """A distance or a percentile of each subject; none where the domain is not known."""
        found = [inversion.standing.get(name) for inversion in self.inversions]
        return [value for value in found if value is not None]

    @property
    def strangeness(self) -> list[float]:
        """Of each subject; none where there is no encoder."""
        found = [inversion.strangeness for inversion in self.inversions]
        return [value for value in found if value is not None]


def attempt(
    model: Model,
    how: Method,
    subjects: Subjects,
    *,
    seed: int = 0,
    batch: int = 8,
    tell: Tell = lambda _: None,
) -> Trial:
    """Try a method on a group.

    Args:
        model: A bundle's networks.
        how: The method with its space and options.
        subjects: On the model's device.
        seed: Of the search, the same for each subject.
        batch: Subjects that are searched for at a time; it changes nothing but rounding.
        tell: Hears how many are done.
    """
    began, inversions, masks = monotonic(), [], []
    for first in range(0, len(subjects), batch):
        target = subjects.image[first : first + batch]
        rngs = [torch.Generator().manual_seed(seed) for _ in target]
        watch = _watch(tell, first, len(target))
        found = how.find(model, target, rngs=rngs, defect=subjects.defect, watch=watch)
        inversions += judge(model, target, found, name_of(how))
        masks += _masks(model, found) if subjects.defect else []
        tell(first + len(target))
    return Trial(
        subjects=subjects,
        inversions=inversions,
        mask=torch.cat(masks) if masks else None,
        seconds=monotonic() - began,
    )


@torch.no_grad()
def _masks(model: Model, found: Found) -> list[Tensor]:
    """The mask that was handed over, or that the branch has drawn."""
    return [found.mask if found.mask is not None else model.generator(found.codes).mask]


def _watch(tell: Tell, first: int, size: int) -> Callable[[float, object, object], None]:
    return lambda time, _terms, _image: tell(first + time * size)
