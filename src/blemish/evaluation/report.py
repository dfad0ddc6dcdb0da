"""Report: its figures as JSON, and an HTML page as one self-contained file."""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from blemish.files import write_atomically
from blemish.pictures import png

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem;
       color: #222; background: #fff; }
table { border-collapse: collapse; margin: 1rem 0; }
td, th { padding: .25rem .75rem; border-bottom: 1px solid #ddd; text-align: left; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
img { max-width: 100%; image-rendering: auto; border: 1px solid #ddd; }
.gallery { display: flex; flex-wrap: wrap; gap: .5rem; } .gallery figure { margin: 0; }
figure { margin: 1rem 0; } figcaption { color: #555; }
"""


def write_figures(report: dict[str, Any], out: Path) -> None:
    """Write `report.json` into a folder."""
    text = json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False)
    write_atomically(out / "report.json", (text + "\n").encode())


@dataclass(slots=True)
class Page:
    """Page with a title and content in order."""

    title: str
    parts: list[str] = field(default_factory=list)

    def heading(self, words: str) -> None:
        """Begin a section."""
        self.parts.append(f"<h2>{escape(words)}</h2>")

    def text(self, words: str) -> None:
        """Add a paragraph."""
        self.parts.append(f"<p>{escape(words)}</p>")

    def table(self, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Add a table; numbers are aligned to the right."""
        head = "".join(f"<th>{escape(name)}</th>" for name in header)
        body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
        self.parts.append(f"<table><tr>{head}</tr>{body}</table>")

    def picture(self, file: Path, caption: str) -> None:
        """Add a PNG, embedded in the page."""
        self.parts.append(_figure(file.read_bytes(), caption))

    def gallery(self, pictures: Sequence[tuple[UInt8[np.ndarray, "h w 3"], str]]) -> None:
        """Add pictures side by side, each with a caption."""
        cells = [_figure(png(picture), caption) for picture, caption in pictures]
        self.parts.append(f'<div class="gallery">{"".join(cells)}</div>')

    def folded(self, summary: str, words: str) -> None:
        """Add a paragraph that is shown once its summary is clicked."""
        inside = f"<summary>{escape(summary)}</summary><p>{escape(words)}</p>"
        self.parts.append(f"<details>{inside}</details>")

    def write(self, path: Path) -> None:
        """Write the page, whole or not at all."""
        head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(self.title)}'
        body = f"</title><style>{STYLE}</style><h1>{escape(self.title)}</h1>"
        write_atomically(path, "\n".join([head + body, *self.parts, "</html>\n"]).encode())


def _figure(content: bytes, caption: str) -> str:
    data = base64.b64encode(content).decode()
    image = f'<img alt="{escape(caption)}" src="data:image/png;base64,{data}">'
    return f"<figure>{image}<figcaption>{escape(caption)}</figcaption></figure>"


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f'<td class="number">{value:.3g}</td>'
    kind = ' class="number"' if isinstance(value, int) else ""
    return f"<td{kind}>{escape(str(value))}</td>"
