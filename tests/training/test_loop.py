"""The training loop with a stage of one number: how it stops, and how it goes on."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
import torch
from jaxtyping import UInt8
from same import assert_same_bits
from torch import Tensor, nn

from blemish.checkpoint import load_tensors
from blemish.devices import make_fabric
from blemish.errors import OptionError, Terminated
from blemish.training.loop import STATE, Schedule, run, stored_options
from blemish.training.stopping import Ending, Stop

BATCH, UNCOUNTED, STEPS = 4, 3, 8
PLAN = Schedule(batch=BATCH, kimg=STEPS * BATCH / 1000, snapshot_kimg=4 * BATCH / 1000, log_steps=2)


class Counter:
    """Adds random numbers up; `at` holds what to do within a step."""

    def __init__(self, at: dict[int, Callable[[], object]] | None = None) -> None:
        self.sum, self.at = nn.Linear(1, 1), at or {}
        nn.init.zeros_(self.sum.weight)
        nn.init.zeros_(self.sum.bias)
        self.snapshots: list[int] = []

    def state(self) -> nn.ModuleDict:
        return nn.ModuleDict({"sum": self.sum})

    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        return {}

    def data(self) -> list[Tensor]:
        return []

    def origin(self) -> dict[str, str]:
        return {}

    def warm_up(self) -> None: ...

    def uncounted_steps(self) -> int:
        return UNCOUNTED

    def step(self, index: int, rng: torch.Generator) -> dict[str, float]:
        self.at.get(index, lambda: None)()
        value = torch.rand(1, generator=rng).item()
        self.sum.bias.data += value
        return {"value": value}

    def snapshot(self, out: Path, folder: Path, nimg: int) -> None:
        self.snapshots.append(nimg)

    def picture(self) -> UInt8[np.ndarray, "h w 3"]:
        return np.zeros((4, 4, 3), np.uint8)


def train(out: Path, stage: Counter | None = None, *, resume: bool = False, **how: Any) -> Ending:
    return run(stage or Counter(), PLAN, make_fabric("cpu"), out, resume=resume, name="x", **how)


def left(out: Path) -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
    """The state's tensors, and the lines of `stats.jsonl` without the pace."""
    folder = out / "training" / "x"
    lines = (folder / "stats.jsonl").read_text().splitlines()
    rows = [{k: v for k, v in json.loads(x).items() if k != "images_per_s"} for x in lines]
    return load_tensors(folder / STATE)[0], rows


def send(number: int) -> Callable[[], None]:
    return lambda: os.kill(os.getpid(), number)


def test_kimg_counts_what_the_critic_is_shown(tmp_path: Path) -> None:
    stage = Counter()
    ending = train(tmp_path, stage)
    assert ending == Ending(reason="finished", steps=UNCOUNTED + STEPS, nimg=STEPS * BATCH)
    assert stage.snapshots == [0, 4 * BATCH, 8 * BATCH]
    rows = left(tmp_path)[1]
    assert {row["kimg"] for row in rows if row["step"] <= UNCOUNTED} == {0}
    assert rows[-1]["kimg"] == PLAN.kimg


@pytest.mark.parametrize("number, kind", [(signal.SIGINT, KeyboardInterrupt), (15, Terminated)])
@pytest.mark.parametrize("index", [0, 1, 4, UNCOUNTED + STEPS - 1])
def test_a_signal_leaves_a_checkpoint_and_the_resumed_run_is_the_unbroken_one(
    tmp_path: Path, number: int, kind: type[BaseException], index: int
) -> None:
    before = signal.getsignal(number)
    signal.signal(number, signal.default_int_handler)  # as `main` has one for either
    try:
        with pytest.raises(kind, match="The checkpoint stands at"):
            train(tmp_path / "a", Counter({index: send(number)}))
        assert signal.getsignal(number) is signal.default_int_handler
    finally:
        signal.signal(number, before)
    about = load_tensors(tmp_path / "a" / "training" / "x" / STATE)[1]
    assert about["step"] == str(index + 1)
    train(tmp_path / "a", resume=True)
    train(tmp_path / "b")
    (state, rows), (unbroken, wanted) = left(tmp_path / "a"), left(tmp_path / "b")
    assert_same_bits(state, unbroken)
    assert rows == wanted


def test_the_second_ctrl_c_acts_at_once(tmp_path: Path) -> None:
    def twice() -> None:
        send(signal.SIGINT)()
        send(signal.SIGINT)()

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored under nohup
    try:
        with pytest.raises(KeyboardInterrupt) as caught:
            train(tmp_path, Counter({2: twice}))
    finally:
        signal.signal(signal.SIGINT, before)
    assert not str(caught.value)
    assert not (tmp_path / "training" / "x" / STATE).exists()


def test_a_signal_that_is_ignored_stays_ignored(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert train(tmp_path, Counter({2: send(signal.SIGINT)})).reason == "finished"
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_thread_can_train(tmp_path: Path) -> None:
    endings: list[Ending] = []
    thread = Thread(target=lambda: endings.append(train(tmp_path)))
    thread.start()
    thread.join()
    assert [ending.reason for ending in endings] == ["finished"]


def test_the_time_limit_ends_a_run_with_a_snapshot_and_it_goes_on(tmp_path: Path) -> None:
    stage = Counter()
    ending = train(tmp_path / "a", stage, minutes=1e-9)
    assert ending == Ending(reason="time limit", steps=1, nimg=0)
    assert stage.snapshots == [0]
    assert train(tmp_path / "a", resume=True, minutes=60).reason == "finished"
    train(tmp_path / "b")
    assert_same_bits(left(tmp_path / "a")[0], left(tmp_path / "b")[0])


def test_a_finished_run_stays_finished_whatever_its_time_limit(tmp_path: Path) -> None:
    train(tmp_path)
    assert train(tmp_path, resume=True, minutes=1e-9).reason == "finished"


@pytest.mark.parametrize("minutes", [0, -1, float("nan")])
def test_a_time_limit_is_above_zero(minutes: float) -> None:
    with pytest.raises(OptionError, match="a time limit of"):
        Stop(make_fabric("cpu"), minutes)


def test_the_state_keeps_the_options_of_the_command(tmp_path: Path) -> None:
    options = {"preset": "tiny-16", "kimg": 0.1, "everything": True}
    train(tmp_path, options=options)
    assert stored_options(tmp_path / "training" / "x") == options
    assert stored_options(tmp_path) == {}


def test_a_signal_to_one_process_stops_all_at_the_same_step(tmp_path: Path) -> None:
    folders = [str(folder) for folder in Path(__file__).parents[:2]]
    file = tmp_path / "script.py"
    file.write_text(f"""
import sys
sys.path[:0] = {folders}
import test_loop as t
from blemish.training import loop
loop.draw_curves = lambda *_: None
fabric = t.make_fabric("cpu", processes=2)
fabric.launch()
at = {{4: t.send(t.signal.SIGTERM)}} if fabric.global_rank == 1 else {{}}
out = t.Path(sys.argv[1])
try:
    t.run(t.Counter(at), t.PLAN, fabric, out, resume=False, name="x")
except t.Terminated as error:
    (out / f"rank-{{fabric.global_rank}}").write_text(str(error))
""")
    command = [sys.executable, str(file), str(tmp_path / "out")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr
    said = {(tmp_path / "out" / f"rank-{k}").read_text() for k in (0, 1)}
    assert len(said) == 1 and "The checkpoint stands at" in said.pop()
    assert load_tensors(tmp_path / "out" / "training" / "x" / STATE)[1]["step"] == "5"
