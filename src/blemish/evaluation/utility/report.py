"""Output of a trial: `report.json`, and `report.html` for display."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from blemish.data.folder import GOOD
from blemish.evaluation.figures import presentable
from blemish.evaluation.provenance import hardware, today
from blemish.evaluation.report import write_figures
from blemish.evaluation.utility.arms import about_batches
from blemish.evaluation.utility.detector import fresh_detector
from blemish.evaluation.utility.evaluate import OnProgress, UtilityData, arm_summaries
from blemish.evaluation.utility.page import write_utility_page
from blemish.evaluation.utility.plan import BASELINES
from blemish.evaluation.utility.training import about_training
from blemish.files import ensure_writable

SEEDS_WANTED = 3


def report(
    trial: UtilityData, out: Path, device: torch.device, on_progress: OnProgress = lambda _: None
) -> dict[str, Any]:
    """Run a trial, and write `report.html` with its image and `report.json`, which comes last.

    Args:
        trial: Result of `prepare_utility`.
        out: Output folder, created if missing.
        device: Device to compute on.
        on_progress: Callback, called with the number of finished steps of `trial.plan.total`.

    Returns:
        Content of the JSON file.

    Raises:
        DataError: A synthetic item can't be read.
        OutputError: The folder can't be written to.
        TrainingError: A detector diverged.
    """
    ensure_writable(out)
    outcomes = trial.put(out, device, on_progress)
    arms = arm_summaries(outcomes)
    found = presentable({**_facts(trial, device), "answer": _answer(arms), "arms": arms})
    write_utility_page(found, trial.real.tested, trial.shown(), outcomes, out)
    write_figures(found, out)
    return found


def _facts(trial: UtilityData, device: torch.device) -> dict[str, Any]:
    plan = trial.plan
    options = asdict(plan) | {"arms": [*plan.chosen]}
    folders = {name: options.pop(name) for name in ("real", "synthetic")}
    return {
        **{name: None if path is None else str(path) for name, path in folders.items()},
        "date": today(),
        "machine": hardware(device),
        "options": {**options, **about_batches(), **about_training()},
        "parameters": _parameters(trial),
        "counts": _counts(trial),
        "notes": _notes(trial),
    }


def _parameters(trial: UtilityData) -> dict[str, int]:
    detector = fresh_detector(len(trial.real.types), seed=0)
    networks = {"segmenter": detector.segmenter, "classifier": detector.classifier}
    return {name: sum(p.numel() for p in net.parameters()) for name, net in networks.items()}


def _counts(trial: UtilityData) -> dict[str, Any]:
    real, made = trial.real, trial.made.items if trial.made else {}
    return {
        "good": {"learnt": len(real.good), "tested": len(real.tested.of(GOOD))},
        "types": {
            kind: {
                "learnt": len(real.learnt.of(kind)),
                "tested": len(real.tested.of(kind)),
                "made": len(made.get(kind, ())),
            }
            for kind in real.types
        },
    }


def _notes(trial: UtilityData) -> list[str]:
    plan, notes = trial.plan, []
    if trial.foreign:
        notes.append(f"There are no real defects of {', '.join(trial.foreign)}: left out.")
    if trial.made:
        lacking = [kind for kind in trial.real.types if kind not in trial.made.kinds]
        if lacking:
            notes.append(f"No synthetic defect of {', '.join(lacking)} was kept.")
        notes.append(
            "The bundle's training data can't be checked here: a bundle trained on more than the "
            "first third of each type has seen test photographs."
        )
    if plan.seeds < SEEDS_WANTED:
        notes.append("With fewer than three seeds, differences may be chance.")
    return notes


def _answer(arms: dict[str, Any]) -> str | None:
    """Gain of the best arm with synthetic defects over the best without, if there are both."""
    with_synthetic = [name for name in arms if name not in BASELINES]
    without = [name for name in arms if name in BASELINES]
    if not with_synthetic or not without:
        return None

    def precision(name: str) -> float:
        return arms[name]["mean"]["ap"]

    best, baseline = max(with_synthetic, key=precision), max(without, key=precision)
    gain = 100 * (precision(best) - precision(baseline))
    return f"The best with synthetic defects, {best}, is {gain:+.1f} points of AP from {baseline}."
