"""Curation: scores of a synthetic item, and reasons against its use.

Each item is judged alone, so that the result does not depend on other items; `duplicates` compares
items. Bounds come from real defects, except two that a real photograph cannot give because it has
no good twin: how much of the label visibly changed, and how much of the requested mask.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from jaxtyping import Bool, Float, UInt8

from blemish.checkpoint import Bundle
from blemish.data.colour import visible_change
from blemish.data.masks import silhouette
from blemish.models.critic import Critic
from blemish.models.projected import pretrained_features
from blemish.synthesis.curation.defect_features import (
    DefectFeatures,
    defect_features,
    shrunk,
    shrunk_mask,
)
from blemish.synthesis.curation.defect_stats import RealDefectStats, read_defect_stats

MOST_DRIFT = 0.25  # of the label and the visible change; more would teach a wrong outline
FAINT = 0.5  # of a defect's own maximum strength; weaker parts need not be visible
LEAST_MET = 0.3  # of the requested mask; less is another defect than requested


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """Scores by name, and reasons against the item; without reasons it is kept.

    The text before a reason's colon is its cause; reasons are counted by cause.
    """

    scores: dict[str, float]
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Curator:
    """Judge of synthetic items.

    Attributes:
        critic: Critic of images with masks, whose features are compared.
        stats: Bounds by type of defect.
    """

    critic: Critic
    stats: dict[str, RealDefectStats]

    @classmethod
    def of(cls, bundle: Bundle, device: str = "cpu") -> Self | None:
        """Curator of the bundle; None if the bundle is not calibrated."""
        stats = read_defect_stats(bundle)
        if not stats:
            return None
        return cls(critic=pretrained_features(device), stats=stats)

    def judge(
        self,
        kind: str,
        picture: UInt8[np.ndarray, "h w 3"],
        twin: UInt8[np.ndarray, "h w 3"],
        label: Bool[np.ndarray, "h w"],
        requested: Bool[np.ndarray, "h w"],
        strength: float | Float[np.ndarray, "h w"] = 1.0,
        part: Bool[np.ndarray, "p q"] | None = None,
    ) -> Judgement:
        """Judge an item.

        Args:
            kind: Type of the defect.
            picture: Image of the part with its defect.
            twin: Image of the part without it.
            label: Mask of the changed pixels.
            requested: Requested mask.
            strength: Requested strength, constant or per pixel. A weak defect may be fainter in
                proportion, and need not be visible where it is much weaker than elsewhere.
            part: Silhouette of the part at the size of `shrunk_size`; None finds it on the twin.
        """
        if not label.any() or kind not in self.stats:
            return Judgement(scores={}, reasons=() if label.any() else ("nothing changed",))
        stats = self.stats[kind]
        part = silhouette(shrunk(twin)) if part is None else part
        seen = defect_features(self.critic, picture, label, part)
        asked = np.broadcast_to(strength, label.shape)
        faint = asked < FAINT * asked[label].max()
        scores = {
            "drift": drift(picture, twin, label, faint),
            "met": float((label & requested).sum() / max(1, requested.sum())),
            "distance": stats.distance(seen),
            "likeness": stats.likeness(seen),
            "contrast": seen.contrast,
            "on_part": seen.on_part,
        }
        reasons = [
            *_of_label(scores),
            *_of_look(scores, seen, stats, float(asked[label].mean())),
        ]
        return Judgement(
            scores={name: round(value, 4) for name, value in scores.items()},
            reasons=tuple(reasons),
        )


def drift(
    picture: UInt8[np.ndarray, "h w 3"],
    twin: UInt8[np.ndarray, "h w 3"],
    label: Bool[np.ndarray, "h w"],
    faint: Bool[np.ndarray, "h w"] | None = None,
) -> float:
    """1 - IoU of the label and the visible change, without pixels that should be faint."""
    visible, marked = visible_change(shrunk(picture), shrunk(twin)), shrunk_mask(label)
    if faint is not None:
        marked &= visible | ~shrunk_mask(faint)
    union = (visible | marked).sum()
    return 1 - float((visible & marked).sum() / union) if union else 0.0


def _of_label(scores: dict[str, float]) -> list[str]:
    found = []
    if scores["drift"] > MOST_DRIFT:
        found.append(f"mask drift: {scores['drift']:.2f}, above {MOST_DRIFT}")
    if scores["met"] < LEAST_MET:
        found.append(f"mask not met: {scores['met']:.0%}, below {LEAST_MET:.0%}")
    return found


def _of_look(
    scores: dict[str, float], seen: DefectFeatures, stats: RealDefectStats, strength: float
) -> list[str]:
    bounds, faintest = stats.bounds, stats.bounds.contrast * strength
    found = []
    if seen.on_part < bounds.on_part:
        found.append(f"off the part: {seen.on_part:.0%} on it, below {bounds.on_part:.0%}")
    if seen.contrast < faintest:
        found.append(f"too faint: contrast {seen.contrast:.1f}, below {faintest:.1f}")
    if scores["distance"] > bounds.furthest:
        found.append(
            f"unlike real ones: distance {scores['distance']:.2f}, above {bounds.furthest:.2f}"
        )
    if scores["likeness"] < bounds.nearest:
        found.append(
            f"a training defect again: distance {scores['likeness']:.2f}, "
            f"below {bounds.nearest:.2f}"
        )
    return found
