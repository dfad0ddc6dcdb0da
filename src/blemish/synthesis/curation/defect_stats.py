r"""Bounds of curation, from held-out real defects.

The features of the defects that a bundle was trained on are stored, with bounds for each type. The
bounds come from held-out defects; if the bundle was trained on all, each photograph is compared
with the others. A dozen defects have no useful percentiles. Therefore a bound is the prediction
limit of a normal distribution, beyond which the next real defect's score falls with a probability
of 1 in 100,

    \bar x \pm t_{n-1, 0.99} \; s \sqrt{1 + 1/n},

which is wide if few defects are known. A copy must also be closer than half of the smallest
distance between two real ones. Logarithms are used for distances and contrasts.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from math import exp, log
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from blemish.checkpoint import Bundle
from blemish.data.folder import DefectFolder, Photograph
from blemish.data.masks import components, silhouette
from blemish.errors import DataError
from blemish.models.critic import Critic
from blemish.models.projected import pretrained_features
from blemish.pictures import read_picture
from blemish.synthesis.curation.defect_features import DefectFeatures, defect_features, shrunk

PREFIX = "bounds."
OLD_PREFIX = "curation."  # bounds in the features of a critic that bundles no longer have
PARTS = ("features", "inside", "bounds", "held_out")
CONFIDENCE = 0.99
UNKNOWN = 50.0  # a limit so wide that it never applies
FURTHEST = 6e4  # the precision of bundles that are stored in half precision
MOST_ON_PART = 0.9
LEAST_SHARE = 5e-4  # of a photograph; smaller pieces of a mask are specks


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Bounds of an item's scores.

    Attributes:
        nearest: Minimum distance to the nearest real defect, of the inside alone.
        furthest: Maximum distance to the nearest real defect, with its surroundings.
        contrast: Minimum contrast, at full strength.
        on_part: Minimum fraction on the part.
    """

    nearest: float
    furthest: float
    contrast: float
    on_part: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RealDefectStats:
    """Real defects and bounds of one type.

    Attributes:
        features: Features of the training defects, with their surroundings.
        inside: Features of their insides alone.
        bounds: Bounds, from `held_out` defects.
        held_out: Number of held-out defects; 0 if each was compared with the others.
    """

    features: Float[Tensor, "d s"]
    inside: Float[Tensor, "d s"]
    bounds: Bounds
    held_out: int

    def distance(self, features: DefectFeatures) -> float:
        """Distance to the nearest real defect, as `_nearest` measures."""
        return _nearest(features.features, self.features, _deviation(self.features))

    def likeness(self, features: DefectFeatures) -> float:
        """Distance of the inside alone; 0 for a copy at any place."""
        return _nearest(features.inside, self.inside, _deviation(self.inside))


def learn_curation(
    bundle: Bundle,
    folder: DefectFolder,
    types: Sequence[str],
    *,
    device: str = "cpu",
    everything: bool = False,
    on_progress: Callable[[int], None] = lambda _: None,
) -> None:
    """Measure the real defects and store the bounds in the bundle's statistics.

    Args:
        bundle: The bundle.
        folder: Photographs of defects, with masks.
        types: Types of the bundle's defects.
        device: Device to compute on.
        everything: The bundle was trained on all of them, not on the first third by name.
        on_progress: Callback, called with the number of photographs so far.

    Raises:
        DataError: A type has no photograph, or one can't be read or has no mask of its size.
    """
    critic = pretrained_features(device)
    found, done = {}, 0
    for kind in types:
        photographs = folder.defects(kind)
        measured = []
        for photograph in photographs:
            measured.append(_look(critic, photograph))
            on_progress(done := done + 1)
        known = len(photographs) if everything else max(1, len(photographs) // 3)
        if not any(measured[:known]):
            raise _nothing(folder, kind)
        found |= _tensors(kind, _measure(measured[:known], measured[known:]))
    bundle.forget(PREFIX, OLD_PREFIX)
    kept = bundle.statistics()
    bundle.write("statistics", {**kept, **found})


def read_defect_stats(bundle: Bundle) -> dict[str, RealDefectStats]:
    """Results of `learn_curation`, by type; empty if the bundle has none."""
    kept = bundle.statistics()
    starts = [name.removesuffix("bounds") for name in kept if name.endswith(".bounds")]
    whole = [start for start in starts if all(f"{start}{part}" in kept for part in PARTS)]
    kinds = [start.removeprefix(PREFIX)[:-1] for start in whole if start.startswith(PREFIX)]
    return {kind: _stats_of(kind, kept) for kind in kinds}


def _look(critic: Critic, photograph: Photograph) -> list[DefectFeatures]:
    """Properties of each piece of a photograph's defect, and of the whole."""
    picture, mask = read_picture(photograph.path), photograph.read_mask()
    if not mask.any():
        return []
    pieces = components(mask, least=max(1, round(LEAST_SHARE * mask.size)))
    whole = [mask] if len(pieces) > 1 else []
    part = silhouette(shrunk(picture))
    return [defect_features(critic, picture, piece, part) for piece in [*pieces, *whole]]


def _measure(
    known: Sequence[Sequence[DefectFeatures]], held_out: Sequence[Sequence[DefectFeatures]]
) -> RealDefectStats:
    """Bounds from properties, one list per photograph."""
    others = [some for some in held_out if some]
    judges = others or [some for some in known if some]
    seen = [s for some in judges for s in some]
    features, far = _held_against(known, judges, "features", leave_out=not others)
    inside, near = _held_against(known, judges, "inside", leave_out=not others)
    faintest, _ = _limits([log(max(s.contrast, 1e-6)) for s in seen])
    bounds = Bounds(
        nearest=exp(min([_limits(near)[0], *(d - log(2) for d in near)])),
        furthest=min(FURTHEST, exp(_limits(far)[1])),
        contrast=exp(faintest),
        on_part=min(MOST_ON_PART, *(s.on_part for s in seen)),
    )
    count = sum(map(len, others))
    return RealDefectStats(features=features, inside=inside, bounds=bounds, held_out=count)


def _held_against(
    known: Sequence[Sequence[DefectFeatures]],
    judges: Sequence[Sequence[DefectFeatures]],
    name: Literal["features", "inside"],
    *,
    leave_out: bool,
) -> tuple[Float[Tensor, "d s"], list[float]]:
    """Features of known defects, and logarithms of the others' distances to the nearest of them."""
    some = [one for one in known if one]
    rows = torch.stack([getattr(s, name) for one in some for s in one])
    owner = torch.tensor([k for k, one in enumerate(some) for _ in one])
    far = [
        _nearest(getattr(features, name), rows[owner != k] if leave_out else rows, _deviation(rows))
        for k, one in enumerate(judges)
        for features in one
        if not leave_out or (owner != k).any()
    ]
    return rows, [log(max(distance, 1e-6)) for distance in far]


def _limits(values: Sequence[float]) -> tuple[float, float]:
    """Prediction limits of the next value; a single value gives none."""
    from scipy.special import stdtrit  # slow to import

    n = len(values)
    if n < 2:
        return -UNKNOWN, UNKNOWN
    reach = float(stdtrit(n - 1, CONFIDENCE)) * float(np.std(values, ddof=1))
    reach = min(UNKNOWN, reach * (1 + 1 / n) ** 0.5)
    return float(np.mean(values)) - reach, float(np.mean(values)) + reach


def _deviation(rows: Float[Tensor, "d s"]) -> Float[Tensor, " s"]:
    """Standard deviation of each feature, at least a tenth of the mean one."""
    deviation = rows.std(dim=0, unbiased=False)
    return deviation + deviation.mean().clamp(min=1e-3) / 10


def _nearest(
    row: Float[Tensor, " s"], rows: Float[Tensor, "d s"], deviation: Float[Tensor, " s"]
) -> float:
    """Root mean square difference to the nearest row, in units of the deviation."""
    return ((rows - row) / deviation).square().mean(dim=1).min().sqrt().item()


def _tensors(kind: str, stats: RealDefectStats) -> dict[str, Tensor]:
    start = f"{PREFIX}{kind}."
    return {
        f"{start}features": stats.features,
        f"{start}inside": stats.inside,
        f"{start}bounds": torch.tensor(list(asdict(stats.bounds).values())),
        f"{start}held_out": torch.tensor(float(stats.held_out)),
    }


def _stats_of(kind: str, kept: dict[str, Tensor]) -> RealDefectStats:
    start = f"{PREFIX}{kind}."
    values = kept[f"{start}bounds"].tolist()
    return RealDefectStats(
        features=kept[f"{start}features"],
        inside=kept[f"{start}inside"],
        bounds=Bounds(**dict(zip(Bounds.__dataclass_fields__, values, strict=True))),
        held_out=int(kept[f"{start}held_out"].item()),
    )


def _nothing(folder: DefectFolder, kind: str) -> DataError:
    return DataError(
        got=f"{folder.root}, with no '{kind}' with a non-empty mask",
        expected="photographs with masks of every type that the bundle knows",
        todo="Add some, or check the folder with 'blemish data check'.",
    )
