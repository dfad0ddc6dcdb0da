import json
import shutil
from pathlib import Path

import pytest
from made import masks, write_made
from tiny import TYPES, write_bundle

from blemish.errors import OptionError
from blemish.synthesis.export.classes import numbered
from blemish.synthesis.export.export import export
from blemish.synthesis.export.items import read_items


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """By a bundle that is at hand beside it."""
    root = tmp_path_factory.mktemp("made")
    bundle = write_bundle(root / "bundle")
    return write_made(root / "made", name="bundle", digest=bundle.digest)


def paint_alone(made: Path, root: Path) -> Path:
    """The same folder with a manifest of one type."""
    shutil.copytree(made, root)
    lines = (made / "manifest.jsonl").read_text().splitlines(keepends=True)
    (root / "manifest.jsonl").write_text("".join(x for x in lines if '"type": "paint"' in x))
    return root


def test_two_sets_by_one_bundle_number_their_classes_alike(made: Path, tmp_path: Path) -> None:
    bundle = made.parent / "bundle"
    both = export(made, tmp_path / "both", "yolo", bundle=bundle)
    one = export(paint_alone(made, tmp_path / "one"), tmp_path / "few", "yolo", bundle=bundle)
    assert both.items.classes == one.items.classes == TYPES
    assert not both.by_name
    for folder in ("both", "few"):
        names = (tmp_path / folder / "data.yaml").read_text().partition("names:")[2]
        assert names == "".join(f'\n  {k}: "{kind}"' for k, kind in enumerate(TYPES)) + "\n"


def test_the_user_may_name_the_order(made: Path, tmp_path: Path) -> None:
    order = ["hole", "paint", "crack"]
    export(made, tmp_path / "coco", "coco", classes=order)
    listed = json.loads((tmp_path / "coco" / "annotations.json").read_text())
    assert [(k["id"], k["name"]) for k in listed["categories"]] == [*enumerate(order, 1)]
    export(made, tmp_path / "yolo", "yolo", classes=order)
    labels = (tmp_path / "yolo" / "labels" / "train").glob("*.txt")
    numbers = {path.read_text().split()[0] for path in labels}
    assert numbers == {"1", "2"}


def test_without_the_bundle_classes_go_by_name(tmp_path: Path) -> None:
    done = export(write_made(tmp_path / "made"), tmp_path / "out", "coco")
    assert done.by_name and done.items.classes == tuple(sorted(done.items.kinds))


@pytest.mark.parametrize("order", [["paint"], ["crack", "paint", "crack"], []])
def test_an_order_that_is_none_is_refused(made: Path, order: list[str]) -> None:
    with pytest.raises(OptionError, match="the classes"):
        numbered(read_items(made), order, ())


def test_types_beyond_the_bundle_s_come_after_them(made: Path) -> None:
    found = numbered(read_items(made), None, ("paint", "hole"))
    assert found.classes == ("paint", "hole", "crack")
    assert len(found.items) == len(masks())
