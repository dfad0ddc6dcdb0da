"""docs/python.md: its examples run, and it names all that is public."""

import re
from pathlib import Path

import pytest

import blemish
from blemish.api.bundle import OpenBundle
from blemish.api.item import Item
from blemish.generator.restore import load_generator
from blemish.pictures import write_picture
from blemish.synthesis.scenes import draw_mask, draw_part
from blemish.torch import AddDefect, Synthetic

PAGE = (Path(__file__).parents[2] / "docs" / "python.md").read_text(encoding="utf-8")
NAMES = ("load", "BlemishError", Synthetic.__name__, AddDefect.__name__)
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that the examples name."""
    monkeypatch.chdir(tmp_path)
    picture = draw_part(load_generator(blemish.load("hazelnut", device="cpu").files), seed=1)
    write_picture(tmp_path / "part.png", picture)
    write_picture(tmp_path / "mask.png", draw_mask(picture, seed=1))
    return tmp_path


@pytest.mark.parametrize("block", BLOCKS)
def test_an_example_runs(block: str, place: Path) -> None:
    exec(block, {})
    assert [*place.glob("synthesized/test/colour/*.png")]


def test_all_that_is_public_is_named() -> None:
    assert BLOCKS
    members = [name for kind in (OpenBundle, Item) for name in vars(kind) if name[0] != "_"]
    for name in {*members, *NAMES}:
        assert re.search(rf"\b{name}\b", PAGE), name
