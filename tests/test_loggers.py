"""Loggers get a training's figures; a missing package is named."""

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from commands import assert_refused, exit_code
from tiny import write_parts

from blemish import loggers
from blemish.documents import parse_json
from blemish.errors import OptionError

pytestmark = pytest.mark.usefixtures("short_trainings")


class Recorder(ModuleType):
    """Stand-in for a package; it records what is logged."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.rows: list[tuple[dict[str, float], int]] = []
        self.params: dict[str, Any] = {}
        self.ended = 0


@pytest.fixture
def wandb(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    """Run of Weights & Biases."""
    package = Recorder("wandb")

    def init(**known: Any) -> SimpleNamespace:
        package.params |= known

        def end() -> None:
            package.ended += 1

        return SimpleNamespace(
            id=known["id"],
            log=lambda row, step: package.rows.append((row, step)),
            config=SimpleNamespace(update=lambda row, **_: package.params.update(row)),
            finish=end,
        )

    package.init = init  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "wandb", package)
    monkeypatch.setattr(loggers, "find_spec", lambda _: object())
    return package


@pytest.fixture
def mlflow(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    """Client of MLflow."""
    package, tracking = Recorder("mlflow"), ModuleType("mlflow.tracking")

    class Client:
        def __init__(self, tracking_uri: str) -> None:
            package.params["tracking_uri"] = tracking_uri

        def get_experiment_by_name(self, _: str) -> None:
            return None

        def create_experiment(self, _: str) -> str:
            return "1"

        def create_run(self, _: str, run_name: str) -> SimpleNamespace:
            package.params["name"] = run_name
            return SimpleNamespace(info=SimpleNamespace(run_id="7"))

        def log_metric(self, _: str, key: str, value: float, step: int) -> None:
            package.rows.append(({key: value}, step))

        def log_param(self, _: str, key: str, value: Any) -> None:
            package.params[key] = value

        def set_terminated(self, _: str) -> None:
            package.ended += 1

    tracking.MlflowClient = Client  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "mlflow", package)
    monkeypatch.setitem(sys.modules, "mlflow.tracking", tracking)
    monkeypatch.setattr(loggers, "find_spec", lambda _: object())
    return package


def trained(tmp_path: Path, log: str) -> list[dict[str, Any]]:
    """Lines of stats.jsonl of a short training of masks."""
    data = write_parts(tmp_path / "data", side=64)
    words = f"train masks {data} --bundle {tmp_path / 'bundle'} --kimg 0.008 --batch 4"
    assert exit_code(f"{words} --device cpu --threads 1 --seed 3 --log {log}") == 0
    lines = (tmp_path / "bundle" / "training" / "masks" / "stats.jsonl").read_text().splitlines()
    return [dict(parse_json(line)) for line in lines]


def test_wandb_gets_each_line(wandb: Recorder, tmp_path: Path) -> None:
    lines = trained(tmp_path, "wandb")
    assert [step for _, step in wandb.rows] == [line["step"] for line in lines]
    for (row, _), line in zip(wandb.rows, lines, strict=True):
        assert row == {k: v for k, v in line.items() if k != "step" and v is not None}
    assert wandb.params["name"] == "bundle/masks" and wandb.params["seed"] == 3
    assert wandb.ended == 1


def test_mlflow_gets_each_figure(mlflow: Recorder, tmp_path: Path) -> None:
    lines = trained(tmp_path, "mlflow")
    wanted = [
        ({k: v}, line["step"])
        for line in lines
        for k, v in line.items()
        if k != "step" and v is not None
    ]
    assert mlflow.rows == wanted and mlflow.ended == 1
    assert mlflow.params["name"] == "bundle/masks"
    assert str(tmp_path) in mlflow.params["tracking_uri"]


def test_tensorboard_writes_events(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="the extra tensorboard is not installed")
    trained(tmp_path, "tensorboard")
    assert [*(tmp_path / "bundle" / "training" / "masks" / "tensorboard").glob("events.*")]


@pytest.mark.parametrize("name", ["tensorboard", "wandb", "mlflow"])
def test_a_missing_package_is_named(
    name: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(loggers, "find_spec", lambda _: None)
    with pytest.raises(OptionError, match=rf"blemish\[{name}\]"):
        loggers.make_logger(name, tmp_path)
    data = write_parts(tmp_path / "data", side=64)
    line = f"train masks {data} --bundle {tmp_path / 'b'} --kimg 0.004 --device cpu --log {name}"
    assert_refused(line, f"--log {name}", capsys)
