"""Stores of a batch: the same pictures in each, and the same bytes however a run ends."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from commands import draw_in_this_process
from same import files_in
from tiny import write_recipe

from blemish.errors import DataError, OptionError
from blemish.evaluation.synthesis.items import read_synthetic
from blemish.files import alone
from blemish.manifest import Row
from blemish.names import StoreName
from blemish.stores.reading import stored_file
from blemish.stores.samples import split_member
from blemish.stores.store import VOLUMES
from blemish.synthesis.batch import packing
from blemish.synthesis.batch.batch import BatchFolder
from blemish.synthesis.batch.gather import gather
from blemish.synthesis.batch.items import Workplace
from blemish.synthesis.batch.recipe import Recipe, read_recipe
from blemish.synthesis.batch.shard_run import ShardRun, folder_of
from blemish.synthesis.batch.shards import Shard
from blemish.synthesis.batch.tasks import Task
from blemish.synthesis.dataset import SyntheticItem
from blemish.synthesis.export.export import export

SIZE = 4  # items per volume
RECIPE = """
bundle = "bundle"
seed = 3

[[group]]
defect = "crack"
count = 6
photographs = "good"
masks = "masks"
invert = { steps = 2 }

[[group]]
defect = "paint"
count = 4
parts = 2
draw = { kind = "blob", area = [0.05, 0.1] }
invert = { steps = 2 }

[[group]]
defect = "crack"
count = 3
photographs = "good"
masks = "masks"
invert = { steps = 2 }
"""


KNOWN: dict[str, SyntheticItem] = {}
DRAW = Workplace.item


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    """A recipe whose photographs come twice, with a bad one among them."""
    root = tmp_path_factory.mktemp("place")
    root = write_recipe(root, RECIPE, ("0.a", "1_torn", "2"), "1_torn")
    return read_recipe(root / "recipe.toml")


def remembered(make: Callable[[Workplace, Task], SyntheticItem]) -> Callable[..., SyntheticItem]:
    """Items that need no file beside their own are drawn once; test_gather.py draws them anew."""

    def item(place: Workplace, task: Task) -> SyntheticItem:
        if not task.masks:
            return make(place, task)
        if task.name not in KNOWN:
            KNOWN[task.name] = make(place, task)
        return KNOWN[task.name]

    return item


def set_up(patch: pytest.MonkeyPatch) -> None:
    """No processes, a wide bound, so that some items are near-duplicates, and small volumes."""
    patch.setattr(Workplace, "item", remembered(DRAW))
    draw_in_this_process(patch)
    patch.setattr("blemish.synthesis.curation.duplicates.ALIKE", 0.8)
    for module in ("packing", "gather"):
        patch.setattr(f"blemish.synthesis.batch.{module}.SIZE", SIZE)


@pytest.fixture(autouse=True)
def every_test_is_set_up(monkeypatch: pytest.MonkeyPatch) -> None:
    set_up(monkeypatch)


def run(recipe: Recipe, root: Path, store: StoreName) -> Path:
    with alone(root):
        batch = BatchFolder(recipe, root, store=store)
        for _ in batch.make(workers=1):
            pass
        batch.finish()
    return root


@pytest.fixture(scope="module")
def folder(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        set_up(patch)
        return run(recipe, tmp_path_factory.mktemp("folder") / "out", "folder")


@pytest.fixture(scope="module", params=VOLUMES)
def whole(
    request: pytest.FixtureRequest, recipe: Recipe, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, StoreName]:
    """The folder of a run that nothing broke, and its store."""
    if request.param == "parquet":
        pytest.importorskip("pyarrow")
    with pytest.MonkeyPatch.context() as patch:
        set_up(patch)
        return run(recipe, tmp_path_factory.mktemp("whole") / "out", request.param), request.param


def rows_of(root: Path) -> list[Row]:
    return [json.loads(line) for line in (root / "manifest.jsonl").read_text().splitlines()]


def pictures(root: Path) -> dict[tuple[str, str], bytes]:
    """Content of each file of each item."""
    return {
        (row["name"], kind): stored_file(root / "manifest.jsonl", row, kind).read_bytes()
        for row in rows_of(root)
        for kind in row["files"]
    }


def test_pictures_are_the_same_in_every_store(whole: tuple[Path, StoreName], folder: Path) -> None:
    root, _ = whole
    assert pictures(root) == pictures(folder)
    for name in ("report.json", "contact_sheet.png"):
        assert (root / name).read_bytes() == (folder / name).read_bytes()
    for one, other in zip(rows_of(root), rows_of(folder), strict=True):
        assert {**one, "files": {*one["files"]}} == {**other, "files": {*other["files"]}}
    assert {row["outcome"] for row in rows_of(root)} == {"kept", "refused", "failed"}
    assert any("duplicate_of" in row for row in rows_of(root))


def test_a_photograph_is_there_once(whole: tuple[Path, StoreName], folder: Path) -> None:
    for root in (whole[0], folder):
        rows = [row for row in rows_of(root) if row["files"]]
        twins = {row["normal"]: row["files"]["twin"] for row in rows}
        assert {row["files"]["twin"] for row in rows} == {*twins.values()}
        assert len({*twins.values()}) == len(twins) < len(rows)
    assert len([*(folder / "twin").iterdir()]) == len(twins)


def test_only_volumes_are_left(whole: tuple[Path, StoreName]) -> None:
    root, store = whole
    assert not (root / packing.STAGING).exists()
    named = {str(split_member(name)[0]) for r in rows_of(root) for name in r["files"].values()}
    about = {"manifest.jsonl", "recipe.json", "report.json", "contact_sheet.png", "running.lock"}
    found = {*files_in(root)} - about
    assert named <= found
    assert {name.rpartition("/")[0] for name in found} == {"kept", "refused", "twins"}
    assert {Path(name).suffix for name in found} == {f".{store}"}


class Killed(BaseException):
    """As SIGKILL ends a run: nothing is tidied up."""


def stopped(recipe: Recipe, root: Path, store: StoreName, after: int) -> None:
    rows: Iterator[Row] = BatchFolder(recipe, root, store=store).make(workers=1)
    for _ in range(after):
        next(rows)
    rows.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("after", [1, SIZE - 1, SIZE, SIZE + 2])
def test_a_stopped_run_is_carried_on(
    after: int, whole: tuple[Path, StoreName], recipe: Recipe, tmp_path: Path
) -> None:
    root, store = whole
    stopped(recipe, tmp_path / "out", store, after)
    assert files_in(run(recipe, tmp_path / "out", store)) == files_in(root)


def kill_at(count: int, function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that kills the run at its n-th call, before or after its work."""
    calls = [count]

    def killed(*given: Any) -> Any:
        calls[0] -= 1
        if calls[0] == 0:
            raise Killed
        return function(*given)

    return killed


@pytest.mark.parametrize(
    "where, at",
    [*(("_write", at) for at in range(1, 9)), *(("_discard", at) for at in range(1, 5))],
)
def test_a_run_killed_while_it_packs_is_carried_on(
    where: str,
    at: int,
    whole: tuple[Path, StoreName],
    recipe: Recipe,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root, store = whole
    with monkeypatch.context() as patch:
        patch.setattr(packing.Volumes, where, kill_at(at, getattr(packing.Volumes, where)))
        with pytest.raises(Killed):
            run(recipe, tmp_path / "out", store)
    assert files_in(run(recipe, tmp_path / "out", store)) == files_in(root)
    assert files_in(run(recipe, tmp_path / "out", store)) == files_in(root)


def make_shards(recipe: Recipe, root: Path, order: list[int], store: StoreName) -> None:
    for number in order:
        shard = Shard(number=number, count=len(order))
        with alone(folder_of(root, shard)):
            for _ in ShardRun(recipe, shard, root, store=store).make(workers=1):
                pass


def join(root: Path) -> None:
    with alone(root):
        gather(root)


@pytest.mark.parametrize("order", [[1], [2, 1], [2, 3, 1], [7, 1, 4, 2, 6, 3, 5]], ids=len)
def test_shards_are_the_whole(
    order: list[int], whole: tuple[Path, StoreName], recipe: Recipe, tmp_path: Path
) -> None:
    root, store = whole
    make_shards(recipe, tmp_path / "out", order, store)
    single = [name for name in files_in(tmp_path / "out") if name.endswith(".png")]
    assert not single, "a shard packs what it has made"
    join(tmp_path / "out")
    assert files_in(tmp_path / "out") == files_in(root)


@pytest.mark.parametrize("at", [1, 3, 6])
def test_a_gathering_that_is_killed_is_repeated(
    at: int,
    whole: tuple[Path, StoreName],
    recipe: Recipe,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root, store = whole
    make_shards(recipe, tmp_path / "out", [1, 2], store)
    with monkeypatch.context() as patch:
        patch.setattr(packing.Volumes, "_write", kill_at(at, packing.Volumes._write))
        with pytest.raises(Killed):
            join(tmp_path / "out")
    join(tmp_path / "out")
    assert files_in(tmp_path / "out") == files_in(root)


def test_a_shard_killed_before_its_last_parcel_is_not_finished(
    whole: tuple[Path, StoreName], recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, store = whole
    with monkeypatch.context() as patch:
        patch.setattr(packing.Parcels, "finish", kill_at(1, packing.Parcels.finish))
        with pytest.raises(Killed):
            make_shards(recipe, tmp_path / "out", [1], store)
    with pytest.raises(DataError, match="not finished: 1/1"):
        join(tmp_path / "out")
    make_shards(recipe, tmp_path / "out", [1], store)
    join(tmp_path / "out")
    assert files_in(tmp_path / "out") == files_in(root)


def test_another_store_is_another_set(whole: tuple[Path, StoreName], recipe: Recipe) -> None:
    with pytest.raises(DataError, match="store was"):
        BatchFolder(recipe, whole[0])


def test_exports_and_evaluations_read_every_store(
    whole: tuple[Path, StoreName], folder: Path, tmp_path: Path
) -> None:
    found = []
    for name, root in (("one", whole[0]), ("other", folder)):
        export(root, tmp_path / name / "set", "coco", pairs=True)
        exported = files_in(tmp_path / name / "set")
        made = read_synthetic(root)
        defects = {
            kind: [item.image.read_bytes() for item in made.items[kind]] for kind in made.items
        }
        found.append((exported, defects, made.outcomes, made.reasons))
    assert found[0] == found[1]


def test_a_store_without_its_package_is_refused_before_anything_is_written(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(OptionError, match="without the package pyarrow"):
        BatchFolder(recipe, tmp_path / "out", store="parquet")
    assert not files_in(tmp_path)
