"""The evaluation of a set of made items, from two folders to a page and its JSON."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from blemish.checkpoint import find_bundle
from blemish.errors import BundleError, OptionError
from blemish.evaluation.eyes import Eyes
from blemish.evaluation.figures import presentable
from blemish.evaluation.provenance import hardware, today
from blemish.evaluation.synthesis.evaluate import SIDE, Tell, compare
from blemish.evaluation.synthesis.items import Item, Made, read_made, read_real
from blemish.evaluation.synthesis.page import write_page
from blemish.features import NetworkName, load_features
from blemish.files import ensure_writable, write_atomically
from blemish.generator.restore import load_critic, shape_of

Features = Literal["auto", "squeezenet", "vgg16", "critic"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to compare.

    Attributes:
        real: A folder with real defects.
        synthetic: A folder with made ones.
        features: What looks at them; auto is SqueezeNet where its weights are found, else the
            critic of `bundle`.
        bundle: Whose critic looks, where one does.
        everything: The bundle has learnt from all real ones.
    """

    real: Path
    synthetic: Path
    features: Features = "auto"
    bundle: str | None = None
    everything: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Everything that was read for a plan."""

    plan: Plan
    eyes: Eyes
    made: Made
    real: dict[str, list[Item]]

    @property
    def total(self) -> int:
        """So many pictures are looked at."""
        kinds = [kind for kind in self.made.items if kind in self.real]
        return sum(len(self.made.items[kind]) + len(self.real[kind]) for kind in kinds)

    def run(self, out: Path, tell: Tell = lambda _: None) -> dict[str, Any]:
        """Compare, and write `report.html` with its pictures and `report.json`, this last.

        Args:
            out: A folder; it is made.
            tell: Hears how many pictures have been looked at.

        Returns:
            What the JSON holds.

        Raises:
            DataError: A file can't be read.
            OutputError: The folder can't be written.
        """
        ensure_writable(out)
        everything = self.plan.everything
        subjects = compare(self.eyes, self.made, self.real, everything=everything, tell=tell)
        figures = {subject.kind: subject.figures(self.eyes) for subject in subjects}
        report = presentable(self._facts() | {"types": figures})
        write_page(report, subjects, out)
        text = json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False)
        write_atomically(out / "report.json", (text + "\n").encode())
        return report

    def _facts(self) -> dict[str, Any]:
        plan = self.plan
        return {
            "real": str(plan.real),
            "synthetic": str(plan.synthetic),
            "everything": plan.everything,
            "date": today(),
            "machine": hardware(),
            "network": self.eyes.name,
            "side": SIDE,
            "outcomes": self.made.outcomes,
            "reasons": self.made.reasons,
            "notes": self._notes(),
        }

    def _notes(self) -> list[str]:
        lone = sorted({*self.made.items} - {*self.real})
        notes = [f"There is no real one of {', '.join(lone)}: left out."] if lone else []
        if self.plan.everything:
            notes.append("All real ones count as learnt from: distances to them flatter.")
        if not self.made.outcomes:
            notes.append("No manifest: every item counts as kept, and nothing has a good twin.")
        return notes


def prepare(plan: Plan) -> Comparison:
    """Read the folders' contents, not yet their pictures, and open the eyes.

    Raises:
        DataError: A folder can't be read, or holds nothing to compare.
        OptionError: There is no network to look with.
        BundleError: The weights that are asked for are missing or torn.
    """
    made = read_made(plan.synthetic)
    real = read_real(plan.real, tuple(made.items))
    return Comparison(plan=plan, eyes=_eyes(plan), made=made, real=real)


def _eyes(plan: Plan) -> Eyes:
    if plan.features in ("squeezenet", "vgg16"):
        return _of(plan.features)
    if plan.features == "auto":
        try:
            return _of("squeezenet")
        except BundleError:
            pass  # not at hand: the critic, if one is named
    if plan.bundle is None:
        raise OptionError(
            got=f"--features {plan.features} without {_lacking(plan.features)}",
            expected="a network to look with",
            todo="Name the folder with the weights in BLEMISH_WEIGHTS, or give --bundle.",
        )
    bundle = find_bundle(plan.bundle)
    return Eyes.of_critic(load_critic(bundle), shape_of(bundle).resolution)


def _lacking(features: Features) -> str:
    return "--bundle" if features == "critic" else "SqueezeNet's weights and without --bundle"


def _of(name: NetworkName) -> Eyes:
    return Eyes.of_network(load_features(name))
