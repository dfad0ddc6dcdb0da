"""Resuming a training: its options from the state, and the command that goes on."""

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blemish.cli.training_options import Run, report
from blemish.errors import BundleError, OptionError
from blemish.reading import Reading, current, use

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from blemish.training.stopping import Ending

_SHARED = ("kimg", "batch", "seed", "device", "precision", "processes", "nodes", "threads", "log")
_READING = ("levels", "classes")  # in force while a verb runs; see `reading`
_FIXED = ("preset", "recipe")  # the state's own identity guards the others that must stay


def recall(run: Run, folder: Path, **mine: Any) -> tuple[Run, dict[str, Any]]:
    """Options of a training; a resumed one takes those that it is not given from the state.

    Args:
        run: Options that all trainings share.
        folder: Folder of the training's state.
        mine: The training's other options by name; None and False mean "not given".

    Returns:
        Both, completed.

    Raises:
        OptionError: A resumed training is given another preset or recipe than it began with.
        BundleError: The state can't be read.
    """
    from blemish.training.loop import stored_options

    known = stored_options(folder) if run.resume else {}
    _refuse_contradiction(mine, known, folder)
    remembered = _refuse_misfits(known, folder)
    shared = {k: known[k] for k in _SHARED if k in known and _is_open(getattr(run, k))}
    use(replace(remembered, **_read_as()))
    rest = {k: known.get(k, v) if _is_open(v) else v for k, v in mine.items()}
    return replace(run, **shared), rest


def _kept(run: Run, mine: Mapping[str, Any]) -> dict[str, Any]:
    """The options that were given, for the state of a training."""
    both = {**mine, **{k: getattr(run, k) for k in _SHARED}, **_read_as()}
    return {k: v for k, v in both.items() if not _is_open(v)}


def _is_open(value: object) -> bool:
    return value is None or value is False or value == "auto"


def _read_as() -> dict[str, Any]:
    """The given options of how pictures are read."""
    return {k: v for k, v in asdict(current()).items() if v is not None}


def _refuse_misfits(known: Mapping[str, Any], folder: Path) -> Reading:
    """Refuse options in a damaged state that no command could have left there.

    Returns:
        How the training read pictures.
    """
    from blemish.documents import dataclass_from

    try:
        dataclass_from(Run, {k: known[k] for k in _SHARED if k in known}, "its options")
        return dataclass_from(Reading, {k: known[k] for k in _READING if k in known}, "its options")
    except (ValueError, OptionError) as error:
        raise BundleError(
            got=f"the state in {folder}, in which {error}",
            expected="the state of a training as Blemish wrote it",
            todo=f"Remove {folder} to start over.",
        ) from error


def _refuse_contradiction(given: Mapping[str, Any], known: Mapping[str, Any], folder: Path) -> None:
    for name in _FIXED:
        if given.get(name) is not None and known.get(name, given[name]) != given[name]:
            raise OptionError(
                got=f"--resume with {name} {given[name]}",
                expected=f"{name} {known[name]}, as in {folder}",
                todo=f"Leave --{name} out, or remove {folder} to start over.",
            )


def carry_out(
    work: "Callable[..., Ending]",
    run: Run,
    mine: Mapping[str, Any],
    folder: Path,
    *command: object,
    done: str,
    flag: bool = True,
) -> None:
    """Run a training, and say what it made or how to go on.

    Args:
        work: The training; it is called with the launched Fabric and the keywords `resume`,
            `minutes` and `options`.
        run: Options that all trainings share.
        mine: The training's other options by name.
        folder: Folder of the training's state.
        command: Shortest command of the training, without --resume.
        done: What the training made.
        flag: The command needs --resume to go on.
    """
    from blemish.training.loop import refuse_state

    if not run.resume:
        refuse_state(folder)  # before minutes of preparation
    with _resumable(folder, *command, flag=flag):
        fabric = run.launch()
        how = {"resume": run.resume, "minutes": run.minutes, "options": _kept(run, mine)}
        ending = work(fabric, **how)
    _report_ending(fabric, ending, folder, *command, done=done, flag=flag)


@contextmanager
def _resumable(folder: Path, *command: object, flag: bool = True) -> Iterator[None]:
    """On Ctrl-C and SIGTERM, say how to go on.

    Args:
        folder: Folder of the training's state; without a state, the options must be repeated.
        command: Shortest command of the training, without --resume.
        flag: The command needs --resume to go on.
    """
    try:
        yield
    except KeyboardInterrupt as error:
        raise type(error)(_way_on(folder, command, str(error), flag=flag)) from None


def _report_ending(
    fabric: "Fabric",
    ending: "Ending",
    folder: Path,
    *command: object,
    done: str,
    flag: bool = True,
) -> None:
    """Say what the training made, or after its time limit how to go on."""
    if ending.reason == "finished":
        return report(fabric, done)
    where = f"The time limit ended the training after {ending.nimg / 1000:.1f} kimg."
    report(fabric, _way_on(folder, command, where, flag=flag))


def _way_on(folder: Path, command: Sequence[object], where: str, *, flag: bool) -> str:
    from blemish.training.loop import STATE

    if not (folder / STATE).exists():
        return "Run the same command again: there is no checkpoint yet."
    line = shlex.join(["blemish", "train", *map(str, command), *(["--resume"] if flag else [])])
    return f"{where} To go on: {line}".strip()
