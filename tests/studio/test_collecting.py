"""Items are kept, discarded and taken back; many like them are made; sets are exported."""

import shlex
import time
from pathlib import Path
from typing import Any

import pytest
from commands import exit_code
from same import files_in
from studio_page import Opening, Page
from tiny import spot

from blemish.names import ExportFormat
from blemish.studio.commands import ExportWish, TrainWish, export_command, train_command
from blemish.studio.recipes import RecipeWish, shared
from blemish.synthesis.batch.recipe import read_recipe

PATIENCE = 180


def kept(page: Page, n: int = 1, **more: Any) -> list[str]:
    id = page.photograph()
    return [
        page.post(f"/api/photographs/{id}/keep", page.draft(spot(), seed=k, **more))["name"]
        for k in range(n)
    ]


def kept_of(page: Page) -> int:
    """Number of items of the set "kept" without a reason against them."""
    return sum(not one["reasons"] for one in page.get("/api/items?set=kept"))


def finished(page: Page, job: dict[str, Any]) -> dict[str, Any]:
    end = time.monotonic() + PATIENCE
    while job["state"] == "running" and time.monotonic() < end:
        time.sleep(0.2)
        job = page.get(f"/api/jobs/{job['id']}")
    return job


def test_an_item_is_kept_once_and_shown(page: Page) -> None:
    (name,), again = kept(page), kept(page)
    assert again == [name]
    assert page.get("/api/sets") == [{"name": "kept", "items": 1, "kept": kept_of(page)}]
    (item,) = page.get("/api/items?set=kept")
    assert item["name"] == name and item["photograph"] == "nut.png"
    for kind in ("closeup", "image", "twin", "mask", "requested"):
        answer = page.client.get(f"/api/items/{kind}.jpg?set=kept&item={name}")
        assert answer.headers["content-type"] == "image/jpeg" and answer.content


def test_a_discarded_item_is_out_of_the_set_and_can_be_taken_back(page: Page) -> None:
    first, second = kept(page, 2)
    before = files_in(page.studio.places.out / "kept")
    page.post("/api/discard", {"item": first})
    assert [one["name"] for one in page.get("/api/items?set=kept")] == [second]
    assert not [name for name in files_in(page.studio.places.out / "kept") if first in name]
    page.post("/api/restore", {"item": first})
    after = files_in(page.studio.places.out / "kept")
    lines = [one.pop("manifest.jsonl").splitlines() for one in (before, after)]
    assert before == after and sorted(lines[0]) == sorted(lines[1])


def test_a_recipe_asks_for_items_like_those_that_were_kept(page: Page, tmp_path: Path) -> None:
    kept(page, 2, strength=0.5)
    kept(page, 1, types=("crack",))
    text = page.post("/api/recipe", {"count": 10, "masks": "painted"})["recipe"]
    (tmp_path / "recipe.toml").write_text(text)
    recipe = read_recipe(tmp_path / "recipe.toml")
    assert len(recipe) == 10
    counts = {group.defect: group.count for group in recipe.groups}
    assert counts == {"paint": 7, "crack": 3}
    assert {group.strength for group in recipe.groups} == {0.5, 1.0}
    assert all(len(group.masks) == 1 and len(group.photographs) == 1 for group in recipe.groups)


@pytest.mark.parametrize("kind", ["blob", "learned"])
def test_a_recipe_may_draw_other_masks_on_other_photographs(
    kind: str, place: Path, tmp_path: Path
) -> None:
    with Opening(place, tmp_path / "out", data="data/parts") as page:
        id = page.photograph("0.png")
        page.post(f"/api/photographs/{id}/keep", page.draft(spot(32, 32)))
        wish = {"count": 3, "masks": kind, "everywhere": True}
        (tmp_path / "recipe.toml").write_text(page.post("/api/recipe", wish)["recipe"])
        recipe = read_recipe(tmp_path / "recipe.toml")
        recipe.check()
        (group,) = recipe.groups
        assert group.mask_kind == kind and len(group.photographs) == len(
            page.get("/api/photographs")
        )


def test_without_kept_items_there_is_no_recipe(page: Page) -> None:
    assert "Keep" in page.post("/api/recipe", {"count": 3}, 422)["todo"]


@pytest.mark.parametrize("weights", [[1], [1, 1, 1], [5, 1], [1, 2, 3, 4]])
@pytest.mark.parametrize("count", [1, 7, 500])
def test_a_number_is_shared_in_proportion(count: int, weights: list[int]) -> None:
    parts = shared(count, weights)
    assert sum(parts) == count
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part - count * weight / sum(weights)) < 1


def test_a_run_is_stopped_and_resumed(place: Path, tmp_path: Path) -> None:
    with Opening(place, tmp_path / "out") as page:
        kept(page)
        job = page.post("/api/run", {"count": 6})
        second = page.post("/api/run", {"count": 6}, 422)
        assert "one at a time" in second["expected"]
        page.post(f"/api/jobs/{job['id']}/stop", {})
        stopped = finished(page, job)
        assert stopped["state"] in ("stopped", "finished")
        if stopped["state"] == "finished":
            pytest.skip("the run ended before it was stopped")
    with Opening(place, tmp_path / "out") as page:  # the server's next start knows it
        job = page.post(f"/api/jobs/{job['id']}/resume", {})
        job = finished(page, job)
        assert job["state"] == "finished", job["log"]
        assert job["done"] == job["total"] == 6
        assert ("runs/set", 6) in [(one["name"], one["items"]) for one in page.get("/api/sets")]
        export = finished(page, page.post("/api/export", {"set": "runs/set", "format": "coco"}))
        assert export["state"] == "finished", export["log"]
        assert (page.studio.places.out / export["folder"] / "README.md").is_file()


@pytest.mark.parametrize("format", ["mvtec", "coco", "yolo", "hf-imagefolder"])
def test_kept_items_are_exported_in_every_format(
    format: ExportFormat, page: Page, tmp_path: Path
) -> None:
    kept(page, 2)
    wish = ExportWish(set="kept", format=format, pairs=True)
    command = export_command(page.studio.places.out / "kept", tmp_path / "export", wish)
    assert exit_code(shlex.join(command)) == 0
    assert (tmp_path / "export" / "README.md").is_file()


def test_data_are_checked_as_on_the_command_line(page: Page) -> None:
    job = finished(page, page.post("/api/check", {"path": "parts"}))
    found = page.get(f"/api/jobs/{job['id']}/check")["check"]
    assert {row["kind"] for row in found["rows"]} == {"good", "crack", "paint"}


def test_a_training_is_the_command(tmp_path: Path) -> None:
    wish = TrainWish(name="mine", minutes=5, everything=True)
    words = train_command(tmp_path / "data", tmp_path / "out", wish)
    assert words[:3] == ["train", "all", str(tmp_path / "data")]
    assert words[-1] == "--everything" and "5" in words


def test_a_training_without_statistics_has_no_curves(page: Page) -> None:
    job = page.post("/api/train", {"name": "mine", "data": "good", "minutes": 1})
    ended = finished(page, job)
    assert ended["state"] == "failed" and ended["curves"] == {} and "Error" in ended["log"]
    assert page.client.get(f"/api/jobs/{job['id']}/sample.png").status_code == 422


def test_curves_of_a_training_are_its_statistics(page: Page) -> None:
    job = page.post("/api/train", {"name": "mine", "data": "good", "minutes": 1})
    finished(page, job)
    stats = page.studio.places.out / "bundles" / "mine" / "training" / "windows" / "stats.jsonl"
    stats.parent.mkdir(parents=True)
    stats.write_text("".join(f'{{"step": {k}, "kimg": {k}, "loss": {k}.5}}\n' for k in range(900)))
    columns = page.get(f"/api/jobs/{job['id']}")["curves"]["windows"]
    assert columns["loss"][0] == 0.5 and len(columns["loss"]) == len(columns["kimg"]) <= 300


def test_a_wish_out_of_range_is_refused(page: Page) -> None:
    assert "number of items" in page.post("/api/run", {"count": 10**6}, 422)["got"]
    with pytest.raises(ValueError, match="number of items"):
        RecipeWish(count=0)
