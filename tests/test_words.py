"""Plain English: descriptions start with a noun, and the documents' commands are valid."""

import ast
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import blemish
from blemish.cli import VERBS, parse
from blemish.cli.docs import help_of

ROOT = Path(__file__).parents[1]
SOURCE = Path(blemish.__file__).parent
READMES = ("README.md", "README.ko.md")
DOCUMENTS = (*READMES, *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md"))))
NOT_NOUNS = ("Of", "As", "Where", "That", "Whose", "So")
RIDDLES = (
    "at one look",
    "made ones",
    "held against",
    "of its own accord",
    "came to",
    "behind",
    "lest",
    "shall",
)
SECTION = re.compile(r"^(?:Args|Attributes):\n((?:[ ]{4}.*\n?|\n)+)", re.MULTILINE)
ENTRY = re.compile(r"^[ ]{4}\**\w+: (\w+)", re.MULTILINE)
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`(blemish [^`]+)`")


def documented(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            yield ast.get_docstring(node) or ""


def first_words(docstring: str) -> list[str]:
    """First word of each description of an argument or an attribute."""
    return [word for block in SECTION.findall(docstring) for word in ENTRY.findall(block)]


def test_first_words_are_found() -> None:
    text = "Title.\n\nArgs:\n    a: Of it.\n        As more.\n    b: Noun.\n\nRaises:\n    E: So.\n"
    assert first_words(text) == ["Of", "Noun"]


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda p: p.stem)
def test_a_description_starts_with_its_noun(path: Path) -> None:
    docstrings = documented(ast.parse(path.read_text(encoding="utf-8")))
    assert not {*NOT_NOUNS} & {word for text in docstrings for word in first_words(text)}


def commands(verbs: Mapping[str, Any], *before: str) -> Iterator[tuple[str, ...]]:
    for name, verb in verbs.items():
        yield (*before, name)
        if isinstance(verb, Mapping):
            yield from commands(verb, *before, name)


@pytest.mark.parametrize("words", [(), *commands(VERBS)], ids=" ".join)
def test_a_help_text_starts_with_its_noun(words: tuple[str, ...]) -> None:
    assert not re.search(rf"\s{{2}}(?:{'|'.join(NOT_NOUNS)}) [a-z]", help_of(*words))


@pytest.mark.parametrize("name", READMES)
def test_a_readme_is_short(name: str) -> None:
    assert len((ROOT / name).read_text(encoding="utf-8").splitlines()) <= 120


def shown(text: str) -> Iterator[str]:
    """Commands in a document's shell blocks and in its running text."""
    for language, block in FENCE.findall(text):
        if language == "sh":
            yield from re.findall(r"^(?:\w+=\S+ )*(blemish .+)$", block, re.MULTILINE)
    yield from CODE.findall(FENCE.sub("", text))


def arguments(command: str) -> list[str]:
    """Words after `blemish`; of alternatives such as a|b the first."""
    return [word.split("|")[0] for word in shlex.split(command, comments=True)[1:]]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_commands_of_a_document_are_valid(name: str) -> None:
    found = [arguments(text) for text in shown((ROOT / name).read_text(encoding="utf-8"))]
    for words in found:
        if tuple(words) not in commands(VERBS):  # a verb that is only mentioned
            assert callable(parse(words))


def test_the_commands_of_a_readme_are_found() -> None:
    for name in READMES:
        assert len([*shown((ROOT / name).read_text(encoding="utf-8"))]) > len(VERBS)


@pytest.mark.parametrize("riddle", RIDDLES)
def test_the_changelog_is_plain(riddle: str) -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert not re.search(rf"\b{riddle}\b", text, re.IGNORECASE)
