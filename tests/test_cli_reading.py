"""Files that were once read wrongly in silence, through the commands."""

import json
import os
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from commands import assert_refused, draw_in_this_process, exit_code
from tiny import part, spot, write_bundle, write_parts

from blemish.data import check
from blemish.data.pairs import read_mask
from blemish.originals import Original
from blemish.pictures import write_picture

SIZE = (64, 64)
LINE = "synthesize --normal {name} --mask mask.png --defect paint --bundle bundle --device cpu"
LINE += " --method window --out out --json"
BATCH = "batch recipe.toml --device cpu --workers 1 --out out"
RECIPE = """
bundle = "bundle"
{levels}

[[group]]
defect = "paint"
count = 2
photographs = "camera.tif"
masks = "mask.png"
"""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(
        tmp_path_factory.mktemp("props") / "bundle", encoder=True, windows=True
    ).path


@pytest.fixture
def place(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A photograph of a camera of 12 bits, and a mask."""
    (tmp_path / "bundle").symlink_to(bundle)
    levels = part(*SIZE).mean(axis=2).astype(np.uint16) * np.uint16(16)
    assert cv2.imwrite(str(tmp_path / "camera.tif"), levels)
    write_picture(tmp_path / "nut.png", part(*SIZE))
    write_picture(tmp_path / "mask.png", spot(*SIZE))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return tmp_path


def rows(place: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (place / "out/manifest.jsonl").read_text().splitlines()]


def stored(path: Path) -> np.ndarray:
    levels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert levels is not None
    return levels


def assert_returned(place: Path, row: dict[str, Any]) -> None:
    """An item at the camera's own levels, changed exactly where its label is."""
    given = stored(place / "camera.tif")
    made = stored(place / "out" / row["files"]["image"])
    assert made.dtype == np.uint16
    assert made.max() <= 4095
    assert np.array_equal(made != given, read_mask(place / "out" / row["files"]["mask"]))
    assert (made != given).any()


def test_12_bits_are_refused_until_the_camera_is_named(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert_refused(
        LINE.format(name="camera.tif"), "camera.tif of 16 bits with levels up to", capsys
    )
    assert not (place / "out").exists()
    assert exit_code(f"{LINE.format(name='camera.tif')} --levels 4095") == 0
    assert_returned(place, rows(place)[0])
    assert not check(place / "out").complaints, "what was written says itself what is white"


@pytest.mark.usefixtures("no_processes")
def test_a_recipe_names_the_camera(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "recipe.toml").write_text(RECIPE.format(levels=""))
    assert exit_code(BATCH) == 2
    assert "--levels 4095, or levels = 4095 to a recipe" in capsys.readouterr().err
    (place / "recipe.toml").write_text(RECIPE.format(levels="levels = 4095"))
    assert exit_code(BATCH.replace("--out out", "--out second --keep-all")) == 0
    (place / "out").rename(place / "first")
    (place / "second").rename(place / "out")
    for row in rows(place):
        assert_returned(place, row)


def test_a_recipe_with_levels_of_no_camera_is_refused(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "recipe.toml").write_text(RECIPE.format(levels="levels = 1000"))
    assert_refused(BATCH, "recipe.toml: a highest level of 1000", capsys)


@pytest.mark.parametrize("what", ["pipe", "endless", "large"])
def test_only_a_regular_recipe_is_read(
    what: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if what == "pipe":
        os.mkfifo(place / "recipe.toml")
    elif what == "endless":
        (place / "recipe.toml").symlink_to("/dev/zero")
    else:
        with (place / "recipe.toml").open("wb") as file:
            file.truncate(2**40)  # takes no room on the disk
    start = time.monotonic()
    got = "is larger than 16 MiB" if what == "large" else "is a pipe, a device or a socket"
    assert_refused(BATCH, f"recipe.toml, which {got}", capsys)
    assert time.monotonic() - start < 60


@pytest.mark.parametrize("option", ["--normal", "--mask"])
def test_a_pipe_is_no_picture(option: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(place / "pipe.png")
    line = LINE.format(name="nut.png")
    line = line.replace("nut.png" if option == "--normal" else "mask.png", "pipe.png")
    assert_refused(line, "pipe.png, which is a pipe", capsys)


@pytest.mark.parametrize("foreign", [False, True])
@pytest.mark.parametrize("verb", ["synthesize", "batch"])
def test_a_photograph_of_something_else_is_said_aloud(
    verb: str,
    foreign: bool,
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    asked: list[Any] = []
    answer = "blemish.recognition.Recognizer.is_foreign"
    monkeypatch.setattr(answer, lambda _, picture: asked.append(picture) or foreign)
    draw_in_this_process(monkeypatch)
    recipe = RECIPE.format(levels="").replace("camera.tif", "nut.png")
    (place / "recipe.toml").write_text(recipe)
    assert exit_code(LINE.format(name="nut.png") if verb == "synthesize" else BATCH) == 0
    assert [row["scores"]["out_of_domain"] for row in rows(place)] == [foreign] * len(rows(place))
    said = [text for text in caplog.messages if "nut.png is out of domain" in text]
    assert len(said) == foreign
    assert len(asked) == 1, "a photograph is judged once"


def test_a_mask_that_vanishes_at_the_models_resolution_is_said_aloud(
    place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    mask = np.zeros(SIZE, bool)
    mask[32:34, 32:34] = True
    write_picture(place / "mask.png", mask)
    line = LINE.replace("--method window", "--method optimize --invert encode")
    assert exit_code(line.format(name="nut.png")) == 0
    assert any("mask.png has 1 pixels at the model's resolution" in m for m in caplog.messages)


@pytest.mark.parametrize("marked", [False, True])
def test_training_refuses_a_mask_that_marks_nothing_or_all_by_name(
    marked: bool, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_parts(place / "data")
    file = data / "ground_truth/paint/0.png"
    write_picture(file, np.full((32, 32), marked))
    line = f"train encoder {data} --bundle bundle --kimg 0.004 --device cpu"
    which = "every" if marked else "no"
    assert_refused(line, f"ground_truth/paint/0.png, a mask with {which} pixel marked", capsys)


def test_training_refuses_masks_of_several_levels(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_parts(place / "data")
    levels = np.zeros((32, 32), np.uint8)
    levels[4:12, 4:28], levels[16:24, 4:28] = 100, 200
    write_picture(data / "ground_truth/paint/0.png", levels)
    line = f"train encoder {data} --bundle bundle --kimg 0.004 --device cpu"
    assert_refused(line, "paint/0.png, a mask of several levels: 0, 100, 200", capsys)


@pytest.mark.parametrize("answer", ["text", "json"])
def test_data_check_prints_what_a_person_needs(
    answer: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_parts(place / "data")
    (data / "test/paint/0.png").rename(data / "test/lost.png")
    Original(levels=np.full((32, 60, 3), 90, np.uint8)).write(data / "train/good/long.png")
    assert exit_code(f"data check {data}" + " --json" * (answer == "json")) == 2
    out = capsys.readouterr().out
    wide = "is 60 × 32; the model sees it squeezed to a square"
    lost = "is not read: it lies in test/ itself, not in a folder such as test/good"
    if answer == "json":
        found = json.loads(out)
        assert found["notes"] == [{"path": "train/good/long.png", "text": wide}]
        assert {"path": "test/lost.png", "text": lost} in found["complaints"]
        return
    taken, notes, complaints = (out.index(word) for word in ("Masks in", "Notes:", "Complaints:"))
    assert taken < notes < out.index(f"long.png {wide}") < complaints
    assert f"lost.png {lost}" in out[complaints:]
