"""Shapes and types are checked while the tests run."""

import numpy as np
import pytest
from jaxtyping import TypeCheckError
from typechecker import CHECKED_CALLS

from blemish.pictures import to_tensor


def test_shapes_are_checked_in_the_first_calls_of_a_test() -> None:
    for _ in range(CHECKED_CALLS):
        with pytest.raises(TypeCheckError, match="to_tensor"):
            to_tensor(np.zeros((3, 4), np.uint8))
    assert to_tensor(np.zeros((3, 4, 3), np.uint8)).shape == (3, 3, 4)
