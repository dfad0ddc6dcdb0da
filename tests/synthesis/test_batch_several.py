"""Groups of a recipe with several defects on each photograph."""

import json
from pathlib import Path
from typing import Any

import pytest
from commands import draw_in_this_process
from tiny import part, spot, write_bundle

from blemish.data.pairs import read_mask
from blemish.errors import OptionError
from blemish.names import StoreName
from blemish.pictures import read_picture, write_picture
from blemish.stores.reading import stored_file
from blemish.synthesis.batch.batch import BatchFolder
from blemish.synthesis.batch.recipe import read_recipe

RECIPE = """
bundle = "bundle"

[[group]]
defect = ["paint", "crack"]
count = 3
photographs = "good"
masks = ["left", ["right/0.png", "right/1.png"]]

[[group]]
defect = ["crack", "crack"]
count = 2
photographs = "good"
mask_kind = "blob"
area = [0.02, 0.03]
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("place")
    write_bundle(root / "bundle", windows=True)
    for folder in ("good", "left", "right"):
        (root / folder).mkdir()
    write_picture(root / "good" / "nut.png", part())
    write_picture(root / "left" / "0.png", spot(at=(0.5, 0.35)))
    for k in range(2):
        write_picture(root / "right" / f"{k}.png", spot(at=(0.45 + 0.1 * k, 0.65)))
    (root / "recipe.toml").write_text(RECIPE)
    return root


def rows_of(place: Path, root: Path, store: StoreName = "folder") -> list[dict[str, Any]]:
    with pytest.MonkeyPatch.context() as patch:
        draw_in_this_process(patch)
        patch.setenv("BLEMISH_DEBUG", "1")
        batch = BatchFolder(read_recipe(place / "recipe.toml"), root, keep_all=True, store=store)
        rows = [*batch.make(workers=1)]
        batch.finish()
    return rows


@pytest.fixture(scope="module")
def made(place: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Any]]:
    root = tmp_path_factory.mktemp("made") / "out"
    return root, rows_of(place, root)


def test_each_item_has_all_its_defects(made: tuple[Path, list[Any]]) -> None:
    _, rows = made
    types = [[one["type"] for one in row["defects"]] for row in rows]
    assert types == [["paint", "crack"]] * 3 + [["crack", "crack"]] * 2
    assert [row["type"] for row in rows] == ["combined"] * 3 + ["crack"] * 2
    for row in rows[:3]:
        left, right = (one["requested"] for one in row["defects"])
        assert left == row["requested"] == "left/0.png"
        assert right in ("right/0.png", "right/1.png")


def test_masks_are_named_as_on_every_machine(made: tuple[Path, list[Any]], place: Path) -> None:
    root, rows = made
    for row, home in zip(rows, [place] * 3 + [root] * 2, strict=True):
        for one in row["defects"]:
            assert (home / one["requested"]).is_file()
        union = sum(read_mask(home / one["requested"]) for one in row["defects"]) > 0
        assert (read_mask(root / row["files"]["requested"]) == union).all()


def test_labels_hold_where_several_defects_lie(made: tuple[Path, list[Any]]) -> None:
    root, rows = made
    changed = [row for row in rows if "image" in row["files"]]
    assert changed
    for row in changed:
        image, twin = (read_picture(root / row["files"][kind]) for kind in ("image", "twin"))
        mask = read_mask(root / row["files"]["mask"])
        assert ((image != twin).any(axis=2) == mask).all()
        assert ("classes" in row["files"]) == (row["type"] == "combined")


def test_the_store_changes_no_picture(
    made: tuple[Path, list[Any]], place: Path, tmp_path: Path
) -> None:
    root, rows = made
    for row, other in zip(rows, rows_of(place, tmp_path / "out", "tar"), strict=True):
        assert {*row["files"]} == {*other["files"]}
        for kind, name in row["files"].items():
            found = stored_file(tmp_path / "out" / "manifest.jsonl", other, kind)
            assert found.read_bytes() == (root / name).read_bytes()


def test_the_record_names_each(place: Path) -> None:
    first, second = read_recipe(place / "recipe.toml").options()["group"]
    assert first["defect"] == ["paint", "crack"]
    assert first["masks"] == [["left/0.png"], ["right/0.png", "right/1.png"]]
    assert second["masks"] == []
    json.dumps(first)


WRONG = {
    "one entry too few": ('"left", ["right/0.png", "right/1.png"]', '"left"'),
    "no type": ('["paint", "crack"]', "[]"),
}


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG)
def test_masks_and_types_come_in_pairs(change: tuple[str, str], place: Path) -> None:
    file = place / "wrong.toml"
    file.write_text(RECIPE.replace(*change))
    with pytest.raises(OptionError, match="entries of masks for"):
        read_recipe(file)
