r"""The yardstick of curation: real defects, and the bounds that held-out real ones set.

The features of the defects that a bundle has learnt from are kept, with bounds for each type. They
are set by defects that it has not learnt from; where it has learnt from all, each photograph is
held against the others. A dozen defects have no percentiles worth the name, so a bound is the
prediction limit of a normal distribution, beyond which the next real defect's score lies with a
chance of 1 in 100,

    \bar x \pm t_{n-1, 0.99} \; s \sqrt{1 + 1/n},

wide where few are known. A copy must besides be nearer than half of what any two real ones keep.
Distances and contrasts are taken by their logarithms.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from math import exp, log
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from scipy.special import stdtrit
from torch import Tensor

from blemish.checkpoint import Bundle
from blemish.data.folder import DefectFolder, Photograph
from blemish.data.masks import components, silhouette
from blemish.errors import DataError
from blemish.generator.critic import Critic
from blemish.generator.restore import load_matching_critic, shape_of
from blemish.pictures import read_mask, read_picture
from blemish.synthesis.curation.sightings import Sighting, shrunk, sight

PREFIX = "curation."
PARTS = ("features", "inside", "bounds", "held_out")
CONFIDENCE = 0.99
UNKNOWN = 50.0  # a limit so wide that none is met
FURTHEST = 6e4  # what half precision, in which bundles are sent, still holds
MOST_ON_PART = 0.9
LEAST_SHARE = 5e-4  # of a photograph; smaller pieces of a mask are specks


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What an item's scores must keep to.

    Attributes:
        verdict: At least.
        nearest: Distance to the nearest real defect, of the inside alone, at least.
        furthest: Distance to the nearest real defect, where it is, at most.
        contrast: At least, at full strength.
        on_part: At least.
    """

    verdict: float
    nearest: float
    furthest: float
    contrast: float
    on_part: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Yardstick:
    """Of one type of defect.

    Attributes:
        features: Of the real defects that were learnt from, where they are.
        inside: Of their insides alone.
        bounds: Set by `held_out` defects.
        held_out: So many that had not been learnt from; 0 where each was held against the rest.
    """

    features: Float[Tensor, "d s"]
    inside: Float[Tensor, "d s"]
    bounds: Bounds
    held_out: int

    def distance(self, sighting: Sighting) -> float:
        """To the nearest real defect, as `_nearest` measures."""
        return _nearest(sighting.features, self.features, _deviation(self.features))

    def likeness(self, sighting: Sighting) -> float:
        """Distance of the inside alone; 0 for a copy, wherever it is."""
        return _nearest(sighting.inside, self.inside, _deviation(self.inside))


def learn_curation(
    bundle: Bundle,
    folder: DefectFolder,
    *,
    device: str = "cpu",
    everything: bool = False,
    tell: Callable[[int], None] = lambda _: None,
) -> None:
    """Learn what real defects look like to the bundle, and keep it in its statistics.

    Args:
        bundle: With a matching critic.
        folder: Photographs of the types that it knows, with masks.
        device: To work on.
        everything: It has learnt from all of them, not from the first third by name.
        tell: Called with the number of photographs so far.

    Raises:
        DataError: A type has no photograph, or one can't be read or has no mask of its size.
    """
    critic, shape = load_matching_critic(bundle, device), shape_of(bundle)
    found, done = {}, 0
    for kind in shape.defect.types if shape.defect else ():
        photographs = folder.defects(kind)
        sightings = []
        for photograph in photographs:
            sightings.append(_look(critic, shape.resolution, photograph))
            tell(done := done + 1)
        known = len(photographs) if everything else max(1, len(photographs) // 3)
        if not any(sightings[:known]):
            raise _nothing(folder, kind)
        found |= _tensors(kind, _measure(sightings[:known], sightings[known:]))
    bundle.forget(PREFIX)
    kept = bundle.tensors("statistics") if bundle.has("statistics") else {}
    bundle.write("statistics", {**kept, **found})


def read_yardsticks(bundle: Bundle) -> dict[str, Yardstick]:
    """What `learn_curation` kept, by type; nothing where the bundle has none."""
    kept = bundle.tensors("statistics") if bundle.has("statistics") else {}
    starts = [name.removesuffix("bounds") for name in kept if name.endswith(".bounds")]
    whole = [start for start in starts if all(f"{start}{part}" in kept for part in PARTS)]
    kinds = [start.removeprefix(PREFIX)[:-1] for start in whole if start.startswith(PREFIX)]
    return {kind: _yardstick(kind, kept) for kind in kinds}


def _look(critic: Critic, side: int, photograph: Photograph) -> list[Sighting]:
    """Every piece of a photograph's defect for itself, and all of it."""
    if photograph.mask_path is None:
        raise _unmarked(photograph)
    picture, mask = read_picture(photograph.path), read_mask(photograph.mask_path)
    if mask.shape != picture.shape[:2]:
        raise _unmarked(photograph)
    if not mask.any():
        return []
    pieces = components(mask, least=max(1, round(LEAST_SHARE * mask.size)))
    whole = [mask] if len(pieces) > 1 else []
    part = silhouette(shrunk(picture))
    return [sight(critic, side, picture, piece, part) for piece in [*pieces, *whole]]


def _measure(
    known: Sequence[Sequence[Sighting]], held_out: Sequence[Sequence[Sighting]]
) -> Yardstick:
    """A yardstick from sightings, a list for each photograph."""
    others = [some for some in held_out if some]
    judges = others or [some for some in known if some]
    seen = [s for some in judges for s in some]
    features, far = _held_against(known, judges, "features", leave_out=not others)
    inside, near = _held_against(known, judges, "inside", leave_out=not others)
    faintest, _ = _limits([log(max(s.contrast, 1e-6)) for s in seen])
    bounds = Bounds(
        verdict=_limits([s.verdict for s in seen])[0],
        nearest=exp(min([_limits(near)[0], *(d - log(2) for d in near)])),
        furthest=min(FURTHEST, exp(_limits(far)[1])),
        contrast=exp(faintest),
        on_part=min(MOST_ON_PART, *(s.on_part for s in seen)),
    )
    count = sum(map(len, others))
    return Yardstick(features=features, inside=inside, bounds=bounds, held_out=count)


def _held_against(
    known: Sequence[Sequence[Sighting]],
    judges: Sequence[Sequence[Sighting]],
    name: Literal["features", "inside"],
    *,
    leave_out: bool,
) -> tuple[Float[Tensor, "d s"], list[float]]:
    """Features of known defects, and logarithms of how far others are from the nearest of them."""
    some = [one for one in known if one]
    rows = torch.stack([getattr(s, name) for one in some for s in one])
    owner = torch.tensor([k for k, one in enumerate(some) for _ in one])
    far = [
        _nearest(getattr(sighting, name), rows[owner != k] if leave_out else rows, _deviation(rows))
        for k, one in enumerate(judges)
        for sighting in one
        if not leave_out or (owner != k).any()
    ]
    return rows, [log(max(distance, 1e-6)) for distance in far]


def _limits(values: Sequence[float]) -> tuple[float, float]:
    """Between which the next value lies, in all likelihood; of one value nothing can be said."""
    n = len(values)
    if n < 2:
        return -UNKNOWN, UNKNOWN
    reach = float(stdtrit(n - 1, CONFIDENCE)) * float(np.std(values, ddof=1))
    reach = min(UNKNOWN, reach * (1 + 1 / n) ** 0.5)
    return float(np.mean(values)) - reach, float(np.mean(values)) + reach


def _deviation(rows: Float[Tensor, "d s"]) -> Float[Tensor, " s"]:
    """Of each feature; of one that hardly varies a tenth of the mean."""
    deviation = rows.std(dim=0, unbiased=False)
    return deviation + deviation.mean().clamp(min=1e-3) / 10


def _nearest(
    row: Float[Tensor, " s"], rows: Float[Tensor, "d s"], deviation: Float[Tensor, " s"]
) -> float:
    """Root mean square difference, in units of the deviation, to the nearest row."""
    return ((rows - row) / deviation).square().mean(dim=1).min().sqrt().item()


def _tensors(kind: str, yardstick: Yardstick) -> dict[str, Tensor]:
    start = f"{PREFIX}{kind}."
    return {
        f"{start}features": yardstick.features,
        f"{start}inside": yardstick.inside,
        f"{start}bounds": torch.tensor(list(asdict(yardstick.bounds).values())),
        f"{start}held_out": torch.tensor(float(yardstick.held_out)),
    }


def _yardstick(kind: str, kept: dict[str, Tensor]) -> Yardstick:
    start = f"{PREFIX}{kind}."
    values = kept[f"{start}bounds"].tolist()
    return Yardstick(
        features=kept[f"{start}features"],
        inside=kept[f"{start}inside"],
        bounds=Bounds(**dict(zip(Bounds.__dataclass_fields__, values, strict=True))),
        held_out=int(kept[f"{start}held_out"].item()),
    )


def _nothing(folder: DefectFolder, kind: str) -> DataError:
    return DataError(
        got=f"{folder.root}, with no '{kind}' whose mask marks anything",
        expected="photographs of every type that the bundle knows, with masks",
        todo="Add some, or check the folder with 'blemish data check'.",
    )


def _unmarked(photograph: Photograph) -> DataError:
    name = f"ground_truth/{photograph.kind}/{photograph.path.stem}_mask.png"
    return DataError(
        got=f"{photograph.path} without a mask of its own size",
        expected=f"one in {name}, pixel for pixel",
        todo="Draw it, or move the photograph away; 'blemish data check' lists all such files.",
    )
