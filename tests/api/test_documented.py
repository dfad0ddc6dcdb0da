"""docs/python.md names all that is public."""

import re
from pathlib import Path

import blemish
from blemish.api.bundle import OpenBundle
from blemish.api.item import Item
from blemish.torch import AddDefect, Synthetic, SyntheticFolder, SyntheticRecipe

PAGE = (Path(__file__).parents[2] / "docs" / "python.md").read_text(encoding="utf-8")
DATA_SETS = (Synthetic, SyntheticFolder, SyntheticRecipe, AddDefect)
NAMES = (*blemish.__all__, *(kind.__name__ for kind in DATA_SETS))


def test_all_that_is_public_is_named() -> None:
    members = [name for kind in (OpenBundle, Item) for name in vars(kind) if name[0] != "_"]
    for name in {*members, *NAMES}:
        assert re.search(rf"\b{name}\b", PAGE), name
