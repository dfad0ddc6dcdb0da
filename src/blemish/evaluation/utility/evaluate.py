"""The trial of a set: detectors trained with it and without, tested on the same photographs.

Every arm is trained under every seed, by the same number of steps on batches that are alike but for
where their defects come from. Maps and masks are compared at the detector's own size. On one
machine and one number of threads, a plan gives the same figures each time.
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
from blemish.evaluation.synthesis.items import read_made
from blemish.evaluation.utility.arms import Arm, Batches, make_arms
from blemish.evaluation.utility.detector import Detector, fresh_detector
from blemish.evaluation.utility.keep import Kept
from blemish.evaluation.utility.outcome import Figures, Outcome, ap_of
from blemish.evaluation.utility.plan import Plan
from blemish.evaluation.utility.protocol import Protocol, read_protocol, refuse_leaks
from blemish.evaluation.utility.scores import pixel_scores
from blemish.evaluation.utility.sources import Made
from blemish.evaluation.utility.training import maps_of, train, types_of
from blemish.files import alone

SHOWN = 8
Tell = Callable[[int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Everything that was read for a plan.

    Attributes:
        plan: What to do.
        real: Photographs, parted.
        made: Defects to learn from; None for the baselines alone.
        foreign: Types of made ones that no real one has.
    """

    plan: Plan
    real: Protocol
    made: Made | None = None
    foreign: tuple[str, ...] = ()

    def put(self, out: Path, device: torch.device, tell: Tell = lambda _: None) -> list[Outcome]:
        """Train and test every arm under every seed, but what `out` has already.

        Args:
            out: A folder; each training is kept there once it is done.
            device: To work on.
            tell: Hears how many steps of all have been done.

        Raises:
            DataError: A made item can't be read.
            TrainingError: A detector diverged.
            OutputError: Another run is at work in `out`, or it can't be written into.
        """
        plan = self.plan
        arms = make_arms(plan.chosen, self.real, self.made)
        kept, found = Kept(out, plan, self.real, self.made, device), []
        with alone(kept.folder):
            for k, (arm, seed) in enumerate(product(arms, range(plan.seeds))):
                if known := kept.load(arm.name, seed):
                    tell((k + 1) * plan.steps)
                else:
                    step = partial(_further, tell, k * plan.steps)
                    known = self._outcome(arm, seed, device, step)
                    kept.save(known)
                found.append(known)
        return found

    def _outcome(self, arm: Arm, seed: int, device: torch.device, tell: Tell) -> Outcome:
        plan, real = self.plan, self.real
        detector = fresh_detector(len(real.types), seed=seed).to(device)
        batches = Batches(arm=arm, real=real, steps=plan.steps, batch=plan.batch, seed=seed)
        train(detector, batches, device=device, precision=plan.precision, tell=tell)
        figures, maps = examine(detector, real, device)
        likely = (1 / (1 + np.exp(-maps[self.shown()]))).astype(np.float32)
        return Outcome(arm=arm.name, seed=seed, figures=figures, maps=likely)

    def shown(self) -> list[int]:
        """Which of the photographs that are tested on are shown: some of each kind."""
        kinds = dict.fromkeys(self.real.tested.kinds)
        rounds = zip_longest(*(self.real.tested.of(kind).tolist() for kind in kinds))
        some = [index for one in rounds for index in one if index is not None]
        return sorted(some[:SHOWN])


def _further(tell: Tell, before: int, done: int) -> None:
    tell(before + done)


def prepare(plan: Plan) -> Trial:
    """Read the real photographs, and what there is of made ones.

    Raises:
        DataError: A folder can't be read or lacks something, or made ones are test photographs.
    """
    real = read_protocol(plan.real, plan.size, plan.limit_good)
    if plan.synthetic is None:
        return Trial(plan=plan, real=real)
    found = {kind: items for kind, items in read_made(plan.synthetic).items.items() if items}
    known = {kind: items for kind, items in found.items() if kind in real.types}
    if not known:
        raise DataError(
            got=f"{plan.synthetic}, with {', '.join(sorted(found))} alone",
            expected=f"some of {', '.join(real.types)}, as {plan.real} has",
            todo="Make defects of these types, or name another folder.",
        )
    made = Made(known, plan.size)
    refuse_leaks(made.files(), real.tested.paths)
    return Trial(plan=plan, real=real, made=made, foreign=tuple(sorted({*found} - {*known})))


def examine(
    detector: Detector, real: Protocol, device: torch.device
) -> tuple[Figures, Float[np.ndarray, "n s s"]]:
    """Figures of a detector on what is tested on, and its maps as logits."""
    tested = real.tested
    maps = maps_of(detector, tested.pictures, device)
    odd = [index for index, kind in enumerate(tested.kinds) if kind in real.types]
    told = types_of(detector, tested.pictures[odd], device)
    right = [real.types[t] == tested.kinds[index] for t, index in zip(told, odd, strict=True)]
    scores = asdict(pixel_scores(maps, tested.marked)) | {"type_accuracy": fmean(right)}
    return scores | _by_type(maps, real), maps


def _by_type(maps: Float[np.ndarray, "n s s"], real: Protocol) -> Figures:
    """AP on the photographs of each type and the good ones, where any pixel of these is sound."""
    tested, found = real.tested, {}
    for kind in real.types:
        some = [index for index, other in enumerate(tested.kinds) if other in (kind, GOOD)]
        masks = tested.marked[some]
        if masks.any() and not masks.all():
            found[ap_of(kind)] = pixel_scores(maps[some], masks).ap
    return found


def summary(outcomes: list[Outcome]) -> dict[str, Any]:
    """Of each arm: its runs, and mean and deviation over seeds; one seed has no deviation."""
    arms = dict.fromkeys(outcome.arm for outcome in outcomes)
    return {arm: _over_seeds([o for o in outcomes if o.arm == arm]) for arm in arms}


def _over_seeds(outcomes: list[Outcome]) -> dict[str, Any]:
    # Trainings that an earlier version kept have no AP by type.
    names = [n for n in outcomes[0].figures if all(n in outcome.figures for outcome in outcomes)]
    columns = {name: [o.figures[name] for o in outcomes] for name in names}
    return {
        "runs": [{"seed": o.seed, **o.figures} for o in outcomes],
        "mean": {name: fmean(values) for name, values in columns.items()},
        "spread": {name: stdev(v) if len(v) > 1 else None for name, v in columns.items()},
    }
