"""Loggers of a training's figures beside `stats.jsonl`: TensorBoard, Weights & Biases, MLflow.

They are loggers of Lightning Fabric. Each needs its package, an extra of Blemish with the same
name; accounts and servers are set by that package's own environment variables.
"""

import os
from collections.abc import Mapping
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lightning_fabric.loggers.logger import Logger
from lightning_fabric.loggers.tensorboard import TensorBoardLogger

from blemish.errors import OptionError
from blemish.names import LoggerName

PROJECT = "blemish"


def make_logger(name: LoggerName, folder: Path, start: int = 0) -> Logger:
    """Open a logger.

    Args:
        name: Name of the logger.
        folder: Folder of the training; files of the logger are in its subfolder of that name.
        start: Steps that are done; a resumed training replaces what was logged after them.

    Raises:
        OptionError: Its package is not installed.
    """
    refuse_without_package(name)
    place = folder / name
    if name == "tensorboard":
        return TensorBoardLogger(root_dir=folder, name=name, version="", purge_step=start)
    place.mkdir(parents=True, exist_ok=True)
    return WandbLogger(place) if name == "wandb" else MLflowLogger(place)


class WandbLogger(Logger):
    """Run of Weights & Biases; a resumed training continues its run.

    Args:
        folder: Folder for its files.
    """

    def __init__(self, folder: Path) -> None:
        import wandb  # pyright: ignore[reportMissingImports]

        number = sha256(str(folder.absolute()).encode()).hexdigest()[:16]
        self.run: Any = wandb.init(
            project=PROJECT, name=_run_name(folder), id=number, resume="allow", dir=folder
        )

    @property
    def name(self) -> str:
        return PROJECT

    @property
    def version(self) -> str:
        return str(self.run.id)

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:  # type: ignore[override]
        self.run.log(dict(metrics), step=step)

    def log_hyperparams(self, params: Mapping[str, Any]) -> None:  # type: ignore[override]
        self.run.config.update(dict(params), allow_val_change=True)

    def finalize(self, status: str) -> None:
        self.run.finish()


class MLflowLogger(Logger):
    """Run of MLflow, on the server of MLFLOW_TRACKING_URI or in the training's folder.

    Args:
        folder: Folder for its files without a server.
    """

    def __init__(self, folder: Path) -> None:
        from mlflow.tracking import MlflowClient  # pyright: ignore[reportMissingImports]

        address = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{folder / 'runs.db'}"
        self.client: Any = MlflowClient(tracking_uri=address)
        found = self.client.get_experiment_by_name(PROJECT)
        number = self.client.create_experiment(PROJECT) if found is None else found.experiment_id
        self.run: Any = self.client.create_run(number, run_name=_run_name(folder))

    @property
    def name(self) -> str:
        return PROJECT

    @property
    def version(self) -> str:
        return str(self.run.info.run_id)

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:  # type: ignore[override]
        for key, value in metrics.items():
            self.client.log_metric(self.version, key, value, step=step)

    def log_hyperparams(self, params: Mapping[str, Any]) -> None:  # type: ignore[override]
        for key, value in params.items():
            self.client.log_param(self.version, key, value)

    def finalize(self, status: str) -> None:
        self.client.set_terminated(self.version)


def refuse_without_package(name: LoggerName) -> None:
    """Raise an OptionError if the package of a logger is not installed."""
    if find_spec(name) is None:
        raise OptionError(
            got=f"--log {name}, without its package",
            expected=f"the package {name}",
            todo=f"Run pip install 'blemish[{name}]'.",
        )


def _run_name(folder: Path) -> str:
    """Name of the bundle and of the stage, from `BUNDLE/training/STAGE/LOGGER`."""
    return f"{folder.absolute().parents[2].name}/{folder.absolute().parent.name}"
