"""Comparison of synthetic items with real ones by type, from the files alone.

Real defects are split by the field's few-shot protocol. The first third of each type by name counts
as training data, which items may copy; the rest is compared with. The distance between these two is
given beside every distance, as the best value that so small a set can reach.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from blemish.evaluation.eyes import FeatureExtractor
from blemish.evaluation.metrics import nearest
from blemish.evaluation.synthesis.closeups import CloseUps, close_ups
from blemish.evaluation.synthesis.drift import Drift, drift_of, drift_summary
from blemish.evaluation.synthesis.items import LabelledDefect, SyntheticSet
from blemish.evaluation.synthesis.maskrealism import MaskView, mask_figures, view_of
from blemish.evaluation.synthesis.measures import (
    FEWEST,
    diversity,
    memorised,
    set_distances,
    subset_size,
)
from blemish.evaluation.synthesis.views import DefectView, Views, turned, view, view_features
from blemish.pictures import to_tensor

SIDE = 128
NEIGHBOURS = 3
LOOKS = ("whole", "around", "inside")
OnProgress = Callable[[int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Synthetic items of one type, and the real ones to compare with.

    Attributes:
        kind: Type of the defects.
        items: Synthetic items.
        synthetic: Views of the synthetic items.
        known: All real ones.
        real: Views of the real ones.
        learnt: Possible training data.
        compared: Held-out ones to compare with.
        neighbours: Indices of the nearest real ones of each synthetic item.
        distances: Distances to these, in the features of the surroundings.
        drifts: Label accuracy of each item.
        groups: Group name of each item; items on one photograph under one mask share it.
        synthetic_near: Close-ups of made items at their photographs' own scale.
        real_near: Those of all real ones.
        synthetic_masks: Shapes of the masks of made items.
        real_masks: Those of all real ones.
    """

    kind: str
    items: list[LabelledDefect]
    synthetic: Views
    known: list[LabelledDefect]
    real: Views
    learnt: Views
    compared: Views
    neighbours: Int[np.ndarray, "n k"]
    distances: np.ndarray
    drifts: list[Drift | None]
    groups: list[str]
    synthetic_near: CloseUps
    real_near: CloseUps
    synthetic_masks: list[MaskView]
    real_masks: list[MaskView]

    def figures(self, eyes: FeatureExtractor) -> dict[str, Any]:
        """All figures of the type."""
        turns = [look_again(eyes, squares) for squares in turned(self.learnt.painted)]
        found = {
            "made": len(self.synthetic),
            "real_learnt": len(self.learnt),
            "real_compared": len(self.compared),
            "distances": {name: self._distances(name) for name in LOOKS},
            "diversity": self._diversity(),
            "memorised": memorised(self.synthetic.inside, self.learnt.inside, torch.cat(turns)),
            "drift": drift_summary(self.drifts),
            "masks": mask_figures(
                self.synthetic_masks, self.real_masks, self.real_masks[: len(self.learnt)]
            ),
        }
        return found | {"unknown": _unknown(found)}

    def files(self, real: Path) -> dict[str, list[str]]:
        """Names of the real ones that count as training data, and of those compared with."""
        names = [item.image.relative_to(real).as_posix() for item in self.known]
        return {
            "learnt": names[: len(self.learnt)],
            "compared": names[len(names) - len(self.compared) :],
        }

    def lines(self) -> list[dict[str, Any]]:
        """A line for each item: the nearest real ones, and the label accuracy."""
        return [
            {
                "name": item.image.stem,
                "nearest": [
                    {"name": self.known[k].image.name, "distance": float(far)}
                    for k, far in zip(neighbours, distances, strict=True)
                ],
                "drift": None if drift is None else asdict(drift),
            }
            for item, neighbours, distances, drift in zip(
                self.items, self.neighbours, self.distances, self.drifts, strict=True
            )
        ]

    def _distances(self, name: str) -> dict[str, Any]:
        synthetic, learnt, compared = (
            getattr(views, name) for views in (self.synthetic, self.learnt, self.compared)
        )
        sizes = [len(rows) for rows in (synthetic, learnt, compared) if len(rows) >= FEWEST]
        rows = subset_size(*sizes) if sizes else None
        return {
            "made": set_distances(synthetic, compared, frechet_rows=rows),
            "learnt": set_distances(learnt, compared, frechet_rows=rows),
        }

    def _diversity(self) -> dict[str, float | None]:
        sharing = [
            diversity(self.synthetic.inside[[k for k, g in enumerate(self.groups) if g == group]])
            for group in sorted({*self.groups})
        ]
        several = [value for value in sharing if value is not None]
        return {
            "made": diversity(self.synthetic.inside),
            "real": diversity(self.real.inside),
            "under_one_mask": fmean(several) if several else None,
        }


@dataclass(slots=True)
class _Watched:
    """Views of items as they are read, with their label accuracy."""

    drifts: list[Drift | None] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    masks: list[MaskView] = field(default_factory=list)
    near: list[CloseUps] = field(default_factory=list)

    def of(
        self, items: Sequence[LabelledDefect], on_progress: OnProgress, done: int
    ) -> Iterator[DefectView]:
        for number, item in enumerate(items, 1):
            picture, mask = item.read()
            self.drifts.append(drift_of(item, picture, mask))
            self.groups.append(_group(item))
            self.masks.append(view_of(item, picture, mask))
            self.near.append(close_ups([(picture, mask)]))
            yield view(picture, mask, SIDE)
            on_progress(done + number)


def compare(
    eyes: FeatureExtractor,
    synthetic: SyntheticSet,
    real: dict[str, list[LabelledDefect]],
    *,
    everything: bool = False,
    on_progress: OnProgress = lambda _: None,
) -> list[Subject]:
    """Measure all items of the types with real defects.

    Args:
        eyes: Feature network.
        synthetic: Synthetic items of a folder.
        real: Real defects of another folder.
        everything: The bundle was trained on all real ones: items are compared with all of them,
            and may be copies of any.
        on_progress: Callback, called with the number of finished items.

    Raises:
        DataError: A file can't be read.
    """
    subjects, done = [], 0
    for kind, items in sorted(synthetic.items.items()):
        if kind not in real:
            continue
        known = real[kind]
        cut = len(known) if everything else max(1, len(known) // 3)
        watched, ignored = _Watched(), _Watched()
        views = view_features(eyes, watched.of(items, on_progress, done), SIDE)
        others = view_features(eyes, ignored.of(known, on_progress, done + len(items)), SIDE)
        done += len(items) + len(known)
        distances, neighbours = _nearest(views, others)
        subjects.append(
            Subject(
                kind=kind,
                items=items,
                synthetic=views,
                known=known,
                real=others,
                learnt=others[:cut],
                compared=others if everything else others[cut:],
                neighbours=neighbours,
                distances=distances,
                drifts=watched.drifts,
                groups=watched.groups,
                synthetic_near=CloseUps.joined(watched.near),
                real_near=CloseUps.joined(ignored.near),
                synthetic_masks=watched.masks,
                real_masks=ignored.masks,
            )
        )
    return subjects


def look_again(eyes: FeatureExtractor, squares: UInt8[np.ndarray, "n s s 3"]) -> Tensor:
    """Features of transformed squares."""
    return eyes.pooled(to_tensor(np.ascontiguousarray(squares)))


def _unknown(found: dict[str, Any]) -> dict[str, str]:
    """Reason for a missing figure."""
    distances, spread = found["distances"]["whole"], found["diversity"]
    figures = {
        "distance of synthetic ones": (distances["made"], "fewer than two synthetic or real"),
        "distance of training ones": (distances["learnt"], "fewer than two in the first third"),
        "diversity of synthetic ones": (spread["made"], "fewer than two"),
        "diversity of real ones": (spread["real"], "fewer than two"),
        "diversity under one mask": (
            spread["under_one_mask"],
            "no two items are known to share photograph and mask",
        ),
        "fraction of copies": (found["memorised"], "fewer than two in the first third"),
        "drift": (found["drift"], "no item has a good twin of its size"),
        "realism of masks": (found["masks"], "fewer than two made, or real ones"),
    }
    return {name: why for name, (value, why) in figures.items() if value is None}


def _nearest(synthetic: Views, real: Views) -> tuple[np.ndarray, np.ndarray]:
    """Distances to and indices of the nearest real ones, the nearest first."""
    left, count = real.around.clone(), min(NEIGHBOURS, len(real))
    far, indices = [], []
    rows = torch.arange(len(synthetic))
    distance = torch.stack([nearest(synthetic.around, row[None])[0] for row in left], dim=1)
    for _ in range(count):
        index = distance.argmin(dim=1)
        far.append(distance[rows, index])
        indices.append(index)
        distance[rows, index] = torch.inf
    return torch.stack(far, dim=1).numpy(), torch.stack(indices, dim=1).numpy()


def _group(item: LabelledDefect) -> str:
    total = hashlib.sha256()
    for file in (item.twin, item.requested):
        if file is None or not file.is_file():
            return str(item.image)
        total.update(file.read_bytes())
    return total.hexdigest()
