"""`blemish evaluate synthesis`: what it prints, what it leaves, and what it refuses."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import (
    BLEMISH,
    ONE_THREAD,
    assert_parsing_fails,
    assert_refused,
    exit_code,
    full_after,
)
from made import NAMES, blank, edit, write_made
from same import files_in
from tiny import TYPES, part, spot, write_bundle, write_defects

from blemish.pictures import write_picture

EVALUATE = "evaluate synthesis --real real --synthetic made --out out"
CRITIC = f"{EVALUATE} --features critic --bundle bundle"
FILES = {"crack.png", "paint.png", "report.html", "report.json", "sorting.html"}
LINES = {name: len(NAMES) - 1 - k for k, name in enumerate(NAMES)}  # of the manifest
BOLT = "crack/bolt_1"


@pytest.fixture(scope="module")
def props(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle, a folder of real images, and one of synthetic ones."""
    root = tmp_path_factory.mktemp("props")
    write_bundle(root / "bundle")
    write_defects(root / "real", n=6)
    write_made(root / "made")
    return root


@pytest.fixture
def place(props: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of one's own to work in, with all of that, and no weights of classifiers."""
    shutil.copytree(props, tmp_path, dirs_exist_ok=True)
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("hello")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BLEMISH_WEIGHTS", str(tmp_path / "nowhere"))
    monkeypatch.setenv("HOME", str(tmp_path / "nowhere"))
    monkeypatch.setattr("os.fsync", lambda _: None)  # test_files.py sees to that
    return tmp_path


def report_in(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "report.json").read_text(encoding="utf-8"))


def test_each_type_has_its_line(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(CRITIC) == 0
    shown = capsys.readouterr()
    crack, paint = shown.out.splitlines()
    assert crack.startswith("crack: 3 synthetic, kernel distance ")
    assert paint.startswith("paint: 2 synthetic, kernel distance ")
    for line in (crack, paint):
        assert "% copies of a training defect" in line
        assert line.endswith("IoU of label and change 1.00, 0 pixels changed outside labels")
    assert shown.err.endswith("out/report.html has the figures and images.\n")
    assert {*files_in(place / "out")} == FILES


def test_what_json_prints_is_what_the_file_holds(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(f"{CRITIC} --json") == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out) == report_in(place / "out")
    assert "NaN" not in shown.out and "Infinity" not in shown.out
    assert "report.html" not in shown.err


@pytest.mark.parametrize("more", ["", "--everything"])
def test_twice_is_the_same(more: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reported = []
    for _ in range(2):
        assert exit_code(f"{CRITIC} {more} --json") == 0
        reported.append(json.loads(capsys.readouterr().out))
    assert reported[0] == reported[1]
    assert reported[0]["everything"] == bool(more)
    assert reported[0]["types"]["crack"]["real_learnt"] == (6 if more else 2)


def test_auto_takes_the_network_that_is_always_there_and_says_what_that_means(place: Path) -> None:
    assert exit_code(EVALUATE) == 0
    report = report_in(place / "out")
    assert report["network"] == "efficientnet-lite0"
    assert any("flatters" in note for note in report["notes"])


def test_real_ones_held_against_themselves(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(f"{CRITIC} --synthetic real") == 0
    for line, kind in zip(capsys.readouterr().out.splitlines(), TYPES, strict=True):
        assert line.startswith(f"{kind}: 6 synthetic, kernel distance ")
        assert "IoU" not in line, "no item has a good twin"
    assert any("No manifest" in note for note in report_in(place / "out")["notes"])


def test_of_what_is_not_known_nothing_is_said(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in set(NAMES) - {"bolt_1", "nut 3"}:
        edit(place / "made", LINES[name], outcome="refused", reasons=["odd"])
    shutil.rmtree(place / "real")
    write_defects(place / "real", n=1)
    assert exit_code(CRITIC) == 0
    rest = "1 synthetic, IoU of label and change 1.00, 0 pixels changed outside labels"
    assert capsys.readouterr().out.splitlines() == [f"{kind}: {rest}" for kind in TYPES]


def remove(file: str) -> Callable[[Path], object]:
    return lambda place: (place / file).unlink()


def write(file: str, text: str) -> Callable[[Path], object]:
    return lambda place: (place / file).write_text(text)


def draw(file: str, picture: np.ndarray) -> Callable[[Path], object]:
    return lambda place: write_picture(place / file, picture)


def refuse_all(place: Path) -> None:
    for line in LINES.values():
        edit(place / "made", line, outcome="refused", reasons=["odd"])


def other_types(place: Path) -> None:
    for line in LINES.values():
        edit(place / "made", line, type="rust")


def out_of_the_folder(place: Path) -> None:
    edit(place / "made", 3, files={"image": "../real/test/crack/0.png", "mask": "mask.png"})


def as_it_is(place: Path) -> None:
    """Only the command is wrong."""


MANIFEST = "made/manifest.jsonl"
Case = tuple[str, Callable[[Path], object], str]
WRONG: dict[str, Case] = {
    "no real folder": ("--real none", as_it_is, "none, which does not exist"),
    "no made folder": ("--synthetic none", as_it_is, "none, which does not exist"),
    "an empty real folder": ("--real empty", as_it_is, "empty, without photographs"),
    "an empty made folder": ("--synthetic empty", as_it_is, "empty, without photographs"),
    "a file for real ones": ("--real file", as_it_is, "file, which is a file"),
    "a file for synthetic images": ("--synthetic file", as_it_is, "file, which is a file"),
    "a broken manifest": (
        "",
        write(MANIFEST, "{\n"),
        "whose line 1 is not a valid item record",
    ),
    "an empty manifest": ("", write(MANIFEST, ""), "made, in which no item was kept"),
    "nothing kept": ("", refuse_all, "made, in which no item was kept"),
    "a file outside": (
        "",
        out_of_the_folder,
        "whose line 4 is not a valid item record",
    ),
    "no common type": ("", other_types, "real, without any rust"),
    "a picture that is gone": ("", remove(f"made/test/{BOLT}.png"), "is gone"),
    "a picture that is torn": ("", write(f"made/test/{BOLT}.png", "hello"), "is not an image"),
    "a twin that is torn": ("", write("made/twin/bolt_1.png", "hello"), "is not an image"),
    "a mask of another size": (
        "",
        draw(f"made/ground_truth/{BOLT}_mask.png", spot(9, 7)),
        "a mask of 7 × 9 pixels",
    ),
    "a picture of another size": ("", draw(f"made/test/{BOLT}.png", part(9, 7)), "52 × 40 pixels"),
    "an empty mask": (
        "",
        lambda place: blank(place / f"made/ground_truth/{BOLT}_mask.png"),
        "a mask with no pixel marked",
    ),
    "a real mask of another size": (
        "",
        draw("real/ground_truth/paint/4.png", spot(9, 7)),
        "paint/4.png, a mask of 7 × 9 pixels",
    ),
    "no bundle of this name": ("--bundle none", as_it_is, "none"),
    "no SqueezeNet": ("--features squeezenet", as_it_is, "no weights for squeezenet"),
    "no VGG16": ("--features vgg16", as_it_is, "no weights for vgg16"),
    "a file for a report": ("--out file", as_it_is, "file"),
    "a report below a file": ("--out file/out", as_it_is, "file"),
}


@pytest.mark.parametrize("case", WRONG)
def test_bad_input_is_refused_in_one_message(
    case: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options, spoil, got = WRONG[case]
    spoil(place)
    before = files_in(place)
    assert_refused(f"{CRITIC} {options}", got, capsys)
    assert files_in(place) == before, "nothing is written"


def test_a_critic_looks_only_with_its_bundle(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(f"{EVALUATE} --features critic") == 2
    assert "--features critic without --bundle" in capsys.readouterr().err
    assert not (place / "out").exists()


@pytest.mark.parametrize(
    "line",
    [
        "evaluate synthesis",
        "evaluate synthesis --real real",
        "evaluate synthesis --synthetic made",
        f"{CRITIC} --features resnet",
        f"{CRITIC} --everything yes",
        f"{CRITIC} --sede 3",
    ],
)
def test_a_command_that_can_not_be_parsed(
    line: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert_parsing_fails(line, capsys)
    assert not (place / "out").exists()


def test_a_folder_that_may_not_be_written(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "empty").chmod(0o500)
    assert exit_code(f"{CRITIC} --out empty/out") == 2
    assert "writing is not permitted" in capsys.readouterr().err


@pytest.mark.parametrize("writes", range(4))
def test_a_full_disk(
    writes: int,
    place: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    full_after(writes, monkeypatch)
    assert exit_code(CRITIC) == 2
    shown = capsys.readouterr()
    assert "no space is left" in shown.err and not shown.out
    assert len(files_in(place / "out")) == writes
    assert not (place / "out" / "report.json").exists()


def test_as_a_process(place: Path) -> None:
    done = subprocess.run(
        [*BLEMISH, *CRITIC.split(), "--json"], capture_output=True, text=True, env=ONE_THREAD
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == report_in(place / "out")
