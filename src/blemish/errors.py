"""Tree of the errors that a user can meet.

    BlemishError
    ├── UserError              the user can fix it; the command exits with 2
    │   ├── DataError          a photograph, a mask or a folder of them
    │   ├── BundleError        a bundle that is missing, broken or of another kind
    │   ├── OptionError        an invalid value of an option
    │   └── OutputError        the place to write to: read-only, full, in the way
    └── TrainingError          a run that can't continue; the last good state is kept; exits with 1

`Terminated` stands beside KeyboardInterrupt: SIGTERM ended a run; exits with 143.

Each message says what we got, what we expected and what to do.
"""


class BlemishError(Exception):
    """Root of all errors that Blemish raises on purpose."""

    exit_code = 1


class UserError(BlemishError):
    """Error that the user can fix.

    Args:
        got: Input, with the file's or the option's name.
        expected: Accepted input.
        todo: Next step for the user.
    """

    exit_code = 2

    def __init__(self, *, got: str, expected: str, todo: str) -> None:
        super().__init__(f"Got {got}. Expected {expected}. {todo}")
        self.got, self.expected, self.todo = got, expected, todo

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.got, self.expected, self.todo)


class DataError(UserError):
    """Problem with a photograph, a mask or a folder of them."""


class BundleError(UserError):
    """Bundle that is missing, broken or of another kind."""


class OptionError(UserError):
    """Invalid value of an option."""


class OutputError(UserError):
    """Output that can't be written: read-only, full, or something in the way."""


class TrainingError(BlemishError):
    """Run that can't continue; its last good state is kept."""


class Terminated(KeyboardInterrupt):
    """SIGTERM ended a run, as Ctrl-C does; its text says how to go on."""


def _rebuild(kind: type[UserError], got: str, expected: str, todo: str) -> UserError:
    return kind(got=got, expected=expected, todo=todo)
