"""`blemish evaluate`: what a bundle is worth, in figures."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

from tyro.conf import arg

from blemish.cli.inversion import How
from blemish.cli.options import Flag, Json
from blemish.cli.progress import Progress, print_json
from blemish.errors import OptionError
from blemish.names import Device, FeatureChoice, InversionMethod, Space

if TYPE_CHECKING:
    from blemish.checkpoint import Bundle
    from blemish.inversion.methods import Method

Methods = Annotated[
    str | None,
    arg(metavar="NAME,...", help_behavior_hint="(default: all that the bundle can do)"),
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
    """Answer the four questions of inversion, for every method and space side by side.

    Writes report.html, a page that needs no other file, and report.json.

    Args:
        images: A folder with train/good, test/good, test/<type> and ground_truth/<type>. Tried are
            test/good and, of each type, what is behind the first third by name.
        bundle: Folder of a bundle, or the name of an embedded one.
        foreign: Photographs of other objects, to be refused: a folder of pictures, or one like that
            of --images, whose good parts are taken.
        methods: Of inversion: encode, in-domain, optimize, project.
        spaces: Where they search: z, w, w+; the encoder alone has no z.
        steps: Of each search, at most.
        samples: Of the generator's own to be found again, half of them with a defect.
        limit: At most so many photographs of a group, evenly over all.
        batch: Pictures that are searched for at a time; it changes nothing but rounding.
        seed: Of the samples and of the searches.
        out: Folder for the report.
        device: What to work on; auto takes CUDA where it is found.
        json: Print the figures as JSON.
    """
    from blemish.checkpoint import find_bundle
    from blemish.devices import choose_device
    from blemish.evaluation.inversion.survey import Plan, prepare
    from blemish.files import ensure_writable
    from blemish.inversion.model import load_model

    plan = Plan(
        images=images, foreign=foreign, samples=samples, limit=limit, seed=seed, batch=batch
    )
    found = find_bundle(bundle)
    wanted = _chosen(methods, _able(found.has("encoder")), found.has("encoder"))
    tried = _methods(wanted, _names("spaces", spaces, get_args(Space)), steps, found)
    model = load_model(found, choose_device(device))
    survey = prepare(found, model, plan)
    ensure_writable(out)
    with Progress("inverting", survey.total * len(tried)) as progress:
        report = survey.put(tried, out, progress.part)
    if json:
        print_json(report)
        return
    for answer in report["answers"].values():
        print(answer)
    print(f"{out / 'report.html'} has the figures and the pictures.", file=sys.stderr)


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
    """Hold made defects against real ones: distance, diversity, copies, truth of the labels.

    Writes report.html, a page that needs no other file, and report.json.

    Args:
        real: A folder with test/<type> and ground_truth/<type>. Of each type the first third by
            name is what a bundle may have learnt from, and the rest is compared with.
        synthetic: A folder that 'blemish synthesize' or 'batch' has filled, or one like --real.
        features: Whose: SqueezeNet's or VGG16's, from the folder that BLEMISH_WEIGHTS names, or
            those of the critic of --bundle; auto is SqueezeNet where it is found, else the critic.
        bundle: Folder of a bundle, or the name of an embedded one, whose critic looks.
        everything: The bundle has learnt from all real ones: compare with all of them.
        out: Folder for the report.
        device: What to look on; auto takes CUDA where it is found.
        json: Print the figures as JSON.
    """
    from blemish.devices import choose_device
    from blemish.evaluation.synthesis.report import Plan, prepare

    comparison = prepare(
        Plan(
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
        print(_told(kind, found))
    print(f"{out / 'report.html'} has the figures and the pictures.", file=sys.stderr)


def _told(kind: str, found: dict[str, Any]) -> str:
    """The figures of a type in a line."""
    distance, drift = found["distances"]["around"]["made"], found["drift"]
    said = [f"{kind}: {found['made']} made"]
    if distance is not None:
        said.append(f"kernel distance {distance['kernel']:.3f} ± {distance['kernel_spread']:.3f}")
    if found["memorised"] is not None:
        said.append(f"{found['memorised']:.0%} like a training defect")
    if drift is not None:
        said.append(f"IoU of label and change {drift['iou_changed_median']:.2f}")
        said.append(f"{drift['pixels_changed_outside_label']} pixels changed outside labels")
    return ", ".join(said)


def _able(encoder: bool) -> tuple[str, ...]:
    return tuple(name for name in get_args(InversionMethod) if encoder or name not in NEEDS_ENCODER)


def _chosen(methods: str | None, able: tuple[str, ...], encoder: bool) -> list[str]:
    if methods is None:
        return [*able]
    chosen = _names("methods", methods, get_args(InversionMethod))
    lacking = [name for name in chosen if name not in able]
    if lacking:
        raise OptionError(
            got=f"--methods {methods} for a bundle without an encoder",
            expected=f"some of {', '.join(able)}; the others need one",
            todo="Run 'blemish train encoder DATA --bundle BUNDLE', or leave them out.",
        )
    return chosen


def _names(option: str, text: str, known: tuple[str, ...]) -> list[str]:
    """The names in a list, each once."""
    chosen = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if not chosen or not {*chosen} <= {*known}:
        raise OptionError(
            got=f"--{option} {text}",
            expected=f"some of {', '.join(known)}, with commas between them",
            todo="Correct the option.",
        )
    return chosen


def _methods(
    names: list[str], spaces: list[str], steps: int | None, bundle: "Bundle"
) -> "list[Method]":
    """Each method in each space that it has."""
    made = []
    for name in names:
        for space in spaces:
            if (name, space) != ("encode", "z"):
                how: Any = {"method": name, "space": space}
                made.append(How(**how, steps=None if name == "encode" else steps).chosen(bundle))
    if not made:
        raise OptionError(
            got="--methods encode with --spaces z",
            expected="w or w+ for it: the way from z to w has no inverse",
            todo="Add a space, or a method that searches in z.",
        )
    return made
