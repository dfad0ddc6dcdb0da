"""Question 3: do the codes of photographs support editing, using the generator's knowledge?

There are four trials on inverted photographs of good parts. A defect is *moved*: the defect code
of an own sample is added to the photograph's, and only the pixels inside the sample's mask should
change. Codes of two photographs are *mixed* half and half, which should look as real as the
generator's own samples. And a defect *grows* along the line from the mean of all defect codes to
the sample's own: its area, or under a given mask its strength, should never decrease. If the bundle
knows directions, codes are *moved along* them (`moving`).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from blemish.editing.directions import Direction
from blemish.editing.interpolate import blend
from blemish.evaluation.figures import middle, monotone, percentiles, share
from blemish.evaluation.inversion.moving import DrawEdit, moving, plain_draw
from blemish.evaluation.inversion.subjects import OWN_SEEDS, Subjects
from blemish.evaluation.metrics import mask_iou
from blemish.inversion.invert import domain_percentiles
from blemish.inversion.model import Model
from blemish.inversion.space import w_defect_statistics
from blemish.models.critic import Critic
from blemish.models.mixing import fresh_rows
from blemish.types import Codes, Sample

VISIBLE = 6 / 127.5  # levels of a channel that are visible
GROWTH_STEPS = 6
FRESH = 200
BATCH = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class EditReference:
    """Reference for edits, computed once for all methods.

    Attributes:
        model: Networks of a bundle.
        donors: Own samples with defects, whose codes are moved; None without any.
        logits: Critic's scores of fresh samples of the generator.
        centre: Mean of all defect codes; None without donors.
        directions: Directions of the bundle's codes.
    """

    model: Model
    donors: Subjects | None
    logits: Float[Tensor, " m"]
    centre: Float[Tensor, " d"] | None
    directions: tuple[Direction, ...] = ()

    @classmethod
    @torch.no_grad()
    def of(
        cls,
        model: Model,
        donors: Subjects | None,
        *,
        seed: int = 0,
        fresh: int = FRESH,
        directions: tuple[Direction, ...] = (),
    ) -> "EditReference":
        """Generate fresh samples and score them."""
        rng = torch.Generator().manual_seed(seed + OWN_SEEDS - 1)
        rows = fresh_rows(model.generator, fresh, rng).split(BATCH)
        judged = [verdicts(model.critic, model.generator(Codes(w=w)).image) for w in rows]
        centre = None if donors is None else w_defect_statistics(model.generator).mean
        return cls(
            model=model,
            donors=donors,
            logits=torch.cat(judged),
            centre=centre,
            directions=directions,
        )


def verdicts(critic: Critic, image: Float[Tensor, "n 3 h w"]) -> Float[Tensor, " n"]:
    """Critic's logits for each image alone, because it compares the images of a batch."""
    return torch.cat([critic(one) for one in image.split(1)])


@torch.no_grad()
def editing(codes: Codes, reference: EditReference, draw: DrawEdit | None = None) -> dict[str, Any]:
    """Question 3 for the codes of photographs of good parts.

    Args:
        codes: Their codes.
        reference: What edits are compared with.
        draw: Pictures of edited codes; by default those of the codes alone.
    """
    draw = plain_draw(reference.model.generator) if draw is None else draw
    found = _mixed(codes, reference, draw)
    found |= moving(codes, draw, reference.directions)
    if reference.donors is None:
        return found
    return found | _moved(codes, reference) | _grown(codes, reference)


def _mixed(codes: Codes, reference: EditReference, draw: DrawEdit) -> dict[str, Any]:
    """Midpoints between neighbours."""
    model = reference.model
    neighbours = [(codes[k : k + 1], codes[k + 1 : k + 2]) for k in range(len(codes) - 1)]
    if not neighbours:
        return {"pairs": 0, "midpoint_realism": None, "midpoint_percentile": None}
    logits, found_percentiles = [], []
    for k, (a, b) in enumerate(neighbours):
        half = replace(blend(a, b, 0.5), noise=None)
        logits.append(verdicts(model.critic, (draw(k, half) + draw(k + 1, half)) / 2))
        domain_scores = domain_percentiles(model, half)
        found_percentiles += [] if domain_scores is None else domain_scores.percentile.tolist()
    return {
        "pairs": len(neighbours),
        "midpoint_realism": middle(percentiles(torch.cat(logits), reference.logits)),
        "midpoint_percentile": middle(found_percentiles),
    }


def _moved(codes: Codes, reference: EditReference) -> dict[str, Any]:
    """Defect codes of own samples on photographs."""
    met, beyond = [], []
    for batch in _pairs(codes, reference):
        defective, twin = batch.draw(1.0), batch.twin()
        change = (defective.image - twin).abs()
        seen = change.amax(dim=1, keepdim=True).gt(VISIBLE).float()
        met += mask_iou(seen, batch.mask).tolist()
        outside = 1 - batch.mask
        total = (change.mean(dim=1, keepdim=True) * outside).sum(dim=(1, 2, 3))
        beyond += (total / outside.sum(dim=(1, 2, 3)).clamp(min=1)).tolist()
    return {"moved": len(met), "moved_iou": middle(met), "changed_outside": middle(beyond)}


def _grown(codes: Codes, reference: EditReference) -> dict[str, Any]:
    """Steps along the line to a defect's code."""
    courses = []
    for batch in _pairs(codes, reference):
        twin = batch.twin()
        along = torch.linspace(0, 1, GROWTH_STEPS).tolist()
        courses.append(torch.stack([batch.size(batch.draw(t), twin) for t in along], dim=1))
    defect = reference.model.generator.config.defect
    assert defect is not None
    return {
        "growth_of": "strength in the given mask" if defect.takes_mask else "mask area",
        "share_monotone": share(monotone(torch.cat(courses)).tolist()),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pairs:
    """Photographs' codes, and a defect for each."""

    model: Model
    codes: Codes
    w_defect: Float[Tensor, "n defect_layers d"]
    mask: Float[Tensor, "n 1 h w"]
    centre: Float[Tensor, " d"]

    @property
    def takes_mask(self) -> bool:
        defect = self.model.generator.config.defect
        return defect is not None and defect.takes_mask

    def twin(self) -> Float[Tensor, "n 3 h w"]:
        return self.model.generator(self.codes).image

    def draw(self, time: float) -> Sample:
        """Images with the defect, at a time in [0, 1] on the line from the mean defect code."""
        rows = self.centre.lerp(self.w_defect, time)
        given = self.mask if self.takes_mask else None
        return self.model.generator(replace(self.codes, w_defect=rows), mask=given)

    def size(self, sample: Sample, twin: Float[Tensor, "n 3 h w"]) -> Float[Tensor, " n"]:
        """Area of the mask; for a given mask, which is constant, the mean change inside."""
        if not self.takes_mask:
            return sample.mask.mean(dim=(1, 2, 3))
        change = (sample.image - twin).abs().mean(dim=1, keepdim=True) * self.mask
        return change.sum(dim=(1, 2, 3)) / self.mask.sum(dim=(1, 2, 3)).clamp(min=1)


def _pairs(codes: Codes, reference: EditReference) -> Iterator[_Pairs]:
    """Each photograph with the next donor, starting again after the last one."""
    donors = reference.donors
    assert donors is not None and donors.codes is not None and donors.mask is not None
    assert donors.codes.w_defect is not None and reference.centre is not None
    for here in torch.arange(len(codes), device=codes.w.device).split(BATCH):
        chosen = here % len(donors)
        noise = {name: map[here] for name, map in (codes.noise or {}).items()}
        yield _Pairs(
            model=reference.model,
            codes=Codes(
                w=codes.w[here],
                features=None if codes.features is None else codes.features[here],
                noise=noise or None,
                space=codes.space,
            ),
            w_defect=donors.codes.w_defect[chosen],
            mask=donors.mask[chosen],
            centre=reference.centre,
        )
