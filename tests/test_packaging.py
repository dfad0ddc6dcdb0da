"""What the package says about itself is the same everywhere."""

import re
import tomllib
from importlib.metadata import requires
from pathlib import Path
from typing import get_args

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import blemish
from blemish.names import LoggerName

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
OF_WINDOWS = {"colorama"}


def read(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def pinned() -> dict[str, str]:
    lines = [line for line in read("constraints.txt").splitlines() if not line.startswith("#")]
    pairs = [line.split("==") for line in lines]
    return {canonicalize_name(name): version for name, version in pairs}


def test_the_version_is_the_changelogs_and_the_citations() -> None:
    newest = re.search(r"^## \[(.+?)\]", read("CHANGELOG.md"), re.MULTILINE)
    cited = re.search(r"^version: (.+)$", read("CITATION.cff"), re.MULTILINE)
    assert newest is not None and newest[1] == blemish.__version__
    assert cited is not None and cited[1] == blemish.__version__


def test_extras_are_explained() -> None:
    explained = set(re.findall(r"^\| `(\w+)` \|", read("docs/install.md"), re.MULTILINE))
    assert explained == {*EXTRAS}


def test_each_logger_is_an_extra() -> None:
    for name in get_args(LoggerName):
        assert any(Requirement(line).name == name for line in EXTRAS[name])


@pytest.mark.parametrize("line", [*PROJECT["dependencies"], *EXTRAS["onnx"], *EXTRAS["dev"]])
def test_each_dependency_is_locked_at_a_version_that_fits(line: str) -> None:
    wanted = Requirement(line)
    if wanted.name != "blemish":
        assert wanted.specifier.contains(pinned()[canonicalize_name(wanted.name)])


def test_what_dependencies_need_is_locked_as_well() -> None:
    waiting = [Requirement(line).name for line in PROJECT["dependencies"]]
    known: set[str] = set()
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name in known:
            continue
        known.add(name)
        needs = [Requirement(line) for line in requires(name) or []]
        waiting += [n.name for n in needs if n.marker is None or n.marker.evaluate({"extra": ""})]
    cuda = re.compile(r"nvidia|cuda|triton|setuptools")
    assert {n for n in known if not cuda.match(n)} - OF_WINDOWS <= {*pinned()}


def test_addresses_are_one_repository() -> None:
    assert all(
        address.startswith(PROJECT["urls"]["Repository"]) for address in PROJECT["urls"].values()
    )
    assert PROJECT["urls"]["Repository"] in read("CITATION.cff")


@pytest.mark.parametrize("name", ["SECURITY.md", "CODE_OF_CONDUCT.md", "AGENTS.md", "py.typed"])
def test_files_that_people_look_for_are_there(name: str) -> None:
    assert (ROOT / name).is_file() or (ROOT / "src" / "blemish" / name).is_file()


def test_workflows_call_the_scripts_that_developers_call() -> None:
    text = "".join(path.read_text("utf-8") for path in (ROOT / ".github" / "workflows").glob("*"))
    called = set(re.findall(r"run: sh (scripts/[\w-]+)", text))
    assert {"scripts/test", "scripts/check-wheel", "scripts/docs"} <= called
    assert all((ROOT / script).is_file() for script in called)
