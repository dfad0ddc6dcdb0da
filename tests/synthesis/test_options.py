"""An option is declared once: the command line, recipes and records follow from its declaration."""

import json
import re
import subprocess
import sys
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import pytest
import tyro
from tyro.conf import arg

from blemish.cli import MARKERS
from blemish.cli.docs import help_of
from blemish.errors import OptionError
from blemish.names import PLACEMENT_METHODS, PlacementName
from blemish.synthesis.batch.groups import ItemGroup, flattened
from blemish.synthesis.batch.tables import dataclass_of_table
from blemish.synthesis.options import Anchors, Range, SynthesisOptions, Where
from blemish.synthesis.placement.methods import PLACEMENT
from blemish.synthesis.records import TABLES, record_of

OPTIONS = {option.name: option for option in fields(SynthesisOptions)}
ITEMS = {"defect": "crack", "count": 1, "parts": 1}
# What else an option needs so that it has an effect.
BESIDE: dict[str, dict[str, Any]] = {
    "real": {"reference": "stitch"},
    "first_third": {"reference": "stitch", "real": "real"},
    "like": {"like_mask": "folder"},
    "like_mask": {"like": "folder"},
    "mask_elastic": {"mask_kind": "real", "real": "real"},
    "region_of": {"region": [0.1, 0.2, 0.3, 0.4]},
    "anchor": {"mask_kind": "blob"},
}


def another(option: Any, declared: Any) -> Any:
    """A value of the option's type, other than its default, as JSON holds it."""
    if get_origin(declared) is Annotated:
        declared = get_args(declared)[0]
    known: dict[Any, Any] = {
        Range: [0.01, 0.02],
        Where: [0.1, 0.2, 0.3, 0.4],
        Anchors: [[0.5, 0.4]],
    }
    if declared in known:
        return known[declared]
    arms = get_args(declared) if get_origin(declared) is not Literal else (declared,)
    arm = next((arm for arm in arms if arm is not type(None)), declared)
    if get_origin(arm) is Literal:
        return next(value for value in get_args(arm) if value != option.default)
    if arm is Path:
        return "folder"
    return {bool: True, int: 7, float: 0.07}[arm]


def given(name: str, options: type[SynthesisOptions] = SynthesisOptions) -> dict[str, Any]:
    """The option with another value than its default, and what it needs."""
    declared = {f.name: f for f in fields(options)}[name]
    return {**BESIDE.get(name, {}), name: another(declared, declared.type)}


def in_recipe(table: dict[str, Any]) -> SynthesisOptions:
    masks = {} if "mask_kind" in table else {"masks": "mask.png"}
    return dataclass_of_table(ItemGroup, {**ITEMS, **masks, **table}, "recipe").options(Path())


def on_the_command_line(
    table: dict[str, Any], options: type[SynthesisOptions] = SynthesisOptions
) -> SynthesisOptions:
    line: list[str] = []
    for name, value in table.items():
        line.append("--from" if name == "inverted" else f"--{name.replace('_', '-')}")
        if value is not True:
            line.append(re.sub(r"[\[\] ]", "", str(value)))
    flat: Any = Annotated[options, arg(name="")]
    return tyro.cli(flat, args=line, config=MARKERS)


@pytest.mark.parametrize("name", OPTIONS)
def test_command_line_and_recipe_take_every_option_alike(name: str) -> None:
    table = given(name)
    made = in_recipe(table)
    assert made == on_the_command_line(table)
    assert getattr(made, name) != OPTIONS[name].default


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_has_its_help(name: str) -> None:
    shown = "--from" if name == "inverted" else f"--{name.replace('_', '-')}"
    _, _, text = help_of("synthesize").partition(f"│ {shown} ")
    described = re.sub(r"[│\s]+", " ", text.partition("│ --")[0])
    assert len(described.split()) > 4


def test_without_options_both_are_the_defaults() -> None:
    assert in_recipe({}) == on_the_command_line({}) == SynthesisOptions()


@dataclass(frozen=True, kw_only=True)
class More(SynthesisOptions):
    """As if one more option were declared.

    Attributes:
        sparkle: Brightness of the sparkle.
    """

    sparkle: float = 0.0


TABLES_AS_JSON = json.dumps([ITEMS, {"sparkle": 0.5}])


def test_a_new_option_is_its_declaration() -> None:
    """No other place has a list of options to which it must be added."""
    assert on_the_command_line({"sparkle": 0.5}, More) == More(sparkle=0.5)
    script = f"""
import dataclasses, json
from pathlib import Path
from blemish.synthesis import options
usual, (items, table) = options.SynthesisOptions, json.loads({TABLES_AS_JSON!r})
options.SynthesisOptions = dataclasses.dataclass(frozen=True, kw_only=True)(
    type("SynthesisOptions", (usual,), {{"__annotations__": {{"sparkle": float}}, "sparkle": 0.0}})
)
from blemish.synthesis.batch.groups import ItemGroup
from blemish.synthesis.batch.tables import dataclass_of_table
from blemish.synthesis.records import record_of
tables = [items | {{"masks": "m.png"}} | more for more in (table, {{}})]
made = [dataclass_of_table(ItemGroup, one, "recipe") for one in tables]
found = [(g.options(Path()).sparkle, record_of(g.options(Path())).get("sparkle"),
          g.record().get("sparkle")) for g in made]
print(json.dumps(found))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == [[0.5, 0.5, 0.5], [0.0, None, None]]


def test_a_default_leaves_no_trace_in_records() -> None:
    """What is not used adds no key, so that names of items and begun batches stay as they were."""
    assert record_of(SynthesisOptions()).keys() == record_of(in_recipe(given("uneven"))).keys()


def test_options_that_are_gone_keep_their_place_in_records() -> None:
    """Names of items are digests of this text, so its order counts."""
    gone = {"polish": 20, "detail": False, "tone": "model"}
    for record in (
        record_of(SynthesisOptions()),
        dataclass_of_table(ItemGroup, {**ITEMS, "masks": "m"}, "").record(),
    ):
        assert {name: record[name] for name in gone} == gone
        order = [name for name in record if name in {*gone, "reference", "uneven", "real"}]
        assert order == ["polish", "reference", "detail", "tone", "uneven", "real"]


OLD = {
    "draw": {"kind": "real", "area": 0.1, "where": "there", "degrees": 20, "elastic": 0.01},
    "invert": {"method": "project", "space": "w", "steps": 3},
    "search": {"control": "noise", "steps": 4, "stay_weight": 2.0},
}


def test_tables_of_older_recipes_mean_the_same() -> None:
    old = flattened({**ITEMS, "real": "real", **OLD})
    new = {TABLES[table][key]: value for table in OLD for key, value in OLD[table].items()}
    assert in_recipe(old) == in_recipe({"real": "real", **new})


@pytest.mark.parametrize("table", TABLES)
def test_older_tables_name_options(table: str) -> None:
    assert {*TABLES[table].values()} <= {*OPTIONS}


def test_the_options_need_no_pytorch() -> None:
    code = "import sys, blemish.synthesis.records; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_method_has_its_traits_and_its_file() -> None:
    assert {*PLACEMENT} == {*PLACEMENT_METHODS} == {*get_args(PlacementName)}


def test_masks_alone_leave_the_placement_as_it_is() -> None:
    drawn = SynthesisOptions(mask_kind="real", real=Path("real"), first_third=True, uneven=0.3)
    assert drawn.without_masks() == SynthesisOptions(uneven=0.3)
    shown = replace(drawn, reference="stitch")
    assert shown.without_masks() == replace(
        SynthesisOptions(), uneven=0.3, reference="stitch", real=Path("real"), first_third=True
    )


@pytest.mark.parametrize("given, kind", [(True, "blob"), (False, None)])
def test_masks_are_given_or_drawn(given: bool, kind: Any) -> None:
    with pytest.raises(OptionError, match="a mask"):
        SynthesisOptions(mask_kind=kind).check_masks(given)
