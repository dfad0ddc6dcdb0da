"""`blemish train`: the stages, one after the other into the same bundle."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import arg

from blemish.cli.options import Data, Device, Flag
from blemish.cli.progress import Progress
from blemish.errors import BundleError, OptionError, OutputError

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from blemish.checkpoint import Bundle
    from blemish.data import DefectFolder, Symmetries
    from blemish.generator.loop import Schedule
    from blemish.generator.network import DefectConfig

OF_PRESET = "(default: the preset's)"
Names = Annotated[str | None, arg(metavar="NAME,...", help_behavior_hint=OF_PRESET)]
AllNames = Annotated[str | None, arg(metavar="NAME,...", help_behavior_hint="(default: all)")]
OF_BUNDLE = "(default: those that the generator was trained with)"
BundleNames = Annotated[str | None, arg(metavar="NAME,...", help_behavior_hint=OF_BUNDLE)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """How long, on what, and from where.

    Attributes:
        kimg: Thousands of images that the critic is shown.
        batch: Images in a step, over all processes.
        seed: Of everything random.
        device: What to train on; auto takes CUDA where it is found.
        processes: One for each device, or several on the CPU.
        threads: Of each process on the CPU.
        resume: Carry on from the last checkpoint; give the other options as before.
        dry_run: Print the options as they would be used, and do nothing.
    """

    kimg: Annotated[float | None, arg(help_behavior_hint=OF_PRESET)] = None
    batch: Annotated[int | None, arg(help_behavior_hint=OF_PRESET)] = None
    seed: int = 0
    device: Device = "auto"
    processes: int = 1
    threads: Annotated[int | None, arg(help_behavior_hint="(default: PyTorch's choice)")] = None
    resume: Flag = False
    dry_run: Flag = False

    def schedule(self, preset: "Schedule") -> "Schedule":
        given = {"kimg": self.kimg, "batch": self.batch, "seed": self.seed}
        return replace(preset, **{k: v for k, v in given.items() if v is not None})

    def launch(self) -> "Fabric":
        import torch

        from blemish.generator.loop import make_fabric

        if self.threads is not None:
            torch.set_num_threads(self.threads)
        fabric = make_fabric(self.device, processes=self.processes)
        fabric.launch()
        return fabric

    def __post_init__(self) -> None:
        if self.threads is not None and self.threads < 1:
            raise OptionError(
                got=f"--threads {self.threads}", expected="1 or more", todo="Correct the option."
            )


Flat = Annotated[Run, arg(name="")]


def generator(
    data: Data,
    out: Path,
    preset: str = "nut-64",
    symmetries: Names = None,
    everything: Flag = False,
    run: Flat = Run(),
) -> None:
    """Train a generator of good parts, into a new bundle.

    Args:
        data: A folder with photographs of good parts in train/good.
        out: Folder of the bundle; it is made.
        preset: Shape and options that were found to work; an unknown name lists them.
        symmetries: What leaves a part a part: flip, flip-vertical, rotate, shift, scale, colour.
        everything: Learn from test/good as well; the bundle can't be tested on it then.
        run: How long, on what, and from where.
    """
    from blemish.data import DefectFolder
    from blemish.generator.presets import find_preset
    from blemish.generator.train import train_generator

    chosen = find_preset(preset)
    training = replace(
        chosen.training,
        schedule=run.schedule(chosen.training.schedule),
        symmetries=_chosen(symmetries, chosen.training.symmetries),
    )
    folder = DefectFolder(data)
    if run.dry_run:
        about = {"preset": preset, "shape": asdict(chosen.shape), "training": asdict(training)}
        return _show(run, data=data, out=out, everything=everything, **about)
    _refuse_other_bundle(out)
    with _resumable():
        fabric = run.launch()
        train_generator(
            folder,
            chosen.shape,
            training,
            fabric,
            out,
            resume=run.resume,
            everything=everything,
            preset=preset,
        )
    _tell(fabric, f"{out} has its generator. Next: blemish train defects {data} --bundle {out}")


def defects(
    data: Data,
    bundle: Path,
    types: AllNames = None,
    symmetries: BundleNames = None,
    placements: Names = None,
    everything: Flag = False,
    run: Flat = Run(),
) -> None:
    """Train the defect branch of a bundle that has a generator.

    Args:
        data: A folder with defects in test/<type> and their masks in ground_truth/<type>.
        bundle: Folder of the bundle, as 'blemish train generator' made it.
        types: The defects to learn.
        symmetries: What leaves a part a part: flip, flip-vertical, rotate, shift, scale, colour.
        placements: What leaves a defect a defect, by the same names.
        everything: Learn from all defects of a type, not from the first third by name.
        run: How long, on what, and from where.
    """
    from blemish.data import DefectFolder
    from blemish.generator.defects import train_defects
    from blemish.generator.presets import preset_of

    found = _trainable(bundle)
    preset = preset_of(found)
    folder = DefectFolder(data)
    branch = replace(preset.branch, types=_types(types, folder))
    training = replace(
        preset.defects,
        schedule=run.schedule(preset.defects.schedule),
        symmetries=_chosen(symmetries, _symmetries_of(found) or preset.defects.symmetries),
        placements=_chosen(placements, preset.defects.placements),
    )
    if run.dry_run:
        about = {"branch": asdict(branch), "training": asdict(training)}
        return _show(run, data=data, bundle=bundle, everything=everything, **about)
    _refuse_other_branch(found, branch, run)
    with _resumable():
        fabric = run.launch()
        train_defects(
            folder, found, branch, training, fabric, resume=run.resume, third=not everything
        )
    _tell(fabric, f"{bundle} has its defects: {', '.join(branch.types)}.")


OF_RECIPE = "(default: the recipe's)"
Weight = Annotated[float | None, arg(help_behavior_hint=OF_RECIPE)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What the encoder's loss is made of.

    Attributes:
        features: Whose features tell likeness; VGG16 and SqueezeNet need their weights in the
            folder that BLEMISH_WEIGHTS names.
        pairs: Share of a batch that the generator drew from known codes.
        pixel_weight: Of the squared error.
        feature_weight: Of the distance in features.
        adversarial_weight: Of the critic's displeasure; 0 leaves the critic out.
        code_weight: Of the distance to known codes.
        spread_weight: Of the variance of rows about their mean.
    """

    features: Annotated[
        Literal["critic", "squeezenet", "vgg16"] | None, arg(help_behavior_hint=OF_RECIPE)
    ] = None
    pairs: Weight = None
    pixel_weight: Weight = None
    feature_weight: Weight = None
    adversarial_weight: Weight = None
    code_weight: Weight = None
    spread_weight: Weight = None

    def change(self) -> dict[str, Any]:
        """What was given."""
        return {k: v for k, v in asdict(self).items() if v is not None}


FlatTerms = Annotated[Terms, arg(name="")]


def encoder(
    data: Data,
    bundle: Path,
    recipe: Literal["in-domain", "idinvert", "ordinary"] = "in-domain",
    symmetries: BundleNames = None,
    placements: BundleNames = None,
    everything: Flag = False,
    terms: FlatTerms = Terms(),
    run: Flat = Run(),
) -> None:
    """Train the encoder of a bundle, which finds codes for photographs.

    Args:
        data: A folder with photographs of good parts in train/good, and with defects of the types
            that the bundle knows.
        bundle: Folder of the bundle, as the trainings before made it.
        recipe: in-domain learns from photographs and from drawn pictures whose codes are known;
            idinvert is the paper's, from photographs alone; ordinary learns from drawn pictures
            alone and is there to compare with.
        symmetries: What leaves a part a part: flip, flip-vertical, rotate, shift, scale, colour.
        placements: What leaves a defect a defect, by the same names.
        everything: Learn from test/good and from all defects as well.
        terms: What the loss is made of.
        run: How long, on what, and from where.
    """
    from blemish.data import DefectFolder
    from blemish.generator.presets import preset_of
    from blemish.inversion.model import SAMPLES
    from blemish.inversion.recipes import RECIPES
    from blemish.inversion.train import train_encoder

    found = _trainable(bundle)
    preset, chosen = preset_of(found), RECIPES[recipe]
    training = replace(
        chosen,
        schedule=run.schedule(chosen.schedule),
        symmetries=_chosen(symmetries, _symmetries_of(found) or preset.training.symmetries),
        **terms.change(),
    )
    moved = _chosen(placements, preset.defects.placements)
    folder = DefectFolder(data)
    if run.dry_run:
        about = {"recipe": recipe, "training": asdict(training), "placements": asdict(moved)}
        return _show(run, data=data, bundle=bundle, everything=everything, **about)
    with _resumable(), Progress("learning the domain of the codes", SAMPLES) as progress:
        fabric = run.launch()
        train_encoder(
            folder,
            found,
            training,
            fabric,
            placements=moved,
            resume=run.resume,
            everything=everything,
            tell=lambda done: progress.part(done),
        )
    _tell(fabric, f"{bundle} has its encoder. Next: blemish evaluate inversion --bundle {bundle}")


def _chosen(names: str | None, default: "Symmetries") -> "Symmetries":
    """The named symmetries, as far as the default ones go."""
    from blemish.data import Symmetries

    if names is None:
        return default
    far = {k: v for k, v in asdict(default).items() if not isinstance(v, bool)}
    return replace(Symmetries.parse(names), **far)


def _symmetries_of(bundle: "Bundle") -> "Symmetries | None":
    """What the generator was trained with; a bundle from elsewhere may not say."""
    from blemish.data import Symmetries

    try:
        return Symmetries(**bundle.config["training"]["generator"]["symmetries"])
    except (KeyError, TypeError):
        return None


def _types(names: str | None, folder: "DefectFolder") -> tuple[str, ...]:
    if names is None:
        return folder.types
    chosen = tuple(dict.fromkeys(name.strip() for name in names.split(",")))
    unknown = ", ".join(sorted({*chosen} - {*folder.types}))
    if unknown:
        raise OptionError(
            got=f"--types {names}, of which {folder.root} has no {unknown}",
            expected=f"some of {', '.join(folder.types) or 'its types, of which there are none'}",
            todo="Correct --types, or leave it out to learn all.",
        )
    return chosen


def _trainable(path: Path) -> "Bundle":
    from blemish.checkpoint import EMBEDDED, find_bundle

    bundle = find_bundle(path)
    if bundle.path.resolve().is_relative_to(EMBEDDED.resolve()):
        raise BundleError(
            got=f"{path}, a bundle that is part of Blemish",
            expected="one of your own",
            todo=f"Copy {bundle.path} and train the copy.",
        )
    return bundle


def _refuse_other_bundle(out: Path) -> None:
    """A new generator would leave a stranger's bundle, or a defect branch, in pieces."""
    from blemish.checkpoint import Bundle
    from blemish.generator.restore import shape_of

    if not (out / "config.json").exists():
        return
    if not (out / "training" / "generator").is_dir():  # killed early, it has no state yet
        what = "a bundle that was not trained here"
    elif shape_of(Bundle(out)).defect is not None:
        what = "a bundle whose defect branch was trained on the generator that it has"
    else:
        return
    raise OutputError(
        got=f"{out}, {what}", expected="a new folder", todo="Choose another folder with --out."
    )


def _refuse_other_branch(bundle: "Bundle", branch: "DefectConfig", run: Run) -> None:
    from blemish.generator.restore import shape_of

    trained = shape_of(bundle).defect
    if run.resume and trained not in (None, branch):
        assert trained is not None
        raise OptionError(
            got=f"--resume with the types {', '.join(branch.types)}",
            expected=f"{', '.join(trained.types)}, as in {bundle.path}",
            todo="Use the same options, or begin anew in a copy of the bundle.",
        )


def _show(run: Run, **about: Any) -> None:
    options = {k: v for k, v in asdict(run).items() if k not in ("kimg", "batch", "seed")}
    print(json.dumps(about | options, indent=2, default=str))


def _tell(fabric: "Fabric", text: str) -> None:
    if fabric.is_global_zero:
        print(text, file=sys.stderr)


@contextmanager
def _resumable() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        hint = "Run the same with --resume to carry on from the last checkpoint."
        raise KeyboardInterrupt(hint) from None
