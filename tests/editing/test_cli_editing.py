"""`blemish edit`, `blemish train directions`: files, figures and refusals."""

import json
from pathlib import Path

import numpy as np
import pytest
from commands import assert_refused, exit_code
from tiny import TYPES, part, spot, write_bundle, write_defects

from blemish.checkpoint import load_codes
from blemish.data.pairs import read_mask
from blemish.pictures import read_picture, write_picture

pytestmark = pytest.mark.usefixtures("short_searches")

EDIT = "--bundle bundle --device cpu --out out"
SHORT = f"{EDIT} --search-steps 2"
LAY = "edit defect --image nut.png --mask spot.png --defect crack --like like.png "
LAY += f"--like-mask like_mask.png {EDIT}"


@pytest.fixture(scope="module")
def props(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with directions, photographs and masks."""
    root = tmp_path_factory.mktemp("edits")
    for name in ("bundle", "plain"):
        write_bundle(root / name, encoder=True, windows=name == "bundle")
    write_picture(root / "nut.png", part())
    write_picture(root / "other.png", part(seed=1))
    write_picture(root / "spot.png", spot())
    write_picture(root / "empty.png", np.zeros((64, 64), bool))
    write_defects(root / "real", n=1)
    (root / "real" / "test" / TYPES[0] / "0.png").rename(root / "like.png")
    (root / "real" / "ground_truth" / TYPES[0] / "0.png").rename(root / "like_mask.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("blemish.editing.looks.LOOK_SAMPLES", 12)
        learn = f"train directions --bundle {root / 'bundle'} --device cpu"
        assert exit_code(f"{learn} --samples 100 --probes 2 --components 1") == 0
    return root


@pytest.fixture
def place(props: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for path in props.iterdir():
        (tmp_path / path.name).symlink_to(path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("os.fsync", lambda _: None)
    return tmp_path


def report(capsys: pytest.CaptureFixture[str]) -> dict:
    return json.loads(capsys.readouterr().out)


def test_interpolation_of_a_photograph_and_a_drawn_part(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = f"edit interpolate nut.png seed:3 --steps 3 {EDIT} --method encode --json"
    assert exit_code(line) == 0
    row = report(capsys)
    assert [one["name"] for one in row["parts"]] == ["nut.png", "seed:3"]
    assert len(row["in_domain_percentiles"]) == 3
    assert row == json.loads((place / "out" / "edit.json").read_text())
    assert len(load_codes(place / "out" / "codes.safetensors")) == 3
    ends = [read_picture(place / "out" / f"{k:02d}.png") for k in (0, 2)]
    assert exit_code(f"edit mix seed:3 nut.png --rows coarse,middle {EDIT} --method encode") == 0
    mixed = read_picture(place / "out" / "00.png")
    assert (mixed == ends[0]).all()  # all rows of the photograph
    assert not (mixed == ends[1]).all()


def test_a_saved_inversion_is_edited_without_a_search(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code("invert --image nut.png --bundle bundle --device cpu --steps 2 --out inv") == 0
    drawn = read_picture(place / "inv" / "reconstruction.png")
    assert exit_code(f"edit move inv --direction tone --distance 0 1 {EDIT}") == 0
    assert (read_picture(place / "out" / "00.png") == drawn).all()
    capsys.readouterr()


def test_transplanting_takes_a_box_or_a_mask(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for region in ("--box 0.25,0.25,0.5,0.5", "--mask spot.png"):
        assert exit_code(f"edit transplant nut.png other.png {region} {SHORT} --json") == 0
        row = report(capsys)
        assert row["edit"] == "transplant" and 0 < row["region_share"] < 1
        assert (place / "out" / "strip.png").exists()


def test_directions_are_listed_with_strips(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(f"edit directions {EDIT} --json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert {"tone", "size", "sefa-1", "pca-1"} <= {row["name"] for row in rows}
    assert all((place / "out" / f"{row['name']}.png").exists() for row in rows)


@pytest.mark.parametrize(
    ("change", "count"),
    [
        ("", 1),
        ("--size 0.8 1.3", 2),
        ("--direction tone --distance -1 1", 2),
        ("--to like.png --to-mask like_mask.png --steps 3", 3),
        ("--to like.png --to-mask like_mask.png --rows 0-3", 1),
    ],
)
def test_a_look_is_changed_and_placed(
    place: Path, change: str, count: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(f"{LAY} {change} --json") == 0
    rows = report(capsys)["pictures"]
    assert len(rows) == count
    photograph = read_picture(place / "nut.png")
    for number in range(count):
        picture = read_picture(place / "out" / f"{number:02d}.png")
        changed = read_mask(place / "out" / f"{number:02d}_mask.png")
        assert changed.any()
        assert ((picture != photograph).any(axis=2) == changed).all()
    if change.startswith("--size"):
        assert rows[0]["changed_share"] < rows[1]["changed_share"]


@pytest.mark.parametrize(
    ("line", "got"),
    [
        (f"edit interpolate nut.png gone.png {EDIT}", "gone.png"),
        (f"edit interpolate nut.png seed:x {EDIT}", "seed:x"),
        (f"edit interpolate nut.png other.png {EDIT} --steps 1", "--steps 1"),
        (f"edit mix nut.png other.png --rows 99 {EDIT}", "99"),
        (f"edit move nut.png --direction shine {EDIT}", "shine"),
        (f"edit move nut.png --direction tone --distance nan {EDIT}", "nan"),
        ("edit move nut.png --direction tone --bundle plain --out out", "without directions"),
        (f"edit transplant nut.png other.png {EDIT}", "neither"),
        (f"edit transplant nut.png other.png --box 1,2 {EDIT}", "1,2"),
        (f"edit transplant nut.png other.png --box 0.5,0.5,0.6,0.2 {EDIT}", "0.5,0.5,0.6,0.2"),
        (f"edit transplant nut.png other.png --mask empty.png {EDIT}", "empty.png"),
        (f"edit transplant nut.png other.png --box 0,0,1,1 --method encode {EDIT}", "encode"),
        (f"edit mix nut.png other.png --fidelity consult {EDIT}", "consultation"),
        (f"edit mix nut.png other.png --without spot.png {EDIT}", "--without"),
        (f"{LAY} --size -1", "-1"),
        (f"{LAY} --direction tone --size 2", "several"),
        (f"{LAY} --to like.png", "incomplete"),
        (f"{LAY} --direction shine", "shine"),
        (LAY.replace("--defect crack", "--defect dent"), "dent"),
        (LAY.replace("spot.png", "empty.png"), "empty.png"),
        ("train directions --bundle bundle --samples 3", "3 samples"),
        ("train directions --bundle hazelnut", "part of Blemish"),
    ],
)
def test_bad_input_is_refused(
    place: Path, line: str, got: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert_refused(line, got, capsys)
    assert not (place / "out" / "edit.json").exists()
