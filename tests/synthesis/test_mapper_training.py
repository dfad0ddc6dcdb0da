"""The mapper's training, a few steps on a few small pictures."""

import json
from dataclasses import replace
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
import torch
from terms import unexplained
from tiny import CONFIG, write_bundle, write_parts
from torch import Tensor

from blemish.checkpoint import Bundle, load_tensors
from blemish.data.augment import Symmetries
from blemish.data.folder import DefectFolder
from blemish.devices import make_fabric
from blemish.errors import BundleError, DataError, OptionError
from blemish.files import LOCK
from blemish.generator import loop
from blemish.generator.loop import STATE, Schedule
from blemish.generator.network import DefectConfig
from blemish.generator.projected import ProjectedConfig
from blemish.generator.stopping import Ending
from blemish.synthesis.mapping import train as training
from blemish.synthesis.mapping.looks import COORDINATES
from blemish.synthesis.mapping.mapper import MAPPER, load_mapper
from blemish.synthesis.mapping.options import MapperTraining
from blemish.synthesis.mapping.solutions import LOOKS, Solutions
from blemish.synthesis.mapping.train import MapperStage, train_mapper
from blemish.synthesis.options import SearchOptions

BATCH = 8
SMALL = replace(CONFIG, z_dim=8, w_dim=8, channel_base=128, channel_max=8)
MOVES = Symmetries(flip=True, rotate=True, shift=True, colour=True)
TERMS = {"code", "change", "mask", "visible", "outside", "look", "adversarial", "stay", "critic"}
ENDED = Ending(reason="finished", steps=0, nimg=0)


def options(steps: int = 3, **changes: Any) -> MapperTraining:
    snapshot = changes.pop("snapshot", 100)
    kimg = {"kimg": steps * BATCH / 1000, "snapshot_kimg": snapshot * BATCH / 1000}
    schedule = Schedule(batch=BATCH, log_steps=1, seed=changes.pop("seed", 0), **kimg)
    kept = {
        "solutions": 2,
        "search": SearchOptions(defect_steps=2),
        "symmetries": MOVES,
        "warm_steps": 3,
    }
    return MapperTraining(schedule=schedule, **{**kept, **changes})


def train(data: Path, bundle: Bundle, how: MapperTraining, **kept: Any) -> Bundle:
    """Train, and draw no curves."""
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "draw_curves", lambda *_: None)
        train_mapper(DefectFolder(data), bundle, how, make_fabric("cpu"), placements=MOVES, **kept)
    return Bundle(bundle.path)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_parts(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Without a mapper; not to be written to."""
    return write_bundle(tmp_path_factory.mktemp("untrained") / "bundle", SMALL, encoder=True)


@pytest.fixture
def fresh(untrained: Bundle, tmp_path: Path) -> Bundle:
    """The same, to be written to."""
    return Bundle(copytree(untrained.path, tmp_path / "bundle"))


@pytest.fixture(scope="module")
def finished(data: Path, untrained: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """With a mapper after four steps; not to be written to."""
    folder = copytree(untrained.path, tmp_path_factory.mktemp("finished") / "bundle")
    return train(data, Bundle(folder), options(4))


def weights(bundle: Bundle) -> dict[str, Tensor]:
    return load_tensors(bundle.path / "training" / MAPPER / STATE)[0]


def told(bundle: Bundle) -> list[dict[str, float]]:
    lines = (bundle.path / "training" / MAPPER / "stats.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def stage_of(bundle: Bundle, how: MapperTraining, data: Path) -> MapperStage:
    """What a training would run."""
    found: list[MapperStage] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "run", lambda stage, *_, **__: found.append(stage) or ENDED)
        train(data, bundle, how)
    return found[0]


def test_it_leaves_a_mapper_and_says_how_it_was_made(finished: Bundle) -> None:
    assert sum(p.numel() for p in load_mapper(finished).parameters())
    assert finished.config["mapper_nimg"] == 4 * BATCH
    assert finished.config["training"][MAPPER]["solutions"] == 2
    names = {file.name for file in (finished.path / "training" / MAPPER).iterdir()}
    assert names == {
        LOCK,
        STATE,
        "stats.jsonl",
        "curves.png",
        "samples-000000.png",
        "solutions.safetensors",
    } - {"curves.png"}


def test_a_projected_critic_teaches_as_well(data: Path, tmp_path: Path) -> None:
    critic = ProjectedConfig(least_side=32)
    bundle = write_bundle(tmp_path / "bundle", SMALL, encoder=True, critic=critic)
    for row in told(train(data, bundle, options(2))):
        assert {*row} >= TERMS and not {"r1", "ada"} & {*row}


def test_every_term_is_told(finished: Bundle) -> None:
    assert {name for row in told(finished) for name in row} >= TERMS


def test_the_other_networks_stay_as_they_were(untrained: Bundle, finished: Bundle) -> None:
    for name in ("generator", "encoder", "critic", "match_critic", "statistics"):
        before, after = untrained.tensors(name), finished.tensors(name)
        assert before.keys() == after.keys()
        assert all(torch.equal(before[k], after[k]) for k in before)


def test_the_documentation_explains_every_term(finished: Bundle) -> None:
    lines = (finished.path / "training" / MAPPER / "stats.jsonl").read_text().splitlines()
    assert lines and not unexplained(map(json.loads, lines))


def test_every_weight_moves(data: Path, finished: Bundle, fresh: Bundle) -> None:
    before = stage_of(fresh, options(4), data).mapper.state_dict()
    after = load_mapper(finished).state_dict()
    still = [k for k in before if k != "unit" and torch.equal(before[k], after[k])]
    assert not still


def test_resumed_it_is_the_one_that_was_not(data: Path, finished: Bundle, fresh: Bundle) -> None:
    train(data, fresh, options(2))
    train(data, fresh, options(4), resume=True)
    one, other = weights(finished), weights(fresh)
    assert one.keys() == other.keys()
    assert all(torch.equal(one[k], other[k]) for k in one)


def test_solutions_are_not_searched_for_twice(
    data: Path, finished: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("blemish.synthesis.mapping.solutions.place_defects", None)
    with pytest.raises(TypeError):
        stage_of(finished, options(4, solutions=3), data)
    kept = stage_of(finished, options(4), data).tasks.solutions
    assert kept is not None and len(kept) == 2 * LOOKS


@pytest.mark.parametrize("network", ["generator", "encoder"])
def test_another_network_is_another_training(
    data: Path, finished: Bundle, tmp_path: Path, network: str
) -> None:
    other = Bundle(copytree(finished.path, tmp_path / "other"))
    touched = {name: tensor + 0.01 for name, tensor in other.tensors(network).items()}
    other.write(network, touched)
    with pytest.raises(OptionError, match=rf"{network} [0-9a-f]{{16}}.*start over"):
        train(data, other, options(6), resume=True)
    one, another = (
        stage_of(bundle, options(4), data).tasks.solutions for bundle in (finished, other)
    )
    assert one is not None and another is not None
    assert not torch.equal(one.w_defect, another.w_defect)


def test_solutions_know_what_they_solve(data: Path, finished: Bundle) -> None:
    found = stage_of(finished, options(4), data).tasks.solutions
    assert found is not None
    assert found.kind.tolist() == [0] * LOOKS + [1] * LOOKS
    assert (found.mask.sum(dim=(1, 2, 3)) > 0).all()
    assert found.change.abs().amax(dim=(1, 2, 3)).min() > 0
    assert found.w_defect.isfinite().all()
    for group in range(2):
        here = slice(group * LOOKS, (group + 1) * LOOKS)
        assert (found.photograph[here] == found.photograph[here.start]).all()


def test_known_defects_get_codes_that_say_their_look(data: Path, fresh: Bundle) -> None:
    stage = stage_of(fresh, options(solutions=0), data)
    known = stage.tasks.drawn(6, torch.Generator().manual_seed(0))
    one, other = (stage.tasks.latents(known, torch.Generator().manual_seed(s)) for s in (1, 2))
    far = (one - other).abs().mean(dim=0)
    assert far[:COORDINATES].max() < far[COORDINATES:].mean()


def test_warming_up_learns_the_solved_looks(data: Path, finished: Bundle) -> None:
    far = []
    for steps in (0, 60):
        stage = stage_of(finished, options(4, warm_steps=steps), data)
        stage.warm_up()
        known = stage.tasks.solutions
        assert known is not None
        z = stage.tasks.latents(known, torch.Generator().manual_seed(0))
        rows = stage._codes(stage.mapper, known.photograph, known.mask, known.kind, z).w_defect
        assert rows is not None
        far.append((rows - known.w_defect).square().mean().item())
    assert far[1] < 0.7 * far[0]


@pytest.mark.parametrize(
    "branch",
    [
        DefectConfig(first_resolution=8, types=("crack", "paint"), takes_mask=False),
        DefectConfig(first_resolution=16, types=("paint",), conditional=False),
    ],
)
def test_branches_of_every_kind_learn(data: Path, tmp_path: Path, branch: DefectConfig) -> None:
    bundle = write_bundle(tmp_path / "bundle", replace(SMALL, defect=branch), encoder=True)
    train(data, bundle, options(2))
    assert all(value is not None for value in load_mapper(bundle).state_dict().values())


@pytest.mark.parametrize("share", [{"drawn": 0.01}, {"solved": 0.0}, {"solutions": 0}])
def test_it_learns_without_one_of_its_sides(
    data: Path, fresh: Bundle, share: dict[str, Any]
) -> None:
    train(data, fresh, options(2, **share))
    assert fresh.has(MAPPER)


@pytest.mark.parametrize(
    "change",
    [{"drawn": 0.6, "solved": 0.4}, {"drawn": 0.0}, {"solutions": -1}],
)
def test_options_out_of_range_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(OptionError):
        options(**change)


def test_a_bundle_must_know_defects_and_have_an_encoder(data: Path, tmp_path: Path) -> None:
    plain = write_bundle(tmp_path / "plain", replace(SMALL, defect=None), encoder=True)
    with pytest.raises(BundleError, match="train defects"):
        train(data, plain, options())
    blind = write_bundle(tmp_path / "blind", SMALL)
    with pytest.raises(BundleError, match="train encoder"):
        train(data, blind, options())


def test_real_defects_of_each_type_are_needed(data: Path, fresh: Bundle, tmp_path: Path) -> None:
    some = Path(copytree(data, tmp_path / "some"))
    for file in (some / "test" / "paint").iterdir():
        file.unlink()
    with pytest.raises(DataError, match="no photograph of paint"):
        train(some, fresh, options())


def test_what_comes_before_it_drops_it(data: Path, finished: Bundle, tmp_path: Path) -> None:
    bundle = Bundle(Path(copytree(finished.path, tmp_path / "bundle")))
    bundle.drop(MAPPER)
    assert not bundle.has(MAPPER)
    assert bundle.digest != finished.digest


def test_known_defects_are_taken_by_index() -> None:
    some = Solutions(
        photograph=torch.zeros(3, 3, 4, 4),
        mask=torch.zeros(3, 1, 4, 4),
        kind=torch.arange(3),
        w_defect=torch.zeros(3, 2, 2),
        change=torch.zeros(3, 3, 4, 4),
    )
    assert some[torch.tensor([2, 0])].kind.tolist() == [2, 0]
