"""A Ray cluster of two machines gives the set of one process; scripts/check-ray runs this."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from commands import draw_in_this_process
from same import files_in
from tiny import write_recipe

from blemish.errors import DataError, OptionError, OutputError
from blemish.files import alone
from blemish.names import StoreName
from blemish.synthesis.batch.batch import BatchFolder
from blemish.synthesis.batch.cluster import make_on_cluster
from blemish.synthesis.batch.on_ray import items_on_ray
from blemish.synthesis.batch.portions import PORTIONS, Maker
from blemish.synthesis.batch.recipe import Recipe, read_recipe

ray = pytest.importorskip("ray", reason="the extra 'ray' is not installed: scripts/check-ray")

SIZE = 2  # items per portion
RECIPE = """
bundle = "bundle"
seed = 3

[[group]]
defect = "crack"
count = 24
photographs = "good"
masks = "masks"
invert = { steps = 2 }

[[group]]
defect = "paint"
count = 4
parts = 2
draw = { kind = "blob", area = [0.05, 0.1] }
invert = { steps = 2 }
"""


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    """A recipe with a bad photograph among good ones."""
    root = tmp_path_factory.mktemp("place")
    return read_recipe(write_recipe(root, RECIPE, "01234567", "3") / "recipe.toml")


@pytest.fixture(scope="module")
def machines() -> Iterator[Any]:
    """A cluster of two nodes of one core each; each runs in processes of its own."""
    from ray.cluster_utils import Cluster  # pyright: ignore[reportMissingImports]

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    yield cluster
    ray.shutdown()
    cluster.shutdown()


@pytest.fixture(autouse=True)
def near_duplicates(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wide bound, so that some of the few items are near-duplicates."""
    monkeypatch.setattr("blemish.synthesis.curation.duplicates.ALIKE", 0.8)


def by_processes(recipe: Recipe, root: Path, store: StoreName) -> dict[str, bytes]:
    """Files of a run without a cluster."""
    with pytest.MonkeyPatch.context() as patch, alone(root):
        draw_in_this_process(patch)
        batch = BatchFolder(recipe, root, store=store)
        assert len([*batch.make(workers=1)]) == len(recipe)
        batch.finish()
    return files_in(root)


def on_cluster(recipe: Recipe, out: Path | str, **options: Any) -> dict[str, Any]:
    return make_on_cluster(recipe, str(out), size=SIZE, **options)


def compared(root: Path) -> dict[str, bytes]:
    return {name: data for name, data in files_in(root).items() if name != "running.lock"}


@pytest.mark.parametrize("store", ["folder", "tar", "parquet"])
def test_a_machine_dies_and_the_set_is_complete(
    store: StoreName, machines: Any, recipe: Recipe, tmp_path: Path
) -> None:
    second = machines.add_node(num_cpus=1)
    machines.wait_for_nodes()
    out, dead = tmp_path / "out", []

    def die(done: float) -> None:
        if done > 0.2 and not dead:
            dead.append(done)
            machines.remove_node(second, allow_graceful=False)

    figures = on_cluster(recipe, out, store=store, on_progress=die)
    assert dead and dead[0] < 0.9, "it died while items were made"
    whole = by_processes(recipe, tmp_path / "whole", store)
    whole.pop("running.lock")
    assert compared(out) == whole
    assert figures == json.loads(whole["report.json"])
    rows = [json.loads(line) for line in whole["manifest.jsonl"].splitlines()]
    assert {row["outcome"] for row in rows} == {"kept", "refused", "failed"}


class Stopped(BaseException):
    """As a command that is killed."""


def test_a_run_stopped_twice_is_carried_on(machines: Any, recipe: Recipe, tmp_path: Path) -> None:
    out, ends = tmp_path / "out", [0.3, 0.95]
    for end in ends:

        def stop(done: float, end: float = end) -> None:
            if done >= end:
                raise Stopped

        with pytest.raises(Stopped):
            on_cluster(recipe, out, store="tar", on_progress=stop)
        before = {path: path.stat().st_mtime_ns for path in (out / PORTIONS).glob("0*.tar")}
        assert before
        assert not (out / "report.json").exists()
    on_cluster(recipe, out, store="tar")
    whole = by_processes(recipe, tmp_path / "whole", "tar")
    whole.pop("running.lock")
    assert compared(out) == whole
    on_cluster(recipe, out, store="tar")
    assert compared(out) == whole
    with pytest.raises(DataError, match="keep_all"):
        on_cluster(recipe, out, store="tar", keep_all=True)


def test_a_place_that_takes_nothing_is_reported(
    machines: Any, recipe: Recipe, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    (out / PORTIONS / "000001.tar").mkdir(parents=True)
    with pytest.raises(OutputError, match=r"000001\.tar: a folder is in its place"):
        on_cluster(recipe, out, store="tar")


def test_items_come_as_rows(machines: Any, recipe: Recipe, tmp_path: Path) -> None:
    found = items_on_ray(Maker(recipe=recipe, size=SIZE)).take_all()
    whole = by_processes(recipe, tmp_path / "whole", "folder")
    rows = [json.loads(line) for line in whole["manifest.jsonl"].splitlines()]
    by_name = {row["name"]: row for row in found}
    assert {*by_name} == {row["name"] for row in rows}
    for row in rows:
        for kind in ("image", "mask", "twin"):
            if kind in row["files"]:
                assert by_name[row["name"]][kind] == whole[row["files"][kind]]


def test_an_object_store_takes_volumes(machines: Any, recipe: Recipe, tmp_path: Path) -> None:
    server = pytest.importorskip("moto.server", reason="moto stands for S3: scripts/check-ray")
    fs = pytest.importorskip("pyarrow.fs")
    served = server.ThreadedMotoServer(port=0)
    served.start()
    host, port = served.get_host_and_port()
    uri = f"s3://key:secret@bucket/set?endpoint_override={host}:{port}&scheme=http&region=us-east-1"
    try:
        system, _ = fs.FileSystem.from_uri(f"{uri}&allow_bucket_creation=true")
        system.create_dir("bucket")
        with pytest.raises(OptionError, match="single files"):
            on_cluster(recipe, uri)
        figures = on_cluster(recipe, uri, store="tar")
        assert figures == on_cluster(recipe, uri, store="tar")
        local = fs.LocalFileSystem()
        (tmp_path / "out").mkdir()
        fs.copy_files("bucket/set", str(tmp_path / "out"), system, local)
    finally:
        served.stop()
    whole = by_processes(recipe, tmp_path / "whole", "tar")
    whole.pop("running.lock")
    assert compared(tmp_path / "out") == whole
