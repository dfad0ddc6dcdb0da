"""The command: what it refuses before it serves anything."""

import socket
from pathlib import Path

import pytest
from commands import assert_refused

from blemish.files import alone


def test_a_missing_folder_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert_refused(f"studio {tmp_path / 'none'} --no-browser", "not a folder", capsys)


def test_a_missing_bundle_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = f"studio {tmp_path} --out {tmp_path / 'out'} --bundle none --no-browser"
    assert_refused(words, "the bundle 'none'", capsys)


def test_a_port_that_is_taken_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        words = f"studio {tmp_path} --out {tmp_path / 'out'} --port {port} --no-browser"
        assert_refused(words, f"--port {port}", capsys)


def test_a_folder_that_another_studio_uses_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with alone(tmp_path / "out"):
        words = f"studio {tmp_path} --out {tmp_path / 'out'} --no-browser"
        assert_refused(words, "another run is using", capsys)
