"""scripts/reproduce: its plans, its chain, its copy-paste set and its report, without training."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import wraps
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import tyro
from same import files_in

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # benchmarks are in no package

from tiny import write_bundle

from benchmarks import card, snapshots
from benchmarks.reproduce import paste
from benchmarks.reproduce import run as running
from benchmarks.reproduce.__main__ import main
from benchmarks.reproduce.outcomes import Places, trained
from benchmarks.reproduce.plans import PLANS, Length, Plan
from benchmarks.reproduce.recipe import recipe
from benchmarks.reproduce.report import Report
from benchmarks.reproduce.run import run, spent
from benchmarks.reproduce.steps import Step, Ways, chain
from benchmarks.reproduce.subjects import SUBJECTS
from blemish.checkpoint import Bundle
from blemish.cli import parse
from blemish.errors import DataError
from blemish.evaluation.synthesis.items import read_synthetic
from blemish.evaluation.utility.page import NAMES
from blemish.evaluation.utility.protocol import read_protocol
from blemish.synthesis.batch.recipe import read_recipe
from blemish.training.encoder.presets import RECIPES
from blemish.training.presets import find_preset
from blemish.training.windows.train import WindowTraining

ROOT = Path(__file__).resolve().parents[1]
NAMED: list[tuple[str, Length]] = [(n, length) for n in PLANS for length in PLANS[n]]
MODULES = {
    "benchmarks.card": card,
    "benchmarks.snapshots": snapshots,
    "benchmarks.reproduce.paste": paste,
}


def deferred(command: Callable[..., None]) -> Callable[..., None]:
    """Takes the same command line, and does nothing."""

    @wraps(command)
    def nothing(*_: object, **__: object) -> None:
        return None

    return nothing


def steps_of(name: str, length: Length, work: Path, **ways: Any) -> list[Step]:
    places = Places(data=Path("data"), work=work, foreign=Path("other"))
    return chain(name, SUBJECTS[name], PLANS[name][length], places, Ways(**ways))


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(data=tmp_path / "data", work=tmp_path / "work")


@pytest.mark.parametrize(("name", "length"), NAMED)
def test_every_command_parses(name: str, length: Length, tmp_path: Path) -> None:
    steps = steps_of(name, length, tmp_path, threads=2, precision="bf16-mixed")
    for step in steps:
        program, *words = step.command
        if program == "blemish":
            assert callable(parse(words))
        else:
            assert (program, words[0]) == ("python", "-m")
            assert tyro.cli(deferred(MODULES[words[1]].main), args=words[2:]) is None
    assert len({step.name for step in steps}) == len(steps)
    assert not any(step.done_when() for step in steps)


@pytest.mark.parametrize(("name", "length"), NAMED)
def test_without_weights_only_what_needs_them_is_left_out(
    name: str, length: Length, tmp_path: Path
) -> None:
    every, without = (
        {step.name for step in steps_of(name, length, tmp_path, weights=weights)}
        for weights in (True, False)
    )
    assert every - without == {"card", "snapshots"} and without < every


@pytest.mark.parametrize(("name", "length"), NAMED)
def test_trainings_come_out_to_whole_steps(name: str, length: Length) -> None:
    plan = PLANS[name][length]
    schedules = [
        (plan.encoder, RECIPES["in-domain"].schedule),
        (plan.windows, WindowTraining().schedule),
    ]
    for rung in plan.rungs:
        preset = find_preset(rung.preset)
        schedules += [(rung.generator, preset.training.schedule)]
    for kimg, schedule in schedules:
        wanted = replace(schedule, kimg=kimg)
        assert wanted.steps * wanted.batch == round(1000 * kimg)


@pytest.mark.parametrize(("name", "length"), NAMED)
def test_each_rung_is_a_finer_form_of_the_one_below(name: str, length: Length) -> None:
    presets = [find_preset(rung.preset) for rung in PLANS[name][length].rungs]
    for coarse, fine in pairwise(presets):
        assert coarse.shape.resolution < fine.shape.resolution
        assert replace(fine.shape, resolution=coarse.shape.resolution) == coarse.shape


@pytest.mark.parametrize(("name", "length"), NAMED)
def test_the_recipe_says_what_the_plan_says(
    name: str, length: Length, parts: Path, tmp_path: Path
) -> None:
    plan, work = PLANS[name][length], tmp_path / "run s" / "wörk"
    write_bundle(work / plan.finest.preset)
    file = work / "recipe.toml"
    file.write_text(recipe(plan, parts, work), encoding="utf-8")
    found = read_recipe(file)
    assert len(found) == plan.count
    asked = [(items.defect, items.count) for items in plan.items]
    assert [(group.defect, group.count) for group in found.groups] == asked
    for group, items in zip(found.groups, plan.items, strict=True):
        assert asdict(items.draw).items() <= asdict(group).items()
    assert {items.defect for items in plan.items} == {*SUBJECTS[name].types}
    assert all(len(group.photographs) == 6 for group in found.groups)
    # Test photographs lend the made set nothing, not even their masks.
    assert all(group.first_third == (group.real is not None) for group in found.groups)


def test_a_recipe_names_data_as_it_was_named(parts: Path, tmp_path: Path) -> None:
    linked = tmp_path / "shared"
    linked.symlink_to(parts)
    text = recipe(PLANS["hazelnut"]["full"], linked, tmp_path / "runs" / "hazelnut")
    assert 'real = "../../shared"' in text


def test_a_training_is_done_at_its_length_and_with_what_is_learnt_behind_it(
    tmp_path: Path,
) -> None:
    bundle = write_bundle(tmp_path / "bundle", encoder=True)
    assert trained(bundle.path, "generator", 0.004)
    assert not trained(bundle.path, "generator", 0.008)
    assert not trained(bundle.path, "windows", 0)
    assert not trained(tmp_path / "nothing", "generator", 0)
    bundle.write_config({**bundle.config, "encoder_nimg": 4})
    assert trained(bundle.path, "encoder", 0.004)
    bundle.forget("domain.")
    assert not trained(bundle.path, "encoder", 0.004)


def fake(name: str, code: str, done: Callable[[], bool]) -> Step:
    return Step(name=name, command=("python", "-c", code), done_when=done)


def test_what_is_done_is_passed_over_and_what_failed_is_carried_on(
    places: Places, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    broken.touch()
    one = fake("one", "print('first')", places.log("one").is_file)
    code = (
        f"import pathlib, sys; print('why'); sys.exit(7 * pathlib.Path({str(broken)!r}).exists())"
    )
    two = fake("two", code, places.log("two").is_file)
    three = fake("three", "print('third')", places.log("three").is_file)
    assert run([one, two, three], places, root=tmp_path) == 7
    out, err = capfd.readouterr()
    assert "$ python -c 'print('\"'\"'first'\"'\"')'" in out
    assert "why" in err and "two failed with exit code 7" in err
    assert not places.log("two").exists() and not places.log("three").exists()
    broken.unlink()
    assert run([one, two, three], places, root=tmp_path) == 0
    assert "one: done already" in capfd.readouterr().out
    assert places.log("three").read_text() == "third\n"
    assert {name: s.runs for name, s in spent(places.work).items()} == {
        "one": 1,
        "two": 2,
        "three": 1,
    }


def test_steps_run_in_the_root_with_the_variables_that_are_given(
    places: Places, tmp_path: Path
) -> None:
    code = "import os; print(os.getcwd(), os.environ['OMP_NUM_THREADS'])"
    step = fake("where", code, lambda: False)
    assert run([step], places, root=tmp_path, variables={"OMP_NUM_THREADS": "3"}) == 0
    assert places.log("where").read_text() == f"{tmp_path} 3\n"


def test_an_interrupted_step_is_waited_for_and_counted(
    places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float | None] = []

    class Interrupted(subprocess.Popen):
        def wait(self, timeout: float | None = None) -> int:
            waited.append(timeout)
            if len(waited) == 1:
                raise KeyboardInterrupt
            return super().wait(timeout)

    monkeypatch.setattr(running.subprocess, "Popen", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        run([fake("one", "pass", lambda: False)], places, root=tmp_path)
    assert waited[:2] == [None, running.PATIENCE]
    assert spent(places.work)["one"].runs == 1 and not places.log("one").exists()


def test_who_is_asked_to_end_ends_the_step_as_well(places: Places, tmp_path: Path) -> None:
    code = (
        "import os, signal, time\n"
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\n"
        "os.kill(os.getppid(), signal.SIGTERM)\ntime.sleep(60)"
    )
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        run([fake("long", code, lambda: False)], places, root=tmp_path)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("name", SUBJECTS)
@pytest.mark.parametrize("folder", ["nothing", "parts"])
def test_a_folder_that_is_another_says_what_was_expected(
    name: str,
    folder: str,
    parts: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    data = str(parts) if folder == "parts" else folder
    assert main([name, "--data", data, "--work", str(tmp_path / "work")]) == 2
    out, err = capsys.readouterr()
    assert not out and err.count("Error: ") == 1
    for expected in (SUBJECTS[name].source, SUBJECTS[name].licence, "--data", data):
        assert expected in err
    assert not (tmp_path / "work").exists()


def test_a_dry_run_prints_and_makes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["bottle", "--dry-run", "--work", "w o r k", "--threads", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "blemish data check ../shared/data/mvtec_bottle_256"
    assert sum("--threads 2" in line for line in lines) == 4
    assert any(f"--bundle '{tmp_path}/w o r k/bottle-128'" in line for line in lines)
    assert not any(tmp_path.iterdir())


def test_threads_are_counted_from_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bottle", "--threads", "0"]) == 2
    assert "--threads 0" in capsys.readouterr().err


def test_ctrl_c_says_how_to_carry_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("benchmarks.reproduce.__main__.refuse_absent", interrupted)
    assert main(["bottle"]) == 130
    assert "Run the same again" in capsys.readouterr().err


def test_a_pasted_set_depends_on_seed_and_number_alone(parts: Path, tmp_path: Path) -> None:
    for place, count, seed in (("a", 4, 0), ("b", 4, 0), ("longer", 6, 0), ("other", 4, 1)):
        paste.write_pasted(parts, tmp_path / place, count=count, seed=seed, size=32)
    a, b, longer, other = (files_in(tmp_path / p) for p in ("a", "b", "longer", "other"))
    assert a == b
    pictures = {name: content for name, content in a.items() if name.endswith(".png")}
    assert len(pictures) == 8 and pictures.items() <= longer.items()
    assert not pictures.items() & other.items()


def test_a_pasted_set_is_read_as_a_made_one(parts: Path, tmp_path: Path) -> None:
    paste.write_pasted(parts, tmp_path, count=5, seed=0, size=32)
    found = read_synthetic(tmp_path).items
    assert {kind: len(items) for kind, items in found.items()} == {"crack": 3, "print": 2}
    real = read_protocol(parts, 32)
    for item in (item for items in found.values() for item in items):
        picture, mask = item.read()
        assert picture.shape == (32, 32, 3) and mask.any()
        far = [(good != picture).any(axis=2) for good in real.good.pictures]
        assert min((changed & ~mask).mean() for changed in far) < 0.2


def test_a_pasted_set_is_not_mixed_with_another(parts: Path, tmp_path: Path) -> None:
    paste.write_pasted(parts, tmp_path, count=2, seed=0, size=32)
    with pytest.raises(DataError, match="count"):
        paste.write_pasted(parts, tmp_path, count=3, seed=0, size=32)
    assert len(files_in(tmp_path)) == 5


def distance(kernel: float) -> dict[str, float]:
    return {"kernel": kernel, "kernel_spread": 0.25}


def of_type(kernel: float) -> dict[str, Any]:
    """A type of a synthesis report; no copies are known of, and no inside is."""
    sides = {"made": distance(kernel), "learnt": distance(0.5)}
    return {
        "made": 3,
        "real_learnt": 2,
        "real_compared": 4,
        "distances": {"whole": sides, "around": sides, "inside": {"made": None, "learnt": None}},
        "memorised": None,
        "diversity": {"made": 0.75, "real": 1.25},
    }


def write_json(folder: Path, report: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(json.dumps(report))


@pytest.fixture
def evaluated(places: Places) -> tuple[Plan, Places]:
    """A working folder as the chain leaves it, but for the bundles' weights."""
    plan = PLANS["hazelnut"]["full"]
    for stage in ("generator", "encoder"):
        grids = places.bundle(plan.finest.preset) / "training" / stage
        grids.mkdir(parents=True)
        for name in ("samples-000001.png", "samples-000002.png"):
            (grids / name).touch()
    places.recipe.write_text(recipe(plan, places.data, places.work))
    counts = {"items": 5, "kept": 3, "refused": 2, "failed": 0}
    write_json(places.made, {"types": {"colour": counts}, "reasons": {"too faint": 2}})
    kinds = {"colour": of_type(1.5)}
    facts = {"network": "eyes", "notes": ["Nobody looked."]}
    write_json(places.report("synthesis-made"), {"types": kinds, **facts})
    kinds = {"colour": of_type(2.5), "crack": of_type(3.5)}
    write_json(places.report("synthesis-pasted"), {"types": kinds, **facts})
    row = {"method": "encode", "space": "w+", "recovery": None, "refusal": None}
    groups = {"good": {"meaning": {"psnr_db": 31.25}, "in_domain": {}}}
    survey = {"resolution": 64, "counts": {"good": 6}, "notes": [], "answers": {"q": "It does."}}
    write_json(places.report("inversion"), {**survey, "rows": [{**row, "groups": groups}]})
    figures = {"mean": dict.fromkeys(NAMES, 0.5), "spread": dict.fromkeys(NAMES, 0.125)}
    options = {"seeds": 3, "steps": 800, "batch": 8, "size": 128, "precision": "32-true"}
    arms = {"real": figures, "real+synthetic": figures}
    trial = {"options": options, "arms": arms, "answer": "A point of AP.", "notes": []}
    write_json(places.report("utility"), trial)
    places.card.mkdir()
    (places.card / "README.md").write_text("# Card\n\n## Figures\n\n| distance | 0.125 |\n")
    places.log("snapshots").parent.mkdir()
    places.log("snapshots").write_text("Keep 46 kimg.\n")
    return plan, places


def report_of(plan: Plan, places: Places, *, weights: bool = True, **how: Any) -> Report:
    subject = SUBJECTS["hazelnut"]
    steps = chain("hazelnut", subject, plan, places, Ways(weights=weights))
    about: dict[str, Any] = {"name": "hazelnut", "length": "full", "command": "sh it"}
    return Report(
        **(about | how), subject=subject, plan=plan, places=places, steps=steps, weights=weights
    )


def test_the_report_has_the_figures_that_the_steps_have_left(
    evaluated: tuple[Plan, Places], tmp_path: Path
) -> None:
    plan, places = evaluated
    (places.work / "times.jsonl").write_text(
        '{"step": "check", "seconds": 3601.5, "exit": 130}\n'
        '{"step": "check", "seconds": 60, "exit": 0}\n'
    )
    report_of(plan, places).write(tmp_path / "report.md", root=tmp_path)
    lines = (tmp_path / "report.md").read_text().splitlines()
    steps = chain("hazelnut", SUBJECTS["hazelnut"], plan, places, Ways())
    others = [step.name for step in steps if step.name != "check"]
    assert lines[0] == "# Reproduced: hazelnut"
    assert f"| check | 1 h 1 min, in 2 runs | `blemish data check {places.data}` |" in lines
    for line in (
        "| colour | made | 3 | 1.500 ± 0.250 | 1.500 ± 0.250 | – | – | 0.75 |",
        "| colour | copy-paste | 3 | 2.500 ± 0.250 | 2.500 ± 0.250 | – | – | 0.75 |",
        "| colour | training defects | 2 | 0.500 ± 0.250 | 0.500 ± 0.250 | – | – | – |",
        "| colour | all real | 6 | – | – | – | – | 1.25 |",
        "| crack | made | 0 | – | – | – | – | – |",
        "| colour | 5 | 3 | 2 | 0 |",
        "Reasons: too faint 2.",
        f"In all 1 h 1 min. Done before this run, elsewhere: {', '.join(others)}."
        " The recipe of the made set:",
        "| encode in w+ | 31.2 | – | – | – | – | – | – |",
        "| real+synthetic |" + " 50.0 ± 12.5 |" * len(NAMES),
        "| distance | 0.125 |",
        "Keep 46 kimg.",
        f"- `{places.bundle('nut-64')}/training/encoder/samples-000002.png`",
    ):
        assert line in lines
    text = "\n".join(lines)
    assert SUBJECTS["hazelnut"].note in text and SUBJECTS["hazelnut"].licence in text
    assert all(step.name in text for step in report_of(plan, places).steps)


@pytest.mark.parametrize("weights", [True, False])
def test_a_quick_report_says_so_first(
    weights: bool, evaluated: tuple[Plan, Places], tmp_path: Path
) -> None:
    report = report_of(*evaluated, weights=weights, length="quick")
    report.write(tmp_path / "report.md", root=ROOT)
    text = (tmp_path / "report.md").read_text()
    assert text.splitlines()[0] == "# A test of the chain, not of quality: hazelnut"
    assert ("BLEMISH_WEIGHTS" in text) != weights and ("## The card" in text) == weights


def test_a_report_is_written_whole_or_not_at_all(
    evaluated: tuple[Plan, Places], tmp_path: Path
) -> None:
    plan, places = evaluated
    (places.report("utility") / "report.json").unlink()
    with pytest.raises(FileNotFoundError):
        report_of(plan, places).write(tmp_path / "report.md", root=tmp_path)
    assert not (tmp_path / "report.md").exists()
    assert Bundle(places.bundle("nut-64")).path.is_dir()
