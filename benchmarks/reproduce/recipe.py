"""Recipe of the synthetic set for `blemish batch`, on the photographs of train/good."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from os.path import relpath
from pathlib import Path
from typing import Any

from benchmarks.reproduce.plans import Items, Plan
from blemish.synthesis.options import MaskOptions


def recipe(plan: Plan, data: Path, work: Path) -> str:
    """Text of the recipe.

    Args:
        plan: Plan of the items.
        data: Photographs.
        work: Folder of the recipe, with the bundle beside it.
    """
    # By the name that was given, be it a link's: recipes are printed, and travel with their data.
    folder = Path(relpath(data, work.resolve()))
    head = [f"bundle = {_text(plan.finest.preset)}", "seed = 0"]
    return "\n".join([*head, *(line for items in plan.items for line in _group(items, folder)), ""])


def _group(items: Items, folder: Path) -> Iterator[str]:
    yield from ("", "[[group]]", f"defect = {_text(items.defect)}", f"count = {items.count}")
    yield f"photographs = {_text((folder / 'train' / 'good').as_posix())}"
    if items.draw.mask_kind == "real":
        yield from (f"real = {_text(folder.as_posix())}", "first_third = true")
    if items.strength != (1.0, 1.0):
        yield f"strength = {_text(items.strength)}"
    yield from (f"{name} = {_text(value)}" for name, value in _options(items.draw).items())


def _options(masks: MaskOptions) -> dict[str, Any]:
    """Options of the masks that differ from the defaults."""
    usual = asdict(MaskOptions())
    return {name: value for name, value in asdict(masks).items() if value != usual[name]}


def _text(value: Any) -> str:
    """Strings, numbers, booleans and lists, which TOML writes as JSON does."""
    return json.dumps(value, ensure_ascii=False)
