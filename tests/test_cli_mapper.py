"""`blemish train mapper` and what `train defects` leaves for curation, through the command line."""

import json
from pathlib import Path
from shutil import copytree

import pytest
from commands import exit_code
from tiny import write_bundle, write_parts

from blemish.checkpoint import Bundle
from blemish.generator import loop
from blemish.synthesis.curation.yardstick import read_yardsticks
from blemish.synthesis.mapping.mapper import MAPPER

TRAIN = "train mapper data --bundle bundle --device cpu --threads 1 --solutions 1"
TRAIN += " --kimg 0.016 --batch 8"


@pytest.fixture(scope="module")
def props(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data, a bundle without a mapper, and one without an encoder."""
    root = tmp_path_factory.mktemp("props")
    write_parts(root / "data", defects=4)
    write_bundle(root / "bundle", encoder=True)
    write_bundle(root / "blind")
    return root


@pytest.fixture
def place(props: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of one's own to work in; warming up and curves are left out."""
    copytree(props, tmp_path / "props")
    monkeypatch.chdir(tmp_path / "props")
    monkeypatch.setattr("os.fsync", lambda _: None)  # test_files.py sees to that
    monkeypatch.setattr(loop, "draw_curves", lambda *_: None)
    monkeypatch.setattr("blemish.synthesis.mapping.train.MapperStage.warm_up", lambda _: None)
    return tmp_path / "props"


def test_a_mapper_is_trained_and_used(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(TRAIN) == 0
    assert "'blemish synthesize' now needs one forward pass" in capsys.readouterr().err
    bundle = Bundle(place / "bundle")
    assert bundle.has(MAPPER) and bundle.config["mapper_nimg"] == 16
    found = read_yardsticks(bundle)
    assert {*found} == {"crack", "paint"}
    assert all(stick.held_out == 3 for stick in found.values())
    line = "synthesize --normal data/train/good/0.png --mask-kind blob --area 0.1 --defect paint"
    assert exit_code(f"{line} --bundle bundle --device cpu --json") == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["options"]["way"] == "one-pass"
    assert {"drift", "verdict", "likeness"} <= {*row["scores"]}


def test_a_training_is_resumed_or_begun_anew_elsewhere(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(TRAIN) == 0
    assert exit_code(TRAIN) == 2
    assert "which contains the state of a training" in capsys.readouterr().err
    assert exit_code(f"{TRAIN} --resume --kimg 0.024") == 0
    assert Bundle(place / "bundle").config["mapper_nimg"] == 24


def test_options_are_shown_and_nothing_is_done(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(place.rglob("*"))
    assert exit_code(f"{TRAIN} --dry-run --adversarial-weight 0.5") == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["training"]["adversarial_weight"] == 0.5
    assert shown["training"]["solutions"] == 1
    assert sorted(place.rglob("*")) == before


@pytest.mark.parametrize(
    "line, got",
    [
        (f"{TRAIN} --bundle blind", "a bundle without an encoder"),
        (f"{TRAIN} --bundle none", "the bundle 'none'"),
        (TRAIN.replace("data", "none", 1), "none, which does not exist"),
        (f"{TRAIN} --solutions -1", "-1 groups of solutions"),
        (f"{TRAIN} --mask-weight nan", "the mask weight nan"),
        (f"{TRAIN} --bundle hazelnut", "a bundle that is part of Blemish"),
    ],
)
def test_bad_input_is_refused(
    line: str, got: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(line) == 2
    told = capsys.readouterr().err
    assert told.startswith("Error: got ") and got in told.splitlines()[0]
    assert not Bundle(place / "bundle").has(MAPPER)


def test_stage_two_leaves_the_bounds_of_curation_and_drops_an_old_mapper(place: Path) -> None:
    assert exit_code(TRAIN) == 0
    bundle = Bundle(place / "bundle")
    bundle.forget("curation.")
    line = "train defects data --bundle bundle --device cpu --threads 1 --kimg 0.008"
    assert exit_code(f"{line} --batch 4") == 0
    assert not Bundle(place / "bundle").has(MAPPER)
    assert {*read_yardsticks(bundle)} == {"crack", "paint"}
