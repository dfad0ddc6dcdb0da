"""`blemish train encoder`: training of the network that predicts codes."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import arg

from blemish.cli.options import Data, Flag
from blemish.cli.progress import Progress
from blemish.cli.resuming import carry_out, recall
from blemish.cli.training_options import (
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

if TYPE_CHECKING:
    from blemish.checkpoint import Bundle
    from blemish.data.augment import Symmetries
    from blemish.training.encoder.presets import EncoderTraining

OF_RECIPE = "(default: the recipe's)"
Weight = Annotated[float | None, arg(help_behavior_hint=OF_RECIPE)]


@dataclass(frozen=True, slots=True, kw_only=True)
class LossTerms:
    """Terms of the encoder's loss.

    Attributes:
        features: Feature network of the perceptual loss; SqueezeNet and VGG16 need their weights in
            the folder BLEMISH_WEIGHTS.
        pairs: Fraction of a batch that the generator draws from known codes.
        pixel_weight: Weight of the squared pixel error.
        feature_weight: Weight of the perceptual loss.
        adversarial_weight: Weight of the adversarial loss; 0 disables the critic.
        code_weight: Weight of the distance to known codes.
        spread_weight: Weight of the variance of a code's rows around their mean.
    """

    features: Annotated[FeatureSource | None, arg(help_behavior_hint=OF_RECIPE)] = None
    pairs: Weight = None
    pixel_weight: Weight = None
    feature_weight: Weight = None
    adversarial_weight: Weight = None
    code_weight: Weight = None
    spread_weight: Weight = None


FlatTerms = Annotated[LossTerms, arg(name="")]


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
    terms: FlatTerms = LossTerms(),
    run: Flat = Run(),
) -> None:
    """Train the encoder of a bundle, which predicts codes of photographs.

    Args:
        data: Folder with photographs of good parts in train/good and with defects of the types that
            the bundle knows.
        bundle: Folder of a bundle from the earlier trainings.
        recipe: in-domain trains on photographs and on generated images with known codes; idinvert
            is the paper's recipe, with photographs only; ordinary is a baseline, with generated
            images only.
        grow: Bundle of half the side whose encoder to start from.
        symmetries: Symmetries of the part: flip, flip-vertical, rotate, shift, scale, colour.
        placements: Symmetries of a defect, by the same names.
        everything: Train on test/good and on all defects as well.
        terms: Terms of the loss.
        run: Options of the training run.
    """
    from blemish.checkpoint import find_bundle
    from blemish.data import DefectFolder
    from blemish.inversion.model import SAMPLES
    from blemish.training.encoder.train import ENCODER, train_encoder

    found = trainable(bundle)
    state = found.path / "training" / ENCODER
    asked = {"recipe": recipe, "grow": grow, "symmetries": symmetries, "placements": placements}
    run, mine = recall(run, state, **asked, everything=everything, **asdict(terms))
    mine["recipe"] = mine["recipe"] or USUAL
    grow, everything = mine["grow"], mine["everything"]
    training, moved = _chosen(found, run, mine)
    if run.dry_run:
        about = {
            "recipe": mine["recipe"],
            "training": asdict(training),
            "placements": asdict(moved),
        }
        return show(run, data=data, bundle=bundle, grow=grow, everything=everything, **about)
    coarse = None if grow is None else find_bundle(grow)
    line = "computing statistics of the codes"
    done = f"{bundle} has an encoder. Next: blemish evaluate inversion --bundle {bundle}"
    with Progress(line, SAMPLES) as progress:
        work = partial(
            train_encoder,
            DefectFolder(data),
            found,
            training,
            placements=moved,
            everything=everything,
            coarse=coarse,
            on_progress=progress.part,
        )
        carry_out(work, run, mine, state, "encoder", data, "--bundle", bundle, done=done)


def _chosen(
    bundle: "Bundle", run: Run, mine: Mapping[str, Any]
) -> "tuple[EncoderTraining, Symmetries]":
    """Options of the training, and symmetries of a defect."""
    from blemish.training.encoder.presets import RECIPES
    from blemish.training.presets import preset_of

    preset, recipe = preset_of(bundle), RECIPES[mine["recipe"]]
    usual = symmetries_of(bundle) or preset.training.symmetries
    training = replace(
        recipe,
        schedule=run.schedule(recipe.schedule),
        symmetries=choose_symmetries(mine["symmetries"], usual),
        **given(LossTerms(**{name: mine[name] for name in asdict(LossTerms())})),
    )
    return training, choose_symmetries(mine["placements"], preset.placements)
