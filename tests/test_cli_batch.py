import json
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from commands import (
    BLEMISH,
    IN_ORDER,
    ONE_THREAD,
    assert_parsing_fails,
    draw_in_this_process,
    exit_code,
    in_this_process,
    wait_for,
)
from same import files_in
from tiny import part, write_bundle

from blemish.data import check
from blemish.files import alone
from blemish.pictures import write_picture

COUNT = 15
RECIPE = f"""
bundle = "bundle"

[[group]]
defect = "crack"
count = {COUNT}
parts = 5
draw = {{ kind = "blob", area = [0.05, 0.1] }}
strength = [0.5, 1]
invert = {{ steps = 2 }}
"""
BATCH = "batch recipe.toml --device cpu --workers 1 --out out"


@pytest.fixture(scope="module")
def props(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle, a part, and recipes, most of them wrong."""
    root = tmp_path_factory.mktemp("props")
    write_bundle(root / "bundle")
    write_picture(root / "nut.png", part())
    for name in ("text.png", "file", "text.toml"):
        (root / name).write_text("hello")
    (root / "empty").mkdir()
    changes = {
        "recipe": ("", ""),
        "few": (str(COUNT), "3"),
        "key": ("count", "cuont"),
        "none": (str(COUNT), "0"),
        "type": ("crack", "rust"),
        "missing": ("parts = 5", 'photographs = "nothing"'),
        "empty": ("parts = 5", 'photographs = "empty"'),
        "bad": (f"{COUNT}\nparts = 5", '2\nphotographs = "text.png"'),
        "bundle": ('"bundle"', '"none"'),
    }
    for name, change in changes.items():
        (root / f"{name}.toml").write_text(RECIPE.replace(*change))
    return root


@pytest.fixture
def place(props: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of one's own to work in, with all of that."""
    for path in props.iterdir():
        (tmp_path / path.name).symlink_to(path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return tmp_path


@pytest.fixture(scope="module")
def whole(props: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """The folder of a run that nothing broke, and what the run reported."""
    out, reported = tmp_path_factory.mktemp("whole") / "out", StringIO()
    line = BATCH.replace("recipe.toml", str(props / "recipe.toml"))
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(reported):
        draw_in_this_process(patch)
        assert exit_code(f"{line} --out {out}") == 0
    return out, reported.getvalue().splitlines()


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many were asked for; none is started."""
    asked: list[int] = []

    def noted(*given: Any, workers: int) -> Iterator[Any]:
        asked.append(workers)
        return in_this_process(*given, workers=workers)

    monkeypatch.setattr(IN_ORDER, noted)
    return asked


def rows_in(out: Path) -> int:
    manifest = out / "manifest.jsonl"
    return manifest.read_bytes().count(b"\n") if manifest.exists() else 0


def start(line: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*BLEMISH, *line.split()],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ONE_THREAD,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def alive(pid: int) -> bool:
    """Whether a process is there, and no zombie."""
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()


def terminate(process: subprocess.Popen[str]) -> None:
    process.terminate()


def press_ctrl_c(process: subprocess.Popen[str]) -> None:
    os.killpg(process.pid, signal.SIGINT)


def terminate_all(process: subprocess.Popen[str]) -> None:
    """Send SIGTERM to the whole group, as a session manager does."""
    os.killpg(process.pid, signal.SIGTERM)


ENDS: list[tuple[Callable[[subprocess.Popen[str]], None], int, str]] = [
    (kill, -signal.SIGKILL, ""),
    (press_ctrl_c, 130, "Interrupted; no incomplete files are left. Run the same command"),
    (terminate, 143, "Terminated; no incomplete files are left. Run the same command again"),
    (terminate_all, 143, "Terminated; no incomplete files are left. Run the same command again"),
]


by_proc = pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="processes are found by /proc"
)


@by_proc
def test_stopped_twice_it_is_carried_on_as_if_unbroken(
    place: Path, whole: tuple[Path, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    for end, code, reported in ENDS:
        before = rows_in(place / "out")
        process = start(BATCH)
        wait_for(lambda seen=before: rows_in(place / "out") > seen, process)
        children = children_of(process.pid)
        assert len(children) > 1
        end(process)
        _, shown = process.communicate(timeout=60)
        assert process.returncode == code
        assert reported in shown
        assert "Traceback" not in shown
        assert before < rows_in(place / "out") < COUNT, "it was stopped on its way"
        wait_for(lambda gone=children: not any(map(alive, gone)))
        assert not hidden_in(place / "out") or end is kill
    draw_in_this_process(monkeypatch)
    assert exit_code(BATCH) == 0
    assert rows_in(place / "out") == COUNT
    assert files_in(place / "out") == files_in(whole[0])
    assert not check(place / "out").complaints


def hidden_in(out: Path) -> list[Path]:
    return [path for path in out.rglob(".*") if path.is_file()]


def kill_a_worker(out: Path) -> None:
    """One of this process's own, after the first row."""
    wait_for(lambda: rows_in(out) > 0)
    commands = {pid: Path(f"/proc/{pid}/cmdline") for pid in children_of(os.getpid())}
    workers = [pid for pid, command in commands.items() if b"spawn_main" in command.read_bytes()]
    os.kill(workers[0], signal.SIGKILL)


@by_proc
def test_a_worker_that_is_killed_ends_the_run_which_is_carried_on(
    place: Path,
    whole: tuple[Path, list[str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with ThreadPoolExecutor(1) as pool:
        killed = pool.submit(kill_a_worker, place / "out")
        assert exit_code(BATCH) == 1
        killed.result()
    reported = capsys.readouterr().err
    assert "Error: A process was killed, perhaps because memory ran out." in reported
    assert "Traceback" not in reported
    assert 0 < rows_in(place / "out") < COUNT
    assert not hidden_in(place / "out")
    draw_in_this_process(monkeypatch)
    assert exit_code(BATCH) == 0
    assert files_in(place / "out") == files_in(whole[0])


def test_the_figures_are_printed_as_json(
    whole: tuple[Path, list[str]], place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(f"{BATCH} --out {whole[0]} --json") == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures == json.loads((whole[0] / "report.json").read_text())
    assert figures["items"] == COUNT


def test_a_run_reports_what_it_made(
    place: Path, whole: tuple[Path, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    out, (first, *_, last) = whole
    counts = rf"{COUNT} items: \d+ kept, \d+ refused, 0 failed"
    assert re.fullmatch(rf"{counts}; {COUNT} made now, \d+\.\d s each\.", first)
    shown = f"{out}/manifest.jsonl has one line each; {out}/contact_sheet.png shows the last."
    assert last == shown
    assert exit_code(f"{BATCH} --out {out}") == 0
    again = capsys.readouterr().out.splitlines()[0]
    assert again == first.partition(";")[0] + "."


def test_a_place_that_cannot_be_written_stops_it(
    place: Path, processes: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "out" / "codes").mkdir(parents=True)
    (place / "out" / "codes").chmod(0o500)
    assert exit_code(BATCH.replace("recipe", "few") + " --workers 2") == 2
    assert processes == [2]
    reported = capsys.readouterr().err
    assert "codes: writing is not permitted" in reported
    assert rows_in(place / "out") == 0


def test_two_runs_do_not_make_one_set(
    place: Path, processes: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    with alone(place / "out"):
        assert exit_code(BATCH) == 2
    assert "out, which another run is using" in capsys.readouterr().err
    assert not processes


def test_if_everything_fails_it_is_an_error(
    place: Path, processes: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(BATCH.replace("recipe", "bad") + " --workers 20") == 2
    assert processes == [2], "no more than there are items"
    shown = capsys.readouterr()
    assert "every item failed, the first with: Got text.png, which is not an image" in shown.err
    assert rows_in(place / "out") == 2


def test_a_dry_run_prints_the_plan(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(f"{BATCH} --dry-run") == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["items"] == COUNT
    (group,) = plan["groups"]
    assert (group["count"], group["parts"], group["photographs"]) == (COUNT, 5, 0)
    assert not (place / "out").exists()


REFUSED = [
    ("recipe.toml --workers 0", "--workers 0"),
    ("recipe.toml --workers -2", "--workers -2"),
    ("recipe.toml --device cuda", "--device cuda"),
    ("nothing.toml", "nothing.toml, which can't be read"),
    ("text.toml", "text.toml, which is not valid TOML"),
    ("key.toml", "key.toml, group 1: the unknown key 'cuont'"),
    ("none.toml", "none.toml, group 1: count = 0"),
    ("type.toml", "type.toml, group 1: the defect type 'rust'"),
    ("missing.toml", "missing.toml, group 1: photographs = 'nothing'"),
    ("empty.toml", "empty.toml, group 1: photographs = 'empty'"),
    ("bundle.toml", "bundle.toml: the bundle 'none'"),
]
UNWRITABLE = [
    ("recipe.toml --out file", "file: something else is in its place"),
    ("recipe.toml --out file/deeper", "file/deeper: a file is in a folder's place"),
]


@pytest.mark.parametrize(
    "words, got",
    [
        *((f"{words} --out out", got) for words, got in REFUSED),
        *((f"{words} --out out --dry-run", got) for words, got in REFUSED),
        *UNWRITABLE,
    ],
)
def test_bad_input_is_refused_and_nothing_is_written(
    words: str,
    got: str,
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    before = sorted(place.rglob("*"))
    assert exit_code(f"batch {words}") == 2
    shown = capsys.readouterr()
    assert not shown.out
    first, expected, todo = shown.err.splitlines()
    assert first.startswith("Error: got ")
    assert got in first
    assert expected.startswith("  Expected ")
    assert todo.startswith("  ")
    assert sorted(place.rglob("*")) == before


UNPARSABLE = ["batch", "batch recipe.toml", "batch --out out", f"{BATCH} --workers two"]


@pytest.mark.parametrize("line", UNPARSABLE)
def test_what_cannot_be_parsed(line: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert_parsing_fails(line, capsys)
    assert not (place / "out").exists()
