"""Questions 1 and 2 for one trial: is the code in domain, and does it represent the meaning?

The metrics are those of the papers: distances of the code with their percentiles among fresh ones
(`inversion.domain`); PSNR, structural similarity, perceptual distances, distances of the sets of
targets and reconstructions, overlap of defect masks, and the type that a classifier of real
photographs predicts for the reconstruction.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from jaxtyping import Float
from torch import Tensor

from blemish.evaluation.eyes import FeatureExtractor
from blemish.evaluation.figures import mean, middle, share
from blemish.evaluation.inversion.kinds import KindReader
from blemish.evaluation.inversion.subjects import Subjects
from blemish.evaluation.inversion.trial import MethodTrial
from blemish.evaluation.metrics import (
    boundary_f,
    kernel_distance,
    mask_iou,
    ms_ssim,
    sliced_wasserstein,
)
from blemish.inversion.invert import MOST_EXTREME
from blemish.inversion.losses import squared_error

DISTANCES = ("cycle", "mahalanobis", "spread")
OUTLINE_PX = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class SurveyNetworks:
    """Feature networks and classifier.

    Attributes:
        eyes: Networks for perceptual distances; the last ones give distances of sets.
        reader: Classifier of defect types; None without training data.
    """

    eyes: Sequence[FeatureExtractor]
    reader: KindReader | None


def in_domain(trial: MethodTrial) -> dict[str, Any]:
    """Question 1: medians of the distances and percentiles, and the fraction of codes in domain.

    Of the generator's own codes, a fraction of 0.99 is at or below the 99th percentile.
    """
    overall = trial.domain_scores("percentile")
    found: dict[str, Any] = {name: middle(trial.domain_scores(name)) for name in DISTANCES}
    found |= {
        f"{name}_percentile": middle(trial.domain_scores(f"{name}_percentile"))
        for name in DISTANCES
    }
    found["percentile"] = middle(overall)
    found["share_in_domain"] = share(value <= MOST_EXTREME for value in overall)
    return found


def meaning(trial: MethodTrial, networks: SurveyNetworks) -> dict[str, Any]:
    """Question 2: how much of the target the codes reconstruct."""
    drawn, target = trial.image, trial.subjects.image
    found: dict[str, Any] = {
        "mse": fmean(squared_error(drawn, target).tolist()),
        "psnr_db": middle(trial.psnr),
        "ms_ssim": middle(ms_ssim(drawn, target).tolist()),
    }
    for eyes in networks.eyes:
        found[f"perceptual_{eyes.name}"] = middle(eyes.distance(drawn, target).tolist())
    found |= _of_sets(trial, networks.eyes[-1]) | _of_defects(trial)
    return found | _of_kinds(trial, networks)


def mask_overlaps(trial: MethodTrial) -> list[float]:
    """The mask's intersection over union of each subject; empty without a search for defects."""
    if trial.mask is None or trial.subjects.mask is None:
        return []
    return mask_iou(trial.mask, trial.subjects.mask).tolist()


def paired_kernel_distance(x: Float[Tensor, "n d"], y: Float[Tensor, "n d"]) -> float:
    """`kernel_distance` of two sets whose rows belong together in pairs.

    A reconstruction is closer to its own target than by chance. So pairs are left out of the kernel
    across the sets (Gretton et al., 2012, eq. 4), to avoid negative distances; it is 0 for equal
    sets.
    """
    across = (x.double() @ y.double().T / x.shape[1] + 1) ** 3
    n = len(across)
    apart = (across.sum() - across.trace()) / (n * (n - 1))
    return kernel_distance(x, y) + 2 * float(across.mean() - apart)


def accuracy(reader: KindReader | None, groups: Sequence[Subjects]) -> dict[str, Any] | None:
    """Accuracy of the classifier on real photographs outside its training set."""
    if reader is None:
        return None
    right: dict[str, list[bool]] = {}
    for group in groups:
        if group.codes is None and group.kinds is not None:
            for read, kind in zip(reader.read(group.image), group.kinds, strict=True):
                right.setdefault(kind, []).append(read == kind)
    return {
        "network": reader.eyes.name,
        "learnt_from": reader.seen,
        "tested_on": {kind: len(verdicts) for kind, verdicts in right.items()},
        "right": {kind: share(verdicts) for kind, verdicts in right.items()},
        "accuracy": share([verdict for verdicts in right.values() for verdict in verdicts]),
    }


def _of_sets(trial: MethodTrial, eyes: FeatureExtractor) -> dict[str, Any]:
    """Distances of the set of reconstructions to that of targets; both need at least two."""
    if len(trial) < 2:
        return {"sliced_wasserstein": None, "sliced_wasserstein_at": {}, "kernel_distance": None}
    drawn, target = trial.image, trial.subjects.image
    scales = sliced_wasserstein(drawn, target)
    return {
        "sliced_wasserstein": mean([*scales.values()]),
        "sliced_wasserstein_at": scales,
        "kernel_distance": paired_kernel_distance(eyes.pooled(drawn), eyes.pooled(target)),
    }


def _of_defects(trial: MethodTrial) -> dict[str, Any]:
    found = mask_overlaps(trial)
    if trial.mask is None or trial.subjects.mask is None:
        return {}
    outlines = boundary_f(trial.mask, trial.subjects.mask, tolerance=OUTLINE_PX)
    return {"mask_iou": middle(found), "boundary_f": middle(outlines.tolist())}


def _of_kinds(trial: MethodTrial, networks: SurveyNetworks) -> dict[str, Any]:
    """Accuracy of the predicted types for the reconstructions, and for the targets."""
    kinds = trial.subjects.kinds
    if networks.reader is None or kinds is None or not {*kinds} <= {*networks.reader.kinds}:
        return {}
    of_drawn = networks.reader.read(trial.image)
    of_targets = networks.reader.read(trial.subjects.image)
    return {
        "type_agreement": share(a == b for a, b in zip(of_drawn, kinds, strict=True)),
        "type_agreement_of_targets": share(a == b for a, b in zip(of_targets, kinds, strict=True)),
    }
