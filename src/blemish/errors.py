"""What a user can meet, as a tree.

    BlemishError
    ├── UserError              the user can mend it; the command exits with 2
    │   ├── DataError          a photograph, a mask or a folder of them
    │   ├── BundleError        a bundle that is missing, broken or of another kind
    │   ├── OptionError        a value that an option does not take
    │   └── OutputError        the place to write to: read-only, full, in the way
    └── TrainingError          a run that can't go on; the last good state is kept; exits with 1

`Terminated` stands beside KeyboardInterrupt: SIGTERM ended a run; exits with 143.

Each message says what we got, what we expected and what to do.
"""


class BlemishError(Exception):
    """Root of everything that Blemish raises on purpose."""

    exit_code = 1


class UserError(BlemishError):
    """Something that the user can mend.

    Args:
        got: What we were given, with the file's or the option's name.
        expected: What we can take instead.
        todo: The next step that a stranger could take.
    """

    exit_code = 2

    def __init__(self, *, got: str, expected: str, todo: str) -> None:
        super().__init__(f"Got {got}. Expected {expected}. {todo}")
        self.got, self.expected, self.todo = got, expected, todo

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.got, self.expected, self.todo)


class DataError(UserError):
    """A photograph, a mask or a folder of them."""


class BundleError(UserError):
    """A bundle that is missing, broken or of another kind."""


class OptionError(UserError):
    """A value that an option does not take."""


class OutputError(UserError):
    """The place to write to: read-only, full, or something in the way."""


class TrainingError(BlemishError):
    """A run that can't go on; its last good state is kept."""


class Terminated(KeyboardInterrupt):
    """SIGTERM ended a run, as Ctrl-C does; its text says how to go on."""


def _rebuild(kind: type[UserError], got: str, expected: str, todo: str) -> UserError:
    return kind(got=got, expected=expected, todo=todo)
