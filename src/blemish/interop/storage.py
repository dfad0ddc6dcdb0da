"""Tensors in files: ranges of bytes, and their strides.

Element (i, j, …) of a tensor is number `offset + i·stride₀ + j·stride₁ + …` of its storage. Nothing
is copied before `Stored.tensor`, and a declaration needs bytes in the file.
"""

from math import prod
from typing import Any

import torch
from torch import Tensor

from blemish.interop.refusal import RefusedFile

DTYPES: dict[str, torch.dtype] = {
    "torch.FloatStorage": torch.float32,
    "torch.DoubleStorage": torch.float64,
    "torch.HalfStorage": torch.float16,
    "torch.BFloat16Storage": torch.bfloat16,
    "torch.LongStorage": torch.int64,
    "torch.IntStorage": torch.int32,
    "torch.ShortStorage": torch.int16,
    "torch.CharStorage": torch.int8,
    "torch.ByteStorage": torch.uint8,
    "torch.BoolStorage": torch.bool,
}
MOST_AXES = 8


class Storage:
    """Range of numbers of one type.

    Attributes:
        dtype: Type of each number.
        numel: Number of numbers.
        data: Their bytes, filled in when they are reached.
    """

    __slots__ = ("data", "dtype", "numel")

    def __init__(self, dtype: torch.dtype, numel: int) -> None:
        self.dtype, self.numel, self.data = dtype, numel, memoryview(b"")

    def fill(self, data: memoryview) -> None:
        """Set the bytes; `data` must have the declared length."""
        if len(data) != self.numel * self.dtype.itemsize:
            raise RefusedFile("declares tensors larger or smaller than the bytes it has for them")
        self.data = data


class Stored:
    """Tensor that is not created yet.

    Args:
        storage: Storage of its numbers; nothing from the file is trusted.
        offset: Index of its first element.
        shape: Elements along each axis.
        stride: Elements of the storage from one to the next along each axis.

    Raises:
        Refused: It exceeds its storage, or counts some element twice.
    """

    __slots__ = ("offset", "shape", "storage", "stride")

    def __init__(self, storage: Any, offset: Any, shape: Any, stride: Any) -> None:
        self.storage: Storage = storage
        self.offset: int = offset
        self.shape: tuple[int, ...] = tuple(shape)
        self.stride: tuple[int, ...] = tuple(stride)
        self._check()

    def _check(self) -> None:
        numbers = (self.offset, *self.shape, *self.stride)
        sound = (
            isinstance(self.storage, Storage)
            and len(self.shape) == len(self.stride) <= MOST_AXES
            and all(type(number) is int and 0 <= number < 2**48 for number in numbers)
        )
        if not sound:
            raise RefusedFile("has a tensor with an invalid shape or stride")
        if self.numel and self.offset + self.span > self.storage.numel:
            raise RefusedFile("declares a tensor that exceeds its bytes")
        if self.numel > self.span:
            raise RefusedFile("declares a tensor larger than the bytes it has for it")

    @property
    def numel(self) -> int:
        return prod(self.shape)

    @property
    def span(self) -> int:
        """Number of elements from the first to the last."""
        if not self.numel:
            return 0
        return 1 + sum((n - 1) * step for n, step in zip(self.shape, self.stride, strict=True))

    @property
    def nbytes(self) -> int:
        """Number of bytes from the first element to the last."""
        return self.span * self.storage.dtype.itemsize

    def tensor(self) -> Tensor:
        """The tensor, as a copy.

        Raises:
            Refused: It has no element.
        """
        if not self.numel:
            raise RefusedFile("has an empty tensor")
        first = self.offset * self.storage.dtype.itemsize
        data = bytearray(self.storage.data[first : first + self.nbytes])
        flat = torch.frombuffer(data, dtype=self.storage.dtype)
        return flat.as_strided(self.shape, self.stride).clone(memory_format=torch.contiguous_format)


def storage_of(known: dict[str, Storage], reference: Any) -> Storage:
    """Storage from torch's reference: ("storage", its type, its key, its device, its length).

    Args:
        known: Storages by key, to which a new one is added.
        reference: Reference from the pickle.
    """
    kind, name, key, _, numel, *views = reference
    usual = kind == "storage" and isinstance(key, str) and type(numel) is int and numel >= 0
    if not usual or any(view is not None for view in views):
        raise RefusedFile("refers to a storage in a way that torch does not")
    dtype = DTYPES[name.text]
    found = known.setdefault(key, Storage(dtype, numel))
    if (found.dtype, found.numel) != (dtype, numel):
        raise RefusedFile("describes one storage in two ways")
    return found


def tensors_of(found: dict[str, Stored], *, most_bytes: int) -> dict[str, Tensor]:
    """Create the tensors.

    Args:
        found: Stored tensors by name.
        most_bytes: Limit of their total size: the length of the file.

    Raises:
        Refused: They exceed the limit.
    """
    if sum(stored.nbytes for stored in found.values()) > most_bytes:
        raise RefusedFile("declares more tensors than it has bytes for")
    return {name: stored.tensor() for name, stored in found.items()}
