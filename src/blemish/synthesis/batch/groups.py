"""Group of a recipe: items of one kind, and their options."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from blemish.errors import OptionError
from blemish.synthesis.batch.tables import STRICT, NameOrNames, Names, NamesEach, unknown_key
from blemish.synthesis.options import SynthesisOptions
from blemish.synthesis.records import FIRST, TABLES, later, table_of, with_removed
from blemish.synthesis.removed import refuse_removed

FILES = (
    "like",
    "like_mask",
    "region",
    "region_of",
)  # options that name a file; the others name a folder


@dataclass(frozen=True, kw_only=True)
class ItemGroup(SynthesisOptions):
    """Items of one kind; every option of a synthesis is a key of its table.

    One of `photographs` and `parts` is required, and one of `masks` and `mask_kind`.

    Attributes:
        defect: Type of the defect; several types for as many defects on one photograph, each laid
            over the earlier ones.
        count: Number of items.
        photographs: Photographs of good parts: files, or folders in a recipe that is not yet read.
            Items share them evenly, and those on one photograph are consecutive.
        parts: Number of parts that the bundle draws instead.
        masks: Files or folders of masks; each item uses a random one. With several defects, one
            file, folder or list of them for each.
        strength: Strength of the change, above 0 and up to 1; two values give a range.
    """

    __pydantic_config__ = STRICT

    defect: NameOrNames
    count: int
    photographs: Names = ()
    parts: int | None = None
    masks: NamesEach = ()
    strength: float | tuple[float, float] = 1.0

    def __post_init__(self) -> None:
        SynthesisOptions.__post_init__(self)
        _refuse_fewer("count", self.count)
        _refuse_fewer("parts", 1 if self.parts is None else self.parts)
        _refuse_both(photographs=bool(self.photographs), parts=self.parts is not None)
        self.check_masks(bool(self.masks))
        _refuse_unpaired(self.kinds, self.mask_sets)
        _refuse_strengths(*self.strengths)

    @property
    def kinds(self) -> tuple[str, ...]:
        """Types of the defects of an item, in the order in which they are laid."""
        return (self.defect,) if isinstance(self.defect, str) else self.defect

    @property
    def mask_sets(self) -> tuple[tuple[str, ...], ...]:
        """Masks to choose from for each defect of an item; none if they are drawn."""
        if len(self.kinds) == 1:
            return (self.mask_names,) if self.masks else ()
        return tuple((each,) if isinstance(each, str) else each for each in self.masks)

    @property
    def mask_names(self) -> tuple[str, ...]:
        """All masks."""
        nested = ((each,) if isinstance(each, str) else each for each in self.masks)
        return tuple(name for each in nested for name in each)

    @property
    def strengths(self) -> tuple[float, float]:
        """Minimum and maximum strength."""
        if isinstance(self.strength, tuple):
            return self.strength
        return self.strength, self.strength

    @property
    def folders(self) -> dict[str, Path]:
        """Folders in its options, as written in the recipe."""
        return {name: path for name, path in self._paths().items() if name not in FILES}

    @property
    def files(self) -> dict[str, Path]:
        """Files in its options, as written in the recipe."""
        return {name: path for name, path in self._paths().items() if name in FILES}

    def options(self, here: Path) -> SynthesisOptions:
        """Options of the synthesis, with folders relative to the recipe's."""
        known = {option.name: getattr(self, option.name) for option in fields(SynthesisOptions)}
        known |= {name: here / path for name, path in self._paths().items()}
        known["uneven"] = float(self.uneven)  # as recorded by batches
        return SynthesisOptions(**known)

    def _paths(self) -> dict[str, Path]:
        known = {option.name: getattr(self, option.name) for option in fields(SynthesisOptions)}
        return {name: value for name, value in known.items() if isinstance(value, Path)}

    def record(self) -> dict[str, Any]:
        """Content of the group, as recorded by batches; see `synthesis.records`."""
        known = {option.name: getattr(self, option.name) for option in fields(self)}
        names = ("defect", "count", "photographs", "parts", "masks")
        return {
            **{name: known[name] for name in names},
            **_masks_recorded(known),
            "strength": self.strength,
            "method": None if self.method == "auto" else self.method,
            **with_removed(known, "polish"),
            "invert": _inversion_recorded(known),
            "search": table_of(known, "search"),
            **with_removed(known, "reference", "detail", "tone"),
            "uneven": float(self.uneven),
            **{name: known[name] for name in ("real", "first_third")},
            **later(self, FIRST - {"inverted"}),
        }


def _masks_recorded(known: Mapping[str, Any]) -> dict[str, Any]:
    if known["mask_kind"] is None:
        return {"draw": None, "off_part": known["off_part"]}
    draw = table_of(known, "draw") | {"off_part": known["off_part"] or "clip"}
    turns = {name: draw.pop(name) for name in ("degrees", "elastic")}
    draw |= {"folder": None, "first_third": False, **turns}
    return {"draw": draw, "off_part": None}


def _inversion_recorded(known: Mapping[str, Any]) -> dict[str, Any] | None:
    invert = table_of(known, "invert")
    if invert["method"] == "auto":
        invert["method"] = None
    return invert if any(value is not None for value in invert.values()) else None


def flattened(table: Mapping[str, Any]) -> dict[str, Any]:
    """A group's table, with the options of older recipes' inner tables under their own names.

    Raises:
        OptionError: An inner table has an unknown key, or repeats an option; or an option is gone.
    """
    refuse_removed(table)
    inner = {k: v for k, v in table.items() if k in TABLES and isinstance(v, dict)}
    flat = {k: v for k, v in table.items() if k not in inner}
    if "draw" in inner:
        inner["draw"] = {"kind": "scratch", **inner["draw"]}
    for name, given in inner.items():
        for key, value in given.items():
            if key not in TABLES[name]:
                raise unknown_key(f"{name}.{key}", [*TABLES[name]])
            if TABLES[name][key] in flat:
                raise _twice(f"{name}.{key}", TABLES[name][key])
            flat[TABLES[name][key]] = value
    return flat


def _twice(old: str, new: str) -> OptionError:
    return OptionError(
        got=f"both {old} and {new}", expected="one of them", todo=f"Leave {old} out."
    )


def _refuse_fewer(key: str, count: int) -> None:
    if count < 1:
        raise OptionError(got=f"{key} = {count}", expected="1 or more", todo="Choose 1 or more.")


def _refuse_unpaired(kinds: tuple[str, ...], masks: tuple[tuple[str, ...], ...]) -> None:
    if not kinds or (masks and len(masks) != len(kinds)):
        raise OptionError(
            got=f"{len(masks)} entries of masks for {len(kinds)} defects",
            expected="a type, or several, and one entry of masks for each",
            todo='Try defect = ["a", "b"] and masks = ["masks-of-a", "masks-of-b"].',
        )


def _refuse_both(**named: bool) -> None:
    """Refuse both or neither of two keys."""
    if sum(named.values()) != 1:
        got = f"{'both' if all(named.values()) else 'neither'} of {' and '.join(named)}"
        raise OptionError(got=got, expected="one of them", todo="See examples/recipe.toml.")


def _refuse_strengths(low: float, high: float) -> None:
    if not 0 < low <= high <= 1:
        raise OptionError(
            got=f"strength = {low if low == high else [low, high]}",
            expected="a number above 0 and up to 1, or two of them, rising",
            todo="Try [0.6, 1.0].",
        )
