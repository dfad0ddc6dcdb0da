import subprocess
import sys

import cv2
import pytest
import torch

from blemish.devices import make_fabric, one_thread, use_threads
from blemish.errors import OptionError

HEAVY = ("lightning_fabric", "torch._dynamo", "sympy", "scipy.ndimage", "scipy.stats", "matplotlib")


@pytest.mark.parametrize("threads", [1, 2])
def test_one_thread_is_for_its_context_alone(threads: int) -> None:
    before = torch.get_num_threads(), cv2.getNumThreads()
    seen = one_thread()(lambda: (torch.get_num_threads(), cv2.getNumThreads()))
    try:
        use_threads(threads)
        assert seen() == (1, 1)
        with pytest.raises(ZeroDivisionError), one_thread():
            _ = 1 / 0
        assert (torch.get_num_threads(), cv2.getNumThreads()) == (threads, threads)
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])


def test_processes_are_one_or_more() -> None:
    with pytest.raises(OptionError, match="0 processes"):
        make_fabric("cpu", processes=0)


@pytest.mark.parametrize("module", ["synthesis.synthesize", "inversion.invert"])
def test_inference_imports_nothing_that_only_trainings_need(module: str) -> None:
    code = "import sys, blemish.{0}; print(*[m for m in {1} if m in sys.modules])"
    command = [sys.executable, "-c", code.format(module, HEAVY)]
    assert not subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
