"""The encoder's training, a few steps on a few small pictures."""

import json
from dataclasses import asdict, replace
from math import nan
from pathlib import Path
from shutil import copytree
from typing import Any, get_args

import pytest
import torch
from same import assert_same_bits
from terms import unexplained
from tiny import CONFIG, write_bundle, write_parts
from torch import Tensor

from blemish.checkpoint import Bundle, load_tensors
from blemish.data.augment import Symmetries
from blemish.data.folder import DefectFolder
from blemish.devices import make_fabric
from blemish.errors import BundleError, DataError, OptionError
from blemish.features import FeatureNetwork
from blemish.files import LOCK
from blemish.inversion.model import forget_domain, load_model
from blemish.models.encoder import Encoder
from blemish.models.generator import DefectConfig, Generator, GeneratorConfig
from blemish.models.load import load_critic, load_generator
from blemish.models.mixing import fresh_rows
from blemish.models.projected import ProjectedConfig
from blemish.names import EncoderRecipe
from blemish.pictures import to_picture
from blemish.training import loop
from blemish.training.encoder import train as training
from blemish.training.encoder.batches import BatchSource, EncoderBatches
from blemish.training.encoder.presets import RECIPES, EncoderTraining
from blemish.training.encoder.train import EncoderStage, train_encoder
from blemish.training.loop import STATE, Schedule, step_rng
from blemish.training.stopping import Ending
from blemish.types import Codes

BATCH = 4
SMALL = replace(CONFIG, z_dim=8, w_dim=8, channel_base=128, channel_max=8)
MOVES = Symmetries(flip=True, rotate=True, shift=True, colour=True)
OTHER_BRANCHES = [
    None,
    DefectConfig(first_resolution=8, types=("crack", "paint"), takes_mask=False),
    DefectConfig(first_resolution=16, types=("paint",), conditional=False),
]
CRITIC = {"critic", "sign_real", "r1", "ada", "adversarial"}
PICTURE = {"spread", "pixels", "features"}
DEFECT = {"defect_code", "mask", "kind"}
ENDED = Ending(reason="finished", steps=0, nimg=0)


def options(recipe: EncoderRecipe = "in-domain", steps: int = 3, **changes: Any) -> EncoderTraining:
    snapshot = changes.pop("snapshot", 100)
    kimg = {"kimg": steps * BATCH / 1000, "snapshot_kimg": snapshot * BATCH / 1000}
    schedule = Schedule(batch=BATCH, log_steps=1, seed=changes.pop("seed", 0), **kimg)
    return replace(RECIPES[recipe], schedule=schedule, symmetries=MOVES, **changes)


def train(
    data: Path, bundle: Bundle, how: EncoderTraining, *, resume: bool = False, **kept: Any
) -> Bundle:
    """Train, and learn the domain from a few samples."""
    torch.set_num_threads(1)
    options = {"placements": MOVES, "resume": resume, "samples": 20, **kept}
    train_encoder(DefectFolder(data), bundle, how, make_fabric("cpu"), **options)
    return Bundle(bundle.path)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_parts(tmp_path_factory.mktemp("data"), test=2)


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Without an encoder; not to be written to."""
    return write_bundle(tmp_path_factory.mktemp("untrained") / "bundle", SMALL)


@pytest.fixture
def fresh(untrained: Bundle, tmp_path: Path) -> Bundle:
    """The same, to be written to."""
    return Bundle(copytree(untrained.path, tmp_path / "bundle"))


@pytest.fixture(scope="module")
def finished(data: Path, untrained: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """With an encoder after four steps; not to be written to."""
    folder = copytree(untrained.path, tmp_path_factory.mktemp("finished") / "bundle")
    return train(data, Bundle(folder), options(steps=4))


def stage_of(bundle: Bundle, how: EncoderTraining, data: Path, **kept: Any) -> EncoderStage:
    """What a training would run."""
    found: list[EncoderStage] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "run", lambda stage, *_, **__: found.append(stage) or ENDED)
        for name in ("learn_domain", "learn_object"):
            patch.setattr(training, name, lambda *_, **__: None)
        train(data, bundle, how, **kept)
    return found[0]


def state(bundle: Bundle) -> dict[str, Tensor]:
    return load_tensors(bundle.path / "training" / "encoder" / STATE)[0]


def rows(bundle: Bundle) -> list[dict[str, float]]:
    """What was reported of each step, without the pace."""
    lines = (bundle.path / "training" / "encoder" / "stats.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "images_per_s"} for line in lines]


def terms(bundle: Bundle) -> set[str]:
    return {name for row in rows(bundle) for name in row} - {"step", "kimg"}


def test_a_training_adds_an_encoder_and_leaves_the_rest(
    untrained: Bundle, finished: Bundle
) -> None:
    assert finished.config["encoder_nimg"] == 4 * BATCH
    assert {*finished.config["training"]} == {"generator", "encoder"}
    reported = finished.config["training"]["encoder"]
    assert reported == json.loads(json.dumps(asdict(options(steps=4))))
    for name in ("generator", "critic", "match_critic"):
        assert_same_bits(untrained.tensors(name), finished.tensors(name))
    before, after = untrained.tensors("statistics"), finished.tensors("statistics")
    assert_same_bits(before, {name: after[name] for name in before})


def test_the_domain_is_learnt(finished: Bundle) -> None:
    model = load_model(finished)
    assert model.encoder is not None and model.domain is not None
    domain_scores = model.domain.percentiles(torch.randn(2, 6, 8), torch.ones(2))
    assert domain_scores.cycle_percentile is not None
    assert domain_scores.percentile.isfinite().all()


def test_a_run_leaves_statistics_and_a_grid(finished: Bundle) -> None:
    assert [row["step"] for row in rows(finished)] == [1, 2, 3, 4]
    folder = finished.path / "training" / "encoder"
    assert {file.name for file in folder.iterdir()} == {
        LOCK,
        STATE,
        "stats.jsonl",
        "samples-000000.png",
    }


TERMS = [
    ("in-domain", {}, PICTURE | CRITIC | DEFECT | {"code"}),
    ("in-domain", {"adversarial_weight": 0.0}, PICTURE | DEFECT | {"code"}),
    ("in-domain", {"defects": 0.0}, PICTURE | CRITIC | {"code", "mask"}),
    ("in-domain", {"pairs": 0.0}, PICTURE | CRITIC | {"mask", "kind"}),
    ("ordinary", {}, DEFECT | {"spread", "code"}),
    ("idinvert", {"features": "critic"}, PICTURE | CRITIC | {"mask"}),
]


@pytest.mark.parametrize("recipe, changes, expected", TERMS)
def test_each_recipe_reports_its_terms(
    data: Path, fresh: Bundle, recipe: EncoderRecipe, changes: dict[str, Any], expected: set[str]
) -> None:
    trained = train(data, fresh, options(recipe, 2, **changes))
    assert terms(trained) == expected
    assert all(abs(value) < 1e4 for row in rows(trained) for value in row.values())


def test_the_paper_s_recipe_looks_through_vgg16(
    data: Path, fresh: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def load(name: str) -> FeatureNetwork:
        asked.append(name)
        return FeatureNetwork("vgg16", "caffe")

    monkeypatch.setattr("blemish.training.encoder.perceptual.load_features", load)
    assert rows(train(data, fresh, options("idinvert", 1)))[0]["features"] > 0
    assert asked == ["vgg16"]


def test_weights_that_are_missing_end_it_before_it_begins(
    data: Path, fresh: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("BLEMISH_WEIGHTS", raising=False)
    with pytest.raises(BundleError, match="no weights for vgg16"):
        train(data, fresh, options("idinvert"))
    assert not (fresh.path / "training").exists() and not fresh.has("encoder")


def test_a_projected_critic_guides_at_its_own_rate(data: Path, tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "bundle", SMALL, critic=ProjectedConfig(least_side=32))
    found = rows(train(data, bundle, options(steps=2)))
    assert all(row["features"] > 0 and "adversarial" in row for row in found)
    assert not {"r1", "ada"} & {*found[0]}
    stage = stage_of(bundle, options(steps=4), data)
    stage.step(1, step_rng(0, 1))
    assert stage.judge.adam.param_groups[0]["lr"] == pytest.approx(2e-4 * 0.8)
    assert stage.adam.param_groups[0]["lr"] == pytest.approx(1e-3 * 0.8)


@pytest.mark.parametrize("recipe", get_args(EncoderRecipe))
@pytest.mark.parametrize("branch", OTHER_BRANCHES)
def test_bundles_of_every_kind_can_be_trained(
    data: Path, tmp_path: Path, branch: DefectConfig | None, recipe: EncoderRecipe
) -> None:
    bundle = write_bundle(tmp_path / "bundle", replace(SMALL, defect=branch))
    stage = stage_of(bundle, options(recipe, features="critic"), data)
    values = stage.step(0, step_rng(0, 0))
    assert all(abs(value) < 1e4 for value in values.values())
    assert (DEFECT & {*values} == set()) == (branch is None)
    assert stage.picture().ndim == 3


def test_the_documentation_explains_every_term(finished: Bundle) -> None:
    assert rows(finished) and not unexplained(rows(finished))


def test_every_weight_moves(finished: Bundle, data: Path, untrained: Bundle) -> None:
    begun = stage_of(untrained, options(steps=4), data).state().state_dict()
    later = {name.removeprefix("module."): tensor for name, tensor in state(finished).items()}
    still = [k for k in begun if k != "ada.probability" and torch.equal(begun[k], later[k])]
    buffers = ("w_mean", "w_defect_mean", "resample_filter", "w_avg")
    assert [name for name in still if not name.endswith(buffers)] == []


@pytest.mark.parametrize("snapshot", [1, 3])
def test_a_run_that_was_killed_goes_on_from_its_checkpoint(
    data: Path, fresh: Bundle, finished: Bundle, monkeypatch: pytest.MonkeyPatch, snapshot: int
) -> None:
    """Killed as it writes its second checkpoint, whose encoder is in the bundle already."""
    how, save = options(steps=4, snapshot=snapshot), loop._save

    def save_once(stage: Any, folder: Path, plan: Schedule, done: int, more: Any) -> None:
        if done > snapshot:
            raise KeyboardInterrupt
        save(stage, folder, plan, done, more)

    monkeypatch.setattr(loop, "_save", save_once)
    with pytest.raises(KeyboardInterrupt):
        train(data, fresh, how)
    killed = Bundle(fresh.path)
    assert killed.config["encoder_nimg"] == min(4, 2 * snapshot) * BATCH
    monkeypatch.undo()
    resumed = train(data, killed, options(steps=4), resume=True)
    assert_same_bits(state(resumed), state(finished))
    assert rows(resumed) == rows(finished)
    for name in ("encoder", "statistics"):
        assert_same_bits(resumed.tensors(name), finished.tensors(name))
    assert resumed.digest == finished.digest


def test_a_finished_run_that_is_resumed_learns_the_domain_again(
    data: Path, finished: Bundle, tmp_path: Path
) -> None:
    again = Bundle(copytree(finished.path, tmp_path / "again"))
    forget_domain(again)
    train(data, again, options(steps=4), resume=True)
    assert_same_bits(again.tensors("encoder"), finished.tensors("encoder"))
    assert_same_bits(again.tensors("statistics"), finished.tensors("statistics"))


def test_a_run_on_another_generator_is_not_carried_on(
    data: Path, finished: Bundle, tmp_path: Path
) -> None:
    other = Bundle(copytree(finished.path, tmp_path / "other"))
    touched = {name: tensor + 0.01 for name, tensor in other.tensors("generator").items()}
    other.write("generator", touched)
    with pytest.raises(OptionError, match=r"generator [0-9a-f]{16}.*start over"):
        train(data, other, options(steps=6), resume=True)


def test_another_seed_is_another_training(data: Path, untrained: Bundle) -> None:
    stages = [stage_of(untrained, options(seed=seed), data) for seed in (0, 0, 1)]
    first, again, other = ([*stage.encoder.parameters()] for stage in stages)
    assert all(map(torch.equal, first, again))
    assert not torch.equal(first[0], other[0])
    reported = [stage.step(0, step_rng(0, 0)) for stage in stages[:2]]
    assert reported[0] == reported[1]


@pytest.mark.parametrize("everything, good, defects", [(False, 4, 2), (True, 6, 6)])
def test_the_first_third_is_learnt_from_or_everything(
    data: Path, untrained: Bundle, everything: bool, good: int, defects: int
) -> None:
    learnt = stage_of(untrained, options(), data, everything=everything).batches
    assert len(learnt.images) == good
    assert learnt.source.defects is not None
    assert len(learnt.source.defects) == defects


def test_without_photographs_there_is_nothing_to_learn(
    data: Path, fresh: Bundle, tmp_path: Path
) -> None:
    copytree(data / "test", tmp_path / "bare" / "test")
    with pytest.raises(DataError, match="no photograph of a good part"):
        train(tmp_path / "bare", fresh, options())
    assert not (fresh.path / "training").exists()


def test_without_defects_good_parts_are_enough(
    data: Path, untrained: Bundle, tmp_path: Path
) -> None:
    copytree(data / "train", tmp_path / "bare" / "train")
    stage = stage_of(untrained, options(), tmp_path / "bare")
    assert stage.batches.source.defects is None
    assert "mask" in stage.step(0, step_rng(0, 0))
    batch = stage.batches.draw(32, step_rng(0, 0))
    assert batch.good == 16
    assert (batch.kind[16:] >= 0).any(), "the branch draws its own"


def test_a_snapshot_forgets_the_domain_of_the_encoder_before(
    data: Path, finished: Bundle, untrained: Bundle, tmp_path: Path
) -> None:
    again = Bundle(copytree(finished.path, tmp_path / "again"))
    stage = stage_of(again, options(), data)
    stage.snapshot(again.path, tmp_path, 4)
    assert_same_bits(again.tensors("statistics"), untrained.tensors("statistics"))
    model = load_model(Bundle(again.path))
    assert model.domain is None and model.encoder is not None


@pytest.mark.parametrize("steps", [1, 3, 4, 100])
def test_the_rate_falls_by_a_fifth_behind_each_quarter(steps: int) -> None:
    how = options(steps=steps)
    rates = [how.rate(index) for index in range(steps)]
    expected = [1e-3 * 0.8 ** (4 * index // steps) for index in range(steps)]
    assert rates == pytest.approx(expected)
    assert how.rate(steps) == how.rate(steps - 1) or steps < 4


def test_both_optimisers_go_by_the_rate(data: Path, untrained: Bundle) -> None:
    stage = stage_of(untrained, options(steps=4), data)
    for index in (0, 3):
        stage.step(index, step_rng(0, index))
        for adam in stage.optimisers().values():
            assert {group["lr"] for group in adam.param_groups} == {1e-3 * 0.8**index}


@pytest.mark.parametrize(
    "changes, reported",
    [
        ({"pairs": 1.5}, "a fraction of pairs of 1.5"),
        ({"pairs": nan}, "a fraction of pairs of nan"),
        ({"defects": -0.1}, "a fraction of defects of -0.1"),
        ({"pixel_weight": -1.0}, "the pixel weight -1.0"),
        ({"code_weight": nan}, "the code weight nan"),
    ],
)
def test_bad_options_are_refused(changes: dict[str, float], reported: str) -> None:
    with pytest.raises(OptionError, match=reported):
        EncoderTraining(**changes)  # type: ignore[arg-type]


def code_error(stage: EncoderStage, encoder: Encoder) -> float:
    """Of fresh codes, in units of w's variance."""
    w = fresh_rows(stage.generator, 64, torch.Generator().manual_seed(9))
    with torch.no_grad():
        far = encoder.eval()(stage.generator(Codes(w=w)).image).w - w
    return far.square().mean().item() / stage.batches.variance


def plain_stage(config: GeneratorConfig, recipe: EncoderRecipe, folder: Path) -> EncoderStage:
    bundle = write_bundle(folder, config)
    generator: Generator = load_generator(bundle)
    rows = generator(generator.codes(torch.randn(4, config.z_dim))).image
    source = BatchSource(
        photographs=to_picture(rows), defects=None, symmetries=MOVES, placements=MOVES
    )
    how = options(recipe, 200, learning_rate=3e-3)
    batches = EncoderBatches(generator, source, pairs=how.pairs, defects=how.defects)
    return EncoderStage(generator, load_critic(bundle), how, batches, make_fabric("cpu"))


def test_two_hundred_steps_teach_codes(tmp_path: Path) -> None:
    config = replace(SMALL, resolution=8, defect=None, mapping_layers=1)
    stage = plain_stage(config, "ordinary", tmp_path / "bundle")
    before = code_error(stage, stage.average)
    for index in range(200):
        stage.step(index, step_rng(0, index))
    assert code_error(stage, stage.average) < 0.75 * before
