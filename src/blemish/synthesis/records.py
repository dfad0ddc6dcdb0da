"""Records of the options of items and batches.

Records keep the tables and the names of release 0.1, and the defaults of options that are gone, so
that older folders can be resumed. A newer option is recorded only where it is used, so it does not
change the records and names of other items.
"""

from collections.abc import Mapping, Set
from dataclasses import asdict, fields
from typing import Any

from blemish.synthesis.options import SynthesisOptions
from blemish.synthesis.removed import OPTIONS

# Tables of options in recipes and in records of release 0.1: from their names to ours.
TABLES: dict[str, dict[str, str]] = {
    "draw": {
        "kind": "mask_kind",
        "area": "area",
        "where": "where",
        "off_part": "off_part",
        "degrees": "mask_degrees",
        "elastic": "mask_elastic",
    },
    "invert": {"method": "invert", "space": "space", "steps": "steps"},
    "search": {
        "control": "mask_control",
        "space": "defect_space",
        "steps": "defect_steps",
        "learning_rate": "defect_learning_rate",
        "mask_weight": "mask_weight",
        "image_weight": "image_weight",
        "reference_weight": "reference_weight",
        "stay_weight": "stay_weight",
        "noise_weight": "noise_weight",
    },
}
FIRST = frozenset(new for table in TABLES.values() for new in table.values()) | {
    "method",
    "inverted",
    "reference",
    "uneven",
    "real",
    "first_third",
}


def table_of(options: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Options as a table of release 0.1."""
    return {old: options[new] for old, new in TABLES[name].items()}


def with_removed(known: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """Options in this order, as their bytes were: those that are gone have their old defaults."""
    return {name: known.get(name, OPTIONS.get(name)) for name in names}


def record_of(options: SynthesisOptions) -> dict[str, Any]:
    """Options that an item depends on, without its mask and strength.

    The names of `blemish synthesize`'s items are digests of this.
    """
    known = asdict(options.without_masks())
    return {
        "way": options.method,
        "invert": None,
        "inverted": options.inverted,
        "search": table_of(known, "search"),
        **with_removed(known, "polish", "reference", "detail", "tone", "uneven"),
        **{name: known[name] for name in ("real", "first_third")},
        **later(options),
    }


def later(options: SynthesisOptions, first: Set[str] = FIRST) -> dict[str, Any]:
    """Options after the first `first` that differ from their defaults."""
    return {
        option.name: getattr(options, option.name)
        for option in fields(SynthesisOptions)
        if option.name not in first and getattr(options, option.name) != option.default
    }
