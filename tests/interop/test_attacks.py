"""Nothing in a file is run, whatever it says, and each ends soon with one message."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from interop import attacks
from interop.standins import TINY, rosinality, snapshot_of, write_snapshot
from safetensors.torch import save_file

from blemish.errors import BundleError
from blemish.interop import read_foreign


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What came of each file, read in a process of its own."""
    folder = tmp_path_factory.mktemp("attacks")
    write_good(folder)
    command = [sys.executable, str(Path(attacks.__file__)), str(folder)]
    threads = {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "error"}
    done = subprocess.run(
        command, env={**os.environ, **threads}, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout[-600:] + done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def write_good(folder: Path) -> None:
    """Small files of each kind, for the mutations."""
    from dataclasses import replace

    small = replace(TINY, resolution=8, z_dim=4, w_dim=4, channel_base=16, channel_max=4)
    small = replace(small, mapping_layers=1)
    write_snapshot(folder / "snapshot.case", snapshot_of(small))
    generator, critic = rosinality(small)
    checkpoint = {"g_ema": generator, "d": critic, "latent_avg": torch.zeros(4)}
    torch.save(checkpoint, folder / "zip.case")
    torch.save(checkpoint, folder / "legacy.case", _use_new_zipfile_serialization=False)
    state = snapshot_of(small)["G_ema"].state_dict()
    save_file({k: v.contiguous() for k, v in state.items()}, folder / "safetensors.case")


def test_every_attack_is_refused_and_mutants_are_read_or_refused(
    rows: list[dict[str, Any]],
) -> None:
    mutants = [row for row in rows if ".case " in row["what"]]
    assert len(mutants) == attacks.MUTATIONS
    attacked = [row for row in rows if row not in mutants]
    assert len(attacked) > 80
    assert [row["what"] for row in attacked if row["outcome"] != "refused"] == []
    assert {row["outcome"] for row in mutants} == {"read", "refused"}


def test_each_ends_soon(rows: list[dict[str, Any]]) -> None:
    assert [row for row in rows if row["seconds"] > 5] == []


def test_each_message_says_what_was_got_and_what_to_do(rows: list[dict[str, Any]]) -> None:
    refused = [row for row in rows if row["outcome"] == "refused"]
    for row in refused:
        assert row["message"].startswith("Got "), row
        assert "Expected " in row["message"] and len(row["message"]) < 1500, row


@pytest.mark.parametrize(
    "what, called",
    [
        ("os.system", "posix.system"),
        ("eval", "builtins.eval"),
        ("getattr chain", "builtins.getattr"),
        ("torch.load", "torch.serialization.load"),
        ("behind two dots", "torch._utils.sys.modules"),
        ("inside a storage", "posix.system"),
        ("a call", "posix.system"),
    ],
)
def test_the_name_that_was_called_for_is_reported(
    rows: list[dict[str, Any]], what: str, called: str
) -> None:
    (row,) = (row for row in rows if row["what"] == what)
    assert f"'{called}'" in row["message"] and "not run" in row["message"]


@pytest.mark.parametrize("family", [attacks.calls, attacks.oddities])
def test_shapes_and_types_hold_on_the_way_to_a_refusal(tmp_path: Path, family: Any) -> None:
    for what, data in family():
        (tmp_path / "a.case").write_bytes(data)
        with pytest.raises(BundleError) as error:
            read_foreign(tmp_path / "a.case")
        assert error.value.exit_code == 2, what


def test_what_is_no_file_is_reported(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.pkl", Path("/dev/zero")):
        with pytest.raises(BundleError, match="not a file"):
            read_foreign(path)
