"""Shards: consecutive items of a recipe, which a machine makes without knowing of the others.

A shard begins where the photograph changes, so that each photograph is inverted by one machine
alone. Items are cut evenly but for that; with fewer photographs than shards, some shards are empty.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from blemish.errors import OptionError
from blemish.synthesis.batch.recipe import Recipe

AUTO = "auto"
TASK, INDEX, COUNT = "SLURM_ARRAY_TASK_ID", "JOB_COMPLETION_INDEX", "JOB_COMPLETION_COUNT"
_PAIR = re.compile(r"(\d{1,9}|auto)/(\d{1,9})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """One shard of several.

    Attributes:
        number: Number among the shards, from 1.
        count: Number of shards.
    """

    number: int
    count: int

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.count:
            raise OptionError(
                got=f"shard {self}",
                expected="K/N with a K from 1 to N",
                todo="The first of 64 shards is 1/64, the last one 64/64.",
            )

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    @property
    def name(self) -> str:
        """Name of its folder."""
        return f"{self.number}-of-{self.count}"

    def items(self, recipe: Recipe) -> range:
        """Indices of its items."""
        start, stop = (k * len(recipe) // self.count for k in (self.number - 1, self.number))
        return range(_cut(recipe, start), _cut(recipe, stop))


def read_shard(text: str, environment: Mapping[str, str]) -> Shard:
    """The shard that an option names.

    Args:
        text: "3/64"; "auto", if the environment tells number and count; or "auto/64", if it tells
            an index from 0.
        environment: Environment variables of a SLURM array or of a Kubernetes Indexed Job.

    Raises:
        OptionError: The text is none of these, or the environment lacks a variable.
    """
    pair = _PAIR.fullmatch(text)
    if text != AUTO and not pair:
        raise OptionError(
            got=f"--shard {text}", expected="K/N, auto or auto/N", todo="Try --shard 1/4."
        )
    number, count = pair.groups() if pair else (AUTO, None)
    if number != AUTO:
        return Shard(number=int(number), count=int(count or 0))
    return _found(environment, None if count is None else int(count))


def photographs_of(recipe: Recipe, items: range) -> set[str]:
    """Names of the photographs of a shard, without generated parts.

    Photographs that no item uses belong to a shard, too, so that all shards together have all.
    """
    names, before = set(), 0
    for group in recipe.groups:
        first, last = (
            min(max(index - before, 0), group.count) * len(group.photographs) // group.count
            for index in (items.start, items.stop)
        )
        names |= {*group.photographs[first:last]}
        before += group.count
    return names


def _cut(recipe: Recipe, index: int) -> int:
    """First item, from `index` on, whose photograph is not that of the item before."""
    if index == len(recipe):
        return index
    place, number = recipe.locate(index)
    group = recipe.groups[place]
    photographs = len(group.photographs) or group.parts or 1
    begun = (number - 1) * photographs // group.count + 1  # photographs of the items before
    return index + max(0, -(-begun * group.count // photographs) - number)


def _found(environment: Mapping[str, str], count: int | None) -> Shard:
    if TASK in environment:
        return _of_array(environment, count)
    if INDEX in environment:
        known = _whole(environment, COUNT) if count is None else count
        return Shard(number=_whole(environment, INDEX) + 1, count=known)
    raise OptionError(
        got=f"--shard {AUTO} where neither {TASK} nor {INDEX} is set",
        expected="a task of a SLURM array or a pod of a Kubernetes Indexed Job",
        todo="Name the shard: --shard 1/4.",
    )


def _of_array(environment: Mapping[str, str], count: int | None) -> Shard:
    task = _whole(environment, TASK)
    if count is not None:
        return Shard(number=task + 1, count=count)
    first, last, tasks = (
        _whole(environment, f"SLURM_ARRAY_TASK_{name}") for name in ("MIN", "MAX", "COUNT")
    )
    step = _whole({"SLURM_ARRAY_TASK_STEP": "1", **environment}, "SLURM_ARRAY_TASK_STEP") or 1
    place, rest = divmod(task - first, step)
    if rest or (last - first) // step + 1 != tasks:
        raise OptionError(
            got=f"--shard {AUTO} in a SLURM array with gaps, from {first} to {last}",
            expected="an array such as 0-63",
            todo=f"To run some shards of 64 again, use --shard {AUTO}/64 and their numbers from 0.",
        )
    return Shard(number=place + 1, count=tasks)


def _whole(environment: Mapping[str, str], name: str) -> int:
    text = environment.get(name, "")
    if not re.fullmatch(r"\d{1,9}", text):
        raise OptionError(
            got=f"--shard {AUTO} with {name}={text!r}",
            expected="a whole number in it",
            todo=f"Set it, or give the number of shards: --shard {AUTO}/64.",
        )
    return int(text)
