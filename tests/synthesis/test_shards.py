"""Where shards begin and end, and how they are named."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from tiny import part, write_bundle

from blemish.errors import OptionError
from blemish.pictures import write_picture
from blemish.synthesis.batch.recipe import Recipe, read_recipe
from blemish.synthesis.batch.shards import Shard, photographs_of, read_shard
from blemish.synthesis.batch.tasks import task_of

GROUP = """
[[group]]
defect = "crack"
mask_kind = "blob"
area = 0.05
"""
RECIPE = f"""
bundle = "bundle"
{GROUP}
count = 7
photographs = "good"
{GROUP}
count = 2
photographs = "good"
{GROUP}
count = 1
parts = 3
{GROUP}
count = 9
parts = 4
{GROUP}
count = 6
photographs = "good/0.png"
"""


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    """Groups with more and with fewer items than photographs."""
    root = tmp_path_factory.mktemp("place")
    write_bundle(root / "bundle")
    (root / "good").mkdir()
    for seed in range(4):
        write_picture(root / "good" / f"{seed}.png", part(seed=seed))
    (root / "recipe.toml").write_text(RECIPE)
    return read_recipe(root / "recipe.toml")


def shards_of(count: int) -> list[Shard]:
    return [Shard(number=k + 1, count=count) for k in range(count)]


COUNTS = [1, 2, 3, 7, 25, 100]


@pytest.mark.parametrize("count", COUNTS)
def test_shards_are_all_items_in_order(recipe: Recipe, count: int) -> None:
    items = [index for shard in shards_of(count) for index in shard.items(recipe)]
    assert items == [*range(len(recipe))]


@pytest.mark.parametrize("count", COUNTS)
def test_a_shard_begins_where_the_photograph_changes(recipe: Recipe, count: int) -> None:
    for shard in shards_of(count):
        items = shard.items(recipe)
        if items and items.start:
            before, first = (task_of(recipe, items.start - k) for k in (1, 0))
            same_group = recipe.locate(before.index)[0] == recipe.locate(first.index)[0]
            assert not (same_group and before.normal == first.normal)


@pytest.mark.parametrize("count", COUNTS)
def test_a_shard_begins_as_early_as_it_can(recipe: Recipe, count: int) -> None:
    places = [(recipe.locate(k)[0], task_of(recipe, k).normal) for k in range(len(recipe))]
    changes = [k for k in range(len(recipe)) if k == 0 or places[k] != places[k - 1]]
    for shard in shards_of(count):
        even = (shard.number - 1) * len(recipe) // count
        due = min((k for k in changes if k >= even), default=len(recipe))
        assert shard.items(recipe).start == due


@pytest.mark.parametrize("count", COUNTS)
def test_photographs_of_all_shards_are_those_of_the_recipe(recipe: Recipe, count: int) -> None:
    owned = [photographs_of(recipe, shard.items(recipe)) for shard in shards_of(count)]
    assert set().union(*owned) == {f"good/{k}.png" for k in range(4)}
    for shard, names in zip(shards_of(count), owned, strict=True):
        used = {task_of(recipe, index).photograph for index in shard.items(recipe)}
        assert {name for name in used if isinstance(name, str)} <= names


def test_a_million_items_are_cut_at_once(recipe: Recipe) -> None:
    groups = tuple(replace(group, count=1_000_000) for group in recipe.groups)
    large = replace(recipe, groups=groups)
    sizes = [len(shard.items(large)) for shard in shards_of(64)]
    assert sum(sizes) == len(large)


def array(task: int, first: int, last: int, step: int = 1, *, count: int = 0) -> dict[str, str]:
    tasks = count or (last - first) // step + 1
    known = {"ID": task, "MIN": first, "MAX": last, "STEP": step, "COUNT": tasks}
    return {f"SLURM_ARRAY_TASK_{name}": str(value) for name, value in known.items()}


def pod(index: int, count: int | None = None) -> dict[str, str]:
    known = {} if count is None else {"JOB_COMPLETION_COUNT": str(count)}
    return {"JOB_COMPLETION_INDEX": str(index), **known}


@pytest.mark.parametrize(
    "text, environment, named",
    [
        ("1/1", {}, "1/1"),
        ("3/64", array(5, 0, 7), "3/64"),
        ("auto", array(0, 0, 7), "1/8"),
        ("auto", array(7, 0, 7), "8/8"),
        ("auto", array(1, 1, 8), "1/8"),
        ("auto", array(9, 1, 13, 4), "3/4"),
        ("auto", array(8, 0, 10, 4), "3/3"),
        ("auto/64", array(17, 3, 17, count=2), "18/64"),
        ("auto", pod(0, 5), "1/5"),
        ("auto", pod(4, 5), "5/5"),
        ("auto/5", pod(4), "5/5"),
    ],
)
def test_a_shard_is_found(text: str, environment: Mapping[str, str], named: str) -> None:
    assert str(read_shard(text, environment)) == named


@pytest.mark.parametrize(
    "text, environment",
    [
        ("0/4", {}),
        ("5/4", {}),
        ("1/0", {}),
        ("-1/4", {}),
        ("1", {}),
        ("one/4", {}),
        ("1/auto", {}),
        ("", {}),
        ("auto", {}),
        ("auto/4", {}),
        ("auto", array(3, 3, 17, count=2)),
        ("auto", {**array(1, 0, 7), "SLURM_ARRAY_TASK_MIN": "x"}),
        ("auto/4", array(4, 1, 4)),
        ("auto", pod(0)),
        ("auto", pod(5, 5)),
        ("auto/4", pod(4)),
    ],
)
def test_what_names_no_shard_is_refused(text: str, environment: Mapping[str, str]) -> None:
    with pytest.raises(OptionError) as caught:
        read_shard(text, environment)
    assert caught.value.expected and caught.value.todo


def test_the_folder_of_a_shard_has_a_plain_name(tmp_path: Path) -> None:
    names = {shard.name for count in COUNTS for shard in shards_of(count)}
    assert len(names) == sum(COUNTS)
    for name in names:
        (tmp_path / name).mkdir()
