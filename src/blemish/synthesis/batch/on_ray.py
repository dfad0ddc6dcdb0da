"""Items of a recipe by Ray Data, on as many machines as a cluster has.

An actor loads the bundle once and makes portion after portion. Each portion is a file at the data
set's place, so one that is there need not be made again, whether its machine died or the whole run.
The command then takes the portions in order, decides near-duplicates, and writes the same files as
a run of one machine. All machines must see the recipe and its files under the same paths.
"""

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from blemish.errors import BlemishError, OptionError, OutputError
from blemish.manifest import Row, to_line
from blemish.synthesis.batch.places import DataPlace
from blemish.synthesis.batch.pool import single_thread
from blemish.synthesis.batch.portions import Maker, portion

if TYPE_CHECKING:
    import ray.data  # pyright: ignore[reportMissingImports]

Numbers = dict[str, np.ndarray]  # a block of Ray Data
NUMBER, REFUSAL = "number", "refusal"


class PortionActor:
    """Actor that makes portions and leaves them at a place.

    Args:
        maker: Maker of the portions.
        uri: Place of the data set.
    """

    def __init__(self, maker: Maker, uri: str) -> None:
        single_thread()
        self.maker, self.place = maker, DataPlace(uri)

    def __call__(self, block: Numbers) -> Numbers:
        refusals = [self._made(int(number)) for number in block[NUMBER]]
        return {**block, REFUSAL: np.array(refusals)}

    def _made(self, number: int) -> str:
        """Make a portion unless it is there; an error of the place comes back as text."""
        try:
            if not self.place.has(portion(number)):
                self._make(number)
        except OutputError as error:  # Ray would give its text alone
            return json.dumps([error.got, error.expected, error.todo])
        return ""

    def _make(self, number: int) -> None:
        with TemporaryDirectory(prefix="blemish-") as folder:
            file = Path(folder) / "portion.tar"
            self.maker.pack(number, file)
            self.place.store(file, portion(number))


class ItemActor:
    """Actor that makes the items of portions and yields them as rows of a Ray data set.

    Args:
        maker: Maker of the portions.
    """

    def __init__(self, maker: Maker) -> None:
        single_thread()
        self.maker = maker

    def __call__(self, row: dict[str, Any]) -> Iterator[dict[str, Any]]:
        with self.maker.folder() as folder:
            for made in self.maker.made(int(row[NUMBER]), folder):
                yield _columns(made, folder)


def make_portions(
    maker: Maker, uri: str, on_portion: Callable[[int], None], *, actors: int | None = None
) -> None:
    """Make the missing portions of a recipe on the cluster to which this process is connected.

    Args:
        maker: Maker of the portions.
        uri: Place of the data set, which all machines reach.
        on_portion: Called after each portion with the number of finished ones.
        actors: Most actors at a time, of one core each; None for all cores of the cluster.

    Raises:
        OutputError: A portion can't be written; those that are written are kept.
        BlemishError: Ray has given up.
    """
    from ray.exceptions import RayError  # pyright: ignore[reportMissingImports]

    numbers = _numbers(maker)
    options = _pool(maker, actors)
    done = numbers.map_batches(
        PortionActor,
        fn_constructor_args=(maker, uri),
        batch_size=1,
        batch_format="numpy",
        **options,
    )
    try:
        for count, block in enumerate(done.iter_batches(batch_size=1, batch_format="numpy"), 1):
            _refuse(str(block[REFUSAL][0]))
            on_portion(count)
    except RayError as error:
        raise BlemishError(
            f"Ray has given up: {error}. Finished portions are kept: run the same command again."
        ) from error


def items_on_ray(maker: Maker, *, actors: int | None = None) -> "ray.data.Dataset":
    """Items of a recipe as a data set of Ray, made when it is read.

    Near-duplicates are not decided: items are made apart from each other.

    Args:
        maker: Maker of the items.
        actors: Most actors at a time, of one core each; None for all cores of the cluster.

    Returns:
        One row per item: index, name, type, outcome, the PNGs of image, mask and twin, and the row
        of the manifest as JSON.

    Raises:
        OptionError: The packages of the extra 'ray' are not installed.
    """
    connect(None)
    options = _pool(maker, actors)
    return _numbers(maker).flat_map(ItemActor, fn_constructor_args=(maker,), **options)


def connect(address: str | None) -> None:
    """Connect this process to a cluster, unless it is connected.

    Args:
        address: Address of the cluster; "auto" for the one that this machine belongs to, None for
            a new one of this machine alone.

    Raises:
        OptionError: The packages of the extra 'ray' are not installed, or there is no cluster.
    """
    try:
        import ray  # pyright: ignore[reportMissingImports]
        import ray.data  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise OptionError(
            got="the engine ray without its packages",
            expected="the packages of the extra 'ray'",
            todo="Run pip install 'blemish[ray]'.",
        ) from error
    if ray.is_initialized():
        return
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except ConnectionError as error:
        raise OptionError(
            got=f"--address {address}, where no cluster answers",
            expected="the address of a Ray cluster, or auto on one of its machines",
            todo="Start it with: ray start --head",
        ) from error


def _numbers(maker: Maker) -> "ray.data.Dataset":
    """Numbers of all portions, one a block, so that each may go to any actor."""
    import ray.data  # pyright: ignore[reportMissingImports]

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    numbers = [{NUMBER: number} for number in range(len(maker))]
    return ray.data.from_items(numbers, override_num_blocks=len(numbers))


def _refuse(refusal: str) -> None:
    """Raise the error that an actor has reported."""
    if refusal:
        got, expected, todo = json.loads(refusal)
        raise OutputError(got=got, expected=expected, todo=todo)


def _columns(row: Row, folder: Path) -> dict[str, Any]:
    """An item as a row of Ray Data."""
    facts = {name: row.get(name) for name in ("index", "name", "type", "outcome")}
    named = {kind: row["files"].get(kind) for kind in ("image", "mask", "twin")}
    files = {kind: name and (folder / name).read_bytes() for kind, name in named.items()}
    return {**facts, **files, "row": to_line(row)}


def _pool(maker: Maker, actors: int | None) -> dict[str, Any]:
    import ray  # pyright: ignore[reportMissingImports]
    import ray.data  # pyright: ignore[reportMissingImports]

    cores = int(ray.cluster_resources().get("CPU", 1)) if actors is None else actors
    most = max(1, min(cores, len(maker)))
    pool = ray.data.ActorPoolStrategy(min_size=1, max_size=most)
    return {"compute": pool, "num_cpus": 1, **({"num_gpus": 1} if maker.device == "cuda" else {})}
