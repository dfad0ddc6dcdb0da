"""What every test may count on: one thread, the same numbers each time, and the shared data."""

from pathlib import Path

import pytest
import torch

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(autouse=True)
def one_thread_and_one_seed() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of photographs and weights that stands beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip("the folder ../shared with photographs and weights is not here")
    return SHARED
