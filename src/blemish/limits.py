"""Limits of numeric options: seeds, and the steps, rates and weights of a search."""

from typing import Any

from blemish.errors import OptionError

HEAVIEST = 1e9
SEED_LIMIT = 2**63


def refuse_search(steps: int, learning_rate: float) -> None:
    """Check the length and the rate of a search.

    Raises:
        OptionError: There are fewer than 0 steps, or the rate is out of range.
    """
    if steps < 0 or not 0 < learning_rate < 100:
        raise OptionError(
            got=f"{steps} steps at a learning rate of {learning_rate}",
            expected="0 steps or more, and a rate above 0 and below 100",
            todo="Correct the option.",
        )


def refuse_weights(**weights: float) -> None:
    """Check the weights of a loss.

    Raises:
        OptionError: A weight is negative, not a number, or so large that the loss would overflow.
    """
    for name, weight in weights.items():
        if not 0 <= weight <= HEAVIEST:
            raise OptionError(
                got=f"the {name.replace('_', ' ')} {weight}",
                expected=f"a number from 0 to {HEAVIEST:.0e}",
                todo="Correct the option.",
            )


def refuse_weights_of(options: Any) -> None:
    """Check every field of a dataclass whose name ends in weight."""
    names = [name for name in options.__dataclass_fields__ if name.endswith("_weight")]
    refuse_weights(**{name: getattr(options, name) for name in names})


def refuse_seeds(seed: int, count: int = 1) -> None:
    """Check the seeds `seed … seed + count - 1`.

    Raises:
        OptionError: There are none, or one is out of range for a random generator.
    """
    if count < 1:
        raise OptionError(got=f"--count {count}", expected="1 or more", todo="Ask for some.")
    if not 0 <= seed <= SEED_LIMIT - count:
        raise OptionError(
            got=f"--seed {seed}", expected="0 up to 2^63 - 1 for the last", todo="Choose another."
        )
