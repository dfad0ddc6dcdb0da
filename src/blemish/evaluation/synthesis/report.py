"""Evaluation of a synthetic set, from two folders to a page and its JSON."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from blemish.checkpoint import find_bundle
from blemish.errors import BundleError, OptionError
from blemish.evaluation.eyes import FeatureExtractor
from blemish.evaluation.figures import presentable
from blemish.evaluation.provenance import hardware, today
from blemish.evaluation.report import write_figures
from blemish.evaluation.synthesis.beside import close_up_rows
from blemish.evaluation.synthesis.evaluate import SIDE, OnProgress, Subject, compare
from blemish.evaluation.synthesis.items import (
    LabelledDefect,
    SyntheticSet,
    read_real_defects,
    read_synthetic,
)
from blemish.evaluation.synthesis.page import write_synthesis_page
from blemish.evaluation.synthesis.sorting import write_sorting_page
from blemish.features import FeatureNetwork, load_features
from blemish.files import ensure_writable
from blemish.models.load import load_critic, shape_of
from blemish.names import FeatureChoice, NetworkName

TRAINED_WITH: NetworkName = "efficientnet-lite0"


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonOptions:
    """Options of the comparison.

    Attributes:
        real: Folder with real defects.
        synthetic: Folder with synthetic defects.
        features: Feature network; auto is SqueezeNet if its weights are available, else the critic
            of `bundle`.
        bundle: Bundle whose critic is used.
        everything: The bundle was trained on all real ones.
        device: Device to compute on.
    """

    real: Path
    synthetic: Path
    features: FeatureChoice = "auto"
    bundle: str | None = None
    everything: bool = False
    device: str = "cpu"


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonInputs:
    """Data and network of a comparison.

    Attributes:
        judge: SqueezeNet, which looks at close-ups; None where its weights are not found.
    """

    plan: ComparisonOptions
    eyes: FeatureExtractor
    synthetic: SyntheticSet
    real: dict[str, list[LabelledDefect]]
    judge: FeatureNetwork | None = None

    @property
    def total(self) -> int:
        """Number of images to read."""
        kinds = [kind for kind in self.synthetic.items if kind in self.real]
        return sum(len(self.synthetic.items[kind]) + len(self.real[kind]) for kind in kinds)

    def run(self, out: Path, on_progress: OnProgress = lambda _: None) -> dict[str, Any]:
        """Compare, and write `report.html` with its images and `report.json`, which comes last.

        Args:
            out: Output folder, created if missing.
            on_progress: Callback, called with the number of finished images.

        Returns:
            Content of the JSON file.

        Raises:
            DataError: A file can't be read.
            OutputError: The folder can't be written to.
        """
        ensure_writable(out)
        everything = self.plan.everything
        subjects = compare(
            self.eyes, self.synthetic, self.real, everything=everything, on_progress=on_progress
        )
        figures = {subject.kind: self._figures(subject) for subject in subjects}
        report = presentable(self._facts() | {"types": figures})
        write_synthesis_page(report, subjects, out)
        near = {subject.kind: (subject.real_near, subject.synthetic_near) for subject in subjects}
        write_sorting_page(near, out / "sorting.html")
        write_figures(report, out)
        return report

    def _figures(self, subject: Subject) -> dict[str, Any]:
        """Everything that is measured of a type; close-ups need SqueezeNet's weights."""
        found = subject.figures(self.eyes)
        found |= {"files": subject.files(self.plan.real), "items": subject.lines()}
        if self.judge is None:
            why = {"realism of close-ups": "SqueezeNet's weights are not found"}
            return found | {"close_ups": None, "unknown": found["unknown"] | why}
        near = subject.synthetic_near, subject.real_near
        rows = close_up_rows(self.judge, *near, self.plan.real, subject.known)
        return found | {"close_ups": rows}

    def _facts(self) -> dict[str, Any]:
        plan = self.plan
        return {
            "real": str(plan.real),
            "synthetic": str(plan.synthetic),
            "everything": plan.everything,
            "options": {k: str(v) if isinstance(v, Path) else v for k, v in asdict(plan).items()},
            "date": today(),
            "machine": hardware(torch.device(plan.device)),
            "network": self.eyes.name,
            "bundle": self._bundle(),
            "pooling": "mean of the deepest feature map, scaled to length √d",
            "side": SIDE,
            "outcomes": self.synthetic.outcomes,
            "refusal_rate": {k: _refusal_rate(n) for k, n in self.synthetic.outcomes.items()},
            "reasons": self.synthetic.reasons,
            "notes": self._notes(),
        }

    def _bundle(self) -> dict[str, str] | None:
        """Bundle whose critic is used."""
        if self.eyes.name != "critic" or self.plan.bundle is None:
            return None
        bundle = find_bundle(self.plan.bundle)
        return {"name": bundle.path.name, "digest": bundle.digest}

    def _notes(self) -> list[str]:
        lone = sorted({*self.synthetic.items} - {*self.real})
        notes = [f"There are no real defects of {', '.join(lone)}: left out."] if lone else []
        if self.plan.everything:
            notes.append("All real ones count as training data, so distances are too small.")
        if self.eyes.name == TRAINED_WITH:
            notes.append(
                "Generators are trained with EfficientNet-Lite0, which flatters them here. "
                "Use --features squeezenet for an independent judgement."
            )
        if not self.synthetic.outcomes:
            notes.append("No manifest: every item counts as kept, and no item has a good twin.")
        return notes


def prepare_comparison(plan: ComparisonOptions) -> ComparisonInputs:
    """Read the folders' contents, without their images, and load the network.

    Raises:
        DataError: A folder can't be read, or has nothing to compare.
        OptionError: There is no feature network.
        BundleError: The required weights are missing or damaged.
    """
    synthetic = read_synthetic(plan.synthetic)
    real = read_real_defects(plan.real, tuple(synthetic.items))
    eyes = _on(_eyes(plan), plan.device)
    return ComparisonInputs(plan=plan, eyes=eyes, judge=_judge(), synthetic=synthetic, real=real)


def _judge() -> FeatureNetwork | None:
    try:
        return load_features("squeezenet")
    except BundleError:
        return None


def _eyes(plan: ComparisonOptions) -> FeatureExtractor:
    if plan.features == "critic":
        return _of_critic(plan)
    if plan.features != "auto":
        return _of(plan.features, plan.device)
    try:
        return _of("squeezenet", plan.device)
    except BundleError:  # not at hand, as EfficientNet-Lite0 always is
        return _of(TRAINED_WITH, plan.device)


def _of_critic(plan: ComparisonOptions) -> FeatureExtractor:
    if plan.bundle is None:
        raise OptionError(
            got="--features critic without --bundle",
            expected="the bundle whose critic looks",
            todo="Give --bundle, or choose other features.",
        )
    bundle = find_bundle(plan.bundle)
    return FeatureExtractor.of_critic(load_critic(bundle, plan.device), shape_of(bundle).resolution)


def _of(name: NetworkName, device: str) -> FeatureExtractor:
    return FeatureExtractor.of_network(load_features(name).to(device))


def _on(eyes: FeatureExtractor, device: str) -> FeatureExtractor:
    """Networks on a device for images on the processor; features return to the processor."""
    return replace(eyes, look=lambda image: [f.cpu() for f in eyes.look(image.to(device))])


def _refusal_rate(outcomes: dict[str, int]) -> float | None:
    """Fraction refused of those that did not fail; None without any."""
    decided = outcomes.get("kept", 0) + outcomes.get("refused", 0)
    return outcomes.get("refused", 0) / decided if decided else None
