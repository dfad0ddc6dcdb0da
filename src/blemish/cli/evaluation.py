"""`blemish evaluate`: measurements of a bundle and of synthetic sets."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

from tyro.conf import arg

from blemish.cli.inversion import SearchFlags
from blemish.cli.options import Flag, Json
from blemish.cli.progress import Progress, print_json
from blemish.errors import OptionError
from blemish.names import Device, FeatureChoice, InversionName, Space

if TYPE_CHECKING:
    from blemish.checkpoint import Bundle
    from blemish.inversion.methods import InversionMethod

Methods = Annotated[
    str | None,
    arg(metavar="NAME,...", help_behavior_hint="(default: all that the bundle supports)"),
]
Spaces = Annotated[str, arg(metavar="NAME,...")]
NEEDS_ENCODER = ("encode", "in-domain")


def inversion(
    images: Path,
    bundle: str = "hazelnut",
    foreign: Annotated[Path | None, arg(help_behavior_hint="(default: none)")] = None,
    methods: Methods = None,
    spaces: Spaces = "z,w,w+",
    steps: Annotated[int | None, arg(help_behavior_hint="(default: each method's)")] = None,
    samples: int = 100,
    limit: Annotated[int | None, arg(help_behavior_hint="(default: all)")] = None,
    batch: int = 8,
    seed: int = 0,
    out: Path = Path("inversion-report"),
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Answer the four questions of inversion for each method and space.

    Writes report.html, a self-contained page, and report.json.

    Args:
        images: Folder with train/good, test/good, test/<type> and ground_truth/<type>. Evaluated
            are test/good and each type without its first third by name.
        bundle: Folder of a bundle, or the name of a shipped one.
        foreign: Photographs of other objects, which should be refused: a folder of images, or a
            data set like --images, of which the good parts are used.
        methods: Inversion methods: encode, in-domain, optimize, project.
        spaces: Search spaces: z, w, w+, f/w+; encode does not support z.
        steps: Maximum steps of each search.
        samples: Number of the generator's own samples to invert, half of them with a defect.
        limit: Maximum number of photographs per group, spread evenly over it.
        batch: Images per search batch; it changes only rounding.
        seed: Random seed of samples and searches.
        out: Folder for the report.
        device: Device to compute on; auto uses CUDA if available.
        json: Print the figures as JSON.
    """
    from blemish.checkpoint import find_bundle
    from blemish.devices import choose_device
    from blemish.evaluation.inversion.survey import SurveyOptions, prepare_survey
    from blemish.files import ensure_writable
    from blemish.inversion.model import load_model

    plan = SurveyOptions(
        images=images, foreign=foreign, samples=samples, limit=limit, seed=seed, batch=batch
    )
    found = find_bundle(bundle)
    wanted = _chosen(methods, _able(found.has("encoder")), found.has("encoder"))
    tried = _methods(wanted, _names("spaces", spaces, get_args(Space)), steps, found)
    model = load_model(found, choose_device(device))
    survey = prepare_survey(found, model, plan)
    ensure_writable(out)
    with Progress("inverting", survey.total * len(tried)) as progress:
        report = survey.put(tried, out, progress.part)
    if json:
        print_json(report)
        return
    for answer in report["answers"].values():
        print(answer)
    print(f"{out / 'report.html'} has the figures and images.", file=sys.stderr)


def synthesis(
    real: Path,
    synthetic: Path,
    features: FeatureChoice = "auto",
    bundle: Annotated[str | None, arg(help_behavior_hint="(default: none)")] = None,
    everything: Flag = False,
    out: Path = Path("synthesis-report"),
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Compare synthetic defects with real ones: distance, diversity, copies, label accuracy.

    Writes report.html, a self-contained page, and report.json.

    Args:
        real: Folder with test/<type> and ground_truth/<type>. The first third of each type by name
            counts as training data; the rest is compared with.
        synthetic: Folder written by 'blemish synthesize' or 'batch', or a data set like --real.
        features: Feature network: SqueezeNet or VGG16 from the folder BLEMISH_WEIGHTS,
            EfficientNet-Lite0, or the critic of --bundle; auto is SqueezeNet if available, else
            EfficientNet-Lite0, with which generators are trained.
        bundle: Folder of a bundle, or the name of a shipped one, for its critic.
        everything: Compare with all real defects, because the bundle was trained on all of them.
        out: Folder for the report.
        device: Device to compute on; auto uses CUDA if available.
        json: Print the figures as JSON.
    """
    from blemish.devices import choose_device
    from blemish.evaluation.synthesis.report import ComparisonOptions, prepare_comparison

    comparison = prepare_comparison(
        ComparisonOptions(
            real=real,
            synthetic=synthetic,
            features=features,
            bundle=bundle,
            everything=everything,
            device=str(choose_device(device)),
        )
    )
    with Progress("looking", comparison.total) as progress:
        report = comparison.run(out, progress.part)
    if json:
        print_json(report)
        return
    for kind, found in report["types"].items():
        print(_line_of(kind, found))
    print(f"{out / 'report.html'} has the figures and images.", file=sys.stderr)


def _line_of(kind: str, found: dict[str, Any]) -> str:
    """Figures of one type, as one line."""
    distance, drift = found["distances"]["around"]["made"], found["drift"]
    parts = [f"{kind}: {found['made']} synthetic"]
    if distance is not None:
        parts.append(f"kernel distance {distance['kernel']:.3f} ± {distance['kernel_spread']:.3f}")
    if found["memorised"] is not None:
        parts.append(f"{found['memorised']:.0%} copies of a training defect")
    if drift is not None:
        parts.append(f"IoU of label and change {drift['iou_changed_median']:.2f}")
        parts.append(f"{drift['pixels_changed_outside_label']} pixels changed outside labels")
    return ", ".join(parts)


def _able(encoder: bool) -> tuple[str, ...]:
    return tuple(name for name in get_args(InversionName) if encoder or name not in NEEDS_ENCODER)


def _chosen(methods: str | None, able: tuple[str, ...], encoder: bool) -> list[str]:
    if methods is None:
        return [*able]
    chosen = _names("methods", methods, get_args(InversionName))
    lacking = [name for name in chosen if name not in able]
    if lacking:
        raise OptionError(
            got=f"--methods {methods} for a bundle without an encoder",
            expected=f"some of {', '.join(able)}; the others need an encoder",
            todo="Run 'blemish train encoder DATA --bundle BUNDLE', or leave these methods out.",
        )
    return chosen


def _names(option: str, text: str, known: tuple[str, ...]) -> list[str]:
    """The names in a comma-separated list, without duplicates."""
    chosen = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if not chosen or not {*chosen} <= {*known}:
        raise OptionError(
            got=f"--{option} {text}",
            expected=f"some of {', '.join(known)}, separated by commas",
            todo="Correct the option.",
        )
    return chosen


def _methods(
    names: list[str], spaces: list[str], steps: int | None, bundle: "Bundle"
) -> "list[InversionMethod]":
    """Each method in each space that it supports."""
    made = []
    for name in names:
        for space in spaces:
            if (name, space) != ("encode", "z"):
                how: Any = {"method": name, "space": space}
                made.append(
                    SearchFlags(**how, steps=None if name == "encode" else steps).chosen(bundle)
                )
    if not made:
        raise OptionError(
            got="--methods encode with --spaces z",
            expected="w or w+ for encode, because the mapping from z has no inverse",
            todo="Add a space, or a method that searches in z.",
        )
    return made
