"""Class numbers of an export: the bundle's order of types, or the user's.

Two sets by one bundle number their classes in the same way, whichever types they contain.
"""

from collections.abc import Sequence
from dataclasses import replace

from blemish.errors import OptionError
from blemish.synthesis.export.items import Items


def numbered(items: Items, named: Sequence[str] | None, known: Sequence[str]) -> Items:
    """The items, with their classes in order.

    Args:
        items: Exported items.
        named: Order given by the user; it may contain types without items.
        known: Types of the bundles that made the items, in their order; other types of the items
            come after them, by name.

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
