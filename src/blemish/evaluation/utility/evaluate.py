"""Trial of a set: detectors trained with and without it, tested on the same photographs.

Every arm is trained with every seed, for the same number of steps on batches that differ only in
the source of their defects. Maps and masks are compared at the detector's own size. On one machine
with one number of threads, the same options give the same figures each time.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from itertools import product, zip_longest
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from blemish.data.folder import GOOD
from blemish.errors import DataError
from blemish.evaluation.synthesis.items import read_synthetic
from blemish.evaluation.utility.arms import Arm, Batches, make_arms
from blemish.evaluation.utility.detector import Detector, fresh_detector
from blemish.evaluation.utility.keep import Kept
from blemish.evaluation.utility.outcome import Figures, TrainingOutcome, ap_of
from blemish.evaluation.utility.plan import UtilityOptions
from blemish.evaluation.utility.protocol import Protocol, read_protocol, refuse_leaks
from blemish.evaluation.utility.scores import pixel_scores
from blemish.evaluation.utility.sources import SyntheticSource
from blemish.evaluation.utility.training import maps_of, train_detector, types_of
from blemish.files import alone

SHOWN = 8
OnProgress = Callable[[int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class UtilityData:
    """Data of a trial.

    Attributes:
        plan: Options of the trial.
        real: Photographs, split by the protocol.
        made: Synthetic defects; None for the baselines alone.
        foreign: Types of synthetic defects that have no real ones.
    """

    plan: UtilityOptions
    real: Protocol
    made: SyntheticSource | None = None
    foreign: tuple[str, ...] = ()

    def put(
        self, out: Path, device: torch.device, on_progress: OnProgress = lambda _: None
    ) -> list[TrainingOutcome]:
        """Train and test every arm with every seed, except finished ones in `out`.

        Args:
            out: Output folder; each finished training is saved there.
            device: Device to compute on.
            on_progress: Callback, called with the number of finished steps of all.

        Raises:
            DataError: A synthetic item can't be read.
            TrainingError: A detector diverged.
            OutputError: Another run uses `out`, or it can't be written to.
        """
        plan = self.plan
        arms = make_arms(plan.chosen, self.real, self.made)
        kept, found = Kept(out, plan, self.real, self.made, device), []
        with alone(kept.folder):
            for k, (arm, seed) in enumerate(product(arms, range(plan.seeds))):
                if known := kept.load(arm.name, seed):
                    on_progress((k + 1) * plan.steps)
                else:
                    step = partial(_further, on_progress, k * plan.steps)
                    known = self._outcome(arm, seed, device, step)
                    kept.save(known)
                found.append(known)
        return found

    def _outcome(
        self, arm: Arm, seed: int, device: torch.device, on_progress: OnProgress
    ) -> TrainingOutcome:
        plan, real = self.plan, self.real
        detector = fresh_detector(len(real.types), seed=seed).to(device)
        batches = Batches(arm=arm, real=real, steps=plan.steps, batch=plan.batch, seed=seed)
        train_detector(
            detector, batches, device=device, precision=plan.precision, on_progress=on_progress
        )
        figures, maps = detector_figures(detector, real, device)
        likely = (1 / (1 + np.exp(-maps[self.shown()]))).astype(np.float32)
        return TrainingOutcome(arm=arm.name, seed=seed, figures=figures, maps=likely)

    def shown(self) -> list[int]:
        """Indices of the test photographs to show: some of each kind."""
        kinds = dict.fromkeys(self.real.tested.kinds)
        rounds = zip_longest(*(self.real.tested.of(kind).tolist() for kind in kinds))
        some = [index for one in rounds for index in one if index is not None]
        return sorted(some[:SHOWN])


def _further(on_progress: OnProgress, before: int, done: int) -> None:
    on_progress(before + done)


def prepare_utility(plan: UtilityOptions) -> UtilityData:
    """Read the real photographs and the synthetic items.

    Raises:
        DataError: A folder can't be read or is incomplete, or synthetic items are test photographs.
    """
    real = read_protocol(plan.real, plan.size, plan.limit_good)
    if plan.synthetic is None:
        return UtilityData(plan=plan, real=real)
    found = {kind: items for kind, items in read_synthetic(plan.synthetic).items.items() if items}
    known = {kind: items for kind, items in found.items() if kind in real.types}
    if not known:
        raise DataError(
            got=f"{plan.synthetic}, with only {', '.join(sorted(found))}",
            expected=f"some of {', '.join(real.types)}, as {plan.real} has",
            todo="Make defects of these types, or give another folder.",
        )
    made = SyntheticSource(known, plan.size)
    refuse_leaks(made.files(), real.tested.paths)
    return UtilityData(plan=plan, real=real, made=made, foreign=tuple(sorted({*found} - {*known})))


def detector_figures(
    detector: Detector, real: Protocol, device: torch.device
) -> tuple[Figures, Float[np.ndarray, "n s s"]]:
    """Figures of a detector on the test photographs, and its maps as logits."""
    tested = real.tested
    maps = maps_of(detector, tested.pictures, device)
    odd = [index for index, kind in enumerate(tested.kinds) if kind in real.types]
    predicted = types_of(detector, tested.pictures[odd], device)
    right = [real.types[t] == tested.kinds[index] for t, index in zip(predicted, odd, strict=True)]
    scores = asdict(pixel_scores(maps, tested.marked)) | {"type_accuracy": fmean(right)}
    return scores | _by_type(maps, real), maps


def _by_type(maps: Float[np.ndarray, "n s s"], real: Protocol) -> Figures:
    """AP on the photographs of each type and the good ones, if these have any sound pixel."""
    tested, found = real.tested, {}
    for kind in real.types:
        some = [index for index, other in enumerate(tested.kinds) if other in (kind, GOOD)]
        masks = tested.marked[some]
        if masks.any() and not masks.all():
            found[ap_of(kind)] = pixel_scores(maps[some], masks).ap
    return found


def arm_summaries(outcomes: list[TrainingOutcome]) -> dict[str, Any]:
    """Runs of each arm, and mean and deviation over seeds; one seed has no deviation."""
    arms = dict.fromkeys(outcome.arm for outcome in outcomes)
    return {arm: _over_seeds([o for o in outcomes if o.arm == arm]) for arm in arms}


def _over_seeds(outcomes: list[TrainingOutcome]) -> dict[str, Any]:
    # Trainings saved by an earlier version have no AP by type.
    names = [n for n in outcomes[0].figures if all(n in outcome.figures for outcome in outcomes)]
    columns = {name: [o.figures[name] for o in outcomes] for name in names}
    return {
        "runs": [{"seed": o.seed, **o.figures} for o in outcomes],
        "mean": {name: fmean(values) for name, values in columns.items()},
        "spread": {name: stdev(v) if len(v) > 1 else None for name, v in columns.items()},
    }
