"""Pages of the docs site: `docs_pages.py OUT` stages them, with the public API from its docstrings.

Links to files of the repository that are no pages become links to the repository.
"""

import inspect
import re
import shutil
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from posixpath import normpath, relpath
from typing import Any

import blemish
import blemish.torch

ROOT = Path(__file__).resolve().parents[1]
TORCH = ("AddDefect", "Synthetic", "SyntheticFolder", "SyntheticRecipe")
LINK = re.compile(r"(!?\[[^\]]*\]\()([^)#\s]+)(#[^)\s]*)?\)")
SECTIONS = ("Args", "Attributes", "Returns", "Raises", "Yields")
ENTRY = re.compile(r"^ {4}(\*{0,2}[\w.]+): (.*)$")
PICTURES = (".png", ".jpg", ".svg")


def pages() -> dict[str, str]:
    """Places of the pages on the site, by their files in the repository."""
    found = {"README.md": "index.md", "README.ko.md": "README.ko.md"}
    found |= {name: name for name in ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")}
    found |= {f"docs/{path.name}": path.name for path in (ROOT / "docs").glob("*.md")}
    found |= {f"benchmarks/{p.name}": f"benchmarks/{p.name}" for p in ROOT.glob("benchmarks/*.md")}
    found |= {
        f"docs/notebooks/{path.name}": f"notebooks/{path.stem}.md"
        for path in (ROOT / "docs" / "notebooks").glob("*.ipynb")
    }
    cards = (ROOT / "src" / "blemish" / "bundles").glob("*/README.md")
    return found | {
        path.relative_to(ROOT).as_posix(): f"bundles/{path.parent.name}.md" for path in cards
    }


def stage(out: Path) -> None:
    """Write all pages."""
    known = pages()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    for source, place in known.items():
        if source.endswith(".md"):
            text = without_matter((ROOT / source).read_text("utf-8"))
            write(
                out / place, linked(text, source, place, known, out, project["urls"]["Repository"])
            )
    write(out / "api" / "blemish.md", module_page("blemish", blemish, blemish.__all__))
    write(out / "api" / "torch.md", module_page("blemish.torch", blemish.torch, TORCH))


def without_matter(text: str) -> str:
    """A page without the front matter of a card."""
    return text.split("\n---\n", 1)[1] if text.startswith("---\n") else text


def linked(
    text: str, source: str, place: str, known: dict[str, str], out: Path, repository: str
) -> str:
    """A page whose links lead to pages, to copied pictures, or to the repository."""

    def changed(found: re.Match[str]) -> str:
        start, target, anchor = found[1], found[2], found[3] or ""
        if ":" in target:
            return found[0]
        path = normpath((PurePosixPath(source).parent / target).as_posix())
        here = PurePosixPath(place).parent.as_posix()
        if path in known:
            return f"{start}{relpath(known[path], here)}{anchor})"
        if path.endswith(PICTURES):
            copy = out / "images" / path.replace("/", "-")
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / path, copy)
            return f"{start}{relpath(f'images/{copy.name}', here)})"
        assert (ROOT / path).exists(), f"{source}: {target} leads nowhere"
        kind = "tree" if (ROOT / path).is_dir() else "blob"
        return f"{start}{repository}/{kind}/main/{path}{anchor})"

    return LINK.sub(changed, text)


def module_page(title: str, module: Any, names: Any) -> str:
    """Reference of the public names of a module."""
    parts = [f"# {title}", inspect.getdoc(module) or ""]
    for name in names:
        thing = getattr(module, name)
        if inspect.isclass(thing):
            parts += class_parts(name, thing)
        elif inspect.isroutine(thing):
            parts += [f"## {name}", signature(name, thing), *described(thing)]
    return "\n\n".join(parts) + "\n"


def class_parts(name: str, thing: type) -> Iterator[str]:
    """A class, its properties and its own methods."""
    yield f"## {name}"
    if not issubclass(thing, Exception):
        yield signature(name, thing)
    yield from described(thing)
    for key, member in vars(thing).items():
        if key.startswith("_"):
            continue
        if inspect.isfunction(member):
            yield from (f"### {name}.{key}", signature(key, member), *described(member))
        elif isinstance(member, property) or hasattr(member, "attrname"):
            yield from (f"### {name}.{key}", *described(member))


def signature(name: str, thing: Any) -> str:
    """A call, one line for each argument if it is long."""
    found = inspect.signature(thing)
    arguments = [p for p in found.parameters.values() if p.name != "self"]
    shown = [_plain(str(p)) for p in arguments]
    keywords = [k for k, p in enumerate(arguments) if p.kind is p.KEYWORD_ONLY]
    if keywords and not any(p.kind is p.VAR_POSITIONAL for p in arguments):
        shown.insert(keywords[0], "*")
    returned = found.return_annotation
    ending = "" if returned in (inspect.Signature.empty, None) else f" -> {_named(returned)}"
    line = f"{name}({', '.join(shown)}){ending}"
    if len(line) > 80:
        line = f"{name}(\n" + "".join(f"    {one},\n" for one in shown) + f"){ending}"
    return f"```python\n{line}\n```"


def described(thing: Any) -> Iterator[str]:
    """A docstring in Google's style as Markdown: its sections become tables."""
    lines = (inspect.getdoc(thing) or "").splitlines()
    block: list[str] = []
    section = ""
    for line in [*lines, "Args:"]:
        if line.rstrip(":") in SECTIONS and line.endswith(":"):
            yield from _block(section, block)
            section, block = line.rstrip(":"), []
        else:
            block.append(line)


def _block(section: str, lines: list[str]) -> Iterator[str]:
    text = "\n".join(lines).strip("\n")
    if not text.strip():
        return
    if not section:
        yield _escaped(text)
    elif section in ("Returns", "Yields"):
        yield f"**{section}:** {_escaped(' '.join(text.split()))}"
    else:
        rows = [f"| `{name}` | {' '.join(words.split())} |" for name, words in _entries(lines)]
        head = {"Args": "argument", "Attributes": "attribute", "Raises": "error"}[section]
        yield "\n".join([f"| {head} | meaning |", "| --- | --- |", *map(_escaped, rows)])


def _entries(lines: list[str]) -> Iterator[tuple[str, str]]:
    name, words = "", ""
    for line in lines:
        found = ENTRY.match(line)
        if found:
            if name:
                yield name, words
            name, words = found[1], found[2]
        else:
            words += " " + line.strip()
    if name:
        yield name, words


def _escaped(text: str) -> str:
    return text.replace("<", "&lt;")


def _plain(text: str) -> str:
    """Annotations without the modules of their classes."""
    text = re.sub(r"<class '([\w.]+)'>", r"\1", text)
    return re.sub(r"\b(?:[a-z_]\w*\.)+([A-Za-z]\w*)", r"\1", text)


def _named(annotation: Any) -> str:
    plain = isinstance(annotation, type) and not hasattr(annotation, "__args__")
    return annotation.__name__ if plain else _plain(str(annotation))


def write(path: Path, text: str) -> None:
    """Write a page."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    stage(Path(sys.argv[1]))
