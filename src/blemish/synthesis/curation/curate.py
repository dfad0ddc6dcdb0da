"""Curation: what a made item is worth, and why it should not be used.

Everything is judged on the one item, so that it does not depend on what it is made beside; whether
it is the same as another is asked elsewhere (`duplicates`). Bounds come from real defects, but for
two that no real photograph can tell, as it has no good twin: how much of the label is seen to have
changed, and how much of what was asked for.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from jaxtyping import Bool, Float, UInt8

from blemish.checkpoint import Bundle
from blemish.data.colour import NOTICEABLE, lab
from blemish.data.masks import silhouette
from blemish.generator.critic import Critic
from blemish.generator.restore import load_matching_critic, shape_of
from blemish.synthesis.curation.sightings import Sighting, shrunk, shrunk_mask, sight
from blemish.synthesis.curation.yardstick import Yardstick, read_yardsticks

MOST_DRIFT = 0.25  # of the label and what is seen to change: it would teach a wrong outline
FAINT = 0.5  # of a defect's own greatest strength: what is meant to fade away need not be seen
LEAST_MET = 0.3  # of the mask that was asked for: another defect than was ordered


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """Scores by name, and reasons against the item; none means that it is kept.

    What stands before a reason's colon is its cause, by which reasons are counted.
    """

    scores: dict[str, float]
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Curator:
    """Judges made items.

    Attributes:
        critic: Of images with masks.
        side: Of the squares that it knows.
        yardsticks: By type of defect.
    """

    critic: Critic
    side: int
    yardsticks: dict[str, Yardstick]

    @classmethod
    def of(cls, bundle: Bundle, device: str = "cpu") -> Self | None:
        """The bundle's; None where it has not been calibrated."""
        yardsticks = read_yardsticks(bundle)
        if not yardsticks:
            return None
        critic = load_matching_critic(bundle, device)
        return cls(critic=critic, side=shape_of(bundle).resolution, yardsticks=yardsticks)

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
            picture: The part with its defect.
            twin: The part without.
            label: The mask that goes along.
            requested: The mask that was asked for.
            strength: That was asked for, all over or at each pixel; a weak defect may be faint in
                proportion, and need not be seen where it is far weaker than elsewhere.
            part: The part's silhouette at the size of `shrunk_size`; None finds it on the twin.
        """
        if not label.any() or kind not in self.yardsticks:
            return Judgement(scores={}, reasons=() if label.any() else ("nothing changed",))
        yardstick = self.yardsticks[kind]
        part = silhouette(shrunk(twin)) if part is None else part
        seen = sight(self.critic, self.side, picture, label, part)
        asked = np.broadcast_to(strength, label.shape)
        faint = asked < FAINT * asked[label].max()
        scores = {
            "drift": drift(picture, twin, label, faint),
            "met": float((label & requested).sum() / max(1, requested.sum())),
            "verdict": seen.verdict,
            "distance": yardstick.distance(seen),
            "likeness": yardstick.likeness(seen),
            "contrast": seen.contrast,
            "on_part": seen.on_part,
        }
        reasons = [
            *_of_label(scores),
            *_of_look(scores, seen, yardstick, float(asked[label].mean())),
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
    """1 - IoU of the label with what is seen to have changed, but for what is meant to be faint."""
    far = np.linalg.norm(lab(shrunk(picture)) - lab(shrunk(twin)), axis=2)
    visible, marked = far > NOTICEABLE, shrunk_mask(label)
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
    scores: dict[str, float], seen: Sighting, yardstick: Yardstick, strength: float
) -> list[str]:
    bounds, faintest = yardstick.bounds, yardstick.bounds.contrast * strength
    found = []
    if seen.on_part < bounds.on_part:
        found.append(f"off the part: {seen.on_part:.0%} on it, below {bounds.on_part:.0%}")
    if seen.contrast < faintest:
        found.append(f"too faint: contrast {seen.contrast:.1f}, below {faintest:.1f}")
    if seen.verdict < bounds.verdict:
        found.append(f"not real to the critic: {seen.verdict:.2f}, below {bounds.verdict:.2f}")
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
