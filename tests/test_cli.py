import json
import os
import re
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open

import blemish.checkpoint
import blemish.features
from blemish import __version__, cli
from blemish.checkpoint import Bundle
from blemish.cli import docs, doctor, main
from blemish.errors import BundleError, OptionError, Terminated, TrainingError
from blemish.models.generator import GeneratorConfig
from blemish.pictures import write_picture
from blemish.training.loop import STATE
from blemish.training.presets import PRESETS, find_preset, preset_of

TINY = ("--preset", "tiny-16", "--device", "cpu")
WARM = PRESETS["tiny-16"].training.warm_steps
SHORT = ("--device", "cpu", "--kimg", "0.04")
DOCS = Path(__file__).resolve().parents[1] / "docs" / "cli.md"
ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1"}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rng, root = np.random.default_rng(0), tmp_path / "part"
    square = np.zeros((16, 16), bool)
    square[5:12, 5:12] = True
    places = [f"train/good/{k}" for k in range(4)] + ["test/good/0"]
    places += [f"test/{kind}/{k}" for kind in ("dent", "rust") for k in range(3)]
    for place in places:
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        write_picture(root / f"{place}.png", rng.integers(0, 256, (16, 16, 3), np.uint8))
        if "good" not in place:
            mask = root / f"{place.replace('test', 'ground_truth')}_mask.png"
            mask.parent.mkdir(parents=True, exist_ok=True)
            write_picture(mask, square)
    return root


@pytest.fixture
def bundle(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    out = tmp_path / "bundle"
    assert main(["train", "generator", str(data), "--out", str(out), *TINY, "--kimg", "0.04"]) == 0
    capsys.readouterr()
    return out


def exit_code(*args: object) -> int:
    try:
        return main([str(arg) for arg in args])
    except SystemExit as error:
        assert isinstance(error.code, int)
        return error.code


def assert_refused(capsys: pytest.CaptureFixture[str], *args: object, got: str) -> None:
    """Exit code 2 and one message of three lines."""
    assert exit_code(*args) == 2
    *_, first, expected, todo = capsys.readouterr().err.splitlines()
    assert first.startswith("Error: got ")
    assert got in first
    assert expected.startswith("  Expected ")
    assert todo.startswith("  ") and todo.endswith((".", "?"))


def step_of(out: Path, stage: str) -> int:
    with safe_open(out / "training" / stage / "state.safetensors", "pt") as file:
        return int(file.metadata()["step"])


def test_the_help_pages_are_the_documentation() -> None:
    again = "python -m blemish.cli.docs > docs/cli.md"
    assert docs.pages() == DOCS.read_text(encoding="utf-8"), f"Refresh it: {again}"


def test_descriptions_are_wrapped_where_a_line_is_full() -> None:
    lines = [line.strip("│") for line in DOCS.read_text(encoding="utf-8").splitlines()]
    for line, after in pairwise(lines):
        described = line.startswith(" ") and re.search(r"\S {2,}\S|^ {12,}\S", line.rstrip())
        if described and re.match(r" {12,}\S", after):
            assert len(f"{line.rstrip()} {after.split()[0]}") >= len(line), (line, after)


def test_help_is_quick_because_nothing_heavy_is_imported() -> None:
    code = "import sys; from blemish.cli.docs import pages; assert pages()\n"
    code += "assert not {'torch', 'numpy', 'cv2', 'scipy', 'matplotlib'} & {*sys.modules}"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("--version") == 0
    assert capsys.readouterr().out == f"blemish {__version__}\n"


UNPARSABLE = [
    "",
    "data",
    "dta check x",
    "data check",
    "data check a b",
    "train generator DATA",
    "train generator DATA --out OUT --kimg many",
    "train generator DATA --out OUT --kimg None",
    "train generator DATA --out OUT --device tpu",
    "train generator DATA --out OUT --kmg 3",
    "train encoder DATA",
    "doctor --jsn",
]


@pytest.mark.parametrize("line", UNPARSABLE)
def test_what_cannot_be_parsed(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(*line.split()) == 2
    shown = capsys.readouterr()
    assert not shown.out
    assert "Traceback" not in shown.err
    assert "--help" in shown.err


REFUSED = [
    ("data check NONE", "which does not exist"),
    ("data check FILE", "which is a file"),
    ("data check EMPTY", "without photographs"),
    (f"data check {'x' * 300}", "File name too long"),
    ("train generator NONE --out OUT", "which does not exist"),
    ("train generator DATA --out OUT --preset x", "the preset 'x'"),
    ("train generator DATA --out OUT --symmetries flip,spin", "the symmetry 'spin'"),
    ("train generator DATA --out OUT --kimg 0", "0.0 kimg"),
    ("train generator DATA --out OUT --kimg nan", "nan kimg"),
    ("train generator DATA --out OUT --kimg inf", "inf kimg"),
    ("train generator DATA --out OUT --batch -1", "batch -1"),
    ("train generator DATA --out OUT --seed -1", "seed -1"),
    ("train generator DATA --out OUT --seed 9223372036854775808", "seed 9223372036854775808"),
    ("train generator DATA --out OUT --threads 0", "--threads 0"),
    ("train generator DATA --out OUT --device cpu --processes 0", "0 processes"),
    ("train generator DATA --out FILE --preset tiny-16", "a file is in a folder's place"),
    ("train generator DEFECTS --out OUT", "with no photograph of a good part"),
    ("train generator DATA --out OTHER", "a bundle that was not trained here"),
    ("train encoder DATA --bundle NONE", "which is not a folder with a config.json"),
    ("train encoder DATA --bundle FOREIGN", "is not of bundle format"),
    ("train encoder DATA --bundle OTHER", "whose 'generator' is invalid"),
]


@pytest.mark.parametrize("line, got", REFUSED)
def test_bad_input_is_refused(
    line: str, got: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("EMPTY", "OTHER", "FOREIGN"):
        (tmp_path / name).mkdir()
    (tmp_path / "FILE").write_text("hello")
    Bundle(tmp_path / "OTHER").write_config({})
    (tmp_path / "FOREIGN" / "config.json").write_text("{}")
    (tmp_path / "DEFECTS" / "test").mkdir(parents=True)
    (data / "test" / "dent").rename(tmp_path / "DEFECTS" / "test" / "dent")
    data.rename(tmp_path / "DATA")
    words = [tmp_path / word if word.isupper() else word for word in line.split()]
    assert_refused(capsys, *words, got=got)
    assert not (tmp_path / "OUT").exists()


def test_a_command_that_cannot_use_cuda(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    command = ("train", "generator", data, "--out", tmp_path / "out", "--device", "cuda")
    assert_refused(capsys, *command, got="--device cuda")


def test_more_processes_than_devices(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    command = ("train", "generator", data, "--out", tmp_path / "out", "--processes", "2")
    assert_refused(capsys, *command, got="2 processes")


def test_checking_a_sound_folder(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("data", "check", data) == 0
    shown = capsys.readouterr()
    assert "photographs" in shown.out
    assert not shown.err


@pytest.mark.parametrize("option", [(), ("--json",)])
def test_complaints_name_their_files(
    data: Path, option: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    (data / "test/dent/[red] ü.png").write_bytes(b"hello")
    assert exit_code("data", "check", data, *option) == 2
    shown = capsys.readouterr()
    assert "Error: got " in shown.err
    if not option:
        reported = f"{data}/test/dent/[red] ü.png is not an image"
        assert any(line.startswith(reported) for line in shown.out.splitlines())
    else:
        found = json.loads(shown.out)
        assert found["complaints"][0]["path"] == "test/dent/[red] ü.png"


def test_a_file_name_that_is_no_text(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        Path(os.fsdecode(os.fsencode(data) + b"/train/good/\xff.png")).write_bytes(b"hello")
    except OSError:
        pytest.skip("this disk takes no such names")
    assert exit_code("data", "check", data) == 2
    assert r"\udcff.png is not an image" in capsys.readouterr().out


@pytest.mark.parametrize("name", PRESETS)
def test_a_dry_run_prints_what_would_be_used(
    name: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--preset", name, "--kimg", "7", "--seed", "5", "--symmetries", "flip", "--dry-run")
    assert exit_code("train", "generator", data, "--out", tmp_path / "out", *options) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["training"]["schedule"]["kimg"] == 7
    assert shown["training"]["schedule"]["seed"] == 5
    batch = PRESETS[name].training.schedule.batch
    assert shown["training"]["schedule"]["batch"] == batch
    assert shown["training"]["symmetries"]["flip"]
    assert not shown["training"]["symmetries"]["rotate"]
    assert shown["shape"]["resolution"] == PRESETS[name].shape.resolution
    assert not (tmp_path / "out").exists()


def test_a_training_and_its_refusals(
    data: Path, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = ("train", "generator", data, "--out", bundle, *TINY, "--kimg", "0.04")
    assert step_of(bundle, "generator") == WARM + 10

    assert_refused(capsys, *first, got="which contains the state of a training")
    assert_refused(capsys, *first, "--resume", "--batch", "8", got="--resume with batch 8")
    assert exit_code(*first[:-1], "0.06", "--resume") == 0
    assert step_of(bundle, "generator") == WARM + 15


@pytest.mark.usefixtures("short_trainings")
def test_a_resumed_training_need_not_be_given_its_options_again(
    data: Path, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def shown(*command: object) -> dict[str, Any]:
        assert exit_code(*command, "--dry-run") == 0
        return json.loads(capsys.readouterr().out)

    first = ("train", "generator", data, "--out", bundle)
    assert shown(*first, "--resume") == shown(*first, *TINY, "--kimg", "0.04", "--resume")
    assert exit_code(*first, "--resume") == 0
    assert step_of(bundle, "generator") == WARM + 10
    assert_refused(capsys, *first, "--resume", "--preset", "nut-64", got="--resume with preset")

    options = ("--symmetries", "rotate", "--everything", "--seed", "5")
    second = ("train", "encoder", data, "--bundle", bundle)
    assert exit_code(*second, *SHORT, *options, "--batch", "2") == 0
    steps = step_of(bundle, "encoder")
    assert exit_code(*second, "--resume", "--kimg", "0.05") == 0
    assert step_of(bundle, "encoder") == steps + 5
    again = shown(*second, "--resume")
    assert again["everything"] and again["training"]["symmetries"]["rotate"]
    plan = again["training"]["schedule"]
    assert (plan["seed"], plan["batch"], plan["kimg"]) == (5, 2, 0.05)


def test_the_time_limit_ends_a_training_that_goes_on_later(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    command = ("train", "generator", data, "--out", out)
    assert_refused(capsys, *command, "--minutes", "0", got="--minutes 0.0")
    assert exit_code(*command, *TINY, "--kimg", "0.04", "--minutes", "1e-9") == 0
    assert f"To go on: blemish train generator {data} --out {out} --resume" in (
        capsys.readouterr().err
    )
    assert step_of(out, "generator") == 1 and (out / "generator.safetensors").exists()
    assert exit_code(*command, "--resume") == 0
    assert step_of(out, "generator") == WARM + 10


@pytest.mark.usefixtures("short_trainings")
def test_the_second_stage_goes_by_what_the_first_was_reported(
    data: Path, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = Bundle(bundle).config
    config["training"]["generator"]["symmetries"] |= {"flip": True, "degrees": 33.0}
    Bundle(bundle).write_config(config)
    options = ("--symmetries", "rotate", "--dry-run")
    assert exit_code("train", "encoder", data, "--bundle", bundle, "--dry-run") == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["training"]["symmetries"]["flip"]
    assert exit_code("train", "encoder", data, "--bundle", bundle, *options) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (
        shown["training"]["symmetries"] | {"rotate": True, "flip": False, "degrees": 33.0}
        == (shown["training"]["symmetries"])
    )
    assert not (bundle / "training" / "encoder").exists()


def test_a_bundle_of_ours_is_not_trained_in_place(
    data: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(blemish.checkpoint, "EMBEDDED", bundle.parent)
    command = ("train", "encoder", data, "--bundle", bundle.name)
    assert_refused(capsys, *command, got="a bundle that is part of Blemish")


@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C is no signal there")
@pytest.mark.parametrize(
    "number, code, word", [(signal.SIGINT, 130, "Interrupted"), (signal.SIGTERM, 143, "Terminated")]
)
def test_a_signal_then_resume(
    data: Path, tmp_path: Path, number: signal.Signals, code: int, word: str
) -> None:
    out = tmp_path / "out"
    command = ["train", "generator", str(data), "--out", str(out), *TINY]
    process = subprocess.Popen(
        [sys.executable, "-m", "blemish", *command, "--kimg", "1000", "--threads", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ONE_THREAD,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    wait_for(out / "training" / "generator" / STATE, process)
    process.send_signal(number)
    _, reported = process.communicate(timeout=60)
    assert process.returncode == code
    assert reported.count(f"{word}; no incomplete files are left. The checkpoint stands at") == 1
    line = f"blemish train generator {data} --out {out} --resume"
    assert reported.rstrip().endswith(f"To go on: {line}")
    assert "Traceback" not in reported
    assert not [*out.rglob(".*")]

    done = step_of(out, "generator")
    assert main([*line.split()[1:], "--kimg", str(4 * (done - WARM + 5) / 1000)]) == 0
    assert step_of(out, "generator") == done + 5


def wait_for(file: Path, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 120
    while not file.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.skipif(os.name == "nt", reason="a closed pipe is another error there")
def test_a_reader_that_leaves_early_is_no_trouble() -> None:
    command = [sys.executable, "-m", "blemish", "doctor"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ONE_THREAD
    )
    assert process.stdout and process.stderr
    process.stdout.close()
    reported = process.stderr.read()
    process.stderr.close()
    assert (process.wait(), reported) == (141, b"")


def test_the_doctor_names_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("BLEMISH_WEIGHTS", raising=False)
    monkeypatch.setattr(blemish.checkpoint, "EMBEDDED", tmp_path)
    assert exit_code("doctor") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["version", "blemish", __version__]
    assert [line.split()[1] for line in lines if "missing: no weights" in line] == [
        "squeezenet",
        "vgg16",
    ]
    todo = lines[lines.index("To install what is missing:") + 1 :]
    assert todo == [f"  {doctor.TRAIN}", f"  {doctor.FETCH}"]


def test_the_doctor_fetches_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def load(name: str, *, download: bool) -> None:
        asked.append((name, download))
        raise BundleError(got="no answer", expected="one", todo="Wait.")

    monkeypatch.setattr(blemish.features, "load_features", load)
    assert exit_code("doctor", "--fetch") == 0
    assert asked == [("efficientnet-lite0", True), ("squeezenet", True), ("vgg16", True)]


def test_the_doctor_lists_devices(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    card = SimpleNamespace(name="Card", total_memory=80 * 2**30)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    monkeypatch.setattr("torch.cuda.get_device_properties", lambda index: card)
    assert exit_code("doctor") == 0
    devices = [line for line in capsys.readouterr().out.splitlines() if line.startswith("device")]
    assert [line.split()[1] for line in devices] == ["cpu", "cuda:0"]
    assert devices[1].endswith("Card, 80 GiB")


def test_the_doctor_reads_every_bundle(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(blemish.checkpoint, "EMBEDDED", bundle.parent)
    assert exit_code("doctor", "--json") == 0
    found = {finding["name"]: finding for finding in json.loads(capsys.readouterr().out)}
    assert found["bundle"]["text"] == f"sha256 {Bundle(bundle).digest}"

    critic = bundle / "critic.safetensors"
    critic.write_bytes(critic.read_bytes()[:-9])
    assert exit_code("doctor", "--json") == 1
    shown = capsys.readouterr()
    found = {finding["name"]: finding for finding in json.loads(shown.out)}
    assert found["bundle"]["state"] == "broken"
    assert str(critic) in found["bundle"]["text"]
    assert shown.err == "Error: bundle can't be used; stdout gives the reasons.\n"


def test_the_doctor_survives_a_library_that_does_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "PACKAGES", ("torch", "no_such_library"))
    assert exit_code("doctor") == 1
    shown = capsys.readouterr()
    assert "no_such_library   broken: ModuleNotFoundError" in shown.out
    assert "--force-reinstall" in shown.out
    assert "no_such_library" in shown.err


FAILURES = [
    (TrainingError("Got NaN."), 1, "Error: Got NaN.\n"),
    (OptionError(got="a\nb", expected="c", todo="D."), 2, "Error: got a b.\n  Expected c.\n  D.\n"),
    (ValueError("odd\nthing"), 1, "failed with ValueError: odd\n  Set BLEMISH_DEBUG=1"),
    (AssertionError(), 1, "failed with AssertionError\n"),
    (KeyboardInterrupt(), 130, "Interrupted; no incomplete files are left. Run it again"),
    (Terminated("Do."), 143, "Terminated; no incomplete files are left. Do."),
    (PermissionError(13, "Permission denied", "/x"), 2, "Error: got /x: Permission denied.\n"),
    (OSError(28, "No space left on device"), 2, "got an output: No space left on device.\n"),
    (OSError("no file"), 1, "failed with OSError: no file\n"),
]


@pytest.mark.parametrize("error, code, text", FAILURES)
@pytest.mark.parametrize("debug", ["", "1"])
def test_each_error_has_its_exit_code(
    error: BaseException,
    code: int,
    text: str,
    debug: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail() -> None:
        """Fails."""
        raise error

    monkeypatch.setitem(cli.VERBS, "doctor", fail)
    monkeypatch.setenv("BLEMISH_DEBUG", debug)
    assert exit_code("doctor") == code
    reported = capsys.readouterr().err
    assert text in reported
    assert ("Traceback" in reported) == bool(debug)


def test_of_several_processes_one_reports(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert exit_code("data", "check", "nowhere") == 2
    assert not capsys.readouterr().err


def test_presets_are_found_by_name_then_by_shape(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="nut-64"):
        find_preset("nut")
    found = Bundle(tmp_path)
    shape = {"resolution": 16, "z_dim": 16, "w_dim": 16, "channel_base": 256, "channel_max": 16}
    found.write_config({"generator": shape})
    assert preset_of(found) is PRESETS["tiny-16"]
    found.write_config({"generator": shape, "preset": "nut-64"})
    assert preset_of(found) is PRESETS["nut-64"]
    found.write_config({"generator": shape | {"resolution": 64}, "preset": ["x"]})
    made = preset_of(found)
    expected = GeneratorConfig(resolution=64, z_dim=16, w_dim=16, channel_base=256, channel_max=16)
    assert made.shape == expected
