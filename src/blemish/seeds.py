"""Seeds: the range that every generator of random numbers takes."""

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
