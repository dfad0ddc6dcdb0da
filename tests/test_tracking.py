import json
from pathlib import Path

import pytest
from PIL import Image

from blemish.tracking import Statistics, draw_curves, progress_bar


def rows(path: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def without_times(path: Path) -> list[dict[str, float]]:
    return [{k: v for k, v in row.items() if k != "images_per_s"} for row in rows(path)]


def run(path: Path, *, start: int = 0, steps: int = 8, window: int = 2) -> None:
    told = Statistics(path, resume_step=start)
    for step in range(start + 1, steps + 1):
        told.add({"loss": float(step)})
        if step % window == 0:
            told.flush(step=step, nimg=step * 16)


def test_a_line_holds_the_means_of_its_window(tmp_path: Path) -> None:
    told = Statistics(tmp_path / "stats.jsonl")
    told.add({"loss": 1.0, "r1": 5.0})
    told.add({"loss": 2.0})
    text = told.flush(step=2, nimg=32)
    told.add({"loss": 7.0})
    told.flush(step=3, nimg=48)
    first, second = rows(tmp_path / "stats.jsonl")
    assert first == {"step": 2, "kimg": 0.032, "loss": 1.5, "r1": 5.0, "images_per_s": None}
    assert second["loss"] == 7.0 and "r1" not in second
    assert second["images_per_s"] > 0
    assert "loss 1.5" in text and "0.0 kimg" in text


@pytest.mark.parametrize("stop", [2, 4, 6])
def test_an_interrupted_run_leaves_the_file_of_an_unbroken_one(tmp_path: Path, stop: int) -> None:
    run(tmp_path / "unbroken.jsonl")
    run(tmp_path / "resumed.jsonl", steps=7)  # lines after the last checkpoint
    run(tmp_path / "resumed.jsonl", start=stop)
    resumed = without_times(tmp_path / "resumed.jsonl")
    assert resumed == without_times(tmp_path / "unbroken.jsonl")


def test_a_line_torn_by_an_interruption_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "stats.jsonl"
    run(path, steps=4)
    with path.open("a") as file:
        file.write('{"step": 4, "ki')
    run(path, start=4)
    assert [row["step"] for row in rows(path)] == [2, 4, 6, 8]


@pytest.mark.parametrize(
    "damage",
    ["{", "7", "[]", "{}", '{"step": "1"}', '{"step": 1, "kimg": null}', "\x00", "[" * 9999],
)
def test_damaged_lines_are_left_out(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "stats.jsonl"
    run(path, steps=4)
    whole = rows(path)
    path.write_text(damage + "\n" + path.read_text())
    draw_curves(path, tmp_path / "curves.png")
    Statistics(path, resume_step=4)
    assert rows(path) == whole


def test_a_new_run_begins_a_new_file(tmp_path: Path) -> None:
    run(tmp_path / "stats.jsonl")
    run(tmp_path / "stats.jsonl", steps=2)
    assert [row["step"] for row in rows(tmp_path / "stats.jsonl")] == [2]


def test_curves_have_a_panel_for_each_series(tmp_path: Path) -> None:
    heights = []
    for series in (1, 3):
        told = Statistics(tmp_path / "stats.jsonl")
        for step in range(1, 4):
            told.add({f"loss {k}": 1 / (k + step) for k in range(series)})
            told.flush(step=step, nimg=step * 100)
        draw_curves(told.path, tmp_path / "curves.png")
        with Image.open(tmp_path / "curves.png") as picture:
            assert picture.format == "PNG"
            heights.append(picture.height)
    assert heights[1] == 2 * heights[0]  # with the pace, which is a series too


def test_a_series_that_began_late_or_never_is_drawn_all_the_same(tmp_path: Path) -> None:
    told = Statistics(tmp_path / "stats.jsonl")
    told.add({"warm": 1.0})
    told.flush(step=1, nimg=16)
    told.add({"critic": 1.0})
    told.flush(step=2, nimg=32)
    draw_curves(told.path, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").exists()


@pytest.mark.parametrize("text", [None, ""])
def test_without_lines_nothing_is_drawn(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "stats.jsonl").write_text(text)
    draw_curves(tmp_path / "stats.jsonl", tmp_path / "curves.png")
    assert not (tmp_path / "curves.png").exists()


def test_progress_goes_to_stderr_and_can_be_silent(capsys: pytest.CaptureFixture[str]) -> None:
    for quiet in (False, True):
        with progress_bar(quiet=quiet) as bar:
            line = bar.add_task("training", total=32, note="images")
            bar.update(line, completed=16)
        told = capsys.readouterr()
        assert told.out == ""
        assert ("16/32" in told.err) != quiet
