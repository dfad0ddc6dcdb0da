"""Question 4: can the generator invert any photograph, and does it report when it can't?

Its own samples must be recovered with their codes; photographs of other objects must be refused.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from blemish.evaluation.figures import auroc, middle, share
from blemish.evaluation.inversion.measures import mask_overlaps
from blemish.evaluation.inversion.subjects import Group
from blemish.evaluation.inversion.trial import MethodTrial
from blemish.inversion.domain import cycle_distance
from blemish.inversion.space import WStatistics

RECOVERED_DB = 30
RECOVERED_IOU = 0.9

Trials = Mapping[Group, MethodTrial]


def outcomes(trial: MethodTrial) -> dict[str, int]:
    """Number of subjects per outcome."""
    return dict(sorted(Counter(inversion.outcome for inversion in trial.inversions).items()))


def refusal(trials: Trials) -> dict[str, Any] | None:
    """Separation of other objects from held-out good parts; None if either is missing.

    The areas under the curve are for three scores: the strangeness of the photograph, by which
    `invert` refuses, the in-domain percentile of the code, and the error of the
    reconstruction.
    """
    if "good" not in trials or "foreign" not in trials:
        return None
    good, foreign = trials["good"], trials["foreign"]
    return {
        "auroc_strangeness": auroc(good.strangeness, foreign.strangeness),
        "auroc_percentile": auroc(
            good.domain_scores("percentile"), foreign.domain_scores("percentile")
        ),
        "auroc_psnr": auroc([-x for x in good.psnr], [-x for x in foreign.psnr]),
        "foreign_refused": share(i.outcome == "out of domain" for i in foreign.inversions),
        "good_refused": share(i.outcome == "out of domain" for i in good.inversions),
    }


def recovery(trials: Trials, statistics: WStatistics) -> dict[str, Any] | None:
    """Recovery of own samples; None without any.

    Args:
        trials: Trials by group.
        statistics: Statistics of w, whose variance is the unit of the distance to the true code.
    """
    own = [trials[group] for group in ("own", "own defective") if group in trials]
    if not own:
        return None
    far = [x for trial in own for x in code_distances(trial, statistics)]
    return {
        "n": sum(map(len, own)),
        "share_psnr": share(x >= RECOVERED_DB for trial in own for x in trial.psnr),
        "share_iou": share(x >= RECOVERED_IOU for trial in own for x in mask_overlaps(trial)),
        "share_recovered": share(verdict for trial in own for verdict in _recovered(trial)),
        "code_distance": middle(far),
    }


def code_distances(trial: MethodTrial, statistics: WStatistics) -> list[float]:
    """Mean squared difference of found rows to the true ones, in units of w's variance."""
    true = trial.subjects.codes
    assert true is not None
    return cycle_distance(trial.codes.w, true.w, statistics.unit).tolist()


def _recovered(trial: MethodTrial) -> list[bool]:
    near = [x >= RECOVERED_DB for x in trial.psnr]
    if trial.mask is None:
        return near
    return [a and x >= RECOVERED_IOU for a, x in zip(near, mask_overlaps(trial), strict=True)]
