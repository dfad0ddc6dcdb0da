"""`blemish train encoder` and `train mapper`: how a bundle finds codes at one look."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from blemish.cli.options import Data, Flag
from blemish.cli.progress import Progress
from blemish.cli.resuming import kept, recall, resumable, tell_ending
from blemish.cli.running import (
    BundleNames,
    Flat,
    Grown,
    Run,
    choose_symmetries,
    given,
    show,
    symmetries_of,
    trainable,
)
from blemish.names import EncoderRecipe, FeatureSource

OF_RECIPE = "(default: the recipe's)"
Weight = Annotated[float | None, arg(help_behavior_hint=OF_RECIPE)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What the encoder's loss is made of.

    Attributes:
        features: Network whose features measure likeness; SqueezeNet and VGG16 need their weights
            in the folder that BLEMISH_WEIGHTS names.
        pairs: Share of a batch that the generator drew from known codes.
        pixel_weight: Of the squared error.
        feature_weight: Of the distance in features.
        adversarial_weight: Of the critic's displeasure; 0 leaves the critic out.
        code_weight: Of the distance to known codes.
        spread_weight: Of the variance of rows about their mean.
    """

    features: Annotated[FeatureSource | None, arg(help_behavior_hint=OF_RECIPE)] = None
    pairs: Weight = None
    pixel_weight: Weight = None
    feature_weight: Weight = None
    adversarial_weight: Weight = None
    code_weight: Weight = None
    spread_weight: Weight = None


FlatTerms = Annotated[Terms, arg(name="")]


USUAL = "in-domain"
Recipe = Annotated[
    EncoderRecipe | None,
    arg(help_behavior_hint=f"(default: {USUAL})"),
]


def encoder(
    data: Data,
    bundle: Path,
    recipe: Recipe = None,
    grow: Grown = None,
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
        grow: A bundle of half the side whose encoder to begin as.
        symmetries: What leaves a part a part: flip, flip-vertical, rotate, shift, scale, colour.
        placements: What leaves a defect a defect, by the same names.
        everything: Learn from test/good and from all defects as well.
        terms: What the loss is made of.
        run: How long, on what, and from where.
    """
    from blemish.checkpoint import find_bundle
    from blemish.data import DefectFolder
    from blemish.generator.presets import preset_of
    from blemish.inversion.model import SAMPLES
    from blemish.inversion.recipes import RECIPES
    from blemish.inversion.train import ENCODER, train_encoder

    found = trainable(bundle)
    state = found.path / "training" / ENCODER
    run, mine = recall(
        run,
        state,
        recipe=recipe,
        grow=grow,
        symmetries=symmetries,
        placements=placements,
        everything=everything,
        **asdict(terms),
    )
    mine["recipe"] = mine["recipe"] or USUAL
    grow, everything = mine["grow"], mine["everything"]
    terms = Terms(**{name: mine[name] for name in asdict(terms)})
    preset, chosen = preset_of(found), RECIPES[mine["recipe"]]
    training = replace(
        chosen,
        schedule=run.schedule(chosen.schedule),
        symmetries=choose_symmetries(
            mine["symmetries"], symmetries_of(found) or preset.training.symmetries
        ),
        **given(terms),
    )
    moved = choose_symmetries(mine["placements"], preset.defects.placements)
    folder = DefectFolder(data)
    if run.dry_run:
        about = {
            "recipe": mine["recipe"],
            "training": asdict(training),
            "placements": asdict(moved),
        }
        return show(run, data=data, bundle=bundle, grow=grow, everything=everything, **about)
    coarse = None if grow is None else find_bundle(grow)
    command, line = ("encoder", data, "--bundle", bundle), "learning the domain of the codes"
    with resumable(state, *command), Progress(line, SAMPLES) as progress:
        fabric = run.launch()
        ending = train_encoder(
            folder,
            found,
            training,
            fabric,
            placements=moved,
            resume=run.resume,
            minutes=run.minutes,
            options=kept(run, mine),
            everything=everything,
            coarse=coarse,
            tell=lambda done: progress.part(done),
        )
    done = f"{bundle} has its encoder. Next: blemish evaluate inversion --bundle {bundle}"
    tell_ending(fabric, ending, state, *command, done=done)


MapperWeight = Annotated[float | None, arg(help_behavior_hint="(default: the usual)")]


@dataclass(frozen=True, slots=True, kw_only=True)
class MapperTerms:
    """What the mapper learns from, and what its loss is made of.

    Attributes:
        solutions: Groups of defects that the optimiser searches for before the training begins,
            eight in each; 0 does without.
        code_weight: Of the distance to known defect codes.
        change_weight: Of the distance to known changes of the picture.
        mask_weight: Of the branch's own mask not meeting the one that is given.
        visible_weight: Of what can't be seen of the change inside the mask.
        adversarial_weight: Of the critic's displeasure.
    """

    solutions: Annotated[int | None, arg(help_behavior_hint="(default: 24)")] = None
    code_weight: MapperWeight = None
    change_weight: MapperWeight = None
    mask_weight: MapperWeight = None
    visible_weight: MapperWeight = None
    adversarial_weight: MapperWeight = None


FlatMapperTerms = Annotated[MapperTerms, arg(name="")]


def mapper(
    data: Data,
    bundle: Path,
    grow: Grown = None,
    symmetries: BundleNames = None,
    placements: BundleNames = None,
    everything: Flag = False,
    terms: FlatMapperTerms = MapperTerms(),
    run: Flat = Run(),
) -> None:
    """Train the mapper of a bundle, which places defects in one pass.

    Args:
        data: A folder with photographs of good parts in train/good, and with defects of the types
            that the bundle knows.
        bundle: Folder of the bundle, as 'blemish train defects' and 'train encoder' left it.
        grow: A bundle of half the side whose mapper to begin as.
        symmetries: What leaves a part a part: flip, flip-vertical, rotate, shift, scale, colour.
        placements: What leaves a defect a defect, by the same names.
        everything: Learn from test/good and from all defects as well.
        terms: What it learns from.
        run: How long, on what, and from where.
    """
    from blemish.checkpoint import find_bundle
    from blemish.data import DefectFolder
    from blemish.generator.presets import preset_of
    from blemish.synthesis.curation.yardstick import learn_curation, read_yardsticks
    from blemish.synthesis.mapping.mapper import MAPPER
    from blemish.synthesis.mapping.options import MapperTraining
    from blemish.synthesis.mapping.train import train_mapper

    found = trainable(bundle)
    state = found.path / "training" / MAPPER
    run, mine = recall(
        run,
        state,
        grow=grow,
        symmetries=symmetries,
        placements=placements,
        everything=everything,
        **asdict(terms),
    )
    grow, everything = mine["grow"], mine["everything"]
    terms = MapperTerms(**{name: mine[name] for name in asdict(terms)})
    preset, usual = preset_of(found), MapperTraining()
    training = replace(
        usual,
        schedule=run.schedule(usual.schedule),
        symmetries=choose_symmetries(
            mine["symmetries"], symmetries_of(found) or preset.training.symmetries
        ),
        **given(terms),
    )
    moved = choose_symmetries(mine["placements"], preset.defects.placements)
    folder = DefectFolder(data)
    if run.dry_run:
        about = {"training": asdict(training), "placements": asdict(moved)}
        return show(run, data=data, bundle=bundle, grow=grow, everything=everything, **about)
    coarse = None if grow is None else find_bundle(grow)
    command, line = ("mapper", data, "--bundle", bundle), "searching for defects to learn from"
    with resumable(state, *command), Progress(line, training.solutions) as bar:
        fabric = run.launch()
        ending = train_mapper(
            folder,
            found,
            training,
            fabric,
            placements=moved,
            resume=run.resume,
            minutes=run.minutes,
            options=kept(run, mine),
            everything=everything,
            coarse=coarse,
            tell=bar.part,
        )
        if fabric.is_global_zero and not read_yardsticks(found):
            learn_curation(found, folder, device=fabric.device.type, everything=everything)
    done = f"{bundle} has its mapper: 'blemish synthesize' takes one pass now."
    tell_ending(fabric, ending, state, *command, done=done)
