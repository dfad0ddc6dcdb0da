"""The Python examples of the documents run."""

import re
from pathlib import Path

import pytest
from tiny import write_parts

import blemish
from blemish.models.load import load_generator
from blemish.pictures import write_picture
from blemish.synthesis.demo import draw_demo_mask, draw_part

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCKS = [
    pytest.param(block, id=f"{page.stem}-{k}")
    for page in PAGES
    for k, block in enumerate(
        re.findall(r"^```python\n(.*?)^```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    )
]
PHOTOGRAPHS = ("part.png", "good.jpg", "red.jpg", "blue.jpg", "reference.jpg")
MASKS = ("mask.png", "where.png", "red_mask.png", "blue_mask.png", "map.png")
QUICK = {"minutes=60": "minutes=0.001"}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that the examples name."""
    monkeypatch.chdir(tmp_path)
    picture = draw_part(load_generator(blemish.load("hazelnut", device="cpu").files), seed=1)
    for name in PHOTOGRAPHS:
        write_picture(tmp_path / name, picture)
    for name in MASKS:
        write_picture(tmp_path / name, draw_demo_mask(picture, seed=1))
    write_parts(tmp_path / "parts", side=64, defects=6)
    return tmp_path


def test_examples_are_found() -> None:
    assert len(BLOCKS) >= 4


@pytest.mark.usefixtures("short_trainings", "short_searches")
@pytest.mark.parametrize("block", BLOCKS)
def test_an_example_runs(block: str, place: Path) -> None:
    for long, short in QUICK.items():
        block = block.replace(long, short)
    shown: dict[str, object] = {"blemish": blemish}
    exec(block, shown)
    assert len(shown) > 2
