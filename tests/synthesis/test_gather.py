"""Shards joined are the set of one run, byte for byte."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from commands import draw_in_this_process
from same import files_in
from tiny import write_recipe

from blemish.data import check
from blemish.errors import DataError, OutputError
from blemish.files import alone
from blemish.synthesis.batch import gather as gathering
from blemish.synthesis.batch import shard_run
from blemish.synthesis.batch.batch import BatchFolder
from blemish.synthesis.batch.gather import gather, kinds_of
from blemish.synthesis.batch.recipe import Recipe, read_recipe
from blemish.synthesis.batch.record import refuse_batch
from blemish.synthesis.batch.shard_run import ShardRun, folder_of, is_gathered, machines_of
from blemish.synthesis.batch.shards import Shard

GROUP = """
[[group]]
defect = "crack"
masks = "masks"
invert = { steps = 2 }
"""
RECIPE = f"""
bundle = "bundle"
seed = 3
{GROUP}
count = 6
photographs = "good"
{GROUP}
count = 4
photographs = "good"
strength = [0.9, 1]

[[group]]
defect = "paint"
count = 4
parts = 2
draw = {{ kind = "blob", area = [0.05, 0.1] }}
invert = {{ steps = 2 }}
"""
TORN = "1_torn"
ORDERS = {1: [1], 2: [2, 1], 3: [2, 3, 1], 7: [7, 1, 4, 2, 6, 3, 5], 30: [*range(30, 0, -1)]}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recipe whose photographs come twice, with a bad one among them."""
    root = tmp_path_factory.mktemp("place")
    return write_recipe(root, RECIPE, ("0", TORN, "2"), TORN)


@pytest.fixture(scope="module")
def recipe(place: Path) -> Recipe:
    return read_recipe(place / "recipe.toml")


def set_up(patch: pytest.MonkeyPatch) -> None:
    """No processes, and a wide bound, so that some of the few items are near-duplicates."""
    draw_in_this_process(patch)
    patch.setattr("blemish.synthesis.curation.duplicates.ALIKE", 0.8)


@pytest.fixture(autouse=True)
def every_test_is_set_up(monkeypatch: pytest.MonkeyPatch) -> None:
    set_up(monkeypatch)


@pytest.fixture(scope="module", params=[False, True], ids=["refused go", "keep all"])
def whole(
    request: pytest.FixtureRequest, recipe: Recipe, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, bool]:
    """The folder of a run without shards, and whether it kept all images."""
    root = tmp_path_factory.mktemp("whole") / "out"
    with pytest.MonkeyPatch.context() as patch, alone(root):
        set_up(patch)
        batch = BatchFolder(recipe, root, keep_all=request.param)
        assert len([*batch.make(workers=1)]) == len(recipe)
        batch.finish()
    return root, request.param


def rows_of(root: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (root / "manifest.jsonl").read_text().splitlines()]


def make(recipe: Recipe, root: Path, number: int, count: int, **options: Any) -> ShardRun:
    shard = Shard(number=number, count=count)
    with alone(folder_of(root, shard)):
        run = ShardRun(recipe, shard, root, **options)
        assert [row["index"] for row in run.make(workers=1)] == [*run.items]
    return run


def make_all(recipe: Recipe, root: Path, order: list[int], **options: Any) -> None:
    for number in order:
        make(recipe, root, number, len(order), **options)


def join(root: Path) -> dict[str, Any]:
    with alone(root):
        return gather(root)


@pytest.fixture(scope="module")
def three(
    recipe: Recipe, whole: tuple[Path, bool], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Three finished shards of the same set; nobody writes into them."""
    out = tmp_path_factory.mktemp("three") / "out"
    with pytest.MonkeyPatch.context() as patch:
        set_up(patch)
        make_all(recipe, out, [1, 2, 3], keep_all=whole[1])
    return out


@pytest.mark.parametrize("order", ORDERS.values(), ids=len)
def test_shards_in_any_order_are_the_whole(
    order: list[int], recipe: Recipe, whole: tuple[Path, bool], tmp_path: Path
) -> None:
    root, keep_all = whole
    make_all(recipe, tmp_path / "out", order, keep_all=keep_all)
    figures = join(tmp_path / "out")
    assert files_in(tmp_path / "out") == files_in(root)
    assert figures == json.loads((root / "report.json").read_text())
    assert not check(tmp_path / "out").complaints
    assert not kinds_of(tmp_path / "out")


def test_duplicates_cross_borders(recipe: Recipe, whole: tuple[Path, bool]) -> None:
    """Of the sets above: without such a duplicate they would prove little."""
    rows = rows_of(whole[0])
    index = {row["name"]: row["index"] for row in rows}
    pairs = [(index[row["duplicate_of"]], row["index"]) for row in rows if "duplicate_of" in row]
    for count in (2, 3, 7):
        shards = [Shard(number=k + 1, count=count).items(recipe) for k in range(count)]
        assert [1 for one, two in pairs if not any(one in s and two in s for s in shards)]
    assert {row["outcome"] for row in rows} >= {"kept", "refused", "failed"}


def test_a_shard_decides_nothing_and_removes_nothing(recipe: Recipe, tmp_path: Path) -> None:
    run = make(recipe, tmp_path / "out", 1, 1)
    rows = [json.loads(line) for line in run.rows.read_text().splitlines()]
    assert not any("duplicate_of" in row for row in rows)
    for row in rows:
        assert all((tmp_path / "out" / file).is_file() for file in row["files"].values())
    assert not (tmp_path / "out" / "manifest.jsonl").exists()


def test_some_shards_are_empty(recipe: Recipe, tmp_path: Path) -> None:
    sizes = [len(make(recipe, tmp_path / "out", k + 1, 30)) for k in range(30)]
    assert 0 in sizes and sum(sizes) == len(recipe)


def test_a_shard_stopped_on_its_way_is_resumed(
    recipe: Recipe, whole: tuple[Path, bool], tmp_path: Path
) -> None:
    root, keep_all = whole
    out, shard = tmp_path / "out", Shard(number=1, count=2)
    with alone(folder_of(out, shard)):
        rows = ShardRun(recipe, shard, out, keep_all=keep_all).make(workers=1)
        begun = [next(rows)["index"] for _ in range(2)]
        rows.close()
        again = ShardRun(recipe, shard, out, keep_all=keep_all)
        assert again.done == len(begun)
        assert [*begun, *(row["index"] for row in again.make(workers=1))] == [*again.items]
        assert not [*ShardRun(recipe, shard, out, keep_all=keep_all).make(workers=1)]
    make(recipe, out, 2, 2, keep_all=keep_all)
    join(out)
    assert files_in(out) == files_in(root)


def test_two_shards_at_once_are_the_whole(
    recipe: Recipe, whole: tuple[Path, bool], tmp_path: Path
) -> None:
    root, keep_all = whole
    out, shards = tmp_path / "out", [Shard(number=k + 1, count=2) for k in range(2)]
    with alone(folder_of(out, shards[0])), alone(folder_of(out, shards[1])):
        runs = [ShardRun(recipe, shard, out, keep_all=keep_all) for shard in shards]
        both: list[Iterator[Any]] = [run.make(workers=1) for run in runs]
        for _ in range(len(recipe)):
            assert [next(rows, None) for rows in both]
    join(out)
    assert files_in(out) == files_in(root)


@pytest.mark.parametrize("place_of_kill", ["unlink", "contact_sheet", "rmtree"])
def test_a_gathering_that_is_killed_is_repeated(
    place_of_kill: str,
    three: Path,
    whole: tuple[Path, bool],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root, _ = whole
    out, rows = shutil.copytree(three, tmp_path / "out"), len(rows_of(root))

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        if place_of_kill == "rmtree":
            patch.setattr(shutil, "rmtree", killed)
        elif place_of_kill == "contact_sheet":
            patch.setattr(gathering, "finish", killed)
        with pytest.raises(KeyboardInterrupt), alone(out):
            gather(out, lambda done: killed() if place_of_kill == "unlink" and done == 1 else None)
    assert (out / "manifest.jsonl").exists() == (place_of_kill != "unlink")
    join(out)
    assert len(rows_of(out)) == rows
    assert files_in(out) == files_in(root)
    join(out)
    assert files_in(out) == files_in(root)


def test_a_gathered_set_has_nothing_left_to_do(
    recipe: Recipe, place: Path, whole: tuple[Path, bool]
) -> None:
    root, keep_all = whole
    before, shard = files_in(root), Shard(number=2, count=5)
    assert is_gathered(recipe, shard, root, device="cpu", keep_all=keep_all)
    assert not [*BatchFolder(recipe, root, keep_all=keep_all).make(workers=1)]
    with pytest.raises(DataError, match="keep_all"):
        is_gathered(recipe, shard, root, device="cpu", keep_all=not keep_all)
    with pytest.raises(DataError, match="seed"):
        other = replace(recipe, seed=4)
        is_gathered(other, shard, root, device="cpu", keep_all=keep_all)
    with pytest.raises(DataError, match="gathered at this moment"):
        ShardRun(recipe, shard, root, keep_all=keep_all)
    assert files_in(root) == before


def test_missing_shards_are_named(recipe: Recipe, tmp_path: Path) -> None:
    out = tmp_path / "out"
    make_all(recipe, out, [1, 2, 3])
    items = folder_of(out, Shard(number=2, count=3)) / "items.jsonl"
    items.write_bytes(items.read_bytes()[:-5])  # the last line was interrupted
    shutil.rmtree(folder_of(out, Shard(number=3, count=3)))
    before = files_in(out)
    with pytest.raises(DataError, match=r"not finished: 2/3, 3/3\.") as caught:
        join(out)
    assert "--shard 2/3" in caught.value.todo
    assert {*before} <= {*files_in(out)}
    with alone(folder_of(out, Shard(number=2, count=3))):
        again = ShardRun(recipe, Shard(number=2, count=3), out)
        assert len([*again.make(workers=1)]) == 1
    make(recipe, out, 3, 3)
    assert join(out)["items"] == len(recipe)


def test_a_folder_without_shards_is_refused(recipe: Recipe, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="which has no shards"):
        join(tmp_path)
    unfinished = tmp_path / "out"
    rows = BatchFolder(recipe, unfinished).make(workers=1)
    next(rows)
    rows.close()
    with pytest.raises(DataError, match=f"1 of {len(recipe)} items"):
        join(unfinished)
    (unfinished / "report.json").unlink()
    with pytest.raises(DataError, match="not finished"):
        is_gathered(recipe, Shard(number=1, count=2), unfinished, device="cpu", keep_all=False)


def test_a_shard_that_runs_is_left_alone(recipe: Recipe, tmp_path: Path) -> None:
    out = tmp_path / "out"
    make_all(recipe, out, [1, 2])
    with (
        alone(folder_of(out, Shard(number=2, count=2))),
        pytest.raises(OutputError, match="2-of-2, which another run is using"),
    ):
        join(out)
    assert not (out / "manifest.jsonl").exists()


def test_shards_and_runs_without_them_do_not_mix(recipe: Recipe, tmp_path: Path) -> None:
    make(recipe, tmp_path / "out", 1, 2)
    with pytest.raises(DataError, match="made by shards"):
        BatchFolder(recipe, tmp_path / "out")
    with pytest.raises(DataError, match="a folder of 'blemish batch'"):
        refuse_batch(tmp_path / "out")


CHANGES = [
    ("seed = 3", "seed = 4", "recipe.seed was 3, is 4"),
    ("count = 6", "count = 7", "recipe.group 1.count was 6, is 7"),
]


@pytest.mark.parametrize("old, new, reported", CHANGES)
def test_a_shard_of_another_recipe_is_refused(
    old: str, new: str, reported: str, recipe: Recipe, place: Path, tmp_path: Path
) -> None:
    make(recipe, tmp_path / "out", 1, 2)
    (place / "other.toml").write_text(RECIPE.replace(old, new, 1))
    with pytest.raises(DataError) as caught:
        make(read_recipe(place / "other.toml"), tmp_path / "out", 2, 2)
    assert reported in caught.value.got
    with pytest.raises(DataError, match="shards was 2, is 3"):
        make(recipe, tmp_path / "out", 2, 3)
    with pytest.raises(DataError, match="keep_all was false, is true"):
        make(recipe, tmp_path / "out", 2, 2, keep_all=True)


@pytest.mark.parametrize("name", ["bundle/config.json", "masks/0.png"])
def test_a_shard_of_another_bundle_or_mask_is_refused(
    name: str, recipe: Recipe, place: Path, tmp_path: Path
) -> None:
    out, before = tmp_path / "out", (place / name).read_bytes()
    make(recipe, out, 1, 2)
    (place / name).write_bytes(before + b"\n")
    try:
        with pytest.raises(DataError, match=r"sha256\.(bundle|masks/0.png) was "):
            make(read_recipe(recipe.file), out, 2, 2)
        shutil.rmtree(folder_of(out, Shard(number=2, count=2)))
        shared = (out / "shards" / "recipe.json").read_bytes()
        (out / "shards" / "recipe.json").unlink()  # as if both had begun at the same moment
        make(read_recipe(recipe.file), out, 2, 2)
        (out / "shards" / "recipe.json").write_bytes(shared)
    finally:
        (place / name).write_bytes(before)
    with pytest.raises(DataError, match="2-of-2, a shard of another recipe, bundle or folder"):
        join(out)
    assert not (out / "manifest.jsonl").exists()


def test_a_photograph_that_changed_between_shards_is_refused(
    recipe: Recipe, place: Path, tmp_path: Path
) -> None:
    out, photograph = tmp_path / "out", place / "good" / "2.png"
    before = photograph.read_bytes()
    make(recipe, out, 1, 2)
    photograph.write_bytes(before + b"\n")
    try:
        make(read_recipe(recipe.file), out, 2, 2)
    finally:
        photograph.write_bytes(before)
    with pytest.raises(DataError, match=r"sha256\.good/2\.png was "):
        join(out)


@pytest.mark.parametrize("text", ["[]", "{}", '{"items": [0, 9], "sha256": {}, "batch": 1}', "["])
def test_a_damaged_record_is_refused(text: str, recipe: Recipe, tmp_path: Path) -> None:
    out = tmp_path / "out"
    make_all(recipe, out, [1, 2])
    for path in (folder_of(out, Shard(number=1, count=2)), out / "shards"):
        (path / "recipe.json").write_text(text)
        with pytest.raises(DataError):
            join(out)


def test_another_kind_of_machine_is_noted(
    recipe: Recipe, whole: tuple[Path, bool], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, keep_all = whole
    out, first = tmp_path / "out", Shard(number=1, count=2)
    kind = {"cpu": "AVX512", "bfloat16": True, "torch": "2.13"}
    monkeypatch.setattr(shard_run, "machine", lambda _: kind)
    with alone(folder_of(out, first)):
        rows = ShardRun(recipe, first, out, keep_all=keep_all).make(workers=1)
        next(rows)
        rows.close()
    monkeypatch.setattr(shard_run, "machine", lambda _: {**kind, "bfloat16": False})
    with alone(folder_of(out, first)):
        run = ShardRun(recipe, first, out, keep_all=keep_all)
        assert len([*run.make(workers=1)]) == len(run) - 1
    assert [known["first"] for known in machines_of(run.folder)] == [0, 1]
    make(recipe, out, 2, 2, keep_all=keep_all)
    join(out)
    stop = run.items.stop
    assert kinds_of(out) == {
        "cpu AVX512, bfloat16 True, torch 2.13": ["0-0"],
        "cpu AVX512, bfloat16 False, torch 2.13": [f"1-{stop - 1}", f"{stop}-{len(recipe) - 1}"],
    }
    made = {name: data for name, data in files_in(out).items() if name != "machines.json"}
    assert made == files_in(root)
