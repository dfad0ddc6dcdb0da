"""Seeds: the range of every random generator."""

from blemish.errors import OptionError

SEED_LIMIT = 2**63


def refuse_seeds(seed: int, count: int = 1) -> None:
    """Check the seeds `seed … seed + count - 1`.

    Raises:
        OptionError: The count is below 1, or a seed is outside [0, 2^63).
    """
    if count < 1:
        raise OptionError(got=f"--count {count}", expected="1 or more", todo="Correct the option.")
    if not 0 <= seed <= SEED_LIMIT - count:
        raise OptionError(
            got=f"--seed {seed}", expected="0 up to 2^63 - 1 for the last", todo="Choose another."
        )


def seed_of(seed: int, number: int) -> int:
    """Random seed of one of an item's defects; that of the first is the item's own."""
    if not number:
        return seed
    from numpy.random import SeedSequence  # NumPy would delay the start of every command

    return int(SeedSequence(seed, spawn_key=(number,)).generate_state(1)[0])
