"""The same items wherever, whenever and by however many they are made."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

from benchmarks._reliability.scene import Scene, synthesis
from benchmarks._reliability.verbs import contents

PLACES: dict[str, dict[str, str]] = {
    "as it is": {},
    "locale C": {"LC_ALL": "C", "LANG": "C"},
    "locale tr_TR.UTF-8": {"LC_ALL": "tr_TR.UTF-8", "LANG": "tr_TR.UTF-8"},
    "time zone Asia/Kathmandu": {"TZ": "Asia/Kathmandu"},
    "time zone America/St_Johns": {"TZ": "America/St_Johns"},
    "hash seed 1": {"PYTHONHASHSEED": "1"},
    "hash seed 4711": {"PYTHONHASHSEED": "4711"},
    "1 thread": {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
    "2 threads": {"OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "2"},
    "4 threads": {"OMP_NUM_THREADS": "4", "MKL_NUM_THREADS": "4"},
}
FOLDERS = ("out", "Tür 1/é", "deeper/and/deeper/still")
WORKERS = (1, 2, 3)


def variants(scene: Scene) -> dict[str, tuple[list[str], dict[str, str], str]]:
    """Command line, environment and output folder of each run, by name."""
    recipe = str(scene.recipe.resolve())
    batch = ["batch", recipe, "--workers"]
    found = {
        f"synthesize, {name}": (synthesis(scene, "out"), environment, "out")
        for name, environment in PLACES.items()
    }
    for name in FOLDERS[1:]:
        found[f"synthesize, folder {name}"] = (synthesis(scene, name), {}, name)
    for count in WORKERS:
        asked = [*batch, str(count), "--out", "out"]
        found[f"batch, {count} worker{'s' * (count > 1)}"] = (asked, {}, "out")
    for name in ("locale C", "hash seed 1", "2 threads"):
        asked = [*batch, "2", "--out", "out"]
        found[f"batch, {name}"] = (asked, PLACES[name], "out")
    return found


def digest_of(arguments: list[str], environment: dict[str, str], out: str, folder: Path) -> str:
    """Run a command in a process of its own; a digest of all that it leaves comes back."""
    folder.mkdir(parents=True)
    command = [sys.executable, "-m", "blemish", *arguments]
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True
    )
    if done.returncode:
        return f"exit code {done.returncode}: {done.stderr[-200:]}"
    found = sorted(contents(folder / out).items())
    return hashlib.sha256(str(found).encode()).hexdigest()[:16]
