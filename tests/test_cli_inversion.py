"""`blemish invert`: photographs to codes."""

import json
import os
import signal
import subprocess
from dataclasses import replace
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
    wait_for,
)
from tiny import CONFIG, part, write_bundle

from blemish.checkpoint import Bundle, load_codes
from blemish.data.pairs import read_mask
from blemish.inversion.saved import load_inversion
from blemish.pictures import fit_square, read_picture, write_picture

INVERT = "invert --image nut.png --bundle bundle --device cpu --out out"
SHORT = f"{INVERT} --steps 2"
FILES = {
    "codes.safetensors",
    "comparison.png",
    "inversion.json",
    "photograph.png",
    "reconstruction.png",
}


@pytest.fixture(scope="module")
def props(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bundles of several kinds, photographs, and everything that can be wrong with them."""
    root = tmp_path_factory.mktemp("props")
    write_bundle(root / "bundle", encoder=True)
    write_bundle(root / "plain", replace(CONFIG, defect=None), encoder=True)
    for name in ("bare", "torn", "unfit"):
        write_bundle(root / name)
    critic = root / "torn" / "critic.safetensors"
    critic.write_bytes(critic.read_bytes()[:-9])
    config = Bundle(root / "unfit").config
    Bundle(root / "unfit").write_config({**config, "generator": {"resolution": 16}})
    write_picture(root / "nut.png", part())
    write_picture(root / "dot.png", part(1, 1))
    (root / "text.png").write_text("hello")
    (root / "file").write_text("hello")
    for k in range(3):
        (root / "photographs").mkdir(exist_ok=True)
        write_picture(root / "photographs" / f"{k}.png", part(40, 50 + k, seed=k))
    (root / "photographs" / "notes.txt").write_text("hello")
    for name in ("folder", "hopeless"):
        (root / name).mkdir()
    Bundle(root / "folder").write_config({})
    (root / "hopeless" / "a.png").write_text("hello")
    (root / "hopeless" / "b.png").write_text("hello")
    return root


@pytest.fixture
def place(props: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of one's own to work in, with all of that."""
    for path in props.iterdir():
        (tmp_path / path.name).symlink_to(path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("os.fsync", lambda _: None)  # test_files.py sees to that
    return tmp_path


def names_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def figures(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "inversion.json").read_text())


def test_inverting_by_default_stays_in_the_domain(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(SHORT) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith("nut.png  ")
    assert "PSNR " in shown.out and " dB in w+, in-domain percentile " in shown.out
    assert shown.err.endswith("out has the codes and images.\n")
    assert names_in(place / "out") == FILES
    reported = figures(place / "out")
    assert (reported["method"], reported["space"], reported["steps"]) == ("in-domain", "w+", 2)
    assert {*reported["terms"]} == {"pixels", "features", "cycle", "prior"}


def test_without_an_encoder_it_projects(place: Path) -> None:
    assert exit_code(f"{SHORT} --bundle bare") == 0
    assert figures(place / "out")["method"] == "project"


CASES = [
    ("encode", "w", ""),
    ("encode", "w+", ""),
    ("in-domain", "z", "--steps 2"),
    ("in-domain", "w", "--steps 2"),
    ("optimize", "z", "--steps 2 --start random"),
    ("optimize", "w", "--steps 2 --start encoder"),
    ("optimize", "w+", "--steps 2 --start mean"),
    ("project", "z", "--steps 2"),
    ("project", "w", "--steps 2 --noise-weight 1"),
    ("project", "w+", "--steps 2 --seconds 1000"),
]


@pytest.mark.parametrize("method, space, more", CASES)
def test_each_method_in_each_space(
    place: Path, method: str, space: str, more: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(f"{INVERT} --method {method} --space {space} {more} --json") == 0
    reported = json.loads(capsys.readouterr().out)
    assert (reported["method"], reported["space"]) == (method, space)
    assert reported.pop("image") == "nut.png"
    assert reported == figures(place / "out")
    codes = load_codes(place / "out" / "codes.safetensors")
    assert codes.space == space
    assert bool(codes.noise) == ("--noise-weight" in more)


@pytest.mark.parametrize("method", ["encode", "in-domain --steps 2", "project --steps 2"])
def test_a_defect_can_be_looked_for(place: Path, method: str) -> None:
    assert exit_code(f"{INVERT} --method {method} --defect") == 0
    assert names_in(place / "out") == FILES | {"mask.png"}
    assert read_mask(place / "out" / "mask.png").shape == (16, 16)
    kept = load_inversion(place / "out", Bundle(place / "bundle"))
    assert kept.codes.w_defect is not None and kept.mask is not None


def test_what_a_bundle_without_an_encoder_can_do(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(f"{SHORT} --bundle bare --method project") == 0
    assert " dB in w+\n" in capsys.readouterr().out
    assert figures(place / "out")["standing"] == {}


def test_time_can_be_short(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(f"{INVERT} --seconds 1e-9 --json") == 0
    reported = json.loads(capsys.readouterr().out)
    assert reported["outcome"] == "did not converge" and reported["steps"] == 0


@pytest.mark.parametrize("image", ["photographs", "photographs/0.png photographs/1.png nut.png"])
def test_several_get_a_folder_each(
    place: Path, image: str, capsys: pytest.CaptureFixture[str]
) -> None:
    line = f"{SHORT} --json --batch 2"
    assert exit_code(line.replace("nut.png", image, 1)) == 0
    rows = json.loads(capsys.readouterr().out)
    assert len(rows) == 3
    stems = [Path(row["image"]).stem for row in rows]
    assert {path.name for path in (place / "out").iterdir()} == {*stems}
    for stem, row in zip(stems, rows, strict=True):
        assert names_in(place / "out" / stem) == FILES
        assert figures(place / "out" / stem) == {k: v for k, v in row.items() if k != "image"}


def test_a_folder_of_one_is_a_list_of_one(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "single").mkdir()
    write_picture(place / "single" / "x.png", part())
    assert exit_code(f"{SHORT} --image single --json") == 0
    assert len(json.loads(capsys.readouterr().out)) == 1
    assert names_in(place / "out" / "x") == FILES


def test_files_of_one_name_do_not_meet(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = ("a/x.png", "b/x.png", "c/x-2.png", "c/X.bmp", "c/.x.png")
    for k, name in enumerate(files):
        (place / name).parent.mkdir(exist_ok=True)
        write_picture(place / "made.png", part(40 + k, 40, seed=k))
        (place / "made.png").rename(place / name)
    line = f"{INVERT} --method encode --json".replace("nut.png", " ".join(files), 1)
    assert exit_code(line) == 0
    names = ["x", "x-2", "x-2-2", "X-3", "x-4"]
    assert {path.name for path in (place / "out").iterdir()} == {*names}
    for k, name in enumerate(names):
        shown = read_picture(place / "out" / name / "photograph.png")
        assert np.array_equal(shown, fit_square(part(40 + k, 40, seed=k), 16))
    assert len(json.loads(capsys.readouterr().out)) == 5


def test_one_that_cannot_be_read_spoils_no_other(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = f"{INVERT} --method encode".replace("nut.png", "nut.png text.png none.png dot.png", 1)
    assert exit_code(line) == 0
    first, *rest = capsys.readouterr().out.splitlines()
    assert first.startswith("nut.png  ")
    assert [line.split("  ")[:2] for line in rest] == [
        ["text.png", "unreadable (got text.png, which is not an image)"],
        ["none.png", "unreadable (got none.png, which does not exist)"],
        ["dot.png", "unreadable (got dot.png, an image of 1 × 1 pixels)"],
    ]
    assert names_in(place / "out") == {f"nut/{name}" for name in FILES}


@pytest.mark.parametrize("method", ["encode", "in-domain --steps 3"])
def test_the_trajectory_can_be_kept(place: Path, method: str) -> None:
    assert exit_code(f"{INVERT} --method {method} --trajectory") == 0
    assert names_in(place / "out") == FILES | {"trajectory.png", "curves.png"}
    height, width, _ = read_picture(place / "out" / "trajectory.png").shape
    assert height == 16 and width == (16 if method == "encode" else 4 * 16 + 3 * 2)
    assert read_picture(place / "out" / "curves.png").std() > 0


def test_each_batch_has_its_way(place: Path) -> None:
    line = f"{SHORT} --trajectory --batch 2 --image photographs"
    assert exit_code(line) == 0
    pictures = {name for name in names_in(place / "out") if "/" not in name}
    assert pictures == {f"{kind}-{k}.png" for kind in ("trajectory", "curves") for k in (0, 1)}


def test_the_same_seed_gives_the_same_codes_whatever_the_batch(place: Path) -> None:
    line = f"{SHORT} --method project --image photographs"
    for name, more in (("a", ""), ("b", "--batch 1"), ("c", "--seed 1")):
        assert exit_code(f"{line} --out {name} {more}") == 0
    codes = [load_codes(place / name / "1" / "codes.safetensors").w for name in "abc"]
    np.testing.assert_allclose(codes[0], codes[1], atol=1e-3)
    assert not np.allclose(codes[0], codes[2], atol=1e-3)


REFUSED = [
    (f"{SHORT} --image none.png", "none.png, which does not exist"),
    (f"{SHORT} --image text.png", "text.png, which is not an image"),
    (f"{SHORT} --image dot.png", "dot.png, an image of 1 × 1 pixels"),
    (f"{SHORT} --bundle none", "the bundle 'none', which is not a folder"),
    (f"{SHORT} --bundle torn", "critic.safetensors, which can't be read as safetensors"),
    (f"{SHORT} --bundle unfit", "generator.safetensors, which does not fit config.json"),
    (f"{SHORT} --bundle folder", "whose 'generator' is invalid"),
    (f"{SHORT} --batch 0", "--batch 0"),
    (f"{INVERT} --steps -1", "-1 steps"),
    (f"{INVERT} --seconds 0", "0.0 seconds"),
    (f"{INVERT} --seconds nan", "nan seconds"),
    (f"{SHORT} --seed -1", "--seed -1"),
    (f"{SHORT} --seed 9223372036854775808", "--seed 9223372036854775808"),
    (f"{SHORT} --device cuda", "--device cuda"),
    (f"{INVERT} --method encode --space z", "--space z for the encoder alone"),
    (f"{INVERT} --method encode --steps 2", "--steps for the method encode"),
    (f"{INVERT} --method encode --seconds 2", "--seconds for the method encode"),
    (f"{INVERT} --method encode --start mean", "--start for the method encode"),
    (f"{INVERT} --start mean", "--start for the method in-domain"),
    (f"{INVERT} --method project --start mean", "--start for the method project"),
    (f"{INVERT} --noise-weight 1", "--noise-weight for the method in-domain"),
    (f"{INVERT} --method optimize --noise-weight 1", "--noise-weight for the method optimize"),
    (f"{INVERT} --method project --noise-weight -1", "the noise weight -1.0"),
    (f"{INVERT} --method project --noise-weight nan", "the noise weight nan"),
]
REFUSED_LATER = [
    (f"{SHORT} --image folder", "folder, which is a folder"),
    (f"{SHORT} --image hopeless", "hopeless/a.png, which is not an image, and 1 more like it"),
    (f"{SHORT} --bundle bare --method in-domain", "a bundle without an encoder"),
    (f"{INVERT} --bundle bare --method encode", "a bundle without an encoder"),
    (f"{SHORT} --bundle bare --method optimize --start encoder", "a bundle without an encoder"),
    (f"{SHORT} --bundle plain --defect", "a bundle without a finder of defects"),
]


@pytest.mark.parametrize("line, got", REFUSED)
def test_bad_input_is_refused_and_nothing_is_written(
    line: str,
    got: str,
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert_refused(line, got, capsys)
    assert not (place / "out").exists()


@pytest.mark.parametrize("line, got", REFUSED_LATER)
def test_what_shows_in_the_search_leaves_no_files(
    line: str, got: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert_refused(line, got, capsys)
    assert not names_in(place / "out")


UNPARSABLE = [
    "invert",
    f"{SHORT} --space v",
    f"{SHORT} --method magic",
    f"{INVERT} --steps many",
    f"{SHORT} --method optimize --start nowhere",
    f"{SHORT} --imag nut.png",
]


@pytest.mark.parametrize("line", UNPARSABLE)
def test_what_cannot_be_parsed(line: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert_parsing_fails(line, capsys)
    assert not (place / "out").exists()


@pytest.mark.parametrize(
    "out, got",
    [
        ("file", "file: something else is in its place"),
        ("file/deeper", "file/deeper: a file is in a folder's place"),
        ("closed", "closed: writing is not permitted"),
    ],
)
def test_a_place_that_cannot_be_written(
    out: str, got: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "closed").mkdir(mode=0o500)
    assert_refused(f"{SHORT} --out {out}", got, capsys)


@pytest.mark.parametrize("writes", [0, 3])
def test_a_full_disk(
    writes: int, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    full_after(writes, monkeypatch)
    assert_refused(SHORT, "no space is left", capsys)
    written = names_in(place / "out")
    assert len(written) == writes
    assert written < FILES - {"inversion.json"}


@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C is no signal there")
def test_ctrl_c_leaves_nothing_half_written(place: Path) -> None:
    (place / "many").mkdir()
    for k in range(40):
        (place / "many" / f"{k:02d}.png").symlink_to(place / "nut.png")
    line = f"{INVERT} --steps 20 --batch 1 --image many"
    process = subprocess.Popen(
        [*BLEMISH, *line.split()],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ONE_THREAD,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    wait_for(lambda: (place / "out" / "00" / "inversion.json").exists(), process)
    process.send_signal(signal.SIGINT)
    shown, reported = process.communicate(timeout=60)
    assert process.returncode == 130
    assert not shown and "Traceback" not in reported
    assert reported.count("Interrupted; no incomplete files are left. Run it again") == 1
    written = names_in(place / "out")
    assert not [name for name in written if Path(name).name.startswith(".")]
    done = [folder for folder in (place / "out").iterdir() if (folder / "inversion.json").exists()]
    assert 0 < len(done) < 40
    assert all(load_inversion(folder, Bundle(place / "bundle")).facts for folder in done)
