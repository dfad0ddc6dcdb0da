"""A trial that was interrupted goes on where it was, and takes nothing that is not its own."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from blemish.checkpoint import load_tensors, save_tensors
from blemish.errors import OutputError
from blemish.evaluation.utility import evaluate
from blemish.evaluation.utility.evaluate import UtilityData, prepare_utility
from blemish.evaluation.utility.keep import FOLDER
from blemish.evaluation.utility.plan import UtilityOptions
from blemish.files import alone

CPU = torch.device("cpu")


@pytest.fixture
def trial(parts: Path) -> UtilityData:
    return prepare_utility(UtilityOptions(real=parts, seeds=2, steps=2, batch=4, size=32))


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, int]]]:
    """Which trainings were really done."""
    done: list[tuple[str, int]] = []
    train = evaluate.train_detector

    def watched(detector: Any, batches: Any, **options: Any) -> None:
        done.append((batches.arm.name, batches.seed))
        train(detector, batches, **options)

    monkeypatch.setattr(evaluate, "train_detector", watched)
    yield done


ALL = [("real", 0), ("real", 1), ("copy-paste", 0), ("copy-paste", 1)]


def test_what_is_done_is_not_done_again(
    trial: UtilityData, trained: list[tuple[str, int]], tmp_path: Path
) -> None:
    first = trial.put(tmp_path, CPU)
    assert trained == ALL
    heard: list[int] = []
    again = trial.put(tmp_path, CPU, heard.append)
    assert trained == ALL and heard == [2, 4, 6, 8]
    for one, other in zip(first, again, strict=True):
        assert (one.arm, one.seed, one.figures) == (other.arm, other.seed, other.figures)
        np.testing.assert_allclose(one.maps, other.maps, rtol=1e-6)


def test_an_interrupted_trial_goes_on(
    trial: UtilityData,
    trained: list[tuple[str, int]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = [o.figures for o in trial.put(tmp_path / "whole", CPU)]
    trained.clear()
    with monkeypatch.context() as broken, pytest.raises(KeyboardInterrupt):
        broken.setattr(evaluate, "detector_figures", stop_at(3))
        trial.put(tmp_path / "broken", CPU)
    assert trained == ALL[:3]
    assert [o.figures for o in trial.put(tmp_path / "broken", CPU)] == whole
    assert trained == [*ALL[:3], *ALL[2:]]


def stop_at(count: int) -> Any:
    examine, calls = evaluate.detector_figures, iter(range(1, 99))

    def stopping(*options: Any) -> Any:
        if next(calls) == count:
            raise KeyboardInterrupt
        return examine(*options)

    return stopping


def test_two_trials_do_not_write_into_one_folder(
    trial: UtilityData, trained: list[tuple[str, int]], tmp_path: Path
) -> None:
    with alone(tmp_path / FOLDER), pytest.raises(OutputError, match="another run is using"):
        trial.put(tmp_path, CPU)
    assert not trained
    trial.put(tmp_path, CPU)
    assert trained == ALL


@pytest.mark.parametrize(
    "change", [{"steps": 3}, {"batch": 6}, {"size": 40}, {"precision": "bf16-mixed"}]
)
def test_other_options_are_another_training(
    trial: UtilityData, trained: list[tuple[str, int]], tmp_path: Path, change: dict[str, Any]
) -> None:
    arms = ("real",)
    one = replace(trial, plan=replace(trial.plan, arms=arms, seeds=1))
    one.put(tmp_path, CPU)
    prepare_utility(replace(one.plan, **change)).put(tmp_path, CPU)
    assert trained == [("real", 0), ("real", 0)]


@pytest.mark.parametrize("damage", ["torn", "foreign"])
def test_a_file_that_is_torn_or_a_strangers_is_done_anew(
    trial: UtilityData, trained: list[tuple[str, int]], tmp_path: Path, damage: str
) -> None:
    one = replace(trial, plan=replace(trial.plan, arms=("real",), seeds=1))
    one.put(tmp_path, CPU)
    file = tmp_path / FOLDER / "real-0.safetensors"
    if damage == "torn":
        file.write_bytes(file.read_bytes()[:100])
    else:
        save_tensors(file, load_tensors(file)[0], metadata={"came_of": "another"})
    one.put(tmp_path, CPU)
    assert trained == [("real", 0), ("real", 0)]
