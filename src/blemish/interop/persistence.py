"""Networks in StyleGAN2-ADA's pickles: records with their tensors and constructor arguments.

A module's state has `_parameters`, `_buffers` and `_modules` as in PyTorch, and its constructor
arguments as `_init_args` and `_init_kwargs`.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from blemish.interop.refusal import RefusedFile, shown
from blemish.interop.storage import Stored
from blemish.interop.unpickle import Record

DEEPEST = 8


def tensors_in(module: Record, prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Stored]]:
    """Tensors of a network by their names in a state dict.

    Raises:
        Refused: It is nested too deeply, or has something else in a tensor's place.
    """
    if depth > DEEPEST:
        raise RefusedFile(f"has modules nested more than {DEEPEST} deep")
    for name, value in [*_dict(module, "_parameters"), *_dict(module, "_buffers")]:
        if value is not None and not isinstance(value, Stored):
            raise RefusedFile(f"holds {shown(value)} where a tensor must be")
        if value is not None:
            yield f"{prefix}{name}", value
    for name, inner in _dict(module, "_modules"):
        if not isinstance(inner, Record):
            raise RefusedFile(f"holds {shown(inner)} where a module must be")
        yield from tensors_in(inner, f"{prefix}{name}.", depth + 1)


def arguments_of(module: Record, order: tuple[str, ...]) -> dict[str, Any]:
    """Constructor arguments of a network.

    Args:
        module: Record of the network.
        order: Names of positional arguments.
    """
    given, named = module.state.get("_init_args", ()), module.state.get("_init_kwargs")
    if not isinstance(given, tuple | list) or len(given) > len(order):
        raise RefusedFile(f"has a {shown(module.name)} with invalid arguments")
    if not isinstance(named, Mapping):
        raise RefusedFile(f"has a {shown(module.name)} without constructor arguments")
    return {**dict(zip(order, given, strict=False)), **named}


def _dict(module: Record, name: str) -> list[tuple[str, Any]]:
    values = module.state.get(name, {})
    if not isinstance(values, dict):
        raise RefusedFile(f"has a {shown(module.name)} whose {name} is not a dict")
    return [(str(key), value) for key, value in values.items()]
