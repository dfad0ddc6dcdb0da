"""Command-line verbs: each function's signature is its command; errors become exit codes.

The exit code is 0 on success, 2 on bad input (one message: what we got, what we expected, what to
do), 1 on an internal failure and 130 on an interruption. A verb imports everything beyond the
standard library only when it is called, so that help starts fast.
"""

import errno
import io
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from functools import partial, wraps
from typing import Annotated, Any, Union

import tyro

from blemish import __version__
from blemish.cli import (
    batch,
    data,
    doctor,
    evaluation,
    export,
    exporting,
    importing,
    inversion,
    synthesis,
    train,
    train_codes,
    utility,
)
from blemish.errors import BlemishError, UserError

Verb = Callable[..., None]

VERBS: dict[str, Verb | dict[str, Verb]] = {
    "data": {"check": data.check},
    "train": {
        "generator": train.generator,
        "defects": train.defects,
        "encoder": train_codes.encoder,
        "mapper": train_codes.mapper,
    },
    "invert": inversion.invert,
    "synthesize": synthesis.synthesize,
    "batch": batch.batch,
    "demo": synthesis.demo,
    "evaluate": {
        "inversion": evaluation.inversion,
        "synthesis": evaluation.synthesis,
        "utility": utility.utility,
    },
    "import": importing.import_model,
    "export-model": exporting.export_model,
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
        try:
            parse(sys.argv[1:] if args is None else args)()
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        return _leave_quietly()
    except (Exception, KeyboardInterrupt) as error:
        return _tell(error)
    return 0


def parse(args: Sequence[str]) -> Callable[[], None]:
    """The command bound to its arguments, ready to call."""
    if list(args) == ["--version"]:
        return partial(print, f"blemish {__version__}")
    return tyro.cli(
        _choice(VERBS), prog="blemish", description=DESCRIPTION, args=args, config=MARKERS
    )


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

    return bind


def _tell(error: BaseException) -> int:
    if os.environ.get("BLEMISH_DEBUG"):
        traceback.print_exception(error)
    code, message = _explain(error)
    first_process = os.environ.get("LOCAL_RANK", "0") == "0"
    if first_process or code == 1:  # every process finds the same mistake in the input
        print(message, file=sys.stderr)
    return code


def _explain(error: BaseException) -> tuple[int, str]:
    """Exit code and message."""
    if isinstance(error, UserError):
        return error.exit_code, _lay_out(error)
    if isinstance(error, BlemishError):
        return error.exit_code, f"Error: {error}"
    if isinstance(error, KeyboardInterrupt):
        todo = str(error) or "Run it again to start over."
        return 130, f"Interrupted; no incomplete files are left. {todo}"
    if isinstance(error, OSError) and (error.filename or error.errno == errno.ENOSPC):
        got = f"{error.filename or 'an output'}: {error.strerror}"
        todo = "Check the path, its permissions and its disk."
        return 2, _lay_out(UserError(got=got, expected="a usable path", todo=todo))
    text = f"{type(error).__name__}: {error}".splitlines()[0].rstrip(": ")
    hint = "Set BLEMISH_DEBUG=1 to see where."
    return 1, f"Error: Blemish failed with {text}\n  {hint}"


def _lay_out(error: UserError) -> str:
    lines = (f"Error: got {error.got}.", f"Expected {error.expected}.", error.todo)
    return "\n  ".join(" ".join(line.split("\n")) for line in lines)


def _print_whatever_a_file_is_called() -> None:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _leave_quietly() -> int:
    """Exit quietly when the reader of our output is gone, without Python's broken-pipe message."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 141
