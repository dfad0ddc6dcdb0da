"""Names: a public class or function has one meaning in the whole package."""

import ast
from collections import defaultdict
from pathlib import Path

import blemish

SOURCE = Path(blemish.__file__).parent
# Verbs have the name of the function that does their work, and registries share members' names.
# Others wait for another name: whoever gives one takes it off this list, which only gets shorter.
KNOWN = frozenset(
    [
        "Batch",
        "Comparison",
        "Drawn",
        "Exported",
        "Finding",
        "Group",
        "Header",
        "Item",
        "Made",
        "Method",
        "Optimize",
        "Outcome",
        "Placed",
        "Plan",
        "Source",
        "Stage",
        "Synthetic",
        "Trial",
        "View",
        "Window",
        "batch",
        "check",
        "choose",
        "close_up",
        "cut_out",
        "descend",
        "described",
        "digest_of",
        "draw_mask",
        "enlarged",
        "evaluate",
        "examine",
        "export",
        "file_of",
        "fill",
        "fit",
        "gather",
        "import_annotations",
        "in_order",
        "invert",
        "judge_snapshots",
        "load",
        "look",
        "name_of",
        "number",
        "options_of",
        "outlines",
        "overlaps",
        "pasted",
        "pieces",
        "plain",
        "prepare",
        "read",
        "read_real",
        "summary",
        "synthesize",
        "train",
        "whole",
        "write_page",
    ]
)


def defined() -> dict[str, set[str]]:
    """Modules that define a public class or function, by its name; overloads count once."""
    found = defaultdict(set)
    for path in SOURCE.rglob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            public = isinstance(node, ast.ClassDef | ast.FunctionDef)
            if public and not node.name.startswith("_"):
                found[node.name].add(path.relative_to(SOURCE).as_posix())
    return found


def test_no_public_name_has_two_meanings() -> None:
    twice = {name: sorted(paths) for name, paths in defined().items() if len(paths) > 1}
    assert {name: paths for name, paths in twice.items() if name not in KNOWN} == {}


def test_names_that_are_defined_once_leave_the_list() -> None:
    assert {name for name in KNOWN if len(defined()[name]) < 2} == set()
