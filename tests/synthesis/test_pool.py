import operator
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from blemish.errors import BlemishError, OptionError, OutputError
from blemish.files import ensure_writable
from blemish.synthesis.batch.pool import AHEAD, in_order, refuse_workers, usual_workers

# What is handed over must be importable by name in the other process, so it is the library's.


def test_inputs_are_taken_as_they_are_due_by_processes_that_are_then_gone() -> None:
    taken: list[int] = []

    def inputs() -> Iterator[Callable[[], int]]:
        for number in range(20):
            taken.append(number)
            yield os.getpid

    pids: list[int] = []
    for pid in in_order(operator.call, inputs(), workers=2):
        assert len(taken) <= len(pids) + 2 * AHEAD
        pids.append(pid)
    assert len(pids) == 20
    assert 1 <= len({*pids}) <= 2
    assert os.getpid() not in pids
    for pid in {*pids}:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_results_come_in_order_and_an_error_at_its_turn() -> None:
    numbers: list[Any] = [1, 2, 3, "four", 5]
    results = in_order(operator.index, numbers, workers=1)
    assert [next(results) for _ in range(3)] == [1, 2, 3]
    with pytest.raises(TypeError):
        next(results)


def test_a_mistake_of_the_user_s_keeps_its_words_on_its_way(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("hello")
    results = in_order(ensure_writable, [tmp_path / "new", tmp_path / "file"], workers=1)
    assert next(results) is None
    with pytest.raises(OutputError) as caught:
        next(results)
    assert caught.value.got == f"{tmp_path / 'file'}: something else is in its place"
    assert caught.value.expected and caught.value.todo


def test_a_process_that_is_killed_is_reported_of() -> None:
    with pytest.raises(BlemishError, match="run the same command again to resume"):
        list(in_order(os._exit, [0], workers=1))


@pytest.mark.parametrize("device, most", [("cpu", os.cpu_count() or 1), ("cuda", 1)])
def test_the_usual_number_is_that_of_the_cores(device: str, most: int) -> None:
    assert 1 <= usual_workers(device) <= most


@pytest.mark.parametrize("workers", [0, -3])
def test_none_are_refused(workers: int) -> None:
    with pytest.raises(OptionError):
        refuse_workers(workers)
