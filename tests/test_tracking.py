import json
import re
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

from blemish import tracking
from blemish.tracking import ProgressLine, Statistics, draw_curves


def rows(path: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def without_times(path: Path) -> list[dict[str, float]]:
    return [{k: v for k, v in row.items() if k != "images_per_s"} for row in rows(path)]


def run(path: Path, *, start: int = 0, steps: int = 8, window: int = 2) -> None:
    statistics = Statistics(path, batch=16, resume_step=start)
    for step in range(start + 1, steps + 1):
        statistics.add({"loss": float(step)})
        if step % window == 0:
            statistics.flush(step=step, nimg=step * 16)


def test_a_line_holds_the_means_of_its_window(tmp_path: Path) -> None:
    statistics = Statistics(tmp_path / "stats.jsonl", batch=16)
    statistics.add({"loss": 1.0, "r1": 5.0})
    statistics.add({"loss": 2.0})
    text = statistics.flush(step=2, nimg=32)
    statistics.add({"loss": 7.0})
    statistics.flush(step=3, nimg=48)
    first, second = rows(tmp_path / "stats.jsonl")
    assert first == {"step": 2, "kimg": 0.032, "loss": 1.5, "r1": 5.0, "images_per_s": None}
    assert second["loss"] == 7.0 and "r1" not in second
    assert second["images_per_s"] > 0
    assert "loss 1.5" in text


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
    Statistics(path, batch=4, resume_step=4)
    assert rows(path) == whole


def test_a_new_run_begins_a_new_file(tmp_path: Path) -> None:
    run(tmp_path / "stats.jsonl")
    run(tmp_path / "stats.jsonl", steps=2)
    assert [row["step"] for row in rows(tmp_path / "stats.jsonl")] == [2]


def test_curves_have_a_panel_for_each_series(tmp_path: Path) -> None:
    heights = []
    for series in (1, 3):
        statistics = Statistics(tmp_path / "stats.jsonl", batch=16)
        for step in range(1, 4):
            statistics.add({f"loss {k}": 1 / (k + step) for k in range(series)})
            statistics.flush(step=step, nimg=step * 100)
        draw_curves(statistics.path, tmp_path / "curves.png")
        with Image.open(tmp_path / "curves.png") as picture:
            assert picture.format == "PNG"
            heights.append(picture.height)
    assert heights[1] == 2 * heights[0]  # with the pace, which is a series too


def test_a_series_that_began_late_or_never_is_drawn_all_the_same(tmp_path: Path) -> None:
    statistics = Statistics(tmp_path / "stats.jsonl", batch=16)
    statistics.add({"warm": 1.0})
    statistics.flush(step=1, nimg=16)
    statistics.add({"critic": 1.0})
    statistics.flush(step=2, nimg=32)
    draw_curves(statistics.path, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").exists()


@pytest.mark.parametrize("text", [None, ""])
def test_without_lines_nothing_is_drawn(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "stats.jsonl").write_text(text)
    draw_curves(tmp_path / "stats.jsonl", tmp_path / "curves.png")
    assert not (tmp_path / "curves.png").exists()


def test_a_window_goes_on_where_it_was_cut(tmp_path: Path) -> None:
    statistics = Statistics(tmp_path / "a.jsonl", batch=16)
    for value in (1.0, 0.1, 4.0):
        statistics = Statistics(tmp_path / "a.jsonl", batch=16, window=statistics.window())
        statistics.add({"loss": value})
    statistics.flush(step=3, nimg=48)
    whole = Statistics(tmp_path / "b.jsonl", batch=16)
    for value in (1.0, 0.1, 4.0):
        whole.add({"loss": value})
    whole.flush(step=3, nimg=48)
    assert rows(tmp_path / "a.jsonl") == rows(tmp_path / "b.jsonl")


def test_progress_goes_to_stderr_and_can_be_silent(capsys: pytest.CaptureFixture[str]) -> None:
    for quiet in (False, True):
        with ProgressLine("training", 32, quiet=quiet) as line:
            line.update(16)
        reported = capsys.readouterr()
        assert reported.out == ""
        assert ("training: 16/32" in reported.err) != quiet


@pytest.fixture
def wait(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Move the progress lines' clock on by some seconds."""
    now = 0.0

    def on(seconds: float) -> None:
        nonlocal now
        now += seconds

    monkeypatch.setattr(tracking, "monotonic", lambda: now)
    return on


def test_without_a_terminal_there_is_a_line_a_minute_and_one_at_the_end(
    wait: Callable[[float], None], capsys: pytest.CaptureFixture[str]
) -> None:
    with ProgressLine("training", 300) as line:
        for done in range(1, 301):
            wait(1.0)
            line.update(done, note=f"loss {done}")
    *minutes, _, end = capsys.readouterr().err.splitlines()
    assert minutes[0] == "training: 60/300, 0:01:00 so far, 0:04:00 left; loss 60"
    assert len(minutes) == 4  # and one after the fifth minute, which is the last step
    assert end.startswith("training: 300/300, 0:05:00 so far, 0:00:00 left")


@pytest.mark.parametrize("width", [40, 80, 200])
def test_on_a_terminal_a_long_note_squeezes_nothing(width: int) -> None:
    console = Console(file=StringIO(), force_terminal=True, width=width, no_color=True)
    note = "  ".join(f"{name} -0.123" for name in ("critic", "sign_real", "generator") * 4)
    line = ProgressLine("training", 3000, console=console)
    line.update(1500, count="24.0/48.0 kimg", note=note)
    assert isinstance(line.view, tracking._Bar)
    line.view.update()
    with console.capture() as shown:
        console.print(*line.view.progress.get_renderables(), sep="\n")
    first, *below = re.sub(r"\x1b\[[0-9;]*m", "", shown.get()).splitlines()
    if width >= 80:
        assert "━" * 10 in first  # half of the bar
    assert "24.0/48.0 kimg" in first and ":--" in first
    assert " ".join("".join(f"{x} " for x in below).split()) == " ".join(note.split())


def test_time_left_is_at_the_pace_of_the_part_under_way(
    wait: Callable[[float], None], capsys: pytest.CaptureFixture[str]
) -> None:
    with ProgressLine("warming up", 200) as line:
        for done in range(1, 161):
            wait(0.5 if done <= 100 else 10.0)
            line.update(done, what="warming up" if done < 100 else "training")
    assert (
        capsys.readouterr().err.splitlines()[-1]
        == "training: 160/200, 0:10:50 so far, 0:06:40 left"
    )
