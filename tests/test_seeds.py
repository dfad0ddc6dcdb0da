import pytest

from blemish.errors import OptionError
from blemish.seeds import SEED_LIMIT, refuse_seeds


@pytest.mark.parametrize(
    "seed, count, word",
    [
        (0, 0, "--count 0"),
        (0, -3, "--count -3"),
        (-1, 1, "--seed -1"),
        (SEED_LIMIT, 1, "--seed"),
        (SEED_LIMIT - 2, 3, "--seed"),
    ],
)
def test_bad_seeds_are_refused(seed: int, count: int, word: str) -> None:
    with pytest.raises(OptionError, match=word):
        refuse_seeds(seed, count)


@pytest.mark.parametrize("seed, count", [(0, 1), (SEED_LIMIT - 3, 3)])
def test_good_seeds_pass(seed: int, count: int) -> None:
    refuse_seeds(seed, count)
