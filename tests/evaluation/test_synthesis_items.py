"""What is compared, as its folders give it: what was kept, and how its files are read."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made import KINDS, NAMES, SIZE, edit, masks, shapes, write_made
from tiny import TYPES, part, spot, write_defects

from blemish.errors import DataError
from blemish.evaluation.synthesis.drift import drift_of
from blemish.evaluation.synthesis.items import LabelledDefect, read_real_defects, read_synthetic
from blemish.originals import Original
from blemish.pictures import write_picture

KEPT = {name: kind for name, kind in zip(NAMES, KINDS, strict=True) if name != "nut_4"}
LINES = {name: len(NAMES) - 1 - k for k, name in enumerate(NAMES)}  # of the manifest
OLD = ("name", "type", "files")


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.fsync", lambda _: None)  # test_files.py sees to that


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_made(tmp_path_factory.mktemp("untouched") / "made")


@pytest.fixture
def made(untouched: Path, tmp_path: Path) -> Path:
    return shutil.copytree(untouched, tmp_path / "made")


def lines_of(root: Path) -> list[str]:
    return (root / "manifest.jsonl").read_text().splitlines()


def change_lines(root: Path, change: Callable[[list[str]], list[str]]) -> None:
    text = "".join(f"{line}\n" for line in change(lines_of(root)))
    (root / "manifest.jsonl").write_text(text)


def names_in(items: dict[str, list[LabelledDefect]]) -> dict[str, str]:
    """The type of each item."""
    return {item.image.stem: item.kind for kind in items for item in items[kind]}


def test_what_was_kept_is_read_and_the_rest_is_counted(made: Path) -> None:
    found = read_synthetic(made)
    assert names_in(found.items) == KEPT
    assert found.outcomes == {"crack": {"kept": 3}, "paint": {"kept": 2, "refused": 1}}
    assert found.reasons == {"nothing changed": 1}
    for item in (item for kind in TYPES for item in found.items[kind]):
        assert all(path and path.is_file() for path in (item.twin, item.requested))


@pytest.mark.parametrize("outcome", ["refused", "failed"])
@pytest.mark.parametrize("name", KEPT)
def test_what_was_not_kept_is_not_measured(name: str, outcome: str, made: Path) -> None:
    edit(made, LINES[name], outcome=outcome, reasons=["too faint: 1.2, below 3", "odd"])
    found = read_synthetic(made)
    assert {*names_in(found.items)} == {*KEPT} - {name}
    assert found.outcomes[KEPT[name]][outcome] >= 1
    assert sum(sum(counts.values()) for counts in found.outcomes.values()) == len(NAMES)
    assert found.reasons == {"nothing changed": 1, "too faint": 1, "odd": 1}


def test_reasons_are_counted_by_their_cause_the_most_frequent_first(made: Path) -> None:
    for k, name in enumerate(("bolt_1", "bolt_2", "nut 3")):
        edit(made, LINES[name], outcome="refused", reasons=[f"mask drift: 0.{k}, above 0"])
    assert [*read_synthetic(made).reasons.items()] == [("mask drift", 3), ("nothing changed", 1)]


def test_a_manifest_of_an_older_release_has_no_outcomes(made: Path) -> None:
    def older(line: str) -> str:
        return json.dumps({k: v for k, v in json.loads(line).items() if k in OLD})

    change_lines(made, lambda lines: [older(line) for line in lines])
    found = read_synthetic(made)
    assert names_in(found.items) == KEPT
    assert found.outcomes == {"crack": {"kept": 3}, "paint": {"kept": 2, "refused": 1}}
    assert found.reasons == {"nothing changed": 1}


def test_of_two_lines_under_one_name_the_later_counts(made: Path) -> None:
    again = json.loads(lines_of(made)[LINES["bolt_1"]])
    refused = json.dumps({**again, "outcome": "refused", "reasons": ["too faint: 1"]})
    change_lines(made, lambda lines: [*lines, *lines[:2], refused])
    found = read_synthetic(made)
    assert {*names_in(found.items)} == {*KEPT} - {"bolt_1"}
    assert sum(len(items) for items in found.items.values()) == len(KEPT) - 1
    assert found.outcomes["crack"] == {"kept": 2, "refused": 1}


def test_a_last_line_that_was_torn_is_left_out(made: Path) -> None:
    with (made / "manifest.jsonl").open("a") as file:
        file.write(lines_of(made)[0][:50])
    assert names_in(read_synthetic(made).items) == KEPT


def test_how_far_a_change_may_reach_is_known_or_not(made: Path) -> None:
    edit(made, LINES["bolt_1"], scores={"reach_px": 7})
    reach = {item.image.stem: item.reach_px for item in read_synthetic(made).items["crack"]}
    assert reach == {"bolt_1": 7, "bolt_2": None, "Nuß_6": None}


def test_without_a_manifest_everything_with_a_mask_counts(made: Path) -> None:
    (made / "manifest.jsonl").unlink()
    (made / "ground_truth" / "crack" / "bolt_1_mask.png").unlink()
    found = read_synthetic(made)
    assert names_in(found.items) == {k: v for k, v in KEPT.items() if k != "bolt_1"}
    assert not found.outcomes and not found.reasons
    items = [item for kind in found.items for item in found.items[kind]]
    assert all((item.twin, item.requested, item.reach_px) == (None,) * 3 for item in items)


GOOD_LINE = {
    "name": "a",
    "type": "crack",
    "outcome": "kept",
    "reasons": [],
    "files": {"image": "test/crack/a.png", "mask": "ground_truth/crack/a_mask.png"},
}
BROKEN: dict[str, Any] = {
    "not JSON": "{",
    "blank": "",
    "a list": "[]",
    "a number": "3",
    "too deep": "[" * 100_000,
    "no name": {k: v for k, v in GOOD_LINE.items() if k != "name"},
    "no type": {k: v for k, v in GOOD_LINE.items() if k != "type"},
    "no files": {k: v for k, v in GOOD_LINE.items() if k != "files"},
    "files are a list": {**GOOD_LINE, "files": ["image", "mask"]},
    "files are numbers": {**GOOD_LINE, "files": {"image": 1, "mask": 2}},
    "kept without a mask": {**GOOD_LINE, "files": {"image": "test/crack/a.png"}},
    "kept without a picture": {**GOOD_LINE, "files": {"mask": "mask.png"}},
    "a file outside": {**GOOD_LINE, "files": {**GOOD_LINE["files"], "twin": "../twin.png"}},
    "a file from the root": {**GOOD_LINE, "files": {**GOOD_LINE["files"], "twin": "/twin.png"}},
    "a file of no name": {**GOOD_LINE, "files": {**GOOD_LINE["files"], "twin": "a\0b"}},
    "a type with a path": {**GOOD_LINE, "type": "../crack"},
    "a hidden type": {**GOOD_LINE, "type": ".crack"},
    "an empty type": {**GOOD_LINE, "type": ""},
    "a type of several lines": {**GOOD_LINE, "type": "a\nb"},
    "a list for a type": {**GOOD_LINE, "type": ["crack"]},
    "a number for an outcome": {**GOOD_LINE, "outcome": 1},
    "numbers for reasons": {**GOOD_LINE, "reasons": [1]},
    "no list of reasons": {**GOOD_LINE, "reasons": None},
    "scores are a list": {**GOOD_LINE, "scores": []},
    "a word for a reach": {**GOOD_LINE, "scores": {"reach_px": "far"}},
    "no number for a reach": {**GOOD_LINE, "scores": {"reach_px": float("nan")}},
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_line_is_named(broken: str, tmp_path: Path) -> None:
    line = BROKEN[broken] if isinstance(BROKEN[broken], str) else json.dumps(BROKEN[broken])
    (tmp_path / "manifest.jsonl").write_text(f"{json.dumps(GOOD_LINE)}\n{line}\n")
    with pytest.raises(DataError, match=r"manifest\.jsonl, whose line 2 "):
        read_synthetic(tmp_path)


def test_a_link_out_of_the_folder_is_not_followed(made: Path) -> None:
    twin = made / "twin" / "bolt_1.png"
    twin.rename(made.parent / "elsewhere.png")
    twin.symlink_to(made.parent / "elsewhere.png")
    with pytest.raises(DataError, match="lies outside it"):
        read_synthetic(made)


@pytest.mark.parametrize("text", ["", json.dumps({**GOOD_LINE, "outcome": "failed"}) + "\n"])
def test_a_manifest_in_which_nothing_was_kept(text: str, tmp_path: Path) -> None:
    (tmp_path / "manifest.jsonl").write_text(text)
    with pytest.raises(DataError, match="in which no item was kept"):
        read_synthetic(tmp_path)


def test_why_nothing_was_kept_is_reported(tmp_path: Path) -> None:
    reasons = ["not real to the critic: 3.0 of at most 2.0", "a duplicate: of bolt_2"]
    line = json.dumps({**GOOD_LINE, "outcome": "refused", "reasons": reasons})
    (tmp_path / "manifest.jsonl").write_text(line + "\n")
    with pytest.raises(DataError, match="kept; not real to the critic: 1; a duplicate: 1"):
        read_synthetic(tmp_path)


@pytest.mark.parametrize("folder, match", [("none", "does not exist"), (".", "without photo")])
def test_no_folder_and_an_empty_one(folder: str, match: str, tmp_path: Path) -> None:
    for read in (read_synthetic, lambda root: read_real_defects(root, TYPES)):
        with pytest.raises(DataError, match=match):
            read(tmp_path / folder)


def test_a_folder_of_good_parts_alone(tmp_path: Path) -> None:
    (tmp_path / "train" / "good").mkdir(parents=True)
    write_picture(tmp_path / "train" / "good" / "0.png", part())
    with pytest.raises(DataError, match="in which no item was kept"):
        read_synthetic(tmp_path)
    with pytest.raises(DataError, match="without any crack or paint"):
        read_real_defects(tmp_path, TYPES)


@pytest.mark.parametrize("kinds", [("crack",), ("paint",), TYPES, ("paint", "rust")])
def test_real_ones_are_of_the_types_that_were_made(kinds: tuple[str, ...], tmp_path: Path) -> None:
    found = read_real_defects(write_defects(tmp_path), kinds)
    assert {*found} == {*kinds} & {*TYPES}
    for kind, items in found.items():
        assert [item.image.name for item in items] == ["0.png", "1.png", "2.png"]
        assert {item.kind for item in items} == {kind}


def test_no_type_in_common(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="without any rust or dent"):
        read_real_defects(write_defects(tmp_path), ("rust", "dent"))


def grey(picture: np.ndarray) -> np.ndarray:
    return picture[:, :, 1]


def deep(levels: np.ndarray) -> np.ndarray:
    return levels.astype(np.uint16) * np.uint16(257) + np.uint16(100)


def with_alpha(picture: np.ndarray) -> np.ndarray:
    return np.concatenate([picture, np.full_like(picture[:, :, :1], 200)], axis=2)


MODES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "grey": grey,
    "grey of 16 bits": lambda picture: deep(grey(picture)),
    "colours of 16 bits": deep,
    "with alpha": with_alpha,
}


@pytest.mark.parametrize(
    "mode, orientation",
    [*((mode, 1) for mode in MODES), *(("grey of 16 bits", k) for k in range(2, 9))],
)
def test_items_as_cameras_shoot_them(mode: str, orientation: int, tmp_path: Path) -> None:
    def shot(picture: np.ndarray) -> Original:
        return Original(levels=MODES[mode](picture // 2 + 30), orientation=orientation)

    found = read_synthetic(write_made(tmp_path, shot=shot))
    for item in (item for kind in TYPES for item in found.items[kind]):
        picture, mask = item.read()
        assert picture.shape == (*SIZE, 3) and picture.dtype == np.uint8
        np.testing.assert_array_equal(mask, masks()[item.image.stem])
        drift = drift_of(item, picture, mask)
        assert drift is not None
        assert (drift.changed, drift.outside_label) == (1, 0)


@pytest.mark.parametrize("name", [name for name in shapes() if name != "spot"])
def test_an_item_is_read_as_it_was_written(name: str, made: Path) -> None:
    index = [*shapes()].index(name)
    (item,) = [i for i in read_synthetic(made).items[KINDS[index]] if i.image.stem == NAMES[index]]
    np.testing.assert_array_equal(item.read()[1], shapes()[name])


@pytest.mark.parametrize(
    "mask",
    [spot(41, 52), spot(40, 51), spot(52, 40), spot(1, 1), np.zeros(SIZE, bool)],
    ids=["higher", "narrower", "on its side", "a pixel", "nothing marked"],
)
def test_a_mask_that_does_not_fit(mask: np.ndarray, tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png", part(*SIZE))
    write_picture(tmp_path / "mask.png", mask)
    item = LabelledDefect(kind="crack", image=tmp_path / "a.png", mask=tmp_path / "mask.png")
    size = f"mask of {mask.shape[1]} × {mask.shape[0]} pixels"
    with pytest.raises(DataError, match=size if mask.any() else "no pixel marked"):
        item.read()


@pytest.mark.parametrize("lost", ["test/crack/bolt_1.png", "ground_truth/crack/bolt_1_mask.png"])
@pytest.mark.parametrize("text", [None, "hello"])
def test_a_file_that_is_gone_or_torn(lost: str, text: str | None, made: Path) -> None:
    (made / lost).unlink()
    if text is not None:
        (made / lost).write_text(text)
    with pytest.raises(DataError, match=Path(lost).name):
        (item,) = [i for i in read_synthetic(made).items["crack"] if i.image.stem == "bolt_1"]
        item.read()


@pytest.mark.parametrize("kind", TYPES)
def test_a_real_one_without_a_mask_is_refused_where_its_type_counts(
    kind: str, tmp_path: Path
) -> None:
    real = write_defects(tmp_path / "real", n=6)
    (real / "ground_truth" / kind / "0.png").unlink()
    (other,) = {*TYPES} - {kind}
    with pytest.raises(DataError, match=f"{kind}/0.png without a mask"):
        read_real_defects(real, TYPES)
    assert len(read_real_defects(real, (other,))[other]) == 6
