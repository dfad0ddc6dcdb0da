"""The shell blocks of the documents: each is a valid script, and its quick commands run."""

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import exit_code

import blemish
from blemish.models.load import load_generator
from blemish.pictures import write_picture
from blemish.synthesis.demo import draw_demo_mask, draw_part

ROOT = Path(__file__).parents[1]
PAGES = sorted(path for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")))
FENCE = re.compile(r"^( *)```(.*)\n((?:.*\n)*?)\1```$", re.MULTILINE)
LANGUAGES = ("python", "sh", "text")
TOOLS = ("blemish", "sh", ".", "pip", "docker")  # what a line of a block may call
SETTING = re.compile(r"\w+=")
QUICK = ("synthesize", "fill", "repair")  # verbs
PHOTOGRAPHS = ("good.jpg", "bad.jpg", "reference.jpg", "real.jpg")
MASKS = ("where.png", "paint.png", "split.png", "a.png", "b.png", "map.png", "real_mask.png")


def blocks(page: Path) -> Iterator[tuple[str, str]]:
    """Language and content of each block."""
    for _, language, content in FENCE.findall(page.read_text("utf-8")):
        yield language, content


def lines(content: str) -> Iterator[list[str]]:
    """Words of each command, without settings of the environment before it."""
    for line in content.splitlines():
        words = shlex.split(line, comments=True)
        while words and SETTING.match(words[0]):
            words = words[1:]
        if words:
            yield words


SCRIPTS = [
    pytest.param(content, id=f"{page.stem}-{k}")
    for page in PAGES
    for k, (language, content) in enumerate(blocks(page))
    if language == "sh"
]
COMMANDS = {
    tuple(words[1:])
    for page in PAGES
    for language, content in blocks(page)
    if language == "sh"
    for words in lines(content)
    if words[0] == "blemish"
}
SHORT = sorted(words for words in COMMANDS if words[0] in QUICK and "--bundle" not in words)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that the commands name."""
    folder = tmp_path_factory.mktemp("named")
    bundle = blemish.load("hazelnut", device="cpu")
    picture = draw_part(load_generator(bundle.files), seed=1)
    for name in PHOTOGRAPHS:
        write_picture(folder / name, picture)
    mask = draw_demo_mask(picture, seed=1)
    write_picture(folder / "bad.jpg", bundle.synthesize(picture, mask, "colour").image)
    for name in MASKS:
        write_picture(folder / name, mask)
    right = draw_demo_mask(picture, seed=2) & ~mask
    write_picture(folder / "split.png", right)
    write_picture(folder / "classes.png", (mask + 2 * right).astype("uint8"))
    return folder


def test_blocks_are_found() -> None:
    assert len(SCRIPTS) > 20 and len(COMMANDS) > 30 and len(SHORT) > 10


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_each_block_names_its_language(page: Path) -> None:
    assert {language for language, _ in blocks(page)} <= {*LANGUAGES}


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_block_is_a_script_of_known_tools(script: str) -> None:
    assert not subprocess.run(["sh", "-n"], input=script.encode(), check=False).returncode
    for tool, *words in lines(script):
        assert tool in TOOLS
        assert tool != "sh" or (ROOT / words[0]).is_file()


@pytest.mark.parametrize("words", SHORT, ids=" ".join)
def test_a_quick_command_runs(
    words: tuple[str, ...], files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(files, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    assert exit_code(shlex.join(words)) == 0
    assert {path.name for path in tmp_path.iterdir()} > {path.name for path in files.iterdir()}
