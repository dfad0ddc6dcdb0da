"""Data card of an export: contents, origin, method, quality and licence."""

import json
import re
import statistics
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from blemish.cards import with_data_matter
from blemish.checkpoint import Bundle, find_bundle
from blemish.errors import BundleError
from blemish.models.load import shape_of
from blemish.synthesis.export.items import ExportItem, Items, photographs
from blemish.version import __version__

# Rows of a model card that are required wherever its images go.
RIGHTS = {"data": "data behind the bundle", "licence of the weights": "licence of the weights"}
UNKNOWN = "unknown: the bundle was not available, or its card does not state it; see there"


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Bundle that made items, as recorded in the manifest.

    Attributes:
        name: Name of its folder.
        digest: SHA-256 of its configuration and weights.
        rights: Data and licence according to its card; empty if unknown.
        types: Defect types in the bundle's order; empty if it is not available.
    """

    name: str
    digest: str
    rights: Mapping[str, str]
    types: tuple[str, ...] = ()


def origins(items: Items, bundle: str | Path | None = None) -> list[Origin]:
    """Bundles that made the items, with the statements of their cards.

    Args:
        items: The items.
        bundle: Folder or name of one of them; by default it is found by the name in the manifest. A
            bundle with another digest is never used.

    Raises:
        BundleError: `bundle` is missing, broken, or made none of the items.
    """
    made_by = [item.facts["bundle"] for item in items.items if item.facts.get("bundle")]
    named = sorted({(bundle["digest"], bundle["name"]) for bundle in made_by})
    given = None if bundle is None else find_bundle(bundle)
    if given is not None and given.digest not in {digest for digest, _ in named}:
        raise BundleError(
            got=f"{given.path}, which made none of the items",
            expected=" or ".join(f"the bundle '{n}' with SHA-256 {d[:12]}…" for d, n in named)
            or "none: the items were made without a bundle",
            todo="Give that bundle, or leave --bundle out.",
        )
    return [_origin(name, digest, _at_hand(name, digest, given)) for digest, name in named]


def card(
    title: str, items: Items, made_by: Sequence[Origin], *, layout: str, pairs: bool, today: date
) -> str:
    """Data card in Markdown.

    Args:
        title: Name of the data set.
        items: Exported items.
        made_by: Bundles of the items.
        layout: Description of its folders.
        pairs: Whether the photograph of each item is included.
        today: Date of the card.
    """
    rows = {**_contents(items, layout, pairs), **_makers(made_by), **_pasted(items)}
    rows["made"] = f"{today.isoformat()}, with Blemish {__version__}"
    table = ["| | |", "| --- | --- |", *(f"| {k} | {_cell(text)} |" for k, text in rows.items())]
    parts = [f"# {_cell(title)}: a data card", "\n".join(table), *_prose(items)]
    text = "\n\n".join(parts) + "\n"
    return with_data_matter(text, title, items.kinds, len(items.items))


def _contents(items: Items, layout: str, pairs: bool) -> dict[str, str]:
    counts = Counter(item.kind for item in items.items)
    apart = [item for item in items.items if item.split == "val"]
    rows = {
        "what": f"{len(items.items)} photographs of parts with a synthetic defect, and the exact "
        "masks of the changed pixels",
        "types": ", ".join(f"{kind} {counts[kind]}" for kind in items.kinds),
        "layout": layout,
        "pairs": "the photograph of each item, under the same name" if pairs else "left out",
    }
    if apart:
        rows["held out"] = (
            f"{len(photographs(apart))} of {len(photographs(items.items))} photographs, "
            f"and the items on them ({len(apart)})"
        )
    left_out = {
        "items in which nothing changed": items.unchanged,
        "items that were refused": items.refused,
        "items that failed": items.failed,
        "items that could not be exported": len(items.unfit),
    }
    if any(left_out.values()):
        rows["left out"] = ", ".join(f"{words} ({n})" for words, n in left_out.items() if n)
    return rows


def _makers(made_by: Sequence[Origin]) -> dict[str, str]:
    rows = {}
    for number, origin in enumerate(made_by, 1):
        which = f" ({number})" if len(made_by) > 1 else ""
        rows[f"bundle{which}"] = f"{origin.name}, SHA-256 {origin.digest}"
        for right, words in RIGHTS.items():
            rows[f"{words}{which}"] = origin.rights.get(right, UNKNOWN)
    return rows


def _pasted(items: Items) -> dict[str, str]:
    """Where the defects of items come from that no bundle made."""
    pasted = [item.facts["options"] for item in items.items if not item.facts.get("bundle")]
    folders = [options["real"] for options in pasted if options.get("real")]
    if not folders:
        return {}
    names = ", ".join(sorted({Path(str(folder)).name for folder in folders}))
    return {
        "pasted defects": f"{len(folders)} items show defects cut out of the photographs in "
        f"'{names}'; the licence of these photographs holds for them"
    }


def _prose(items: Items) -> list[str]:
    files = sorted(Path(item.facts["normal"]).name for item in photographs(items.items))
    return [
        "Every pixel outside a mask is that of the photograph; inside is the synthetic defect. "
        "The owner of the photographs decides on their licence.",
        "## Scores",
        _scores(items.items),
        "## Recipes",
        *_recipes(items.items),
        f"## Photographs ({len(files)})",
        "\n".join(f"- {_cell(name)}" for name in files),
    ]


def _scores(items: Sequence[ExportItem]) -> str:
    found: defaultdict[str, list[float]] = defaultdict(list)
    for item in items:
        for name, score in item.facts["scores"].items():
            found[name].append(score)
    lines = [
        f"| {name} | {statistics.median(scores):.4g} | {min(scores):.4g} | {max(scores):.4g} |"
        for name, scores in found.items()
    ]
    head = ["| score | median | lowest | highest |", "| --- | ---: | ---: | ---: |"]
    return "\n".join(head + lines)


def _recipes(items: Sequence[ExportItem]) -> list[str]:
    counts = Counter(json.dumps(_public(item.facts["options"]), indent=2) for item in items)
    return [
        f"Of {n} items in {len(items)}:\n\n```json\n{text}\n```"
        for text, n in sorted(counts.items())
    ]


def _public(options: Mapping[str, Any]) -> dict[str, Any]:
    """Facts without the folders of the user who made the items, because a card is passed on."""
    real = options.get("real")
    return {**options, "real": Path(real).name if isinstance(real, str) else real}


def _origin(name: str, digest: str, bundle: Bundle | None) -> Origin:
    return Origin(name=name, digest=digest, rights=_rights(bundle), types=_types(bundle))


def _types(bundle: Bundle | None) -> tuple[str, ...]:
    if bundle is None:
        return ()
    with suppress(BundleError):
        branch = shape_of(bundle).defect
        return branch.types if branch else ()
    return ()


def _at_hand(name: str, digest: str, given: Bundle | None) -> Bundle | None:
    try:
        found = given if given is not None and given.digest == digest else find_bundle(name)
        return found if found.digest == digest else None
    except (BundleError, OSError):
        return None


def _rights(bundle: Bundle | None) -> dict[str, str]:
    if bundle is None or not (bundle.path / "README.md").is_file():
        return {}
    text = (bundle.path / "README.md").read_text(encoding="utf-8", errors="replace")
    rows = re.findall(r"^\| ([^|\n]+) \| ([^|\n]+) \|$", text, re.MULTILINE)
    return {name: says for name, says in rows if name in RIGHTS}


def _cell(text: str) -> str:
    """Text on one line that can't end a table cell."""
    return " ".join(text.split()).replace("|", "\\|")
