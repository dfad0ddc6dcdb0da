"""`blemish doctor`: what is installed, what is missing, and the command that installs it."""

import json
import os
import platform
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib import import_module
from typing import Literal, get_args

from blemish.cli.options import Flag, Json
from blemish.errors import BlemishError
from blemish.version import __version__

PACKAGES = (
    "torch",
    "lightning_fabric",
    "numpy",
    "scipy",
    "cv2",
    "PIL",
    "safetensors",
    "matplotlib",
)
FETCH = "blemish doctor --fetch"
TRAIN = "blemish train generator DATA --out BUNDLE"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """Result of one check.

    Attributes:
        about: Kind of the checked thing.
        state: "missing" if Blemish works without it, "broken" if it does not.
        text: Version, digest, or description of the problem.
        todo: Command that fixes it.
    """

    about: Literal["version", "device", "bundle", "features"]
    name: str
    state: Literal["fine", "missing", "broken"] = "fine"
    text: str
    todo: str = ""


def doctor(as_json: Json = False, fetch: Flag = False) -> None:
    """List what is installed, what is missing, and the command that installs it.

    Args:
        as_json: Print JSON instead of lines.
        fetch: Download missing weights of feature networks.
    """
    findings = list(run_checks(fetch=fetch))
    if as_json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        _print(findings)
    broken = [finding.name for finding in findings if finding.state == "broken"]
    if broken:
        raise BlemishError(f"{', '.join(broken)} can't be used; stdout gives the reasons.")


def run_checks(*, fetch: bool = False) -> Iterator[CheckResult]:
    """All findings; without a working PyTorch, only those about versions."""
    yield CheckResult(about="version", name="blemish", text=__version__)
    yield CheckResult(about="version", name="python", text=platform.python_version())
    versions = [_version(name) for name in PACKAGES]
    yield from versions
    if all(finding.state == "fine" for finding in versions):
        yield from _devices()
        yield from _bundles()
        yield from _features(fetch)


def _version(name: str) -> CheckResult:
    try:
        text = import_module(name).__version__
    except Exception as error:  # a missing library, or one of another build, fails in many ways
        todo = "python -m pip install --force-reinstall blemish"
        return CheckResult(
            about="version", name=name, state="broken", text=_first(error), todo=todo
        )
    return CheckResult(about="version", name=name, text=str(text))


def _devices() -> Iterator[CheckResult]:
    import torch

    text = f"cores: {os.cpu_count()}, threads of PyTorch: {torch.get_num_threads()}"
    yield CheckResult(about="device", name="cpu", text=text)
    for index in range(torch.cuda.device_count()):
        card = torch.cuda.get_device_properties(index)
        text = f"{card.name}, {card.total_memory / 2**30:.0f} GiB"
        yield CheckResult(about="device", name=f"cuda:{index}", text=text)
    if not torch.cuda.is_available():
        text = "PyTorch finds none; training on the CPU is slower"
        yield CheckResult(about="device", name="cuda", state="missing", text=text)


def _bundles() -> Iterator[CheckResult]:
    from blemish.checkpoint import embedded_bundles

    yield from map(_bundle, embedded_bundles())
    if not embedded_bundles():
        text = "none is embedded in this version"
        yield CheckResult(about="bundle", name="embedded", state="missing", text=text, todo=TRAIN)


def _bundle(name: str) -> CheckResult:
    from blemish.checkpoint import EMBEDDED, Bundle
    from blemish.models.load import load_generator

    try:
        bundle = Bundle(EMBEDDED / name)
        load_generator(bundle)
        for file in bundle.weights():
            bundle.tensors(file.stem)
    except BlemishError as error:
        todo = "python -m pip install --force-reinstall blemish"
        return CheckResult(about="bundle", name=name, state="broken", text=str(error), todo=todo)
    return CheckResult(about="bundle", name=name, text=f"sha256 {bundle.digest}")


def _features(fetch: bool) -> Iterator[CheckResult]:
    from blemish.features import load_features
    from blemish.names import NetworkName

    for name in get_args(NetworkName):
        try:
            network = load_features(name, download=fetch)
        except BlemishError as error:
            text, todo = getattr(error, "got", str(error)), FETCH
            yield CheckResult(about="features", name=name, state="missing", text=text, todo=todo)
        else:
            text = f"weights trained with {network.convention}'s input convention"
            yield CheckResult(about="features", name=name, text=text)


def _print(findings: list[CheckResult]) -> None:
    for finding in findings:
        state = "" if finding.state == "fine" else f"{finding.state}: "
        print(f"{finding.about:<9} {finding.name:<17} {state}{finding.text}")
    todo = dict.fromkeys(finding.todo for finding in findings if finding.todo)
    if todo:
        print("\nTo install what is missing:", *todo, sep="\n  ")


def _first(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]
