"""Entry point for networks that were trained elsewhere: reads one file and checks names and shapes.

The first bytes give the format. No code from the file is run; every problem becomes one
`BundleError`.
"""

import hashlib
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

from blemish.errors import BundleError
from blemish.interop.allowed_globals import checkpoint_language, snapshot_language
from blemish.interop.foreign import Foreign
from blemish.interop.refusal import KNOWN, RefusedFile
from blemish.interop.rosinality import from_checkpoint
from blemish.interop.safetensors_state import from_safetensors
from blemish.interop.states import Facts
from blemish.interop.stylegan2_ada import from_snapshot
from blemish.interop.torch_file import MAGIC, read_legacy, read_zip
from blemish.interop.unpickle import Budget, unpickle

MOST_BYTES = 8 * 2**30


def read_foreign(file: Path, *, label: int = 0, types: tuple[str, ...] = ("defect",)) -> Foreign:
    """Read a generator that was trained elsewhere, with its critics if it has them.

    Args:
        file: Snapshot of StyleGAN2-ADA or DFMGAN, checkpoint of rosinality's stylegan2-pytorch, or
            safetensors state dict under the published names.
        label: Default class of a conditional generator.
        types: Names for the defect types of a branch; DFMGAN's has one.

    Raises:
        BundleError: The file is missing, damaged or of another kind, needs to run code, or has a
            network that ours can't compute.
    """
    data = _bytes(file)
    try:
        name, foreign = _read(file, data, Facts(label=label, types=types))
    except RefusedFile as refused:
        raise refused.of(file) from refused
    digest = hashlib.sha256(data).hexdigest()
    source = {"format": name, "file": file.name, "sha256": digest, **foreign.source}
    return replace(foreign, source=source)


def _read(file: Path, data: bytes, facts: Facts) -> tuple[str, Foreign]:
    """Name of the format, and content of the file."""
    if data[:4] == b"PK\x03\x04":
        value = read_zip(memoryview(data), checkpoint_language(), Budget())
        return "stylegan2-pytorch", from_checkpoint(value, facts, nbytes=len(data))
    if data[:1] == b"\x80":
        return _read_pickle(data, facts)
    if data[8:9] == b"{":
        return "safetensors", from_safetensors(file, facts)
    raise RefusedFile(
        "has a format that Blemish does not know", todo="Check that the file is right."
    )


def _read_pickle(data: bytes, facts: Facts) -> tuple[str, Foreign]:
    budget, whole = Budget(), memoryview(data)
    value: Any = unpickle(BytesIO(data), snapshot_language(budget), budget)
    if value == MAGIC:  # the first of five pickles
        value = read_legacy(BytesIO(data), whole, checkpoint_language(), budget)
        return "stylegan2-pytorch", from_checkpoint(value, facts, nbytes=len(data))
    foreign = from_snapshot(value, facts, nbytes=len(data))
    branch = foreign.config.defect is not None
    return "dfmgan" if branch else "stylegan2-ada", foreign


def _bytes(file: Path) -> bytes:
    try:
        size = file.stat().st_size if file.is_file() else -1
        if 0 <= size <= MOST_BYTES:
            return file.read_bytes()
        what = "which is not a file" if size < 0 else f"a file of {size / 2**30:.0f} GiB"
    except OSError as error:
        what = f"which can't be read ({error.strerror})"
    raise BundleError(got=f"{file}, {what}", expected=KNOWN, todo="Check the path.")
