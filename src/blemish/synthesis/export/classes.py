"""Class numbers of an export: the bundle's order of types, or the one that the user names.

Two sets by one bundle number their classes alike, whichever types each of them holds.
"""

from collections.abc import Sequence
from dataclasses import replace

from blemish.errors import OptionError
from blemish.synthesis.export.items import Items


def numbered(items: Items, named: Sequence[str] | None, known: Sequence[str]) -> Items:
    """The items, with their classes in order.

    Args:
        items: What is exported.
        named: The order that the user names; it may have classes that no item is of.
        known: The types of the bundles that made the items, in their order; those of the items that
            are missing there come after them, by name.

    Raises:
        OptionError: `named` lacks a type of the items, or has a class twice.
    """
    if named is None:
        return replace(items, classes=tuple(dict.fromkeys([*known, *items.kinds])))
    lacking = [kind for kind in items.kinds if kind not in named]
    if lacking or len({*named}) < len(named):
        wrong = f"without {', '.join(lacking)}" if lacking else "with a class twice"
        raise OptionError(
            got=f"the classes {','.join(named)}, {wrong}",
            expected=f"each type of the items once: {', '.join(items.kinds)}, and others if wanted",
            todo="Correct --classes, or leave it out for the order of the bundle.",
        )
    return replace(items, classes=tuple(named))
