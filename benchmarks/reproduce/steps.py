"""The chain: commands as a person would type them from the root of the repository.

    check → generator on each rung → encoder → windows → made set, copy-paste set
          → evaluations → card

Every training gets `--resume`, which starts a new one if there is none.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.reproduce.outcomes import Places, Stage, trained
from benchmarks.reproduce.plans import Plan, Rung
from benchmarks.reproduce.subjects import PROTOCOL, Subject
from blemish.names import Precision

Words = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Command, and the test of whether it is done.

    Attributes:
        name: Unique name in the chain; valid as a file name.
        command: `blemish …` or `python -m …`, word by word.
        done_when: Test of whether its outcome exists.
    """

    name: str
    command: Words
    done_when: Callable[[], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ways:
    """Settings that change only rounding.

    Attributes:
        threads: Threads of every process; None leaves them to PyTorch.
        precision: Number format of all trainings.
        weights: Whether SqueezeNet's weights are available; card and snapshots need them.
    """

    threads: int | None = None
    precision: Precision = "32-true"
    weights: bool = True


def chain(name: str, subject: Subject, plan: Plan, places: Places, ways: Ways) -> list[Step]:
    """All steps in order."""
    found = [
        _logged("check", ("blemish", "data", "check", str(places.data)), places),
        *_ladder(plan, places, ways),
        *(_beside(stage, plan, places, ways) for stage in ("encoder", "windows")),
        _made(places, ways),
        _pasted(plan, places),
        *_evaluations(plan, places, ways),
    ]
    return [*found, _card(name, subject, plan, places)] if ways.weights else found


def _ladder(plan: Plan, places: Places, ways: Ways) -> Iterator[Step]:
    """The generator of each rung; the finest's snapshots are judged before later trainings."""
    coarse: Words = ()
    for rung in plan.rungs:
        bundle = places.bundle(rung.preset)
        where = ("--out", str(bundle), "--preset", rung.preset, *coarse)
        yield _training("generator", rung, rung.generator, places, ways, where)
        if rung is plan.finest and ways.weights:
            yield _snapshots(plan, places)
        coarse = ("--grow", str(bundle))


def _training(
    stage: Stage, rung: Rung, kimg: float, places: Places, ways: Ways, where: Words
) -> Step:
    bundle = places.bundle(rung.preset)
    threads = () if ways.threads is None else ("--threads", str(ways.threads))
    length = ("--kimg", f"{kimg:g}", "--precision", ways.precision, *threads, "--resume")
    return Step(
        name=f"{stage}-{rung.preset}",
        command=("blemish", "train", stage, str(places.data), *where, *length),
        done_when=lambda: trained(bundle, stage, kimg),
    )


def _snapshots(plan: Plan, places: Places) -> Step:
    bundle = places.bundle(plan.finest.preset)
    words = ("python", "-m", "benchmarks.snapshots", str(bundle), str(places.data))
    return _logged("snapshots", (*words, "--n", str(plan.samples), "--keep"), places)


def _beside(stage: Stage, plan: Plan, places: Places, ways: Ways) -> Step:
    where: Words = ("--bundle", str(places.bundle(plan.finest.preset)))
    kimg = plan.windows if stage == "windows" else plan.encoder
    return _training(stage, plan.finest, kimg, places, ways, where)


def _made(places: Places, ways: Ways) -> Step:
    workers = () if ways.threads is None else ("--workers", str(ways.threads))
    command = ("blemish", "batch", str(places.recipe), "--out", str(places.made), *workers)
    return Step(name="made", command=command, done_when=(places.made / "report.json").is_file)


def _pasted(plan: Plan, places: Places) -> Step:
    words = ("python", "-m", "benchmarks.reproduce.paste", str(places.data), str(places.pasted))
    length = ("--count", str(plan.count), "--size", str(plan.side), "--seed", "0")
    log, folder = places.log("pasted"), places.pasted / "test"
    return Step(
        name="pasted",
        command=(*words, *length),
        done_when=lambda: log.is_file() and folder.is_dir(),
    )


def _evaluations(plan: Plan, places: Places, ways: Ways) -> Iterator[Step]:
    data, bundle = str(places.data), str(places.bundle(plan.finest.preset))
    foreign = () if places.foreign is None else ("--foreign", str(places.foreign))
    about = ("--images", data, "--bundle", bundle, *foreign, *_options(plan.survey))
    yield _evaluation("inversion", "inversion", about, places)
    for name, folder in (("made", places.made), ("pasted", places.pasted)):
        about = ("--real", data, "--synthetic", str(folder), "--bundle", bundle)
        yield _evaluation(f"synthesis-{name}", "synthesis", about, places)
    about = ("--real", data, "--synthetic", str(places.made), *_options(plan.trial))
    about = (*about, "--precision", ways.precision)
    yield _evaluation("utility", "utility", about, places)


def _evaluation(name: str, verb: str, about: Words, places: Places) -> Step:
    out = places.report(name)
    command = ("blemish", "evaluate", verb, *about, "--out", str(out))
    return Step(name=name, command=command, done_when=(out / "report.json").is_file)


def _card(name: str, subject: Subject, plan: Plan, places: Places) -> Step:
    facts = {
        "title": f"{name}: a model card",
        "data": f"{subject.data}, {subject.licence}",
        "licence": f"{subject.licence}, as the data's",
        "story": f"Trained by scripts/reproduce {name}. {PROTOCOL}",
    }
    stated = [word for fact, text in facts.items() for word in (f"--facts.{fact}", text)]
    bundle = places.bundle(plan.finest.preset)
    words = ("python", "-m", "benchmarks.card", str(bundle), str(places.data))
    command = (*words, "--out", str(places.card), "--n", str(plan.samples), *stated)
    return Step(name="card", command=command, done_when=(places.card / "README.md").is_file)


def _logged(name: str, command: Words, places: Places) -> Step:
    """Step whose outcome is its printed output, or is recorded in it."""
    return Step(name=name, command=command, done_when=places.log(name).is_file)


def _options(options: Any) -> Words:
    """Options of a dataclass that have a value."""
    given = ((name, value) for name, value in asdict(options).items() if value is not None)
    return tuple(word for name, value in given for word in (f"--{name}", str(value)))
