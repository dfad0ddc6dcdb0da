import json
from pathlib import Path
from typing import Any

import pytest

from blemish.errors import DataError
from blemish.manifest import MANIFEST, NOTHING_CHANGED, SCHEMA, append_row, file_of, read_rows

ROW: dict[str, Any] = {
    "name": "nut_1",
    "type": "crack",
    "outcome": "kept",
    "reasons": [],
    "files": {"image": "test/crack/nut_1.png", "mask": "ground_truth/crack/nut_1_mask.png"},
    "seed": 3,
    "strength": 0.5,
    "normal": "nut.png",
    "requested": None,
    "photograph": "0f",
    "fingerprint": "x",
    "bundle": {"name": "nut", "digest": "00"},
    "options": {"way": "window"},
    "scores": {"area": 0.1, "reach_px": 4},
    "defects": [{"type": "crack", "seed": 3}],
    "classes": {"1": "crack"},
    "index": 0,
    "duplicate_of": "nut_0",
}


def write(root: Path, *lines: str) -> Path:
    (root / MANIFEST).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return root / MANIFEST


def test_what_is_appended_is_read(tmp_path: Path) -> None:
    for k in range(3):
        append_row(tmp_path / MANIFEST, {**ROW, "index": k})
    assert [*read_rows(tmp_path / MANIFEST)] == [{**ROW, "index": k} for k in range(3)]


def test_without_a_file_there_are_no_rows(tmp_path: Path) -> None:
    assert not [*read_rows(tmp_path / MANIFEST)]


def test_the_schema_knows_every_key_of_a_row() -> None:
    assert {*SCHEMA} == {*ROW}


@pytest.mark.parametrize("key", SCHEMA)
@pytest.mark.parametrize("wrong", [["x", 1], {"x": []}, object])
def test_a_value_of_another_type_is_refused_by_line(tmp_path: Path, key: str, wrong: Any) -> None:
    bad = {**ROW, key: None if wrong is object and key != "requested" else wrong}
    if (key, wrong) in (("options", {"x": []}), ("bundle", object)):
        pytest.skip("that is allowed")
    bad = {**bad, key: 3} if (key, wrong) == ("requested", object) else bad
    manifest = write(tmp_path, json.dumps(ROW), json.dumps(bad))
    rows = read_rows(manifest)
    assert next(rows) == ROW
    with pytest.raises(DataError) as caught:
        next(rows)
    assert f"{manifest}, whose line 2 is not a valid item record" in caught.value.got


@pytest.mark.parametrize("line", ["", "{", "[]", "3", "null", "[" * 100_000, "1" * 10_000, "\x00"])
def test_a_damaged_line_is_named(tmp_path: Path, line: str) -> None:
    with pytest.raises(DataError, match="whose line 2 is not a valid item record"):
        list(read_rows(write(tmp_path, json.dumps(ROW), line)))


def test_bytes_that_are_no_text_are_named(tmp_path: Path) -> None:
    manifest = write(tmp_path, json.dumps(ROW))
    manifest.write_bytes(manifest.read_bytes() + b'{"name": "\xff"}\n')
    with pytest.raises(DataError, match="whose line 2 is not a valid item record"):
        list(read_rows(manifest))


OUTSIDE = ["../x.png", "/x.png", "a/../../x.png", "..\\x.png", "", "a//b", "a\0b"]


@pytest.mark.parametrize("path", OUTSIDE)
def test_a_path_out_of_the_folder_is_refused(tmp_path: Path, path: str) -> None:
    bad = {**ROW, "files": {**ROW["files"], "twin": path}}
    with pytest.raises(DataError, match="whose line 1 is not a valid item record: files"):
        list(read_rows(write(tmp_path, json.dumps(bad))))


@pytest.mark.parametrize("kind", ["../crack", ".crack", "", "a\nb", "a:b"])
def test_a_type_that_is_no_plain_name_is_refused(tmp_path: Path, kind: str) -> None:
    with pytest.raises(DataError, match="whose line 1 has the type"):
        list(read_rows(write(tmp_path, json.dumps({**ROW, "type": kind}))))


def test_a_torn_last_line_is_left_out(tmp_path: Path) -> None:
    manifest = write(tmp_path, json.dumps(ROW))
    manifest.write_text(manifest.read_text() + '{"name": "nut_2", "fi')
    assert [*read_rows(manifest)] == [ROW]


@pytest.mark.parametrize("pictured", [True, False])
def test_lines_of_older_releases_have_an_outcome(tmp_path: Path, pictured: bool) -> None:
    files = ROW["files"] if pictured else {"twin": "twin/nut_1.png"}
    old = {"name": "nut_1", "type": "crack", "files": files}
    (row,) = read_rows(write(tmp_path, json.dumps(old)))
    assert row["outcome"] == ("kept" if pictured else "refused")
    assert row["reasons"] == ([] if pictured else [NOTHING_CHANGED])


def test_keys_of_later_releases_are_kept(tmp_path: Path) -> None:
    (row,) = read_rows(write(tmp_path, json.dumps({**ROW, "later": [1]})))
    assert row["later"] == [1]


def test_a_file_of_an_item_lies_in_its_folder(tmp_path: Path) -> None:
    (tmp_path / "set" / "test" / "crack").mkdir(parents=True)
    manifest = write(tmp_path / "set", json.dumps(ROW))
    with pytest.raises(DataError, match="the image of item 'nut_1' is gone"):
        file_of(manifest, ROW, "image")
    with pytest.raises(DataError, match="the twin of item 'nut_1' is gone"):
        file_of(manifest, ROW, "twin")
    image = tmp_path / "set" / ROW["files"]["image"]
    image.write_text("x")
    assert file_of(manifest, ROW, "image") == image


def test_a_linked_folder_is_said_to_lie_outside(tmp_path: Path) -> None:
    (tmp_path / "elsewhere" / "crack").mkdir(parents=True)
    (tmp_path / "elsewhere" / "crack" / "nut_1.png").write_text("x")
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "test").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="the image of item 'nut_1' lies outside it"):
        file_of(write(tmp_path / "set", json.dumps(ROW)), ROW, "image")


@pytest.mark.parametrize(
    "change",
    [
        b'"seed": 1' + b"0" * 400,
        b'"normal": "\\ud800"',
        b'"options": {"a": "\\udfff"}',
        b'"scores": {"\\udcff": 1}',
    ],
)
def test_numbers_and_text_that_nothing_can_hold_are_refused(tmp_path: Path, change: bytes) -> None:
    manifest = tmp_path / MANIFEST
    files = b'"files": {"image": "a.png", "mask": "b.png"}'
    line = b'{"name": "a", "type": "dent", "outcome": "kept", ' + files
    manifest.write_bytes(line + b"}\n")
    (row,) = read_rows(manifest)
    assert row["reasons"] == []
    manifest.write_bytes(line + b", " + change + b"}\n")
    with pytest.raises(DataError, match="line 1"):
        list(read_rows(manifest))
