import json
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load, save, save_file

from blemish.checkpoint import load_tensors
from blemish.errors import BundleError
from blemish.header import MAX_HEADER, read_header, sort_metadata


def packed(header: Any, data: bytes = b"\0" * 16) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def tensor(dtype: Any = "F32", shape: Any = (2, 2), place: Any = (0, 16)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": place}


def test_shapes_and_metadata_are_those_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "a.safetensors"
    tensors = {"a": torch.zeros(2, 3), "b.c": torch.zeros((), dtype=torch.int64)}
    save_file(tensors, file, metadata={"step": "3"})
    header = read_header(file)
    assert header.shapes == {"a": (2, 3), "b.c": ()}
    assert header.metadata == {"step": "3"}


@pytest.mark.parametrize("count", [0, 1, 2, 9])
def test_metadata_stand_in_order_and_all_else_as_the_library_writes_it(count: int) -> None:
    tensors = {"b": torch.rand(3, 5), "ä": torch.arange(7), "a": torch.rand(())}
    metadata = {f"key {k}": f'"{k}" ü' for k in reversed(range(count))}
    written = sort_metadata(save(tensors, metadata or None))
    assert len({sort_metadata(save(tensors, metadata or None)) for _ in range(5)}) == 1
    assert {name: tensor.tolist() for name, tensor in load(written).items()} == {
        name: tensor.tolist() for name, tensor in tensors.items()
    }
    if count < 2:
        assert written == save(tensors, metadata or None)


STRANGE = {
    "nothing": b"",
    "a length alone": struct.pack("<Q", 2),
    "a header of an exabyte": struct.pack("<Q", 2**60) + b"{}",
    "a header beyond the limit": packed(b" " * (MAX_HEADER + 1)),
    "no JSON": packed(b"{]"),
    "not UTF-8": packed(b'{"\xff": 1}'),
    "deep": packed(b"[" * 200_000),
    "a list": packed([]),
    "a huge integer": packed({"a": tensor(shape=[2**70])}),
    "a hundred thousand axes": packed({"a": tensor(shape=[1] * 10**5, place=(0, 4))}),
    "an exabyte of numbers": packed({"a": tensor(shape=[2**40, 2**20])}),
    "a negative size": packed({"a": tensor(shape=[-2, -2])}),
    "a size that is true": packed({"a": tensor(shape=[True], place=(0, 4))}),
    "a shape of words": packed({"a": tensor(shape=["2"])}),
    "bytes beyond the end": packed({"a": tensor(place=[16, 32])}),
    "bytes backwards": packed({"a": tensor(place=[16, 0])}),
    "three ends": packed({"a": tensor(place=[0, 8, 16])}),
    "an unknown kind of number": packed({"a": tensor(dtype="F3")}),
    "a kind that is a number": packed({"a": tensor(dtype=3)}),
    "an entry that is a list": packed({"a": [1]}),
    "an empty entry": packed({"a": {}}),
    "a name of control characters": packed({"\x1b[2J": tensor()}),
    "a very long name": packed({"a" * 1000: tensor()}),
    "metadata of numbers": packed({"__metadata__": {"step": 3}, "a": tensor()}),
    "metadata in a list": packed({"__metadata__": ["step"], "a": tensor()}),
}


@pytest.mark.parametrize("data", STRANGE.values(), ids=STRANGE)
def test_a_header_that_no_program_writes_is_refused(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "a.safetensors"
    file.write_bytes(data)
    with pytest.raises(ValueError, match=r".") as caught:
        read_header(file)
    assert str(caught.value).isprintable()
    with pytest.raises(BundleError, match=r"a\.safetensors, which can't be read as safetensors"):
        load_tensors(file)


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "a.safetensors")
    with pytest.raises(BundleError):
        load_tensors(tmp_path / "a.safetensors")
