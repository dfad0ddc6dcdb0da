"""Names: a public class or function has one meaning in the whole package."""

import ast
from collections import defaultdict
from pathlib import Path

import blemish

SOURCE = Path(blemish.__file__).parent
# The doors to the work carry the names of the functions that do it, and share them.
DOORS = ("cli", "api", "torch.py")


def defined() -> dict[str, set[str]]:
    """Modules that define a public class or function, by its name; overloads count once."""
    found = defaultdict(set)
    for path in SOURCE.rglob("*.py"):
        if path.relative_to(SOURCE).parts[0] in DOORS:
            continue
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            public = isinstance(node, ast.ClassDef | ast.FunctionDef)
            if public and not node.name.startswith("_"):
                found[node.name].add(path.relative_to(SOURCE).as_posix())
    return found


def test_no_public_name_has_two_meanings() -> None:
    assert {name: sorted(paths) for name, paths in defined().items() if len(paths) > 1} == {}
