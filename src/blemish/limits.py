"""Limits of numbers that a search takes: its steps, its rate and the weights of its loss."""

from typing import Any

from blemish.errors import OptionError

HEAVIEST = 1e9


def refuse_search(steps: int, learning_rate: float) -> None:
    """Check the length and the rate of a search.

    Raises:
        OptionError: There are fewer than 0 steps, or the rate is out of range.
    """
    if steps < 0 or not 0 < learning_rate < 100:
        raise OptionError(
            got=f"{steps} steps at a learning rate of {learning_rate}",
            expected="no fewer than 0 steps, and a rate above 0 and below 100",
            todo="Correct the option.",
        )


def refuse_weights(**weights: float) -> None:
    """Check the weights of a loss.

    Raises:
        OptionError: One is negative, no number, or so large that the loss would overflow.
    """
    for name, weight in weights.items():
        if not 0 <= weight <= HEAVIEST:
            raise OptionError(
                got=f"the {name.replace('_', ' ')} {weight}",
                expected=f"a number from 0 to {HEAVIEST:.0e}",
                todo="Correct the option.",
            )


def refuse_weights_of(options: Any) -> None:
    """The same for every field of a dataclass that is called a weight."""
    names = [name for name in options.__dataclass_fields__ if name.endswith("_weight")]
    refuse_weights(**{name: getattr(options, name) for name in names})
