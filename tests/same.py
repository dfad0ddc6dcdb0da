"""What must be the same, byte for byte: the files of folders, the tensors of networks."""

from pathlib import Path

import torch
from torch import Tensor


def files_in(root: Path) -> dict[str, bytes]:
    """What a folder holds, however deep, by its path inside."""
    found = (path for path in sorted(root.rglob("*")) if path.is_file())
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in found}


def assert_same_bits(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    assert not [name for name in one if not torch.equal(one[name], other[name])]
