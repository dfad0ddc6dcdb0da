"""Measurements of a short training, from its files.

It is compared with held-out photographs of good parts. Features are those of the given
`FeatureExtractor`, distances of sets are kernel distances. All random numbers come from the same
seed for every run.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from jaxtyping import Float
from torch import Tensor

from blemish.checkpoint import Bundle
from blemish.data.folder import DefectFolder, load_pictures
from blemish.errors import DataError
from blemish.evaluation.eyes import FeatureExtractor
from blemish.evaluation.metrics import kernel_distance
from blemish.evaluation.snapshots import best, judge_generator_snapshots
from blemish.files import read_lines
from blemish.models.load import shape_of
from blemish.pictures import to_tensor

SAMPLES = 500  # samples per snapshot
Row = dict[str, float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Photographs of good parts in [-1, 1]: learnt from, and held out."""

    learnt: Float[Tensor, "n 3 h w"]
    held_out: Float[Tensor, "m 3 h w"]


def read_parts(folder: DefectFolder, side: int) -> Parts:
    """Photographs of train/good, and of test/good.

    Raises:
        DataError: One of them has no photograph, or one can't be read.
    """
    splits = (folder.good_to_learn(everything=False), folder.good("test"))
    if not splits[1]:
        raise DataError(
            got=f"{folder.root}, with no data to test a training on",
            expected="test/good/ with photographs of good parts",
            todo="Add some, or check the folder with 'blemish data check'.",
        )
    learnt, held_out = (to_tensor(load_pictures(photographs, side)[0]) for photographs in splits)
    return Parts(learnt=learnt, held_out=held_out)


def judge_backbone(bundle: Bundle, parts: Parts, eyes: FeatureExtractor) -> Row:
    """Figures of the last snapshot, and of the one that `snapshots.best` would keep."""
    folder, config = bundle.path / "training" / "generator", shape_of(bundle)
    near, far = (
        judge_generator_snapshots(folder, config, real, eyes.pooled, n=SAMPLES)
        for real in (parts.learnt, parts.held_out)
    )
    kept = near.index(best(near))
    return {
        "held_out": far[-1].kernel_distance,
        "learnt": near[-1].kernel_distance,
        "memorised": near[-1].memorised,
        "kept_kimg": near[kept].kimg,
        "kept_held_out": far[kept].kernel_distance,
        **told_of(folder),
    }


def reference_of_parts(parts: Parts, eyes: FeatureExtractor) -> Row:
    """Training data compared with held-out data: the best distance that a training can reach."""
    return {"held_out": kernel_distance(eyes.pooled(parts.learnt), eyes.pooled(parts.held_out))}


def told_of(folder: Path) -> Row:
    """Final strength of the augmentation, and training speed."""
    lines = [json.loads(line) for line in read_lines(folder / "stats.jsonl")]
    paces = [line["images_per_s"] for line in lines if line["images_per_s"] is not None]
    pace = median(paces) if paces else None
    return {"augmentation": lines[-1].get("ada"), "images_per_s": pace}
