"""Shards as commands: killed and resumed, two at once, and joined."""

import json
import re
import signal
import subprocess
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest
from commands import (
    BLEMISH,
    ONE_THREAD,
    assert_refused,
    draw_in_this_process,
    exit_code,
    wait_for,
)
from same import files_in
from tiny import write_bundle

from blemish.files import alone

COUNT = 12
RECIPE = f"""
bundle = "bundle"

[[group]]
defect = "crack"
count = {COUNT}
parts = 4
draw = {{ kind = "blob", area = [0.05, 0.1] }}
invert = {{ steps = 2 }}
"""
BATCH = "batch recipe.toml --device cpu --workers 1 --out out"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_bundle(tmp_path / "bundle")
    (tmp_path / "recipe.toml").write_text(RECIPE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return tmp_path


def start(shard: str) -> subprocess.Popen[str]:
    command = [*BLEMISH, *BATCH.split(), "--shard", shard]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=ONE_THREAD)


def rows_in(out: Path, name: str) -> int:
    file = out / "shards" / name / "items.jsonl"
    return file.read_bytes().count(b"\n") if file.exists() else 0


def test_two_at_once_of_which_one_is_killed_are_the_whole(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = start("1/2"), start("2/2")
    wait_for(lambda: rows_in(place / "out", "2-of-2") > 0, second)
    second.kill()
    second.communicate()
    assert second.returncode == -signal.SIGKILL
    assert rows_in(place / "out", "2-of-2") < COUNT // 2, "it was killed on its way"
    _, shown = first.communicate()
    assert first.returncode == 0, shown
    draw_in_this_process(monkeypatch)
    assert exit_code("gather out") == 2
    assert exit_code(f"{BATCH} --shard 2/2") == 0
    assert exit_code("gather out") == 0
    assert exit_code(f"{BATCH} --out whole") == 0
    assert files_in(place / "out") == files_in(place / "whole")


@pytest.mark.usefixtures("no_processes")
def test_an_array_makes_the_whole_and_says_so(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("JOB_COMPLETION_COUNT", "3")
    for index in (2, 0, 1):
        monkeypatch.setenv("JOB_COMPLETION_INDEX", str(index))
        assert exit_code(f"{BATCH} --shard auto") == 0
        first, *_, last = capsys.readouterr().out.splitlines()
        assert re.fullmatch(r"\d items: .* made now, .* s each\.", first)
        assert last == f"This was shard {index + 1}/3; after the last one: blemish gather out"
    assert exit_code("gather out") == 0
    assert capsys.readouterr().out.startswith(f"{COUNT} items: ")
    reported = StringIO()
    with redirect_stdout(reported):
        assert exit_code(f"{BATCH} --shard auto") == 0
    assert "out is gathered already" in reported.getvalue()
    before = files_in(place / "out")
    assert exit_code("gather out --json") == 0
    assert json.loads(capsys.readouterr().out) == json.loads(before["report.json"])
    assert files_in(place / "out") == before
    assert not (place / "out" / "shards").exists()


@pytest.mark.usefixtures("no_processes")
def test_a_shard_runs_once_at_a_time(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with alone(place / "out" / "shards" / "1-of-2"):
        assert exit_code(f"{BATCH} --shard 1/2") == 2
        assert "1-of-2, which another run is using" in capsys.readouterr().err
        assert exit_code(f"{BATCH} --shard 2/2") == 0


def test_a_dry_run_names_the_items_of_a_shard(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(f"{BATCH} --shard 2/2 --dry-run") == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["shard"] == {"name": "2/2", "first": COUNT // 2, "items": COUNT // 2}
    assert not (place / "out").exists()


REFUSED = [
    (f"{BATCH} --shard 3/2", "shard 3/2"),
    (f"{BATCH} --shard two", "--shard two"),
    (f"{BATCH} --shard auto", "--shard auto where neither"),
    ("gather out", "out, which has no shards"),
    ("gather recipe.toml", "recipe.toml, which has no shards"),
]


@pytest.mark.parametrize("line, got", REFUSED)
def test_bad_input_is_refused_and_nothing_is_written(
    line: str,
    got: str,
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("SLURM_ARRAY_TASK_ID", "JOB_COMPLETION_INDEX"):
        monkeypatch.delenv(name, raising=False)
    before = sorted(place.rglob("*"))
    assert_refused(line, got, capsys)
    assert sorted(place.rglob("*")) == before
