"""The items of a recipe, in memory."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

from blemish.api.item import Item
from blemish.devices import choose_device
from blemish.errors import BlemishError
from blemish.files import alone
from blemish.names import Device
from blemish.reading import read_as
from blemish.synthesis.batch.batch import BatchFolder, workplace_of
from blemish.synthesis.batch.comparison import Comparison
from blemish.synthesis.batch.pool import refuse_workers, usual_workers
from blemish.synthesis.batch.recipe import read_recipe
from blemish.synthesis.batch.tasks import task_of
from blemish.synthesis.dataset import SyntheticItem

if TYPE_CHECKING:
    import ray.data  # pyright: ignore[reportMissingImports]


@dataclass(frozen=True, kw_only=True)
class FailedItem:
    """Item of a recipe that can't be made.

    Attributes:
        name: Name that its files would have.
        defect: Type of the defect.
        seed: Its random seed.
        reason: What went wrong.
    """

    name: str
    defect: str
    seed: int
    reason: str
    outcome: Literal["failed"] = "failed"


class RecipeItems:
    """Items of a recipe, made one by one when they are asked for.

    Item k depends on the recipe and k alone. Iterating also compares each item with the earlier
    ones on its photograph, as `blemish batch` does, so that near-duplicates have a reason.

    Args:
        recipe: File of the recipe.
        device: Device to work on; auto is CUDA where there is one.

    Raises:
        UserError: The recipe, one of its files or its bundle can't be used.
    """

    def __init__(self, recipe: str | Path, device: Device = "auto") -> None:
        self.recipe = read_recipe(Path(recipe))
        self.device: Literal["cpu", "cuda"] = choose_device(device)
        self.recipe.check()

    def __reduce__(self) -> tuple[type["RecipeItems"], tuple[Path, Device]]:
        """Processes of a data loader read it anew."""
        return RecipeItems, (self.recipe.file.absolute(), self.device)

    def __len__(self) -> int:
        return len(self.recipe)

    def __getitem__(self, index: int) -> Item | FailedItem:
        if not -len(self) <= index < len(self):
            raise IndexError(f"item {index} of {len(self)}")
        with TemporaryDirectory(prefix="blemish-") as folder:
            return self._made(index % len(self), Path(folder))

    def __iter__(self) -> Iterator[Item | FailedItem]:
        with TemporaryDirectory(prefix="blemish-") as folder:
            known = Comparison(Path(folder), keep_all=True)
            for index in range(len(self)):
                made = self._made(index, Path(folder))
                yield made if isinstance(made, FailedItem) else _compared(made, known)

    def write(
        self, out: str | Path, *, workers: int | None = None, keep_all: bool = False
    ) -> dict[str, Any]:
        """Write the data set, as `blemish batch` does; an interrupted one is resumed.

        Args:
            out: Folder of the data set.
            workers: Number of processes; by default one for each core, or one on CUDA.
            keep_all: Keep the images of refused items, too.

        Returns:
            The figures of the set.

        Raises:
            DataError: The folder holds items of another recipe.
            OptionError: The number of processes is below one.
            OutputError: The folder can't be written to, or another run writes to it.
        """
        count = usual_workers(self.device) if workers is None else workers
        refuse_workers(count)
        with alone(Path(out)):
            batch = BatchFolder(self.recipe, Path(out), device=self.device, keep_all=keep_all)
            for _ in batch.make(workers=count):
                pass
            return batch.finish()

    def to_ray(self, *, actors: int | None = None) -> "ray.data.Dataset":
        """The items as a data set of Ray, made on its cluster when it is read.

        Near-duplicates are not decided: items are made apart from each other.

        Args:
            actors: Most processes at a time, of one core each; by default all cores.

        Returns:
            One row per item: index, name, type, outcome, the PNGs of image, mask and twin, and the
            row of the manifest as JSON.

        Raises:
            OptionError: The packages of the extra 'ray' are not installed.
        """
        from blemish.synthesis.batch.on_ray import items_on_ray
        from blemish.synthesis.batch.portions import Maker

        return items_on_ray(Maker(recipe=self.recipe), actors=actors)

    def _made(self, index: int, folder: Path) -> Item | FailedItem:
        place = workplace_of(self.recipe, folder, device=self.device, keep_all=True)
        task = task_of(self.recipe, index)
        try:
            with read_as(self.recipe.reading):
                return Item(place.item(task))
        except BlemishError as error:
            reason = place.reason(error, task)
            return FailedItem(name=task.name, defect=task.kind, seed=task.seed, reason=reason)


def batch(recipe: str | Path, *, device: Device = "auto") -> RecipeItems:
    """Items of a recipe: an iterable with a length, in the order of the recipe.

    Args:
        recipe: TOML file; see examples/recipe.toml.
        device: Device to work on; auto is CUDA where there is one.

    Raises:
        UserError: The recipe, one of its files or its bundle can't be used.
    """
    return RecipeItems(recipe, device)


def _compared(item: Item, known: Comparison) -> Item:
    """The item, with a reason if it is a near-duplicate of an earlier one."""
    made = item.made
    if made.reasons or not made.changed.any():
        return item
    decided = known.decide(_row(made))
    return Item(replace(made, reasons=tuple(decided["reasons"])))


def _row(made: SyntheticItem) -> dict[str, Any]:
    facts = {name: made.facts[name] for name in ("photograph", "fingerprint")}
    return {"name": made.name, "outcome": "kept", "reasons": [], "files": {}, **facts}
