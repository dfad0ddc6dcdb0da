"""Command-line verbs: each function's signature is its command; errors become exit codes.

The exit code is 0 on success, 2 on bad input (one message: what we got, what we expected, what to
do), 1 on an internal failure, 130 on Ctrl-C and 143 on SIGTERM. A verb imports everything beyond
the standard library only when it is called, so that help starts fast.
"""

import errno
import io
import os
import re
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial, wraps
from inspect import cleandoc, unwrap
from threading import current_thread, main_thread
from typing import Annotated, Any, Union

import tyro

from blemish.cli import (
    annotations,
    batch,
    data,
    doctor,
    editing,
    editing_defects,
    evaluation,
    export,
    export_model,
    filling,
    import_model,
    inversion,
    studio,
    synthesis,
    utility,
)
from blemish.cli.reading import reads
from blemish.cli.train import (
    consultation,
    directions,
    encoder,
    finder,
    generator,
    masks,
    windows,
)
from blemish.cli.train import filling as filling_stage
from blemish.errors import BlemishError, Terminated, UserError
from blemish.version import __version__

Verb = Callable[..., None]
CONTINUATION = re.compile(r"\n {8,}(?=\S)")

VERBS: dict[str, Verb | dict[str, Verb]] = {
    "data": {"check": reads(data.check), "import": annotations.import_annotations},
    "train": {
        "all": reads(windows.whole),
        "windows": reads(windows.windows),
        "masks": reads(masks.masks),
        "generator": reads(generator.generator),
        "encoder": reads(encoder.encoder),
        "consultation": reads(consultation.consultation),
        "directions": directions.directions,
        "filling": reads(filling_stage.filling),
        "finder": reads(finder.finder),
    },
    "invert": reads(inversion.invert),
    "edit": {
        "interpolate": reads(editing.interpolate),
        "mix": reads(editing.mix),
        "move": reads(editing.move),
        "transplant": reads(editing.transplant),
        "defect": reads(editing_defects.defect),
        "directions": reads(editing.list_directions),
    },
    "fill": reads(filling.fill),
    "repair": reads(filling.repair),
    "synthesize": reads(synthesis.synthesize),
    "batch": batch.batch,
    "gather": batch.gather,
    "demo": synthesis.demo,
    "studio": reads(studio.studio),
    "evaluate": {
        "inversion": reads(evaluation.inversion),
        "synthesis": reads(evaluation.synthesis),
        "utility": reads(utility.utility),
    },
    "import": import_model.import_model,
    "export-model": export_model.export_model,
    "export": export.export,
    "doctor": doctor.doctor,
}
DESCRIPTION = "Labelled defect images by GAN inversion."
MARKERS = (tyro.conf.FlagCreatePairsOff, tyro.conf.DisallowNone, tyro.conf.HelptextFromCommentsOff)


def main(args: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        args: Command-line arguments, by default those of this process.

    Returns:
        The exit code.

    Raises:
        SystemExit: On help (0), and on a command line that can't be parsed (2).
    """
    _print_whatever_a_file_is_called()
    try:
        with _sigterm_raises(), _flushing():
            parse(sys.argv[1:] if args is None else args)()
    except BrokenPipeError:
        return _leave_quietly()
    except (Exception, KeyboardInterrupt) as error:
        return _report(error)
    return 0


def parse(args: Sequence[str]) -> Callable[[], None]:
    """The command bound to its arguments, ready to call."""
    if list(args) == ["--version"]:
        return partial(print, f"blemish {__version__}")
    return tyro.cli(
        _choice(VERBS),
        prog="blemish",
        description=DESCRIPTION,
        args=_spelled_out(args),
        config=MARKERS,
    )


def _spelled_out(args: Sequence[str]) -> list[str]:
    """`train DATA …` as the `train all DATA …` that it stands for."""
    stages = VERBS["train"]
    assert isinstance(stages, dict)
    generator.refuse_removed_stages(args)
    synthesis.refuse_removed_options(args)
    if args[:1] == ["train"] and len(args) > 1 and args[1] not in (*stages, "-h", "--help"):
        return ["train", "all", *args[1:]]
    return list(args)


def _choice(verbs: Mapping[str, Any]) -> Any:
    """Union type that tyro reads as subcommands."""
    arms = [Annotated[Any, _subcommand(name, verb)] for name, verb in verbs.items()]
    return Union[(*arms, Annotated[None, tyro.conf.Suppress])]  # tyro needs at least two arms


def _subcommand(name: str, verb: Verb | Mapping[str, Any]) -> object:
    if isinstance(verb, Mapping):
        inner = partial(_choice, verb)
        return tyro.conf.subcommand(name, constructor_factory=inner, description=", ".join(verb))
    return tyro.conf.subcommand(name, constructor=_deferred(verb))


def _deferred(verb: Verb) -> Callable[..., Callable[[], None]]:
    # If tyro called the verb itself, it would report the verb's ValueError as the user's mistake.
    @wraps(verb)
    def bind(*args: Any, **kwargs: Any) -> Any:
        return partial(verb, *args, **kwargs)

    # tyro keeps line breaks in the description of an argument, so that each becomes one line.
    unwrap(verb).__doc__ = CONTINUATION.sub(" ", cleandoc(verb.__doc__ or ""))
    return bind


def _report(error: BaseException) -> int:
    if os.environ.get("BLEMISH_DEBUG"):
        traceback.print_exception(error)
    code, message = _explain(error)
    first_process = os.environ.get("LOCAL_RANK", "0") == "0"
    if first_process or code == 1:  # every process finds the same mistake in the input
        print(message, file=sys.stderr)
    # Lightning kills the first process when another one ends with anything but 0.
    interrupted = isinstance(error, KeyboardInterrupt)
    return 0 if interrupted and not first_process else code


def _explain(error: BaseException) -> tuple[int, str]:
    """Exit code and message."""
    if isinstance(error, UserError):
        return error.exit_code, _formatted(error)
    if isinstance(error, BlemishError):
        return error.exit_code, f"Error: {error}"
    if isinstance(error, KeyboardInterrupt):
        code, what = (143, "Terminated") if isinstance(error, Terminated) else (130, "Interrupted")
        todo = str(error) or "Run it again to start over."
        return code, f"{what}; no incomplete files are left. {todo}"
    if isinstance(error, OSError) and (error.filename or error.errno == errno.ENOSPC):
        got = f"{error.filename or 'an output'}: {error.strerror}"
        todo = "Check the path, its permissions and its disk."
        return 2, _formatted(UserError(got=got, expected="a usable path", todo=todo))
    text = f"{type(error).__name__}: {error}".splitlines()[0].rstrip(": ")
    hint = "Set BLEMISH_DEBUG=1 to see where."
    return 1, f"Error: Blemish failed with {text}\n  {hint}"


def _formatted(error: UserError) -> str:
    lines = (f"Error: got {error.got}.", f"Expected {error.expected}.", error.todo)
    return "\n  ".join(" ".join(line.split("\n")) for line in lines)


@contextmanager
def _sigterm_raises() -> Iterator[None]:
    """SIGTERM ends a verb as Ctrl-C does: files are left whole, and a message says how to go on."""
    before = signal.getsignal(signal.SIGTERM)
    if current_thread() is not main_thread() or before in (None, signal.SIG_IGN):
        yield
        return
    signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _terminate(_number: int, _frame: object) -> None:
    raise Terminated


@contextmanager
def _flushing() -> Iterator[None]:
    try:
        yield
    finally:
        sys.stdout.flush()


def _print_whatever_a_file_is_called() -> None:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _leave_quietly() -> int:
    """Exit quietly when the reader of our output is gone, without Python's broken-pipe message."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 141
