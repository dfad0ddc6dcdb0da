import errno
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from blemish.errors import BundleError, OutputError
from blemish.files import (
    MAX_NAME,
    append_line,
    check_name,
    check_path,
    ensure_writable,
    read_lines,
    replacing,
    sweep,
    visible,
    write_atomically,
)


def refuse(code: int) -> Callable[..., None]:
    def fail(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    return fail


@pytest.mark.parametrize("data", [b"", b"new", bytes(range(256)) * 1000])
@pytest.mark.parametrize("old", [None, b"old"])
def test_what_is_written_is_read(tmp_path: Path, data: bytes, old: bytes | None) -> None:
    path = tmp_path / "file.bin"
    if old is not None:
        path.write_bytes(old)
    write_atomically(path, data)
    assert path.read_bytes() == data
    assert list(tmp_path.iterdir()) == [path]


def test_the_temporary_is_hidden_beside_its_place_with_the_same_suffix(tmp_path: Path) -> None:
    with replacing(tmp_path / "a.png") as temporary:
        temporary.write_bytes(b"x")
        assert temporary.parent == tmp_path
        assert temporary.suffix == ".png"
        assert temporary.name.startswith(".")
        assert not (tmp_path / "a.png").exists()


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit, RuntimeError, MemoryError])
def test_an_interruption_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, interruption: type[BaseException]
) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(interruption), replacing(path) as temporary:
        temporary.write_text("ha")
        raise interruption
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO])
@pytest.mark.parametrize("step", ["write_bytes", "replace"])
def test_a_disk_that_refuses_is_an_output_error_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, step: str
) -> None:
    monkeypatch.setattr(Path, step, refuse(code))
    with pytest.raises(OutputError, match=r"a\.txt: .*\. Expected .*\. \w+"):
        write_atomically(tmp_path / "a.txt", b"new")
    assert not list(tmp_path.iterdir())


def test_a_full_disk_during_the_flush_keeps_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    monkeypatch.setattr(os, "fsync", refuse(errno.ENOSPC))
    with pytest.raises(OutputError, match="no space"):
        write_atomically(path, b"new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_in_the_place_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(OutputError, match="a folder is in its place"):
        write_atomically(tmp_path / "a", b"x")


def test_a_file_for_a_parent_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    with pytest.raises(OutputError, match="where a folder must be"):
        write_atomically(tmp_path / "a" / "b", b"x")


def test_a_missing_parent_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="does not exist"):
        write_atomically(tmp_path / "no" / "b", b"x")


def test_a_failure_to_read_elsewhere_is_not_the_outputs(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "a"):
        (tmp_path / "another").read_bytes()


@pytest.mark.parametrize("name", [".", "new", "new/and/deeper"])
def test_a_writable_folder_is_made_and_left_empty(tmp_path: Path, name: str) -> None:
    ensure_writable(tmp_path / name)
    ensure_writable(tmp_path / name)
    assert not list((tmp_path / name).iterdir())


@pytest.mark.parametrize("name", ["file", "file/below", "file/far/below"])
def test_a_file_is_no_writable_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="Move"):
        ensure_writable(tmp_path / name)


@pytest.mark.parametrize("name", [".", "new/below"])
def test_a_folder_closed_by_its_owner_is_closed_to_root_too(tmp_path: Path, name: str) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    closed.chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(OutputError, match="may not be written"):
        ensure_writable(closed / name)
    closed.chmod(stat.S_IRWXU)
    assert not list(closed.iterdir())


def test_a_full_disk_is_found_by_the_probe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "write_bytes", refuse(errno.ENOSPC))
    with pytest.raises(OutputError, match="no space"):
        ensure_writable(tmp_path)


@pytest.mark.parametrize("lines", [[], ["one"], ["ä", "", "{}"], ["x" * 100_000] * 3])
def test_appended_lines_are_read_back(tmp_path: Path, lines: list[str]) -> None:
    for line in lines:
        append_line(tmp_path / "a.jsonl", line)
    assert read_lines(tmp_path / "a.jsonl") == lines


@pytest.mark.parametrize("cut", range(1, 6))
def test_a_torn_line_is_neither_read_nor_glued_to_the_next(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "a.jsonl"
    append_line(path, "whole")
    append_line(path, "törn")
    os.truncate(path, path.stat().st_size - cut)
    assert read_lines(path) == ["whole"]
    append_line(path, "next")
    assert read_lines(path) == ["whole", "next"]


def test_a_file_of_one_torn_line_starts_afresh(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("to")
    append_line(tmp_path / "a", "next")
    assert (tmp_path / "a").read_text() == "next\n"


def test_appending_to_a_full_disk_is_an_output_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", refuse(errno.ENOSPC))
    with pytest.raises(OutputError, match=r"a\.jsonl: no space"):
        append_line(tmp_path / "a.jsonl", "x")


@pytest.mark.parametrize(
    "name", ["hole", "broken large", "part 7-hole_0", "00.1", "긁힘", "Kratzer ä", "x" * MAX_NAME]
)
def test_a_plain_name_is_taken_as_it_is(name: str) -> None:
    assert check_name(name, "the type") == name


OUTSIDE = [
    *("", " ", ".", "..", "../x", "/etc/x", "a/b", "a\\b", "C:x", ".hidden"),
    *("a\0b", "a\nb", "a\tb", "a\x1b[31mb", "a\u2028b", "a\udcffb", "a.", " a", "a ", "a\u3000"),
    *("x" * (MAX_NAME + 1), "ä" * MAX_NAME, "nul", "CON.png", "com1", 'a"b', "a*"),
    *(None, 3, True, ["a"], b"a"),
]


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_name_that_could_leave_its_folder_is_refused(name: object) -> None:
    with pytest.raises(BundleError, match=r"the type .*, which .*Expected") as caught:
        check_name(name, "the type", BundleError)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500


def test_a_relative_path_keeps_its_parts() -> None:
    assert check_path("test/hole/a.png", "the image").parts == ("test", "hole", "a.png")


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "../a", "a/../b", "a//b", "a/", "./a", "a/.b", "a\\b", "", 3, None]
)
def test_a_path_that_leads_elsewhere_is_refused(path: object) -> None:
    with pytest.raises(BundleError, match="the image"):
        check_path(path, "the image", BundleError)


KILLED = """
import os, sys
from pathlib import Path
from blemish.files import replacing
with replacing(Path(sys.argv[1]) / "a.safetensors") as temporary:
    temporary.write_text("half")
    print(temporary, flush=True)
    sys.stdin.read() if "wait" in sys.argv else os._exit(9)
"""


def writer(folder: Path, *how: str) -> subprocess.Popen[str]:
    """Another process in the middle of a write; without "wait" it dies there."""
    command = [sys.executable, "-c", KILLED, str(folder), *how]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, text=True, stdin=pipe, stdout=pipe)


def test_what_a_killed_writer_left_goes_with_the_next_write(tmp_path: Path) -> None:
    with writer(tmp_path) as dead:
        dead.communicate()
    assert len([*tmp_path.iterdir()]) == 1
    write_atomically(tmp_path / "b.txt", b"new")
    assert [*tmp_path.iterdir()] == [tmp_path / "b.txt"]


def test_the_file_of_a_living_writer_stays(tmp_path: Path) -> None:
    with writer(tmp_path, "wait") as living:
        assert living.stdout is not None
        temporary = Path(living.stdout.readline().strip())
        sweep(tmp_path)
        assert temporary.exists()
        living.communicate("")
    assert [*tmp_path.iterdir()] == [tmp_path / "a.safetensors"]


def test_hidden_files_of_the_user_and_links_stay(tmp_path: Path) -> None:
    (tmp_path / ".blemish-7.folder").mkdir()
    (tmp_path / ".blemish-8.link").symlink_to(tmp_path / ".env")
    for name in (".env", ".7.notes.txt", ".blemish", ".blemishes-7.txt", ".git-1.x"):
        (tmp_path / name).write_text("mine")
    before = {*tmp_path.iterdir()}
    sweep(tmp_path)
    sweep(tmp_path / "gone")
    assert {*tmp_path.iterdir()} == before


def test_visible_paths_come_in_order_without_dotted_ones(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("b", ".a", "a", ".blemish-1.b")]
    assert visible(paths) == [tmp_path / "a", tmp_path / "b"]
