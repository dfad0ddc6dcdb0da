"""The main job on a real photograph with the bundles that ship."""

import json
from itertools import combinations
from pathlib import Path
from statistics import median

import numpy as np
import pytest

from blemish.checkpoint import EMBEDDED, embedded_bundles, find_bundle
from blemish.cli import main
from blemish.data.pairs import read_mask
from blemish.pictures import read_picture
from blemish.synthesis.composite import within_reach


@pytest.fixture(scope="module", params=["hazelnut"])
def made(
    request: pytest.FixtureRequest, shared: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[dict]]:
    data, out = shared / "data" / "hazelnut_toy", tmp_path_factory.mktemp("made")
    normal, mask = data / "test/good/04.jpg", data / "ground_truth/colour/13_mask.png"
    command = ["synthesize", "--bundle", request.param, "--defect", "colour", "--count", "4"]
    assert main([*command, "--normal", str(normal), "--mask", str(mask), "--out", str(out)]) == 0
    rows = [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]
    return out, rows


def test_results_have_the_size_of_the_photograph(made: tuple[Path, list[dict]]) -> None:
    out, rows = made
    assert len(rows) == 4
    assert {read_picture(out / row["files"]["image"]).shape for row in rows} == {(512, 512, 3)}


def test_the_change_meets_the_request(made: tuple[Path, list[dict]]) -> None:
    assert median(row["scores"]["iou_requested"] for row in made[1]) >= 0.6


def test_the_mask_is_exactly_what_changed(made: tuple[Path, list[dict]]) -> None:
    out, rows = made
    for row in rows:
        picture, twin = (read_picture(out / row["files"][name]) for name in ("image", "twin"))
        changed = (picture != twin).any(axis=2)
        assert np.array_equal(changed, read_mask(out / row["files"]["mask"]))
        assert not (changed & ~within_reach(read_mask(out / row["files"]["requested"]))).any()


def test_the_twin_is_the_photograph(made: tuple[Path, list[dict]]) -> None:
    out, rows = made
    for row in rows:
        twin, photograph = (
            read_picture(out / row["files"]["twin"]),
            read_picture(Path(row["normal"])),
        )
        assert np.array_equal(twin, photograph)


def test_the_four_differ(made: tuple[Path, list[dict]]) -> None:
    out, rows = made
    pictures = [read_picture(out / row["files"]["image"]).astype(int) for row in rows]
    mask = read_mask(out / rows[0]["files"]["requested"])
    for first, second in combinations(pictures, 2):
        assert np.abs(first - second)[mask].mean() > 2


def test_the_package_stays_small() -> None:
    assert sum(file.stat().st_size for file in EMBEDDED.rglob("*.*")) < 60e6


PARTS = ("generator", "critic", "statistics", "encoder", "windows", "windows_encoder", "masks")


@pytest.mark.parametrize("name", ["hazelnut"])
def test_a_bundle_that_ships_is_whole(name: str) -> None:
    assert name in embedded_bundles()
    bundle = find_bundle(name)
    assert "CC BY-SA" in (bundle.path / "README.md").read_text(encoding="utf-8")
    for part in PARTS:
        assert bundle.tensors(part)
