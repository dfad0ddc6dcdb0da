"""Items of a recipe in memory, and one request by the command line, a recipe and Python."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from commands import exit_code
from same import files_in
from tiny import part, spot, write_bundle

import blemish
from blemish.api.item import Item
from blemish.api.recipes import FailedItem, RecipeItems
from blemish.errors import OptionError
from blemish.manifest import read_rows
from blemish.pictures import write_picture

RECIPE = """
bundle = "bundle"
seed = 4

[[group]]
defect = "paint"
count = 3
photographs = ["nut.png", "torn.png", "plain.png"]
masks = "mask.png"

[[group]]
defect = "crack"
count = 1
parts = 1
mask_kind = "blob"
area = 0.05
"""


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("recipes")
    write_bundle(root / "bundle", windows=True)
    for seed, name in enumerate(("nut", "plain")):
        write_picture(root / f"{name}.png", part(seed=seed))
    write_picture(root / "mask.png", spot())
    (root / "torn.png").write_bytes(b"torn")
    (root / "recipe.toml").write_text(RECIPE)
    return root / "recipe.toml"


@pytest.fixture(scope="module")
def made(recipe: Path) -> RecipeItems:
    return blemish.batch(recipe, device="cpu")


def test_items_come_in_order_and_failures_among_them(made: RecipeItems) -> None:
    found = [*made]
    assert len(made) == len(found) == 4
    assert [item.name[:6] for item in found] == [f"{k:06d}" for k in range(4)]
    assert [item.outcome == "failed" for item in found] == [False, True, False, False]
    torn = found[1]
    assert isinstance(torn, FailedItem) and "torn.png" in torn.reason
    assert torn.defect == "paint" and "/" not in torn.reason


def test_an_item_is_the_same_by_its_index(made: RecipeItems) -> None:
    for index, item in ((0, made[0]), (3, made[-1])):
        again = [*made][index]
        assert isinstance(item, Item) and isinstance(again, Item)
        assert (item.image == again.image).all() and item.mask.any()
    with pytest.raises(IndexError):
        made[4]


@pytest.mark.usefixtures("no_processes")
def test_items_are_those_of_the_command(made: RecipeItems, recipe: Path, tmp_path: Path) -> None:
    line = f"batch {recipe} --out {tmp_path / 'cli'} --workers 1 --device cpu --keep-all"
    assert exit_code(line) == 0
    figures = made.write(tmp_path / "written", workers=1, keep_all=True)
    assert files_in(tmp_path / "written") == files_in(tmp_path / "cli")
    assert figures["items"] == 4 and figures["failed"] == 1
    for item in made:
        if isinstance(item, Item):
            item.save(tmp_path / "saved")
    commanded, saved = files_in(tmp_path / "cli"), files_in(tmp_path / "saved")
    assert {name.split("/")[0] for name in saved} >= {"test", "ground_truth", "twin", "codes"}
    pictures = {name for name in saved if name.endswith((".png", ".safetensors"))}
    twins = {name for name in pictures if name.startswith("twin/")}  # a batch has each once
    assert all(saved[name] == commanded[name] for name in pictures - twins)
    assert {saved[name] for name in twins} <= {*commanded.values()}
    assert _rows(tmp_path / "saved") == _rows(tmp_path / "cli")


def _rows(folder: Path) -> list[dict[str, Any]]:
    """Rows of items with pictures, without the names of their twins."""
    rows = [row for row in read_rows(folder / "manifest.jsonl") if row["files"]]
    return [{**row, "files": {**row["files"], "twin": None}} for row in rows]


def test_the_command_line_a_recipe_and_python_agree(
    made: RecipeItems, recipe: Path, tmp_path: Path
) -> None:
    place, item = recipe.parent, made[0]
    assert isinstance(item, Item)
    bundle = blemish.load(place / "bundle", device="cpu")
    called = bundle.synthesize(place / "nut.png", place / "mask.png", "paint", seed=item.seed)
    words = f"synthesize --normal {place / 'nut.png'} --mask {place / 'mask.png'} --defect paint"
    where = f"--bundle {place / 'bundle'} --device cpu --out {tmp_path / 'cli'}"
    assert exit_code(f"{words} {where} --seed {item.seed}") == 0
    found = []
    for folder, one in (("recipe", item), ("api", called), ("cli", None)):
        if one is not None:
            one.save(tmp_path / folder)
        pictures = {path.parts[0]: data for path, data in _pictures(tmp_path / folder).items()}
        found.append(pictures)
    assert found[0] == found[1] == found[2] and len(found[0]) == 4


def _pictures(folder: Path) -> dict[Path, bytes]:
    """Image, mask of the change, twin and requested mask."""
    files = [*folder.glob("test/*/*.png"), *folder.glob("ground_truth/*/*.png")]
    files += [*folder.glob("twin/*.png"), *folder.glob("requested/*.png")]
    return {path.relative_to(folder).with_suffix(""): path.read_bytes() for path in files}


def test_a_bad_recipe_is_refused_at_once(recipe: Path, tmp_path: Path) -> None:
    bad = recipe.with_name("bad.toml")
    bad.write_text(RECIPE.replace('"crack"', '"rust"'))
    with pytest.raises(OptionError, match="rust"):
        blemish.batch(bad, device="cpu")
    with pytest.raises(OptionError, match="--workers 0"):
        blemish.batch(recipe, device="cpu").write(tmp_path / "out", workers=0)


def test_importing_the_package_imports_no_torch() -> None:
    code = "import sys, blemish; blemish.__all__; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
