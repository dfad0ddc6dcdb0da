"""The benchmark of training: its trials differ in one thing, and its runs are done once."""

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from shutil import copytree, rmtree
from typing import Any, NoReturn

import pytest
import torch
from tiny import write_bundle

from blemish.data.folder import DefectFolder
from blemish.errors import BundleError, DataError, OptionError, TrainingError
from blemish.evaluation.eyes import FeatureExtractor
from blemish.models.critic import build_critic
from blemish.models.generator import GeneratorConfig
from blemish.models.residual import ResidualConfig
from blemish.training import loop
from blemish.training.presets import find_preset

sys.path.insert(0, str(Path(__file__).parents[2]))  # benchmarks are no part of the package

from benchmarks import snapshots
from benchmarks._training import measures, runs
from benchmarks._training.measures import Row
from benchmarks._training.runs import Bench
from benchmarks._training.table import BACKBONE_COLUMNS, cell, snapshot_choice, table
from benchmarks._training.trials import (
    SIDE,
    Backbone,
    backbone_of,
    backbones,
    chosen,
    differences,
)
from benchmarks.training import Asked, report

EARNEST = ("bottle-64", "bottle-128", "nut-64")
LOOKER = GeneratorConfig(resolution=16, z_dim=8, w_dim=8, channel_base=128, channel_max=8)
TINY = Asked(
    preset="tiny-32",
    kimg=0.02,
    seeds=2,
    only="base,no-warm-start",
)


def first(name: str = "bottle-64", kimg: float = 4) -> Backbone:
    return backbone_of(find_preset(name), kimg)


@pytest.fixture(scope="module", autouse=True)
def in_little_time() -> Iterator[None]:
    """Few samples."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measures, "SAMPLES", 8)
        yield


@pytest.fixture(scope="module")
def eyes() -> FeatureExtractor:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return FeatureExtractor.of_critic(build_critic(ResidualConfig(), LOOKER).eval(), side=16)


@pytest.fixture(scope="module")
def finished(
    parts: Path, eyes: FeatureExtractor, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Bench, str]:
    """A small benchmark's folder, not to be written to, and its report."""
    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("experiments")
    bench = Bench(folder=DefectFolder(parts), out=out, eyes=eyes)
    return bench, report(bench, TINY)


@pytest.fixture
def bench(parts: Path, eyes: FeatureExtractor, tmp_path: Path) -> Bench:
    return Bench(folder=DefectFolder(parts), out=tmp_path / "out", eyes=eyes)


def row(bench: Bench, name: str) -> dict[str, float]:
    """What a run has come to, without its pace."""
    found = json.loads((bench.out / name / "row.json").read_text())
    return {k: v for k, v in found.items() if k != "images_per_s"}


def forbidden(*_: Any, **__: Any) -> NoReturn:
    raise AssertionError("this has been done before")


@pytest.mark.parametrize(
    ("name", "trial"),
    [(name, trial) for name in EARNEST for trial in [*backbones(first(name))][1:]],
)
def test_a_backbone_differs_from_its_base_in_one_thing(name: str, trial: str) -> None:
    every = backbones(first(name))
    names = [part.split()[0] for part in differences(every[trial], every["base"]).split("), ")]
    assert len(names) == 1 or names == ["channel_base", "channel_max"]


def test_where_nothing_is_moved_there_is_no_trial_without() -> None:
    assert "no-symmetries" in backbones(first("bottle-64"))
    assert "no-symmetries" not in backbones(first("bottle-128"))


def test_the_first_trial_is_the_base() -> None:
    assert next(iter(backbones(first()).values())) == first()


@pytest.mark.parametrize("name", EARNEST)
@pytest.mark.parametrize("kimg", [0.1, 1, 4, 30])
def test_a_base_carries_what_its_preset_does_but_for_size_length_and_critic(
    name: str, kimg: float
) -> None:
    usual, base = find_preset(name).training, first(name, kimg)
    schedule = replace(
        usual.schedule, kimg=kimg, snapshot_kimg=base.training.schedule.snapshot_kimg
    )
    lengths = {"ada_kimg": kimg / 2, "warm_steps": base.training.warm_steps, "schedule": schedule}
    assert base.training == replace(usual, critic=ResidualConfig(), **lengths)
    assert base.shape == replace(find_preset(name).shape, resolution=SIDE, channel_base=1024)


@pytest.mark.parametrize("name", EARNEST)
@pytest.mark.parametrize("kimg", [0.1, 0.3, 1, 4, 30])
def test_a_short_run_has_room_for_everything_that_is_varied(name: str, kimg: float) -> None:
    training = first(name, kimg).training
    steps, played = training.schedule.steps, training.schedule.steps - training.warm_steps
    assert 0 < training.warm_steps < steps / 4
    strongest = max(trial.training.ada_cap for trial in backbones(first(name, kimg)).values())
    assert played * training.schedule.batch >= strongest * training.ada_kimg * 1000


@pytest.mark.parametrize("kimg", [0.1, 0.3, 1, 4, 5, 30])
def test_a_run_is_reported_of_every_quarter(kimg: float) -> None:
    schedule = first(kimg=kimg).training.schedule
    steps = [k for k in range(1, schedule.steps + 1) if k % schedule.snapshot_steps == 0]
    assert len({*steps, schedule.steps}) in (3, 4)
    assert schedule.snapshot_steps * 4 >= schedule.steps


def test_snapshots_of_four_thousand_images_have_names_of_their_own() -> None:
    schedule = first(kimg=4).training.schedule
    images = [schedule.snapshot_steps * k * schedule.batch for k in (1, 2, 3)]
    assert [n // 1000 for n in (*images, schedule.steps * schedule.batch)] == [1, 2, 3, 4]


@pytest.mark.parametrize(("trial", "times"), [("half-as-wide", 0.5), ("twice-as-wide", 2)])
@pytest.mark.parametrize("name", EARNEST)
def test_a_width_is_that_of_every_layer(name: str, trial: str, times: float) -> None:
    base, shape = first(name).shape, backbones(first(name))[trial].shape
    for resolution in base.resolutions():
        assert shape.channels(resolution) == base.channels(resolution) * times


@pytest.mark.parametrize("names", ["", " ", ","])
def test_no_name_is_every_name(names: str) -> None:
    assert chosen(names, ["a", "b"]) == {"a", "b"}


def test_names_may_stand_apart() -> None:
    assert chosen(" c, a", ["a", "b", "c"]) == {"a", "c"}


def test_an_unknown_trial_is_refused() -> None:
    with pytest.raises(OptionError, match=r"'wider'.*base, no-symmetries.*--only"):
        chosen("base,wider", [*backbones(first())])


@pytest.mark.parametrize("seeds", [0, -1])
def test_no_seed_at_all_is_refused(seeds: int) -> None:
    with pytest.raises(OptionError, match="--seeds"):
        Asked(seeds=seeds)


@pytest.mark.parametrize(
    ("trial", "reported"),
    [
        ("base", ""),
        ("r1-a-fifth", "r1_gamma 0.02 (0.1)"),
        ("no-symmetries", "symmetries none (flip,shift,colour)"),
        ("twice-as-wide", "channel_base 2048 (1024), channel_max 256 (128)"),
    ],
)
def test_differences_name_the_base_s_value_in_parentheses(trial: str, reported: str) -> None:
    assert differences(backbones(first())[trial], first()) == reported


@pytest.mark.parametrize(
    ("values", "reported"),
    [
        ([], "–"),
        ([None, None], "–"),
        ([0.25], "0.25"),
        ([None, 0.25], "0.25"),
        ([0.1, 0.3], "0.20 [0.10, 0.30]"),
        ([-1, 0, 4], "1.00 [-1.00, 4.00]"),
    ],
)
def test_a_cell_is_a_mean_with_its_range(values: list[float | None], reported: str) -> None:
    assert cell(values, ".2f") == reported


def test_a_table_has_a_cell_for_every_column_and_says_what_diverged() -> None:
    both = {"base": [{"held_out": 0.5}, {}], "no-warm-start": [{}, {}]}
    lines = table(both, BACKBONE_COLUMNS, backbones(first()), "base", {"real": {"learnt": 1}})
    assert {line.count("|") for line in lines} == {len(BACKBONE_COLUMNS) + 3}
    assert "0.500 (1 of 2 diverged)" in lines[2] and "(the base)" in lines[2]
    assert "– (2 of 2 diverged)" in lines[3]


def test_the_choice_of_a_snapshot_is_counted_over_all_runs() -> None:
    pairs = [(0.5, 0.25), (0.5, 0.5), (0.25, 0.5), (0.75, 0.25)]
    found: list[Row] = [{"held_out": last, "kept_held_out": kept} for last, kept in pairs]
    reported = snapshot_choice({"base": found[:2], "wide": [*found[2:], {}]})
    assert "(4)" in reported and "0.500 from" in reported and "keep 0.375" in reported
    assert "nearer in 2, the same in 1, farther in 1" in reported


def test_nothing_is_said_of_snapshots_where_all_diverged() -> None:
    assert snapshot_choice({"base": [{}]}) == "No run is finished."


def test_a_report_has_a_line_for_each_trial_and_says_how_it_was_made(
    finished: tuple[Bench, str],
) -> None:
    _, text = finished
    assert [text.count(f"\n| {name} |") for name in TINY.only.split(",")] == [1, 1]
    assert "\n| no-symmetries |" not in text
    assert "\n\n\n" not in text
    assert TINY.command() in text and "seeds 0 to 1" in text and "preset `tiny-32`" in text


@pytest.mark.parametrize("name", ["base", "no-warm-start"])
def test_every_figure_is_measured_and_a_seed_makes_a_difference(
    finished: tuple[Bench, str], name: str
) -> None:
    one, other = (row(finished[0], f"{name}-{seed}") for seed in (0, 1))
    assert None not in one.values()
    assert one.keys() == other.keys() and one != other


def test_what_is_done_is_not_done_again(
    finished: tuple[Bench, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench, text = finished
    for name in ("train_generator", "judge_backbone"):
        monkeypatch.setattr(runs, name, forbidden)
    assert report(bench, TINY) == text


def test_one_trial_more_trains_that_one_alone(
    finished: tuple[Bench, str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    bench = replace(finished[0], out=copytree(finished[0].out, tmp_path / "out"))
    report(bench, replace(TINY, only="base,half-as-wide", seeds=1))
    reported = [line for line in capfd.readouterr().err.splitlines() if "images_per_s" in line]
    assert len(reported) == 1 and reported[0].startswith("half-as-wide-0: held_out ")


@pytest.mark.parametrize("name", ["base-0", "no-warm-start-1"])
def test_an_interrupted_run_carries_on_as_if_it_had_not_been(
    finished: tuple[Bench, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    bench = replace(finished[0], out=copytree(finished[0].out, tmp_path / "out"))
    rmtree(bench.out / name)
    guarded = loop._guarded_step

    def interrupted(stage: Any, index: int, *rest: Any) -> Any:
        if index == 3:
            raise KeyboardInterrupt
        return guarded(stage, index, *rest)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(loop, "_guarded_step", interrupted)
        report(bench, TINY)
    assert not (bench.out / name / "row.json").exists()
    report(bench, TINY)
    assert row(bench, name) == row(finished[0], name)


def test_a_run_that_was_trained_is_judged_though_it_was_interrupted_then(
    finished: tuple[Bench, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = replace(finished[0], out=copytree(finished[0].out, tmp_path / "out"))
    (bench.out / "base-0" / "row.json").unlink()
    monkeypatch.setattr(loop, "_guarded_step", forbidden)
    report(bench, TINY)
    assert row(bench, "base-0") == row(finished[0], "base-0")


@pytest.mark.parametrize("change", [{"kimg": 0.08}, {"preset": "bottle-64"}])
def test_a_folder_of_other_options_is_refused(
    finished: tuple[Bench, str], change: dict[str, Any]
) -> None:
    with pytest.raises(OptionError, match=r"other options.*Give another --out"):
        report(finished[0], replace(TINY, **change))


def test_a_diverged_run_is_a_result(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def diverging(*_: Any, **__: Any) -> NoReturn:
        raise TrainingError("Got a training that diverged")

    monkeypatch.setattr(runs, "train_generator", diverging)
    text = report(bench, replace(TINY, only="base"))
    assert "– (2 of 2 diverged)" in text
    assert "base-0: diverged" in capsys.readouterr().err


def test_where_nothing_is_held_out_the_message_says_so(parts: Path, tmp_path: Path) -> None:
    root = copytree(parts, tmp_path / "parts")
    for path in (root / "test/good").iterdir():
        path.unlink()
    with pytest.raises(DataError, match="no data to test a training on"):
        measures.read_parts(DefectFolder(root), SIDE)


def test_a_bundle_without_snapshots_can_not_be_judged(parts: Path, tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "bundle")
    with pytest.raises(BundleError, match="no snapshots in training/generator"):
        snapshots.main(bundle.path, parts)
