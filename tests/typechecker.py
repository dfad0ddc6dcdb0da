"""What checks shapes and types while the tests run: beartype, with an int welcome as a float.

Of each function the first calls of a test are checked. The later ones, of steps in a loop mostly,
are like them, and to check all of them costs a third of the processor time of a search.
"""

from collections import Counter
from collections.abc import Callable
from functools import wraps
from inspect import isfunction
from typing import Any

import jaxtyping
from beartype import BeartypeConf, beartype
from beartype.roar import BeartypeDecorHintPep673Exception

Function = Callable[..., Any]
CHECKED_CALLS = 5  # of a function in a test

calls: Counter[Function] = Counter()
_beartype: Callable[[Function], Function] = beartype(conf=BeartypeConf(is_pep484_tower=True))
_jaxtyped: Any = jaxtyping.jaxtyped


def check(function: Function) -> Function:
    try:
        return _beartype(function)
    except BeartypeDecorHintPep673Exception:
        return function  # `Self` can't be checked method by method, as the import hook does it


def jaxtyped(*, typechecker: Callable[[Function], Function]) -> Callable[[Any], Any]:
    """Stand-in for `jaxtyping.jaxtyped`, which the import hook puts around what it checks."""

    def decorated(thing: Any) -> Any:
        if not isfunction(thing):
            return _jaxtyped(thing, typechecker=typechecker)
        checked: Any = None

        @wraps(thing)
        def called(*args: Any, **kwargs: Any) -> Any:
            nonlocal checked
            calls[thing] += 1
            if calls[thing] > CHECKED_CALLS:
                return thing(*args, **kwargs)
            if checked is None:  # made when it is needed, since most of a module never is
                checked = _jaxtyped(thing, typechecker=typechecker)
            return checked(*args, **kwargs)

        return called

    return decorated


jaxtyping.jaxtyped = jaxtyped  # type: ignore[assignment]  # before the hook imports a module
