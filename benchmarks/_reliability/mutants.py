"""Damaged inputs: whatever is done to a file, its reader says so and does nothing else.

Each mutant is handed to the command that reads such a file, in a forked process with a limit of
memory. The process ends at the first thing that no reader of data has any business to do: starting
a program, opening a connection, or writing outside its folder.
"""

import json
import os
import random
import resource
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from benchmarks._hardware import highest_mib
from benchmarks._reliability.children import normal
from benchmarks._reliability.scene import Scene, synthesis, training
from blemish.cli import main
from blemish.data.pairs import read_mask
from blemish.errors import UserError
from blemish.interop import read_foreign, write_bundle
from blemish.pictures import read_picture

MOST_SECONDS = 10
MOST_BYTES = 3 * 2**30
FORBIDDEN = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "socket.")
VALUES: tuple[Any, ...] = (
    *(None, True, -1, 0, 2**31, 2**63, 10**9, 10**400, 0.5, 1e308, float("nan"), float("inf")),
    *("", "..", "../../outside", "/outside", "a\x00b", "\ud800", "x" * 5000, "-1", "nul"),
    *([], {}, [[]], [1, 2], {"a": 1}, ["../../outside"]),
)
Attempt = Callable[[Path], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """Files of one kind, and what reads them.

    Attributes:
        name: In the report.
        count: How many mutants are made.
        prepare: Puts the files into a folder; returns those that are damaged, in turn.
        attempt: Reads the damaged folder; returns an exit code, or raises a user's error.
    """

    name: str
    count: int
    prepare: Callable[[Path], list[Path]]
    attempt: Attempt


def families(scene: Scene) -> list[Family]:
    """All of them."""
    bundle = scene.bundle("windows")
    return [
        Family(name="pictures", count=600, prepare=_pictures, attempt=_read_pictures),
        Family(
            name="bundles",
            count=450,
            prepare=lambda folder: _copied(bundle, folder / "bundle", "*.json", "*.safetensors"),
            attempt=lambda folder: main([*_with_bundle(scene, folder), "--count", "1"]),
        ),
        Family(
            name="manifests",
            count=400,
            prepare=lambda folder: _copied(scene.items, folder / "items", "*.jsonl"),
            attempt=_export,
        ),
        Family(
            name="recipes",
            count=400,
            prepare=lambda folder: _recipe(scene, folder),
            attempt=lambda folder: main(["batch", "recipe.toml", "--out", "out", "--dry-run"]),
        ),
        Family(
            name="checkpoints of other programs",
            count=300,
            prepare=lambda folder: _foreign(scene, folder),
            attempt=_import,
        ),
        Family(
            name="states of trainings",
            count=150,
            prepare=lambda folder: _copied(
                scene.bundle("generator"), folder / "bundle", "training/generator/state.safetensors"
            ),
            attempt=lambda folder: main([*training("generator", scene, "bundle"), "--resume"]),
        ),
    ]


def attempt_all(family: Family, folder: Path, numbers: list[int]) -> list[dict[str, Any]]:
    """Try the mutants of those numbers; after one that ends the process, the others go on."""
    found: list[dict[str, Any]] = []
    while len(found) < len(numbers):
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reader)
            _all_in_this_process(family, folder, numbers[len(found) :], writer)
        os.close(writer)
        with os.fdopen(reader, "rb") as file:
            found += [json.loads(line) for line in file]
        _, status = os.waitpid(pid, 0)
        if len(found) < len(numbers):
            code = os.waitstatus_to_exitcode(status)
            fault = {"outcome": "fault", "faults": [f"the process ended with {code}"]}
            found.append({**fault, "seconds": 0.0, "mib": 0.0})
    return found


def _all_in_this_process(family: Family, folder: Path, numbers: list[int], pipe: int) -> None:
    """Never returns."""
    sys.dont_write_bytecode = True
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, sys.stdout.fileno())
    files = family.prepare(folder)
    whole = {path: path.read_bytes() for path in files}
    os.chdir(folder)
    said = _stderr_into(folder.parent / "stderr.txt")
    faults: list[str] = []
    _watch(folder, faults)
    _limit_memory()
    for number in numbers:
        rng = random.Random(f"{family.name} {number}")
        path = files[number % len(files)]
        path.write_bytes(mutated(whole[path], path.suffix, rng))
        row = _try(family, folder, said) | {"file": path.name}
        row["faults"] = [*row["faults"], *faults]
        faults.clear()
        path.write_bytes(whole[path])
        for out in ("out", "imported"):
            shutil.rmtree(folder / out, ignore_errors=True)
        os.write(pipe, json.dumps(row).encode() + b"\n")
    os._exit(0)


def _try(family: Family, folder: Path, said: Callable[[], str]) -> dict[str, Any]:
    start, outcome = time.process_time(), "refused"
    faults: list[str] = []
    signal.alarm(12 * MOST_SECONDS)  # a reader that hangs ends the process
    try:
        code = family.attempt(folder)
        outcome = {0: "read", 2: "refused"}.get(code, "fault")
        text = said()
        if outcome == "fault" or "Traceback" in text:
            faults.append(f"exit code {code}: {text[-300:]}")
    except UserError:
        pass
    except SystemExit as error:
        faults += [] if error.code == 2 else [f"exit code {error.code}"]
    except BaseException as error:
        faults.append(f"{type(error).__name__}: {error}"[:300])
    signal.alarm(0)
    seconds = time.process_time() - start  # of our own: other programs share the processor
    if seconds > MOST_SECONDS:
        faults.append(f"it took {seconds:.1f} s")
    about = {"faults": faults, "seconds": seconds, "mib": highest_mib()}
    return {"outcome": "fault" if faults else outcome, **about}


def mutated(data: bytes, suffix: str, rng: random.Random) -> bytes:
    """A damaged copy; half of the documents are damaged in their values, not in their bytes."""
    if suffix in (".json", ".jsonl") and rng.random() < 0.6:
        return _changed_json(data, rng)
    if suffix == ".toml" and rng.random() < 0.6:
        return _changed_toml(data.decode(), rng).encode(errors="surrogatepass")
    if suffix == ".safetensors" and rng.random() < 0.4:
        return _changed_header(data, rng)
    return _changed_bytes(bytearray(data), rng)


def _changed_bytes(data: bytearray, rng: random.Random) -> bytes:
    # Headers say most about a file, so that half of the damage falls there.
    at = rng.randrange(min(len(data), 400) if rng.random() < 0.5 else len(data))
    match rng.choice(["cut", "flip", "flips", "doubled", "zeros", "noise", "ones"]):
        case "cut":
            del data[at:]
        case "flip":
            data[at] ^= 1 << rng.randrange(8)
        case "flips":
            for _ in range(20):
                data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        case "doubled":
            data[at:at] = data[at : at + rng.randrange(1, 200)]
        case how:
            n = rng.randrange(1, 60)
            fill = {"zeros": bytes(n), "ones": b"\xff" * n}
            data[at : at + n] = fill.get(how, rng.randbytes(n))
    return bytes(data)


def _changed_json(data: bytes, rng: random.Random) -> bytes:
    lines = data.decode().splitlines(keepends=True) if data.count(b"\n{") else [data.decode()]
    index = rng.randrange(len(lines))
    value = json.loads(lines[index])
    places = [*_places(value)]
    container, key = rng.choice(places)
    match rng.choice(["other", "other", "gone", "deep", "known"]):
        case "gone":
            del container[key]
        case "deep":
            text = json.dumps(value).replace(json.dumps(container[key]), "[" * 50_000, 1)
            return "".join([*lines[:index], text, *lines[index + 1 :]]).encode()
        case "known":
            other, name = rng.choice(places)
            container[key] = deepcopy(other[name])
        case _:
            container[key] = rng.choice(VALUES)
    end = "\n" if len(lines) > 1 else ""
    lines[index] = json.dumps(value) + end
    return "".join(lines).encode()


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    keys = value.keys() if isinstance(value, dict) else range(len(value))
    for key in keys:
        yield value, key
        if isinstance(value[key], dict | list):
            yield from _places(value[key])


def _changed_toml(text: str, rng: random.Random) -> str:
    lines = text.splitlines()
    index = rng.choice([k for k, line in enumerate(lines) if "=" in line])
    key, _, old = lines[index].partition("=")
    toml = ["nan", "inf", "1979-05-27", "[[[]]]", "{ a = 1 }", "[" * 3000, "9" * 5000, "''", "true"]
    toml += [
        "-1",
        "0",
        "1e400",
        '"../../outside"',
        '"/outside"',
        '"\\u0000"',
        "[1, 'a']",
        str(2**64),
    ]
    toml += [str(10**12), '""', '"\\ud800"', "0x" + "f" * 30, ".".join("a" * 3000) + " = 1"]
    keys = ["a.b", "[x]", "''", "draw", "search"]
    match rng.choice(["value", "value", "key", "gone", "twice"]):
        case "value":
            lines[index] = f"{key}= {rng.choice(toml)}"
        case "key":
            lines[index] = f"{rng.choice(keys)} ={old}"
        case "gone":
            del lines[index]
        case _:
            lines.insert(index, lines[index])
    return "\n".join(lines)


def _changed_header(data: bytes, rng: random.Random) -> bytes:
    length = int.from_bytes(data[:8], "little")
    header = _changed_json(data[8 : 8 + length].rstrip(), rng)
    size = len(header) if rng.random() < 0.9 else rng.choice([0, 2**20, 2**40, 2**63])
    return size.to_bytes(8, "little") + header + data[8 + length :]


def _watch(folder: Path, faults: list[str]) -> None:
    """Note whatever starts a program, opens a connection, or writes outside a folder."""
    allowed = (str(folder.resolve()), os.devnull)

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event.startswith(FORBIDDEN):
            faults.append(f"{event} {str(arguments)[:100]}")
        if event in ("open", "os.mkdir", "os.rename", "os.remove", "os.truncate"):
            writes = event != "open" or (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR)
            path = arguments[0]
            known = isinstance(path, str | os.PathLike)
            inside = not known or normal(path).startswith(allowed)
            if writes and not inside:
                faults.append(f"{event} outside: {str(path)[:100]}")

    sys.addaudithook(watch)


def _limit_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + MOST_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _stderr_into(path: Path) -> Callable[[], str]:
    """Send stderr into a file; what comes back reads and empties it."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
    os.dup2(handle, sys.stderr.fileno())

    def said() -> str:
        sys.stderr.flush()
        text = os.pread(handle, 2**16, 0).decode(errors="replace")
        os.ftruncate(handle, 0)
        return text

    return said


def _copied(source: Path, target: Path, *patterns: str) -> list[Path]:
    shutil.copytree(source, target)
    return sorted(path for pattern in patterns for path in target.glob(pattern))


def _with_bundle(scene: Scene, folder: Path) -> list[str]:
    asked = synthesis(scene, "out")
    asked[asked.index("--bundle") + 1] = str(folder / "bundle")
    asked[asked.index("--count") + 1] = "1"
    return asked[: asked.index("--count")] + asked[asked.index("--count") + 2 :]


def _recipe(scene: Scene, folder: Path) -> list[Path]:
    bundle, parts = scene.bundle("windows").resolve(), scene.parts.resolve()
    text = scene.recipe.read_text()
    text = text.replace("bundle-windows", str(bundle)).replace("parts/", f"{parts}/")
    (folder / "recipe.toml").write_text(text)
    return [folder / "recipe.toml"]


def _foreign(scene: Scene, folder: Path) -> list[Path]:
    """A safetensors state dict, and the files that torch writes, of the same tensors."""
    from safetensors.torch import load_file

    tensors = load_file(scene.foreign)
    shutil.copyfile(scene.foreign, folder / "a.safetensors")
    torch.save({"g_ema": tensors}, folder / "b.pt")
    torch.save({"g_ema": tensors}, folder / "c.pt", _use_new_zipfile_serialization=False)
    return [folder / name for name in ("a.safetensors", "b.pt", "c.pt")]


def _export(folder: Path) -> int:
    formats = ("mvtec", "coco", "yolo", "hf-imagefolder")
    chosen = formats[(folder / "items" / "manifest.jsonl").stat().st_size % len(formats)]
    return main(["export", "items", "--out", "out", "--format", chosen])


def _import(folder: Path) -> int:
    for file in sorted(folder.glob("[abc].*")):
        try:
            write_bundle(read_foreign(file), folder / "imported" / file.stem)
        except UserError:
            if file.name == "a.safetensors":
                raise
    return 0


def _pictures(folder: Path) -> list[Path]:
    rng = np.random.default_rng(0)
    colour = Image.fromarray(rng.integers(0, 255, (24, 32, 3), dtype=np.uint8))
    grey, deep = (
        colour.convert("L"),
        Image.fromarray(rng.integers(0, 65535, (24, 32)).astype("<u2")),
    )
    exif = Image.Exif()
    exif[0x0112] = 6
    made = {
        "colour.png": (colour, {}),
        "palette.png": (colour.quantize(7), {}),
        "deep.png": (deep, {}),
        "turned.jpg": (colour, {"exif": exif}),
        "grey.bmp": (grey, {}),
        "packed.tif": (colour, {"compression": "tiff_lzw"}),
        "deep.tif": (deep, {}),
        "alpha.webp": (colour.convert("RGBA"), {}),
    }
    for name, (image, options) in made.items():
        image.save(folder / name, **options)
    return [folder / name for name in made]


def _read_pictures(folder: Path) -> int:
    refused = 0
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        for reader in (read_picture, read_mask):
            try:
                reader(path)
            except UserError:
                refused = 2
    return refused
