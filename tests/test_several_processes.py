"""Trainings by several processes, of one machine or of several: every stage, on the CPU."""

import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from same import assert_same_bits, files_in
from tiny import CONFIG, write_bundle, write_parts
from torch import Tensor

from blemish.checkpoint import Bundle, load_tensors
from blemish.devices import make_fabric
from blemish.errors import OptionError
from blemish.models.load import load_generator

STAGES = ("generator", "encoder", "windows", "masks")
# Measured by the process that writes the bundle, or from a process's own share of a batch.
OF_ONE_PROCESS = ("w_avg", "running_mean", "running_var")
SCRIPT = """
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from tiny import CONFIG, TYPES

from blemish import checkpoint
from blemish.checkpoint import Bundle
from blemish.data.augment import Symmetries
from blemish.data.folder import DefectFolder
from blemish.devices import make_fabric, use_threads
from blemish.training import loop
from blemish.training.loop import Schedule
from blemish.models.residual import ResidualConfig
from blemish.training.stopping import TIME_LIMIT
from blemish.training.generator import GeneratorTraining, train_generator
from blemish.training.encoder.presets import RECIPES
from blemish.training.encoder.train import train_encoder
from blemish.models.mask_generator import MaskConfig
from blemish.training.masks.train import MaskTraining, train_masks
from blemish.models.window_generator import WindowConfig
from blemish.training.windows import train as windows
from blemish.training.windows.train import WindowTraining, train_windows

parts, out, processes, nodes, most = sys.argv[1:]
parts, out, use_one = DefectFolder(Path(parts)), Path(out), use_threads(1)
loop.draw_curves = lambda *_: None
windows.window_grid = partial(windows.window_grid, n=1)
fabric = make_fabric("cpu", processes=int(processes), nodes=int(nodes))
fabric.launch()
end = loop._run


def end_and_keep(stage, plan, fabric, out, folder, start, stop):
    ending = end(stage, plan, fabric, out, folder, start, stop)
    weights = stage.state().state_dict()
    checkpoint.save_tensors(folder / f"rank-{fabric.global_rank}.safetensors", weights)
    fabric.barrier()
    return ending


def cause(stop):
    # the time is up after so many steps
    stop.steps = getattr(stop, "steps", 0) + 1
    return TIME_LIMIT if stop.steps >= int(most) else 0


loop._run, loop.Stop.cause = end_and_keep, cause
lone, common, idle = (torch.nn.Parameter(torch.ones(2)) for _ in range(3))
loss = common.sum() + (lone.sum() if fabric.global_rank else 0)
every = [lone, common, idle]
optimisers = torch.optim.Adam(every, lr=0.1), torch.optim.SGD(every, lr=1.0)
loop.optimiser_step(fabric, loss, every, *optimisers)
known = {"lone": lone.grad, "common": common.grad}
checkpoint.save_tensors(out / f"gradients-{fabric.global_rank}.safetensors", known)
assert idle.grad is None
plan = Schedule(batch=4, kimg=0.016, snapshot_kimg=0.008, log_steps=1)
moves = Symmetries(flip=True, shift=True)
shape = replace(CONFIG, z_dim=8, w_dim=8, channel_base=128, channel_max=8, defect=None)
first = GeneratorTraining(
    schedule=plan, symmetries=moves, warm_steps=1, r1_every=2, path_every=2, critic=ResidualConfig()
)
train_generator(parts, shape, first, fabric, out / "generator", resume=True)
second = replace(RECIPES["in-domain"], schedule=plan, symmetries=moves)
known = {"placements": moves, "samples": 20}
train_encoder(parts, Bundle(out / "encoder"), second, fabric, resume=True, **known)
look = WindowConfig(types=(*TYPES, "good"), z_dim=8, w_dim=16, channels=(8, 8, 12, 16, 16))
third = WindowTraining(schedule=plan, warm_steps=1)
train_windows(parts, out / "windows", look, third, fabric, resume=True, first_third=False)
fourth = MaskTraining(schedule=plan, pool=16, warm_steps=1, penalty_every=2)
mask = MaskConfig(types=TYPES, z_dim=8, w_dim=16, channels=(8, 8))
train_masks(parts, out / "masks", mask, fourth, fabric, resume=True, first_third=False)
"""


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_parts(tmp_path_factory.mktemp("parts"), side=64)


def train(parts: Path, out: Path, *, processes: int, nodes: int = 1, most: int = 100) -> Path:
    """Train all stages, on as many machines as are given: here each is a command of its own.

    Each stage stops after the given number of steps, and goes on where it stood.
    """
    file, here = out.with_suffix(".py"), Path(__file__).parent
    file.write_text(SCRIPT)
    if not out.exists():
        write_bundle(out / "encoder", replace(CONFIG, z_dim=8, w_dim=8, channel_max=8))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    path = os.pathsep.join([str(here), os.environ.get("PYTHONPATH", "")])
    known = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    machine = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)} if nodes > 1 else {}
    runs = [
        subprocess.Popen(
            [sys.executable, str(file), *map(str, (parts, out, processes, nodes, most))],
            env={**known, **machine, **({"NODE_RANK": str(k)} if nodes > 1 else {})},
            stderr=subprocess.PIPE,
            text=True,
        )
        for k in range(nodes)
    ]
    for run in runs:
        _, reported = run.communicate(timeout=400)
        assert run.returncode == 0 and "deprecated" not in reported, reported
    return out


@pytest.fixture(scope="module")
def two_processes(parts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(parts, tmp_path_factory.mktemp("processes") / "b", processes=2)


def common(file: Path) -> dict[str, Tensor]:
    """Weights and statistics of a process that all of them share."""
    known = load_tensors(file)[0]
    return {name: known[name] for name in known if not name.endswith(OF_ONE_PROCESS)}


@pytest.mark.parametrize("stage", STAGES)
def test_all_processes_end_with_the_same_weights(stage: str, two_processes: Path) -> None:
    folder = two_processes / stage / "training" / stage
    ranks = [common(folder / f"rank-{k}.safetensors") for k in (0, 1)]
    assert ranks[0]
    assert_same_bits(*ranks)


def test_the_generator_has_the_shape_that_was_asked_for(two_processes: Path) -> None:
    shape = replace(CONFIG, z_dim=8, w_dim=8, channel_base=128, channel_max=8, defect=None)
    assert load_generator(Bundle(two_processes / "generator")).config == shape


@pytest.mark.parametrize("stage", STAGES)
def test_one_process_writes_the_statistics(stage: str, two_processes: Path) -> None:
    """Four steps, and one before them where there is a warm start."""
    file = two_processes / stage / "training" / stage / "stats.jsonl"
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert [row["step"] for row in rows] == [*range(1, 5 if stage == "encoder" else 6)]


def test_a_gradient_that_some_processes_lack_is_shared(two_processes: Path) -> None:
    for k in (0, 1):
        gradients = load_tensors(two_processes / f"gradients-{k}.safetensors")[0]
        assert gradients["lone"].tolist() == [0.5, 0.5]
        assert gradients["common"].tolist() == [1, 1]


def weights(out: Path) -> dict[str, bytes]:
    """Networks of a bundle, and the states of its trainings without their options."""
    return {
        name: data
        for name, data in files_in(out).items()
        if name.endswith(".safetensors") and "rank-" not in name
    }


def test_two_machines_carry_on_what_two_processes_began_as_if_unbroken(
    parts: Path, two_processes: Path, tmp_path: Path
) -> None:
    train(parts, tmp_path / "b", processes=2, most=2)
    again = train(parts, tmp_path / "b", processes=1, nodes=2)
    assert weights(again) == weights(two_processes)
    for stage in STAGES:
        file = Path(stage) / "training" / stage / "rank-1.safetensors"
        assert_same_bits(*(common(root / file) for root in (again, two_processes)))


def test_machines_that_would_wait_forever_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NODE_RANK", "MASTER_PORT", "SLURM_NTASKS", "TORCHELASTIC_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    with pytest.raises(OptionError, match="NODE_RANK and MASTER_PORT"):
        make_fabric("cpu", nodes=2)
    with pytest.raises(OptionError, match="0 nodes"):
        make_fabric("cpu", nodes=0)
