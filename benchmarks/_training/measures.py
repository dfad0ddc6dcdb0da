"""Measurements of a short training, from its files.

Stage 1 is compared with held-out photographs of good parts, stage 2 with held-out defects. Features
are those of the given `Eyes`, distances of sets are kernel distances. All random numbers come from
the same seed for every run.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import torch
from blemish.synthesis.mapping.looks import colour_inside
from jaxtyping import Float
from torch import Tensor

from blemish.checkpoint import Bundle
from blemish.data.augment import Symmetries
from blemish.data.folder import DefectFolder, Photograph, load
from blemish.errors import DataError
from blemish.evaluation.eyes import Eyes
from blemish.evaluation.metrics import kernel_distance, mask_iou
from blemish.evaluation.snapshots import best, judge_snapshots
from blemish.evaluation.synthesis.views import View, look, view
from blemish.files import read_lines
from blemish.generator.network import Generator
from blemish.generator.restore import shape_of
from blemish.generator.stitch import Defects, cut_defects, draw_masks, parts_of
from blemish.pictures import to_mask, to_picture, to_tensor
from blemish.types import Sample

SAMPLES = 500  # samples per snapshot
CODES = 8  # random codes per given mask
VIEW_SIDE = 64  # side of a defect's close-up
Row = dict[str, float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Photographs of good parts in [-1, 1]: learnt from, and held out."""

    learnt: Float[Tensor, "n 3 h w"]
    held_out: Float[Tensor, "m 3 h w"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Thirds:
    """Single real defects: of the first third of each type, which is learnt, and of the rest."""

    learnt: Defects
    held_out: Defects


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """Defects by several codes under one mask on each part.

    Attributes:
        twin: Parts without the defects.
        mask: Requested masks.
        images: Parts with the defects, for each code.
        own: Masks that the branch draws by itself, for each code.
    """

    twin: Float[Tensor, "n 3 h w"]
    mask: Float[Tensor, "n 1 h w"]
    images: Float[Tensor, "codes n 3 h w"]
    own: Float[Tensor, "codes n 1 h w"]


def read_parts(folder: DefectFolder, side: int) -> Parts:
    """Photographs of train/good, and of test/good.

    Raises:
        DataError: One of them has no photograph, or one can't be read.
    """
    splits = (folder.good_to_learn(everything=False), folder.good("test"))
    if not splits[1]:
        raise _nothing_held_out(folder, "test/good/ with photographs of good parts")
    learnt, held_out = (to_tensor(load(photographs, side)[0]) for photographs in splits)
    return Parts(learnt=learnt, held_out=held_out)


def read_thirds(folder: DefectFolder, side: int) -> Thirds:
    """Every piece of every defect, split by the field's few-shot protocol.

    Raises:
        DataError: Nothing is left beyond the first thirds, or a file can't be read.
    """
    learnt = [p for kind in folder.types for p in folder.thirds(kind)[0]]
    held_out = [p for kind in folder.types for p in folder.thirds(kind)[1]]
    if not held_out:
        raise _nothing_held_out(folder, "test/<type>/ with two photographs of defects or more")
    return Thirds(learnt=_pieces(folder, learnt, side), held_out=_pieces(folder, held_out, side))


def judge_backbone(bundle: Bundle, parts: Parts, eyes: Eyes) -> Row:
    """Figures of stage 1: of its last snapshot, and of the one that `snapshots.best` would keep."""
    folder, config = bundle.path / "training" / "generator", shape_of(bundle)
    near, far = (
        judge_snapshots(folder, config, real, eyes.pooled, n=SAMPLES)
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


def judge_branch(generator: Generator, real: Defects, placements: Symmetries, eyes: Eyes) -> Row:
    """Figures of stage 2: defects under given masks compared with real ones, and its own masks.

    Args:
        generator: Generator with a branch.
        real: Real defects that give masks and types.
        placements: Augmentation of these masks.
        eyes: Feature network for the close-ups.
    """
    drawn = draw_defects(generator, real, placements)
    change = drawn.images - drawn.twin
    colours = torch.stack([colour_inside(one, drawn.mask) for one in change])
    outside = (change.abs() * (1 - drawn.mask)).sum() / change.abs().sum().clamp(min=1e-12)
    made = Sample(image=drawn.images.flatten(0, 1), mask=drawn.mask.repeat(CODES, 1, 1, 1))
    return {
        **close_up_distances(made, Sample(image=real.image, mask=real.mask), eyes),
        "spread": colours.std(dim=0).mean().item() * 127.5,
        "outside": outside.item(),
        "own_area": drawn.own.mean().item(),
        "own_alike": mask_iou(drawn.own[0], drawn.own[1]).mean().item(),
    }


def reference_of_parts(parts: Parts, eyes: Eyes) -> Row:
    """Training data compared with held-out data: the best distance that a training can reach."""
    return {"held_out": kernel_distance(eyes.pooled(parts.learnt), eyes.pooled(parts.held_out))}


def reference_of_defects(thirds: Thirds, eyes: Eyes) -> Row:
    """The same for defects, with the spread of their colours and the size of their masks."""
    learnt, held_out = (
        Sample(image=defects.image, mask=defects.mask)
        for defects in (thirds.learnt, thirds.held_out)
    )
    colours = colour_inside(learnt.image, learnt.mask)
    return {
        **close_up_distances(learnt, held_out, eyes),
        "spread": colours.std(dim=0).mean().item() * 127.5,
        "own_area": learnt.mask.mean().item(),
    }


def close_up_distances(made: Sample, real: Sample, eyes: Eyes) -> Row:
    """Kernel distances of the surroundings of defects, and of their insides; types are pooled."""
    one, other = (look(eyes, _views(sample), VIEW_SIDE) for sample in (made, real))
    return {
        "around": kernel_distance(one.around, other.around),
        "inside": kernel_distance(one.inside, other.inside),
    }


@torch.no_grad()
def draw_defects(generator: Generator, real: Defects, placements: Symmetries) -> Drawn:
    """A part for each real defect, and on it defects of that type by `CODES` random codes.

    Its mask is given, augmented; if it misses the part, unchanged.
    """
    rng = torch.Generator().manual_seed(0)
    z = torch.randn(len(real), generator.config.z_dim, generator=rng)
    twin = generator(generator.codes(z)).image
    moved = draw_masks(parts_of(twin), real.mask, placements, rng, share_real=1)
    missed = moved.sum(dim=(1, 2, 3), keepdim=True) == 0
    mask = torch.where(missed, real.mask, moved)
    images, own = [], []
    for _ in range(CODES):
        codes = generator.codes(z, torch.randn(z.shape, generator=rng), real.kind)
        images.append(generator(codes, mask=mask).image)
        own.append(generator(codes).mask)
    return Drawn(twin=twin, mask=mask, images=torch.stack(images), own=torch.stack(own))


def _pieces(folder: DefectFolder, photographs: list[Photograph], side: int) -> Defects:
    pictures, masks = load(photographs, side)
    marked = np.flatnonzero(masks.any(axis=(1, 2)))
    kinds = [folder.types.index(photographs[k].kind) for k in marked]
    return cut_defects(pictures[marked], masks[marked], kinds)


def _views(sample: Sample) -> Iterator[View]:
    pairs = zip(to_picture(sample.image), to_mask(sample.mask), strict=True)
    return (view(picture, mask, VIEW_SIDE) for picture, mask in pairs)


def told_of(folder: Path) -> Row:
    """Final strength of the augmentation, and training speed."""
    lines = [json.loads(line) for line in read_lines(folder / "stats.jsonl")]
    paces = [line["images_per_s"] for line in lines if line["images_per_s"] is not None]
    pace = median(paces) if paces else None
    return {"augmentation": lines[-1].get("ada"), "images_per_s": pace}


def _nothing_held_out(folder: DefectFolder, expected: str) -> DataError:
    return DataError(
        got=f"{folder.root}, with no data to test a training on",
        expected=expected,
        todo="Add some, or check the folder with 'blemish data check'.",
    )
