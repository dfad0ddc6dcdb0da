"""Evaluation of inversion: gathers subjects and networks, runs the questions, writes the report."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from blemish.checkpoint import Bundle
from blemish.data.folder import DefectFolder
from blemish.editing.defective import DefectInverter
from blemish.editing.directions import NETWORK as DIRECTIONS
from blemish.editing.directions import Direction, read_directions
from blemish.errors import BundleError, DataError, OptionError
from blemish.evaluation.eyes import LEAST_SIDE, FeatureExtractor
from blemish.evaluation.figures import presentable
from blemish.evaluation.inversion.answers import answers
from blemish.evaluation.inversion.evaluate import Findings, evaluate_inversion
from blemish.evaluation.inversion.kinds import learn_kinds
from blemish.evaluation.inversion.measures import SurveyNetworks, accuracy
from blemish.evaluation.inversion.page import write_inversion_page
from blemish.evaluation.inversion.subjects import (
    OWN_SEEDS,
    DefectNetworks,
    Subjects,
    foreign_objects,
    held_out_defects,
    held_out_good,
    own_samples,
    source_of,
)
from blemish.evaluation.inversion.trial import OnProgress
from blemish.evaluation.provenance import hardware, today
from blemish.evaluation.report import write_figures
from blemish.features import load_features
from blemish.files import ensure_writable
from blemish.inversion.methods import InversionMethod
from blemish.inversion.model import Model
from blemish.models.finder import NETWORK as FINDER
from blemish.seeds import refuse_seeds
from blemish.synthesis.masks.learned import NETWORK as MASKS
from blemish.windows.paint import NETWORK as WINDOWS

UNITS = {
    "cycle": "variance of an element of w",
    "mahalanobis": "deviations of fresh codes; about 1 for these",
    "spread": "variance of an element of w",
    "percentile": "percentage of fresh samples below, 0 to 100",
    "share": "of 1",
    "mse": "on [-1, 1]",
    "psnr_db": "dB, 10·log10(4/MSE) on [-1, 1]",
    "boundary_f": "at 3 px",
    "kernel_distance": "squared MMD, unbiased, pairs left out; 0 for equal sets",
    "sliced_wasserstein": "of standardised patches of 7 px, mean over scales",
    "changed_outside": "mean absolute difference on [-1, 1]",
    "code_distance": "variance of an element of w",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SurveyOptions:
    """Options of the evaluation.

    Attributes:
        images: Folder in the layout of MVTec AD; the bundle should not have seen its test/good, nor
            more than the first third of each defect type.
        foreign: Folder of other objects; None leaves them out.
        samples: Number of the generator's own samples.
        limit: Maximum number of photographs per group, evenly spread; None takes all.
        seed: Random seed of samples and searches.
        batch: Subjects per search batch; it changes only rounding.
    """

    images: Path
    foreign: Path | None = None
    samples: int = 100
    limit: int | None = None
    seed: int = 0
    batch: int = 8

    def __post_init__(self) -> None:
        refuse_seeds(self.seed, OWN_SEEDS + max(1, self.samples))
        least = {"samples": (self.samples, 0), "limit": (self.limit, 1), "batch": (self.batch, 1)}
        for name, (value, lowest) in least.items():
            if value is not None and value < lowest:
                raise OptionError(
                    got=f"--{name} {value}",
                    expected=f"{lowest} or more",
                    todo="Correct the option.",
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """Data and networks of the evaluation.

    Attributes:
        bundle: Evaluated bundle.
        model: Networks of the bundle.
        plan: Options of the evaluation.
        groups: Groups of subjects.
        networks: Feature networks and classifier.
        notes: Missing data, and other remarks.
    """

    bundle: Bundle
    model: Model
    plan: SurveyOptions
    groups: list[Subjects]
    networks: SurveyNetworks
    notes: list[str]

    @property
    def total(self) -> int:
        """Number of subjects per method."""
        return sum(map(len, self.groups))

    def put(
        self,
        methods: Sequence[InversionMethod],
        out: Path,
        on_progress: OnProgress = lambda _: None,
    ) -> dict[str, Any]:
        """Run the evaluation; write `report.html` with its images, and `report.json` last.

        Args:
            methods: Methods with their space and options.
            out: Output folder, created if missing.
            on_progress: Callback, called with the number of finished subjects over all methods.

        Returns:
            Content of the JSON file.

        Raises:
            BundleError: The bundle lacks what a method needs.
            OutputError: The folder can't be written to.
        """
        ensure_writable(out)
        plan = self.plan
        findings = evaluate_inversion(
            self.model,
            methods,
            self.groups,
            self.networks,
            seed=plan.seed,
            batch=plan.batch,
            directions=_directions(self.bundle, self.model),
            inverter=_inverter(self.bundle, self.model),
            on_progress=on_progress,
        )
        report = presentable(self._facts(findings))
        write_inversion_page(report, findings.shown, out)
        write_figures(report, out)
        return report

    def _facts(self, findings: Findings) -> dict[str, Any]:
        return {
            "bundle": {"name": self.bundle.path.name, "digest": self.bundle.digest},
            "date": today(),
            "machine": hardware(self.model.device),
            "options": {k: _plain(v) for k, v in asdict(self.plan).items()},
            "resolution": self.model.generator.config.resolution,
            "counts": {group.group: len(group) for group in self.groups},
            "networks": {
                "perceptual": [eyes.name for eyes in self.networks.eyes],
                "sets": self.networks.eyes[-1].name,
            },
            "classifier": accuracy(self.networks.reader, self.groups),
            "units": UNITS,
            "notes": self.notes,
            "rows": findings.rows,
            "answers": answers(findings.rows),
        }


def prepare_survey(bundle: Bundle, model: Model, plan: SurveyOptions) -> Survey:
    """Gather subjects and networks.

    Raises:
        DataError: A folder or a file can't be read, or there are no subjects.
    """
    folder = DefectFolder(plan.images)
    notes: list[str] = []
    groups = _gather(bundle, model, folder, plan, notes)
    if not groups:
        raise DataError(
            got=f"{plan.images}, without photographs to test on, and --samples {plan.samples}",
            expected="test/good, more than one defect of a type, or samples of the generator's own",
            todo="Add photographs, or use --samples.",
        )
    eyes = _eyes(model, notes)
    side = model.generator.config.resolution
    reader = learn_kinds(folder, eyes[-1], side, model.device)
    known = {"networks": SurveyNetworks(eyes=eyes, reader=reader), "notes": notes}
    return Survey(bundle=bundle, model=model, plan=plan, groups=groups, **known)


def _gather(
    bundle: Bundle, model: Model, folder: DefectFolder, plan: SurveyOptions, notes: list[str]
) -> list[Subjects]:
    generator, defect = model.generator, model.generator.config.defect
    look = bundle.has(FINDER) if defect is None else model.encoder is not None
    if not look:
        needed = "a finder, or a defect branch and an encoder"
        notes.append(f"Defects were not searched for: this needs {needed}.")
    found: list[Subjects] = []
    _add(found, held_out_good(folder, generator, plan.limit), "test/good", notes)
    defective = held_out_defects(folder, generator, plan.limit, look=look)
    _add(found, defective, "defects beyond the first third of a type", notes)
    if model.domain is None:
        notes.append("The bundle has no statistics of its codes, so domain figures are missing.")
    source, beside = source_of(bundle, folder, generator), None
    if defect is None and bundle.has(WINDOWS) and bundle.has(MASKS):
        beside = DefectNetworks.of(bundle, str(model.device))
    found += own_samples(generator, source, plan.samples, seed=plan.seed, look=look, beside=beside)
    if plan.foreign is not None:
        found.append(foreign_objects(plan.foreign, generator, plan.limit))
    else:
        notes.append("No photographs of other objects: --foreign was not given.")
    unknown = {*folder.types} - {*(defect.types if defect is not None else folder.types)}
    if unknown:
        notes.append(f"The bundle has not learnt these defects: {', '.join(sorted(unknown))}.")
    return found


def _inverter(bundle: Bundle, model: Model) -> DefectInverter | None:
    """Inverter of defects; None if the generator draws them itself, or nothing finds them."""
    if model.generator.config.defect is not None or not bundle.has(FINDER):
        return None
    return DefectInverter(bundle, model)


def _directions(bundle: Bundle, model: Model) -> list[Direction]:
    """Directions of the bundle's codes; none if they have not been learnt."""
    config = model.generator.config
    if not bundle.has(DIRECTIONS):
        return []
    return list(read_directions(bundle, config.layers, config.w_dim).values())


def _add(found: list[Subjects], group: Subjects | None, what: str, notes: list[str]) -> None:
    if group is None:
        notes.append(f"A group is missing: the folder has no {what}.")
    else:
        found.append(group)


def _eyes(model: Model, notes: list[str]) -> list[FeatureExtractor]:
    """The critic, and SqueezeNet if its weights are available and images are large enough."""
    eyes = [FeatureExtractor.of_critic(model.critic)]
    side = model.generator.config.resolution
    if side < LEAST_SIDE:
        notes.append(f"SqueezeNet was left out: images of {side}² are too small for it.")
        return eyes
    try:
        network = load_features("squeezenet").to(model.device)
    except BundleError as error:
        notes.append(f"SqueezeNet was left out: {error.got}. {error.todo}")
        return eyes
    return [*eyes, FeatureExtractor.of_network(network)]


def _plain(value: object) -> object:
    return str(value) if isinstance(value, Path) else value
