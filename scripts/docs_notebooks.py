"""Executed notebooks as pages: `docs_notebooks.py NOTEBOOKS OUT [--no-notebooks]`.

The cells of a notebook run in this process, in a folder of their own; the page shows what each
prints and the picture or value of its last line. `--no-notebooks` writes the pages without running
them. No kernel of Jupyter is needed, but the files are ordinary notebooks.
"""

import ast
import io
import json
import os
import sys
from collections.abc import Iterator
from contextlib import chdir, redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from PIL import Image


def pages(notebooks: Path, out: Path, *, run: bool) -> None:
    """Write a page for each notebook."""
    out.mkdir(parents=True, exist_ok=True)
    for notebook in sorted(notebooks.glob("*.ipynb")):
        cells = json.loads(notebook.read_text("utf-8"))["cells"]
        with TemporaryDirectory() as folder:
            parts = [*_parts(cells, notebook.stem, out, Path(folder), run=run)]
        (out / f"{notebook.stem}.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")
        print(f"{notebook.name}: {len(cells)} cells", file=sys.stderr)


def _parts(
    cells: list[dict[str, Any]], name: str, out: Path, folder: Path, *, run: bool
) -> Iterator[str]:
    scope: dict[str, Any] = {"__name__": "__main__"}
    for number, cell in enumerate(cells):
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            yield source
            continue
        yield f"```python\n{source}\n```"
        if run:
            printed, value = _ran(source, scope, folder)
            yield from _shown(printed, value, out / f"{name}-{number}.png")


def _ran(source: str, scope: dict[str, Any], folder: Path) -> tuple[str, Any]:
    """Output of a cell, and the value of its last line if that is an expression."""
    tree, last = ast.parse(source), None
    if tree.body and isinstance(tree.body[-1], ast.Expr):
        last = ast.Expression(tree.body.pop().value)  # type: ignore[attr-defined]
    printed = io.StringIO()
    with chdir(folder), redirect_stdout(printed):
        exec(compile(tree, "<cell>", "exec"), scope)
        value = None if last is None else eval(compile(last, "<cell>", "eval"), scope)
    return printed.getvalue(), value


def _shown(printed: str, value: Any, picture: Path) -> Iterator[str]:
    if printed.strip():
        yield f"```text\n{printed.rstrip()}\n```"
    if isinstance(value, Image.Image | np.ndarray):
        image = value if isinstance(value, Image.Image) else Image.fromarray(value)
        image.save(picture)
        yield f"![What the cell shows]({picture.name})"
    elif value is not None:
        yield f"```text\n{value!r}\n```"


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    pages(Path(sys.argv[1]), Path(sys.argv[2]), run="--no-notebooks" not in sys.argv[3:])
