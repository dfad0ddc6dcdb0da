import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from made import KINDS, NAMES, SIZE, UNCHANGED, blank, edit, masks, write_made
from same import files_in
from tiny import part

from blemish.errors import DataError, OptionError
from blemish.originals import read_original
from blemish.pictures import write_picture
from blemish.synthesis.dataset import Dataset
from blemish.synthesis.export.items import hold_out, photographs, read_items


@pytest.fixture(scope="module")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_made(tmp_path_factory.mktemp("once") / "made")


@pytest.fixture
def made(made_once: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made_once, tmp_path / "made")


def test_items_come_by_name(made: Path) -> None:
    found = read_items(made)
    assert [item.name for item in found.items] == sorted(masks())
    assert found.unchanged == UNCHANGED
    assert found.kinds == ("crack", "paint")
    kinds = dict(zip(NAMES, KINDS, strict=True))
    assert all(item.kind == kinds[item.name] for item in found.items)
    assert {item.size for item in found.items} == {SIZE}


def test_progress_is_reported(made: Path) -> None:
    reported: list[float] = []
    read_items(made, on_progress=reported.append)
    assert reported == [k / 5 for k in range(1, 6)]


def test_nothing_is_written_into_the_folder(made: Path) -> None:
    before = files_in(made)
    made.chmod(0o500)
    try:
        read_items(made)
    finally:
        made.chmod(0o700)
    assert files_in(made) == before


def test_items_on_one_photograph_are_known_by_its_pixels(made: Path) -> None:
    found = read_items(made)
    digests = {item.name: item.photograph for item in found.items}
    assert digests["Nuß_5"] == digests["Nuß_6"]
    assert len({*digests.values()}) == 4
    assert [item.name for item in photographs(found.items)] == sorted({*masks()} - {"Nuß_6"})


def test_the_later_of_two_lines_counts(made: Path) -> None:
    manifest = made / "manifest.jsonl"
    last = json.loads(manifest.read_text().splitlines()[-1])
    manifest.write_text(manifest.read_text() + json.dumps({**last, "seed": 99}) + "\n")
    found = read_items(made)
    assert len(found.items) == len(masks())
    assert {item.facts["seed"] for item in found.items if item.name == last["name"]} == {99}


@pytest.mark.parametrize("outcome", ["refused", "failed", "kept"])
def test_only_what_was_kept_is_taken(made: Path, outcome: str) -> None:
    row = json.loads((made / "manifest.jsonl").read_text().splitlines()[0])
    edit(made, 0, outcome=outcome, reasons=[] if outcome == "kept" else ["too faint"])
    found = read_items(made)
    assert (row["name"] in [item.name for item in found.items]) == (outcome == "kept")
    assert (found.refused, found.failed) == (outcome == "refused", outcome == "failed")
    assert found.unchanged == UNCHANGED


def test_of_what_failed_a_line_is_enough(made: Path) -> None:
    Dataset(made).fail("bolt_9", "crack", {}, "the photograph is torn")
    found = read_items(made)
    assert len(found.items) == len(masks())
    assert (found.unchanged, found.refused, found.failed) == (UNCHANGED, 0, 1)


def test_what_was_refused_for_two_reasons_counts_once(made: Path) -> None:
    (k,) = (
        k
        for k, line in enumerate((made / "manifest.jsonl").read_text().splitlines())
        if '"nothing changed"' in line
    )
    edit(made, k, reasons=["too faint", "nothing changed"])
    found = read_items(made)
    assert (found.unchanged, found.refused) == (UNCHANGED, 0)


def test_a_manifest_of_an_older_release_is_read(made: Path) -> None:
    manifest = made / "manifest.jsonl"
    rows = [json.loads(line) for line in manifest.read_text().splitlines()]
    new = {"outcome", "reasons"}
    old = [{key: row[key] for key in row if key not in new} for row in rows]
    before = read_items(made)
    manifest.write_text("".join(json.dumps(row) + "\n" for row in old))
    found = read_items(made)
    assert [item.name for item in found.items] == [item.name for item in before.items]
    assert found.unchanged == UNCHANGED


def test_turned_files_are_known(made: Path) -> None:
    row = json.loads((made / "manifest.jsonl").read_text().splitlines()[0])
    mask = made / row["files"]["mask"]
    replace(read_original(mask), orientation=8).write(mask)
    turned = {item.name: item.turned for item in read_items(made).items if item.turned}
    assert turned == {row["name"]: {mask}}


@pytest.mark.parametrize("kind", ["image", "mask", "twin"])
def test_a_file_that_is_gone_is_named(made: Path, kind: str) -> None:
    row = json.loads((made / "manifest.jsonl").read_text().splitlines()[0])
    (made / row["files"][kind]).unlink()
    assert f"where the {kind} of item '{row['name']}' is gone" in left_out(made, row["name"])


@pytest.mark.parametrize("kind", ["image", "mask", "twin"])
@pytest.mark.parametrize("how", ["torn", "another size"])
def test_a_file_that_is_spoilt_is_named(made: Path, kind: str, how: str) -> None:
    row = json.loads((made / "manifest.jsonl").read_text().splitlines()[0])
    path = made / row["files"][kind]
    if how == "torn":
        path.write_bytes(path.read_bytes()[:60])
    else:
        write_picture(path, part(20, 20))
    expected = "can't be read" if how == "torn" else "another size"
    assert expected in left_out(made, row["name"])


def test_an_empty_mask_is_refused(made: Path) -> None:
    row = json.loads((made / "manifest.jsonl").read_text().splitlines()[0])
    blank(made / row["files"]["mask"])
    assert "an empty mask" in left_out(made, row["name"])


def left_out(made: Path, name: str) -> str:
    """Why an item is left out; all others are there."""
    found = read_items(made)
    assert {item.name for item in found.items} == {*masks()} - {name}
    assert {*found.unfit} == {name}
    return found.unfit[name]


@pytest.mark.parametrize("name", ["../x", "a/b", "a\\b", "", ".x", "..", "C:x", "a\nb"])
def test_an_item_whose_name_is_not_plain_is_left_out(made: Path, name: str) -> None:
    row = json.loads((made / "manifest.jsonl").read_text().splitlines()[0])
    edit(made, 0, name=name)
    found = read_items(made)
    assert {item.name for item in found.items} == {*masks()} - {row["name"]}
    assert "the item's name" in found.unfit[name]


@pytest.mark.parametrize("key", ["seed", "normal", "options", "scores"])
def test_an_item_that_is_not_described_is_left_out(made: Path, key: str) -> None:
    lines = (made / "manifest.jsonl").read_text().splitlines()
    row = json.loads(lines[0])
    lines[0] = json.dumps({k: v for k, v in row.items() if k != key})
    (made / "manifest.jsonl").write_text("\n".join(lines) + "\n")
    assert f"has no {key}" in left_out(made, row["name"])


def test_without_a_fit_item_there_is_no_export(made: Path) -> None:
    for line in range(len(NAMES)):
        edit(made, line, name=f"../{line}")
    with pytest.raises(DataError, match="without an item that can be exported"):
        read_items(made)


def test_what_was_doubted_is_taken_on_request(made: Path) -> None:
    row = json.loads((made / "manifest.jsonl").read_text().splitlines()[0])
    edit(made, 0, outcome="refused", reasons=["too faint"])
    assert (len(read_items(made).items), read_items(made).refused) == (len(masks()) - 1, 1)
    found = read_items(made, doubtful=True)
    assert {item.name for item in found.items} == {*masks()}
    assert (found.refused, found.unchanged) == (0, UNCHANGED)
    edit(made, 0, files={k: v for k, v in row["files"].items() if k != "image"})
    assert read_items(made, doubtful=True).refused == 1, "its picture was not kept"


@pytest.mark.parametrize(
    "change",
    [{"name": name} for name in (3, None)]
    + [{"type": kind} for kind in ("../x", "/etc", "", "..", [])]
    + [{key: None} for key in ("files", "options", "scores", "seed", "normal")]
    + [{"scores": {"area": "large"}}, {"bundle": {"name": "x"}}, {"files": {"image": 3}}]
    + [{"outcome": 3}, {"outcome": None}, {"reasons": None}, {"reasons": [3]}],
)
def test_a_line_that_is_no_item_s_is_refused(made: Path, change: dict[str, object]) -> None:
    edit(made, 1, **change)
    with pytest.raises(DataError, match=r"manifest\.jsonl, whose line 2 "):
        read_items(made)


@pytest.mark.parametrize("line", ["hello", "[]", "3", "null", "{}", "", '{"name": 1}', "[" * 9999])
def test_a_line_that_is_something_else_is_refused(made: Path, line: str) -> None:
    manifest = made / "manifest.jsonl"
    manifest.write_text(manifest.read_text() + line + "\n")
    with pytest.raises(DataError, match="whose line 7 is not a valid item record"):
        read_items(made)


@pytest.mark.parametrize("path", ["../secret.png", "{absolute}", "test", "test/../../secret.png"])
def test_no_file_outside_the_folder_is_read(made: Path, path: str) -> None:
    secret = made.parent / "secret.png"
    write_picture(secret, part(*SIZE))
    row = json.loads((made / "manifest.jsonl").read_text().splitlines()[0])
    files = {**row["files"], "twin": path.format(absolute=secret.resolve())}
    edit(made, 0, files=files)
    if path == "test":
        assert "where the twin of item" in left_out(made, row["name"])
    else:
        with pytest.raises(DataError, match="whose line 1 is not a valid item record: files"):
            read_items(made)


def test_a_linked_folder_is_said_to_lie_outside(made: Path) -> None:
    (made / "twin").rename(made.parent / "elsewhere")
    (made / "twin").symlink_to(made.parent / "elsewhere")
    with pytest.raises(DataError, match="lies outside it"):
        read_items(made)


@pytest.mark.parametrize("what", ["missing", "file", "empty", "blank manifest", "unchanged"])
def test_a_folder_without_items_is_refused(what: str, made: Path, tmp_path: Path) -> None:
    root = tmp_path / what
    if what == "file":
        root.write_text("hello")
    elif what != "missing":
        root.mkdir()
    if what == "blank manifest":
        (root / "manifest.jsonl").write_text("")
    if what == "unchanged":
        lines = (made / "manifest.jsonl").read_text().splitlines()
        (line,) = (line for line in lines if '"image"' not in line)
        (root / "manifest.jsonl").write_text(line + "\n")
    with pytest.raises(DataError, match="Expected a folder written by 'blemish synthesize'"):
        read_items(root)


@pytest.mark.parametrize("share, apart", [(0, 0), (0.01, 1), (0.25, 1), (0.5, 2), (0.99, 3)])
def test_photographs_are_held_out_whole(made: Path, share: float, apart: int) -> None:
    found = hold_out(read_items(made), share)
    sides = {
        split: {item.photograph for item in found.items if item.split == split}
        for split in ("train", "val")
    }
    assert len(sides["val"]) == apart
    assert len(sides["train"]) == 4 - apart
    assert not sides["val"] & sides["train"]
    assert found.unchanged == UNCHANGED


def test_what_is_held_out_depends_on_the_pixels_alone(made: Path, made_once: Path) -> None:
    lines = (made / "manifest.jsonl").read_text().splitlines()
    (made / "manifest.jsonl").write_text("\n".join(reversed(lines)) + "\n")
    here, there = (hold_out(read_items(root), 0.5).items for root in (made, made_once))
    assert [(k.name, k.split) for k in here] == [(k.name, k.split) for k in there]


@pytest.mark.parametrize("share", [-0.1, 1, 1.5, float("nan")])
def test_a_share_that_is_none_is_refused(made: Path, share: float) -> None:
    with pytest.raises(OptionError, match="to hold out"):
        hold_out(read_items(made), share)


def test_one_photograph_can_t_be_split(made: Path) -> None:
    lines = (made / "manifest.jsonl").read_text().splitlines()
    (made / "manifest.jsonl").write_text(lines[0] + "\n")
    with pytest.raises(OptionError, match="of items on one photograph"):
        hold_out(read_items(made), 0.5)
