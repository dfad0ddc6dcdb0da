"""Globals that a checkpoint may name, and their replacements here.

Each function gets the arguments that the pickle gives the real one. Anyone may have written these,
so the function trusts no type, and every error is reported as damage.
"""

import struct
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from blemish.interop.refusal import RefusedFile
from blemish.interop.storage import DTYPES, Storage, Stored
from blemish.interop.torch_file import read_legacy
from blemish.interop.unpickle import Budget, Language, Meaning, Record, plain_key

_NUMPY = {"f8": "d", "f4": "f", "i8": "q", "i4": "i", "u1": "B", "b1": "?"}
_MODULES = ("torch.nn.modules.", "training.", "torch_utils.")
_OBJECTS = frozenset({"argparse.Namespace"})
_DTYPES = frozenset(f"torch.{name}" for name in ("float16", "float32", "float64", "int64"))


@dataclass(slots=True)
class NumberKind:
    """Numpy's dtype of a scalar, such as "f8"."""

    code: str

    def build(self, state: Any) -> None:
        _version, order, *_ = state
        if order not in ("<", "|"):
            raise RefusedFile("holds numbers of the other byte order")


class NumberArray:
    """A numpy array, such as StyleGAN3's modules keep; nothing in it is read."""

    __slots__ = ()

    def build(self, state: Any) -> None:
        """Passes the numbers over."""


def _array(*_: Any) -> NumberArray:
    return NumberArray()


def _number_kind(code: Any, *_: Any) -> NumberKind:
    if not isinstance(code, str) or code not in _NUMPY:
        raise RefusedFile("holds numbers of a kind that networks do not use")
    return NumberKind(code)


def _number(kind: Any, data: Any) -> float | int:
    """Python number from a numpy scalar."""
    (value,) = struct.unpack(f"<{_NUMPY[kind.code]}", data)
    return value


def _tensor(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> Stored:
    return Stored(storage, offset, size, stride)


def _parameter(data: Any, *_: Any) -> Stored:
    if not isinstance(data, Stored):
        raise TypeError("a parameter without a tensor")
    return data


def _mapping(*arguments: Any) -> dict[str | int, Any]:
    """Dict, or one that keeps an order or gives its values as attributes."""
    (pairs,) = arguments or ((),)
    return {plain_key(key): value for key, value in pairs}


def _set(values: Any = ()) -> set[str | int]:
    return {plain_key(value) for value in values}


def _bytes(text: Any, encoding: Any) -> bytes:
    """Bytes as protocol 2 writes them."""
    if encoding != "latin1":
        raise ValueError("bytes in an unusual form")
    return text.encode("latin1")


def _device(*parts: Any) -> str:
    return ":".join(str(plain_key(part)) for part in parts)


def _persistent_object(meta: Any, *_: Any) -> Record:
    """Object that contains the source of its class, which is ignored."""
    if meta["type"] != "class" or not isinstance(meta["class_name"], str):
        raise RefusedFile("holds a persistent object of a kind that StyleGAN2-ADA does not write")
    record = Record(meta["class_name"])
    record.build(meta["state"])
    return record


TENSORS: dict[str, Meaning] = {
    "collections.OrderedDict": _mapping,
    "builtins.dict": _mapping,
    "builtins.set": _set,
    "__builtin__.set": _set,
    "_codecs.encode": _bytes,
    "torch.Size": lambda size=(): tuple(size),
    "torch.device": _device,
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _parameter,
    "numpy.dtype": _number_kind,
    "numpy.core.multiarray.scalar": _number,
    "numpy._core.multiarray.scalar": _number,
    "numpy.core.multiarray._reconstruct": _array,
    "numpy._core.multiarray._reconstruct": _array,
}


def is_module(name: str) -> bool:
    """Whether an object of that class is recorded instead of refused."""
    return name.startswith(_MODULES) or name in _OBJECTS


def checkpoint_language() -> Language:
    """Language of torch's own files; their reader adds references to storages."""
    return Language(TENSORS, is_module, frozenset({*_DTYPES, *DTYPES}))


def snapshot_language(budget: Budget) -> Language:
    """Language of StyleGAN2-ADA's snapshots: plain pickles whose storages are torch files."""
    inner = Language(words=frozenset(DTYPES))  # no file inside a file inside a file

    def storage(data: Any) -> Storage:
        found = read_legacy(BytesIO(data), memoryview(data), inner, budget)
        if not isinstance(found, Storage):
            raise RefusedFile("holds a torch file where a storage must be")
        return found

    published = {
        "torch.storage._load_from_bytes": storage,
        "torch_utils.persistence._reconstruct_persistent_obj": _persistent_object,
        "dnnlib.util.EasyDict": _mapping,
        "dnnlib.EasyDict": _mapping,
    }
    return Language(TENSORS | published, is_module, _DTYPES | {"numpy.ndarray"})
