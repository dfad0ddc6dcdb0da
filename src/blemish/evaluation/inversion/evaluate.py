"""Four questions for every method and space, side by side."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8

from blemish.editing.defective import DefectInverter
from blemish.editing.directions import Direction
from blemish.evaluation.figures import mean, middle
from blemish.evaluation.inversion.arbitrary import Trials, outcomes, recovery, refusal
from blemish.evaluation.inversion.editing import EditReference, editing
from blemish.evaluation.inversion.measures import SurveyNetworks, in_domain, mask_overlaps, meaning
from blemish.evaluation.inversion.subjects import Group, Subjects
from blemish.evaluation.inversion.trial import MethodTrial, OnProgress, attempt
from blemish.inversion.methods import InversionMethod, method_name
from blemish.inversion.model import Model
from blemish.inversion.space import WStatistics, w_statistics
from blemish.pictures import to_picture

SHOWN = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A few reconstructions for display.

    Attributes:
        method: Method of their codes.
        space: Search space.
        group: Group of the subjects.
        target: Target images.
        drawn: Reconstructed images.
        difference: Absolute difference, from black to white over half the range.
    """

    method: str
    space: str
    group: Group
    target: UInt8[np.ndarray, "n h w 3"]
    drawn: UInt8[np.ndarray, "n h w 3"]
    difference: UInt8[np.ndarray, "n h w 3"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """Measurements.

    Attributes:
        rows: Figures of each method in each space.
        shown: Images of each row's groups.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    shown: list[Shown] = field(default_factory=list)


def evaluate_inversion(
    model: Model,
    methods: Sequence[InversionMethod],
    groups: Sequence[Subjects],
    networks: SurveyNetworks,
    *,
    seed: int = 0,
    batch: int = 8,
    directions: Sequence[Direction] = (),
    inverter: DefectInverter | None = None,
    on_progress: OnProgress = lambda _: None,
) -> Findings:
    """Run every method on every group.

    Args:
        model: Networks of a bundle.
        methods: Methods with their space and options.
        groups: Groups, at most one of each kind.
        networks: Feature networks and classifier.
        seed: Random seed of the searches.
        batch: Subjects per search batch; it changes only rounding.
        directions: Directions of the bundle's codes.
        inverter: Inverter of defects for a bundle whose generator draws none.
        on_progress: Callback, called with the number of finished subjects over all methods.

    Raises:
        BundleError: The bundle lacks what a method needs.
    """
    branch = model.generator.config.defect is not None
    donors = next((g for g in groups if branch and g.group == "own defective"), None)
    reference = EditReference.of(model, donors, seed=seed, directions=tuple(directions))
    statistics, findings, done = w_statistics(model.generator), Findings(), 0
    for method in methods:
        trials: dict[Group, MethodTrial] = {}
        for group in groups:
            heard = _from(done, on_progress)
            trials[group.group] = attempt(
                model, method, group, seed=seed, batch=batch, inverter=inverter, on_progress=heard
            )
            done += len(group)
        findings.rows.append(_row(method, trials, networks, reference, statistics))
        findings.shown.extend(_show(method, trial) for trial in trials.values())
    return findings


@torch.no_grad()
def _row(
    method: InversionMethod,
    trials: Trials,
    networks: SurveyNetworks,
    reference: EditReference,
    statistics: WStatistics,
) -> dict[str, Any]:
    good = trials.get("good")
    took = [trial.seconds / len(trial) for trial in trials.values()]
    options: Any = method
    return {
        "method": method_name(method),
        "space": method.space,
        "options": asdict(options),
        "seconds_per_picture": mean(took),
        "groups": {group: _figures(trial, networks) for group, trial in trials.items()},
        "editing": None if good is None else editing(good.codes, reference),
        "refusal": refusal(trials),
        "recovery": recovery(trials, statistics),
    }


def _figures(trial: MethodTrial, networks: SurveyNetworks) -> dict[str, Any]:
    return {
        "n": len(trial),
        "in_domain": in_domain(trial),
        "meaning": meaning(trial, networks),
        "outcomes": outcomes(trial),
        "strangeness": middle(trial.strangeness),
        "items": _items(trial),
    }


def _items(trial: MethodTrial) -> list[dict[str, Any]]:
    """One line for each subject."""
    met = mask_overlaps(trial) or [None] * len(trial)
    return [
        {
            "name": name,
            "outcome": inversion.outcome,
            "psnr_db": inversion.psnr,
            "percentile": inversion.domain_scores.get("percentile"),
            "strangeness": inversion.strangeness,
            "steps": inversion.steps,
            "mask_iou": iou,
        }
        for name, inversion, iou in zip(trial.subjects.names, trial.inversions, met, strict=True)
    ]


def _show(method: InversionMethod, trial: MethodTrial) -> Shown:
    drawn, target = trial.image[:SHOWN], trial.subjects.image[:SHOWN]
    return Shown(
        method=method_name(method),
        space=method.space,
        group=trial.subjects.group,
        target=to_picture(target),
        drawn=to_picture(drawn),
        difference=to_picture((drawn - target).abs() * 2 - 1),
    )


def _from(done: int, on_progress: OnProgress) -> OnProgress:
    return lambda part: on_progress(done + part)
