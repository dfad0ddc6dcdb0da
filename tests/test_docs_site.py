"""Scripts of the docs site: pages, executed cells, and complaints about links."""

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType

import pytest

import blemish

ROOT = Path(__file__).parents[1]


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site") / "docs"
    script("docs_pages").stage(out)  # fails at a link that leads nowhere
    return out


def test_each_public_name_has_its_place(staged: Path) -> None:
    text = (staged / "api" / "blemish.md").read_text("utf-8")
    for name in blemish.__all__:
        assert name == "__version__" or f"\n## {name}\n" in text
    assert "| `photo` |" in text and "`DataError`" in text
    assert "## AddDefect" in (staged / "api" / "torch.md").read_text("utf-8")


def test_pages_of_the_navigation_are_staged(staged: Path) -> None:
    named = re.findall(r'"([\w/-]+\.md)"', (ROOT / "zensical.toml").read_text("utf-8"))
    notebooks = {f"notebooks/{p.stem}.md" for p in (ROOT / "docs" / "notebooks").glob("*.ipynb")}
    assert notebooks <= {*named}
    assert all((staged / name).is_file() for name in {*named} - notebooks)
    pages = {path.relative_to(staged).as_posix() for path in staged.glob("*.md")}
    assert {p.name for p in (ROOT / "docs").glob("*.md")} <= pages & {*named, "SECURITY.md"}


def test_cells_run_in_turn_and_show_their_last_line(tmp_path: Path) -> None:
    cells = [
        {"cell_type": "markdown", "source": ["# Title"]},
        {"cell_type": "code", "source": ["x = 20\n", "print('told')"]},
        {"cell_type": "code", "source": ["import numpy as np\n", "x + 1"]},
        {"cell_type": "code", "source": ["np.zeros((4, 4, 3), np.uint8)"]},
    ]
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.ipynb").write_text(json.dumps({"cells": cells}))
    script("docs_notebooks").pages(tmp_path / "in", tmp_path / "out", run=True)
    text = (tmp_path / "out" / "a.md").read_text()
    assert (
        text.startswith("# Title") and "```text\ntold\n```" in text and "```text\n21\n```" in text
    )
    assert (tmp_path / "out" / "a-3.png").is_file() and "a-3.png" in text
    script("docs_notebooks").pages(tmp_path / "in", tmp_path / "dry", run=False)
    assert "told\n```" not in (tmp_path / "dry" / "a.md").read_text().replace("print('told')", "")


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ('<a href="b.html#there">', None),
        ('<a href="https://example.org/">', None),
        ('<a href="gone.html">', "leads nowhere"),
        ('<a href="b.html#gone">', "no such anchor"),
        ('<img src="gone.png">', "leads nowhere"),
        ('<script src="https://example.org/a.js"></script>', "fetches"),
        ('<link rel="stylesheet" href="//example.org/a.css">', "fetches"),
        ('<link rel="canonical" href="https://example.org/a.html">', None),
    ],
)
def test_dead_links_and_requests_elsewhere_are_named(
    body: str, complaint: str | None, tmp_path: Path
) -> None:
    (tmp_path / "a.html").write_text(f"<html>{body}</html>")
    (tmp_path / "b.html").write_text('<html><h2 id="there"></h2></html>')
    found = script("docs_links").complaints(tmp_path)
    assert len(found) == (complaint is not None)
    assert complaint is None or complaint in found[0]


def test_a_style_that_fetches_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.css").write_text("@import url('https://fonts.example.org/a');")
    assert len(script("docs_links").complaints(tmp_path)) == 1


def test_the_notebook_of_a_photograph_runs(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    name = "own-photograph.ipynb"
    (tmp_path / "in" / name).write_text((ROOT / "docs" / "notebooks" / name).read_text("utf-8"))
    script("docs_notebooks").pages(tmp_path / "in", tmp_path / "out", run=True)
    page = (tmp_path / "out" / "own-photograph.md").read_text("utf-8")
    assert "none outside of the mask" in page
    assert len([*(tmp_path / "out").glob("own-photograph-*.png")]) == 4


def test_notebooks_are_ordinary_and_hold_no_output() -> None:
    for path in (ROOT / "docs" / "notebooks").glob("*.ipynb"):
        notebook = json.loads(path.read_text("utf-8"))
        assert notebook["nbformat"] == 4 and notebook["cells"][0]["cell_type"] == "markdown"
        assert not any(cell.get("outputs") for cell in notebook["cells"])
