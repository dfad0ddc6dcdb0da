"""A training is stopped and resumed, also after its server was killed."""

import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
from commands import ONE_THREAD
from studio_page import Opening, Page

from blemish.studio.job import BackgroundJob
from blemish.studio.jobs import Jobs

PATIENCE = 180


def until(known: Callable[[], Any]) -> Any:
    """Wait for something that is true."""
    end = time.monotonic() + PATIENCE
    while not (found := known()):
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.2)
    return found


def started_and_killed(place: Path, out: Path) -> str:
    """Start a training in a server of its own, and kill the server; the job's name."""
    words = (place / "data" / "parts", "--bundle", place / "bundle", "--out", out, "--no-browser")
    command = [sys.executable, "-m", "blemish", "studio", *map(str, words), "--device", "cpu"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=ONE_THREAD) as server:
        assert server.stderr is not None
        found = re.search(r"(http://\S+)/\?token=(\S+)", server.stderr.readline())
        assert found is not None
        headers = {"x-blemish-token": found[2]}
        wish = {"name": "mine", "minutes": 30}
        job = httpx.post(f"{found[1]}/api/train", json=wish, headers=headers).json()["id"]
        until(lambda: [*out.glob("bundles/mine/training/*/stats.jsonl")])
        server.kill()
    return job


def state(page: Page, id: str) -> str:
    return page.get(f"/api/jobs/{id}")["state"]


def rows(out: Path) -> int:
    files = out.glob("bundles/mine/training/*/stats.jsonl")
    return sum(len(file.read_text().splitlines()) for file in files)


def test_a_training_outlives_a_killed_server_and_is_stopped_and_resumed(
    place: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    id = started_and_killed(place, out)
    with Opening(place, out, data="data/parts") as page:
        assert state(page, id) == "running"
        second = page.post("/api/train", {"name": "other", "minutes": 5}, 422)
        assert "one at a time" in second["expected"]
        page.post(f"/api/jobs/{id}/stop", {})
        until(lambda: state(page, id) != "running")
        stopped = page.get(f"/api/jobs/{id}")
        assert stopped["state"] == "stopped" and stopped["resumable"], stopped["log"]
        before = rows(out)
        page.post(f"/api/jobs/{id}/resume", {})
        until(lambda: rows(out) > before or state(page, id) != "running")
        assert state(page, id) == "running", page.get(f"/api/jobs/{id}")["log"]
    with Opening(place, out, data="data/parts") as page:  # a server that ends stops its jobs
        assert state(page, id) == "stopped"


def test_a_job_that_ended_while_no_server_was_there_has_its_state(tmp_path: Path) -> None:
    known = Jobs(tmp_path)
    (tmp_path / "jobs").mkdir()
    for id, code in (("train-1", "0"), ("train-2", "2"), ("train-3", None)):
        known.records.store(BackgroundJob(id=id, kind="train", title=id, arguments=()))
        if code is not None:
            (tmp_path / "jobs" / f"{id}.code").write_text(code)
    found = {id: job.state for id, job in Jobs(tmp_path).known.items()}
    assert found == {"train-1": "finished", "train-2": "failed", "train-3": "stopped"}
