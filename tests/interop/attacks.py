"""Files that want to take over, fill or stall the reader; run as a program, it reads them all.

`python attacks.py FOLDER` makes the files in FOLDER, then reads each under an audit hook that ends
the process at the first thing a reader of data has no business to do, with one gibibyte to spare
and a line of JSON per file.
"""

import builtins
import importlib
import io
import json
import os
import pickle
import random
import resource
import struct
import subprocess
import sys
import time
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

HEAD, END = b"\x80\x04", b"."
SPARE = 2**30
MUTATIONS = 1200
# Spellings of text in pickles and of names in archives, each a module that Python loads when asked.
CODECS = ("cp437", "ascii", "latin1", "unicode_escape", "raw_unicode_escape")


class Call:
    """Pickles as a call of anything."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.parts = function, arguments

    def __reduce__(self) -> Any:
        return self.parts


class Built(Call):
    """The same, with a state to be set on what comes back."""

    def __reduce__(self) -> Any:
        return (*self.parts, {"__class__": 1, "a": 2})


def name(module: str, word: str) -> bytes:
    return b"c" + f"{module}\n{word}\n".encode()


def body(value: Any) -> bytes:
    """A value's opcodes, without the protocol's byte and the end."""
    return pickle.dumps(value, protocol=2)[2:-1]


def call(module: str, word: str, *arguments: Any) -> bytes:
    return HEAD + name(module, word) + body(arguments) + b"R" + END


def calls() -> Iterator[tuple[str, bytes]]:
    """What would run something, if anything ran."""
    yield "os.system", pickle.dumps(Call(os.system, "touch /tmp/blemish-was-here"))
    yield "eval", pickle.dumps(Call(eval, "1 + 1"))
    yield "exec", pickle.dumps(Call(exec, "import os"))
    yield "compile", pickle.dumps(Call(builtins.compile, "1", "a", "eval"))
    yield "__import__", pickle.dumps(Call(builtins.__import__, "antigravity"))
    yield "import_module", pickle.dumps(Call(importlib.import_module, "antigravity"))
    yield "Popen", pickle.dumps(Call(subprocess.Popen, ["true"]))
    yield "open", pickle.dumps(Call(open, "/tmp/blemish-was-here", "w"))
    yield "getattr", pickle.dumps(Call(getattr, Call(OrderedDict), "__class__"))
    yield "getattr chain", pickle.dumps(Call(getattr, Call(getattr, "", "join"), "__self__"))
    yield "pickle.loads", pickle.dumps(Call(pickle.loads, pickle.dumps(Call(os.getpid))))
    yield "torch.load", pickle.dumps(Call(torch.load, "/tmp/other.pt"))
    yield "torch.hub.load", pickle.dumps(Call(torch.hub.load, "a/b", "c"))
    yield "np.load", pickle.dumps(Call(np.load, "/tmp/other.npy"))
    yield "behind a dot", call("collections", "OrderedDict.fromkeys", [1])
    yield "behind two dots", HEAD + body("torch._utils") + body("sys.modules") + b"\x93" + END
    yield "a module's function", call("training.networks", "system", "true")
    yield "a module's class", HEAD + name("training.networks", "G") + body(("x",)) + b"\x81" + END
    yield "a word", call("torch", "float32")
    yield "an instance", HEAD + b"(" + body("true") + b"ios\nsystem\n" + END
    yield "an object", HEAD + b"(" + name("os", "system") + body("true") + b"o" + END
    yield "an extension", HEAD + b"\x82\x01" + END
    yield "a reference", HEAD + body("abc") + b"Q" + END
    yield "a text reference", HEAD + b"Pabc\n" + END
    yield "a state on a name", HEAD + name("torch._utils", "_rebuild_tensor_v2") + body({}) + b"b."
    yield "a state on a list", pickle.dumps(Built(list))
    easy = name("dnnlib.util", "EasyDict") + body(()) + b"R"
    yield "a state on an EasyDict", HEAD + easy + body({"__class__": 1}) + b"b" + END
    yield "keywords", HEAD + name("builtins", "dict") + body(()) + body({"a": 1}) + b"\x92" + END
    inner = pickle.dumps(Call(os.system, "true"), protocol=2)
    yield "inside a storage", call("torch.storage", "_load_from_bytes", inner)
    fifth = b"".join(pickle.dumps(v, 2) for v in (0x1950A86A20F9469CFC6C, 1001, {})) + inner
    yield "inside a torch file", fifth
    yield "inside that in a storage", call("torch.storage", "_load_from_bytes", fifth)
    yield "a storage in a storage", call("torch.storage", "_load_from_bytes", END.join([inner] * 2))
    yield "source", persistent(module_src="import os; os.system('true')", state={})
    yield "source as state", persistent(module_src="", state=[("a", 1)])
    yield "hook", persistent(state={"__setstate__": "os.system", "_modules": {}})


def persistent(**meta: Any) -> bytes:
    about = {"type": "class", "version": 6, "class_name": "Generator", **meta}
    made = name("torch_utils.persistence", "_reconstruct_persistent_obj") + body((about,)) + b"R"
    return HEAD + b"}" + body("G_ema") + made + b"s" + END


def bombs() -> Iterator[tuple[str, bytes]]:
    """What would take the memory or the day."""
    yield "laughs", HEAD + body("ha") + b"\x94" + b"".join(_twice(k) for k in range(60)) + END
    shared = body(()) + b"".join(b"q" + bytes([k]) + b"h" + bytes([k]) + b"\x86" for k in range(90))
    yield "a tuple as a key", HEAD + b"}" + shared + b"Ns" + END
    yield "a tuple in a set", HEAD + b"\x8f(" + shared + b"\x90" + END
    yield "a tuple as a device", HEAD + name("torch", "device") + shared + b"R" + END
    yield "a tuple as a kind", HEAD + name("numpy", "dtype") + shared + b"\x85R" + END
    yield "a tuple as a pair", HEAD + name("collections", "OrderedDict") + shared + b"R" + END
    yield "a tuple as an argument", _arguments(shared)
    yield "a tuple as a module", _arguments(shared, "_modules")
    yield "deep lists", HEAD + b"]" * 150_000 + b"a" * 149_999 + END
    yield "deep tuples", HEAD + b")" + b"\x85" * 400_000 + END
    yield "many steps", HEAD + b"N" * 2_000_000 + END
    yield (
        "a long integer",
        HEAD + b"\x8b" + struct.pack("<i", 4_000_000) + b"\x7f" * 4_000_000 + END,
    )
    yield "a long key", HEAD + b"}\x8b" + struct.pack("<i", 10**6) + b"\x7f" * 10**6 + b"Ns" + END
    yield "a decimal", HEAD + b"L" + b"9" * 1_000_000 + b"L\n" + END
    keys = b"".join(body(k * (2**61 - 1)) + b"N" for k in range(90_000))
    yield "keys of one hash", HEAD + b"}(" + keys + b"u" + END
    yield "a long name", HEAD + name("o" * 1_000_000, "x" * 1_000_000) + END
    yield "words beyond the end", HEAD + b"X" + struct.pack("<I", 2**31) + b"a"
    yield "bytes beyond the end", HEAD + b"\x8e" + struct.pack("<Q", 2**62) + b"a"
    yield "a place in the memo", HEAD + b"Nr" + struct.pack("<I", 2**31) + END
    yield "a list of itself", HEAD + b"]\x94h\x00a" + END
    inner = legacy(2**40, b"")
    yield "a storage of a tebibyte", call("torch.storage", "_load_from_bytes", inner)
    load = name("torch.storage", "_load_from_bytes") + b"h\x00\x85R"
    yield "one storage often", HEAD + body(legacy(1, b"abcd")) + b"\x94" + load * 40_000 + b"N."
    for what, numbers in TENSORS.items():
        yield what, _tensor(*numbers)


def _twice(k: int) -> bytes:
    return b"h" + bytes([k]) + b"h" + bytes([k]) + b"\x86\x94"


def _arguments(value: bytes, where: str = "_init_kwargs") -> bytes:
    """A generator that is made with it, or holds it."""
    meta = b"}(" + body("type") + body("class") + body("class_name") + body("Generator")
    state = b"}(" + body("_init_kwargs") + b"}" + body(where) + b"}" + body("a") + value + b"su"
    made = name("torch_utils.persistence", "_reconstruct_persistent_obj")
    made += meta + body("state") + state + b"u\x85R"
    return HEAD + b"}" + body("G_ema") + made + b"s" + END


TENSORS: dict[str, tuple[Any, ...]] = {
    "a tensor of an exabyte": (0, (2**30, 2**30), (2**30, 1)),
    "one number a billion times": (0, (2**30,), (0,)),
    "a step backwards": (0, (2, 2), (-1, 1)),
    "an offset beyond": (5, (1,), (1,)),
    "an offset before": (-1, (1,), (1,)),
    "more sizes than strides": (0, (1, 1), (1,)),
    "thousands of axes": (0, (1,) * 5000, (1,) * 5000),
    "sizes of words": (0, ("a",), (1,)),
    "a size of truth": (0, (True,), (1,)),
    "a size of a million digits": (0, (10**300_000,), (1,)),
    "a fraction of a step": (0, (1,), (0.5,)),
    "nothing, very wide": (0, (0, 2**47), (1, 1)),
}


def legacy(numel: int, data: bytes) -> bytes:
    """A storage as torch writes it into a pickle."""
    reference = b"(" + body("storage") + name("torch", "FloatStorage") + body("0") + body("cpu")
    reference += body(numel) + b"Nt"
    parts = [pickle.dumps(v, 2) for v in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})]
    parts += [b"\x80\x02" + reference + b"Q.", pickle.dumps(["0"], 2), struct.pack("<q", numel)]
    return b"".join(parts) + data


def _tensor(offset: Any, size: Any, stride: Any) -> bytes:
    storage = call("torch.storage", "_load_from_bytes", legacy(4, b"\0" * 16))[2:-1]
    rest = b"".join(body(part) for part in (offset, size, stride, False, {}))
    made = name("torch._utils", "_rebuild_tensor_v2") + b"(" + storage + rest + b"tR"
    return _arguments(made, "_parameters")


def archives() -> Iterator[tuple[str, bytes]]:
    """Zip archives that are not what they say."""
    reference = b"(" + body("storage") + name("torch", "FloatStorage") + body("0") + body("cpu")
    value = HEAD + b"}" + body("g_ema") + b"}" + body("a") + reference + body(2**28) + b"NtQss."
    for what, how in (("deflated", zipfile.ZIP_DEFLATED), ("stored", zipfile.ZIP_STORED)):
        data = b"\0" * (2**28 if how == zipfile.ZIP_DEFLATED else 64)
        yield f"a bomb, {what}", _zip({"a/data.pkl": value, "a/data/0": data}, how)
    yield "no pickle", _zip({"a/data/0": b""})
    yield "two pickles", _zip({"a/data.pkl": value, "b/data.pkl": value})
    yield "a call", _zip({"a/data.pkl": pickle.dumps(Call(os.system, "true"))})
    yield "big-endian", _zip({"a/data.pkl": value, "a/byteorder": b"big"})
    yield "many entries", _zip({f"a/{k}": b"" for k in range(30_000)})


def _zip(entries: dict[str, bytes], how: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", how) as archive:
        for entry, data in entries.items():
            archive.writestr(entry, data)
    return stream.getvalue()


def oddities() -> Iterator[tuple[str, bytes]]:
    yield "nothing", b""
    yield "a byte", b"\x80"
    yield "words", b"Not a network, but a letter."
    yield "a picture", b"\x89PNG\r\n\x1a\n" + b"\0" * 100
    yield "a page", b"<!DOCTYPE html><title>404</title>"
    yield "a header of an exabyte", struct.pack("<Q", 2**60) + b"{}"
    yield "no tensors", struct.pack("<Q", 2) + b"{}"


def mutations(whole: dict[str, bytes], count: int) -> Iterator[tuple[str, bytes]]:
    """Torn, flipped, doubled and shuffled copies of good files."""
    rng = random.Random(0)
    names = sorted(whole)
    for k in range(count):
        of = names[k % len(names)]
        data = bytearray(whole[of])
        kind = rng.choice(["cut", "flip", "flips", "doubled", "zeros", "noise"])
        at = rng.randrange(len(data))
        if kind == "cut":
            del data[at:]
        elif kind == "flip":
            data[at] ^= 1 << rng.randrange(8)
        elif kind == "flips":
            for _ in range(20):
                data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        elif kind == "doubled":
            data[at:at] = data[at : at + rng.randrange(1, 200)]
        else:
            n = rng.randrange(1, 60)
            data[at : at + n] = bytes(n) if kind == "zeros" else rng.randbytes(n)
        yield f"{of} {kind} {k}", bytes(data)


def guard() -> Callable[[bool], None]:
    """Installs the hook; returns what arms and disarms it."""
    armed = [False]

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if not armed[0] or _harmless(event, arguments):
            return
        armed[0] = False
        print(json.dumps({"violation": event, "arguments": repr(arguments)[:200]}), flush=True)
        os._exit(3)

    sys.addaudithook(watch)
    return lambda on: armed.__setitem__(0, on)


def _harmless(event: str, arguments: tuple[Any, ...]) -> bool:
    """Reading the file that was handed over, and what Python reports about itself."""
    if event == "open":
        path, mode, flags = arguments
        return str(path).endswith(".case") and (mode or "r")[0] == "r" and not flags & 3
    return event in ("object.__getattr__", "builtins.id") or event.startswith("sys._getframe")


def limit_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + SPARE
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def main(folder: Path) -> None:
    from blemish.errors import BundleError
    from blemish.interop import read_foreign

    torch.set_num_threads(1)
    whole = {file.name: file.read_bytes() for file in sorted(folder.glob("*.case"))}
    for file in whole:
        read_foreign(folder / file)  # whatever torch imports when first used, it imports now
    for codec in CODECS:
        "".encode(codec)
    path, arm = folder / "attack.case", guard()
    limit_memory()
    for family in (calls(), bombs(), archives(), oddities(), mutations(whole, MUTATIONS)):
        for what, data in family:
            path.write_bytes(data)
            arm(True)
            began = time.process_time()
            try:
                read_foreign(path)
                outcome, message = "read", ""
            except BundleError as error:
                outcome, message = "refused", str(error)
            took = time.process_time() - began
            arm(False)
            row = {"what": what, "outcome": outcome, "message": message, "seconds": took}
            print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
