import json
from pathlib import Path

import foreign_annotations as foreign
import numpy as np
import pytest
from commands import assert_parsing_fails, assert_refused, exit_code
from made import write_made
from same import files_in
from tiny import add_finder, write_bundle

from blemish.data import check
from blemish.data.pairs import read_mask
from blemish.manifest import read_rows
from blemish.pictures import write_picture


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("os.fsync", lambda _: None)  # test_files.py sees to that
    return tmp_path


def write_boxed(source: Path) -> None:
    foreign.write_photographs(source)
    box = {"image_id": 2, "category_id": 5, "bbox": [*foreign.BOX], "segmentation": []}
    foreign.write_json(source / "list.json", foreign.coco(box))


@pytest.mark.parametrize("format", foreign.WRITERS)
def test_importing(place: Path, format: str, capsys: pytest.CaptureFixture[str]) -> None:
    foreign.WRITERS[format](place / "source")
    assert exit_code("data import source --out out --classes dent=bump") == 0
    shown = capsys.readouterr()
    first, second = shown.out.splitlines()
    assert first == f"good 1, bump 2, scratch 2 in out, from annotations of {format}"
    assert second.startswith("  photographs under each of several types: 1 (")
    assert "split" in shown.err
    assert exit_code("data check out") == 0


def test_proposed_masks_are_recorded_and_checked(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_boxed(place / "source")
    assert exit_code("data import source --out out --format coco") == 0
    mask = "ground_truth/dent/scratched_mask.png"
    assert f"  masks proposed inside boxes: 1 ({mask})" in capsys.readouterr().out
    record = json.loads((place / "out" / "proposed.json").read_text())
    assert record["masks"][mask]["boxes"] == [[*foreign.BOX]]
    found = check("out")
    assert [(note.path.name, note.text) for note in found.notes][:1] == [
        ("scratched_mask.png", "was proposed inside a box, not drawn; look at it")
    ]
    assert exit_code("data check out") == 0
    drawn = read_mask(place / "out" / mask)
    drawn[9] = True
    write_picture(place / "out" / mask, drawn)
    assert not [note for note in check("out").notes if "proposed" in note.text]


@pytest.mark.parametrize("text", ["{", "[]", '{"masks": {"a.png": 3}}', '{"masks": {"../a": {}}}'])
def test_a_broken_record_is_a_complaint(place: Path, text: str) -> None:
    write_boxed(place / "source")
    assert exit_code("data import source --out out") == 0
    (place / "out" / "proposed.json").write_text(text)
    (complaint,) = check("out").complaints
    assert complaint.path == Path("out/proposed.json")


def test_boxes_may_be_filled(place: Path) -> None:
    write_boxed(place / "source")
    assert exit_code("data import source --out out --boxes fill") == 0
    mask = read_mask(place / "out" / "ground_truth" / "dent" / "scratched_mask.png")
    assert np.array_equal(mask, foreign.BOX_MASK)
    assert not (place / "out" / "proposed.json").exists()


def test_a_bundle_with_a_finder_proposes_the_same_twice(place: Path) -> None:
    add_finder(write_bundle(place / "bundle"))
    write_boxed(place / "source")
    for out in ("one", "two"):
        assert exit_code(f"data import source --out {out} --bundle bundle") == 0
    assert files_in(place / "one") == files_in(place / "two")
    record = json.loads((place / "one" / "proposed.json").read_text())
    assert record["proposed_by"] == "finder of bundle"


def test_importing_reports_json(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    foreign.write_labelme(place / "source")
    assert exit_code("data import source --out out --json") == 0
    found = json.loads(capsys.readouterr().out)
    assert {*found["files"]} == {*files_in(place / "out")}
    assert (found["good"], found["types"]) == (1, {"dent": 2, "scratch": 2})


@pytest.mark.parametrize("format", ["coco", "yolo"])
def test_an_export_is_read_back(place: Path, format: str) -> None:
    made = write_made(place / "made")
    assert exit_code(f"export made --format {format} --out exported") == 0
    assert exit_code("data import exported --out out") == 0
    masks = sorted((place / "out" / "ground_truth").rglob("*_mask.png"))
    assert len(masks) == 5
    for path in masks:
        item = path.name.removesuffix("_mask.png")
        (row,) = (row for row in read_rows(made / "manifest.jsonl") if row["name"] == item)
        assert path.parent.name == row["type"]
        assert np.array_equal(read_mask(path), read_mask(made / row["files"]["mask"]))


REFUSED = [
    ("nowhere --out out", "nowhere, which does not exist"),
    ("source --out source/out", "--out source/out, a folder in the source"),
    ("source --out full", "full, a folder that is not empty"),
    ("source --out out --classes a", "the class 'a'"),
    ("source --out out --classes dent=../x", "the type '../x'"),
    ("source --out out --classes rust=x", "the class 'rust'"),
    ("source --out out --line-width 0", "--line-width 0"),
    ("source --out out --levels 7", "a highest level of 7"),
    ("source --out out --format yolo", "with 0 files that name classes"),
    ("source --out out --format cvat", "without annotations in the format cvat"),
    ("source --out out --bundle nowhere", "nowhere"),
]


@pytest.mark.parametrize("line, says", REFUSED)
def test_bad_input_exits_with_2(
    place: Path, line: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_boxed(place / "source")
    (place / "full").mkdir()
    (place / "full" / "x").touch()
    before = files_in(place)
    assert_refused(f"data import {line}", says, capsys)
    assert files_in(place) == before


@pytest.mark.parametrize("line", ["", "source", "source --out out --format voc", "--out out"])
def test_what_cannot_be_parsed(place: Path, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert_parsing_fails(f"data import {line}", capsys)
