"""Pickles, read without running code.

A pickle is a program for a stack machine. Python's own reader imports whatever the program names
and calls it, which is how a checkpoint takes over a computer. Here the same program builds plain
containers and inert values: a global becomes a `Name`, an object a `Record` of its class name and
its state. A call is made only if `allowed_globals` has a function of ours under that exact name;
any other name is refused. Values are shared, never copied, and steps are counted, so that the work
is limited by the length of the file.
"""

import pickletools
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, no_type_check

from blemish.interop.refusal import KNOWN, RefusedFile, shown

MOST_STEPS = 500_000  # a snapshot of 1024² takes a fifth of it
Meaning = Callable[..., Any]

# exceptions of a damaged or manipulated file; each is reported as damage
_DAMAGE = (
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    OverflowError,
    EOFError,
    struct.error,
)
_OPCODES = {opcode.code: opcode for opcode in pickletools.opcodes}
_LITERALS = frozenset(
    {"BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"}
    | {"BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"}
    | {"BINBYTES", "SHORT_BINBYTES", "BINBYTES8"}
)
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY: dict[str, Callable[[], Any]] = {
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "EMPTY_TUPLE": tuple,
    "EMPTY_SET": set,
}
_IGNORED = frozenset({"PROTO", "FRAME"})
_ACTIONS = frozenset(
    {"MARK", "STOP", "BINPUT", "LONG_BINPUT", "MEMOIZE", "BINGET", "LONG_BINGET", "BINPERSID"}
    | {"TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "APPEND", "APPENDS", "ADDITEMS", "SETITEM"}
    | {"SETITEMS", "GLOBAL", "STACK_GLOBAL", "REDUCE", "NEWOBJ", "BUILD"}
)
_KNOWN = _LITERALS | _CONSTANTS.keys() | _EMPTY.keys() | _IGNORED | _ACTIONS
_MARK = object()


class Name:
    """Global named in the pickle; nothing was imported."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


class Record:
    """Object that was not created: its class name, and its state.

    Attributes:
        name: Name of the class; with its module, unless the pickle contains the source.
        state: Attributes of the object.
    """

    __slots__ = ("name", "state")

    def __init__(self, name: str) -> None:
        self.name = name
        self.state: dict[Any, Any] = {}

    def build(self, state: Any) -> None:
        self.state.update(_plain(state, dict))


@dataclass(slots=True)
class Budget:
    """Steps that a file has left, over all pickles inside it."""

    steps: int = MOST_STEPS


@dataclass(frozen=True, slots=True)
class Language:
    """Allowed content of a pickle.

    Attributes:
        meanings: Functions for the globals that may be called, by name.
        classes: Predicate: whether objects of the class of that name may be recorded.
        words: Globals that may be named but not called.
    """

    meanings: Mapping[str, Meaning] = field(default_factory=dict)
    classes: Callable[[str], bool] = lambda _: False
    words: frozenset[str] = frozenset()

    def name(self, text: str) -> Name:
        known = text in self.meanings or text in self.words or self.classes(text)
        if not known:
            raise forbidden(text)
        return Name(text)


def forbidden(text: str) -> RefusedFile:
    """Error for a forbidden global."""
    return RefusedFile(
        f"is a pickle that calls {shown(text)}, which no network needs; it was not run",
        expected=KNOWN,
        todo="If you trust its author, ask for a safetensors file of its tensors; else delete it.",
    )


def unpickle(
    stream: BytesIO, language: Language, budget: Budget, persistent: Meaning | None = None
) -> Any:
    """Read one pickle; the stream is left after its end.

    Args:
        stream: Stream at the beginning of the pickle.
        language: Allowed content.
        budget: Budget shared by all pickles of the file.
        persistent: Function that resolves its references to external data.

    Raises:
        Refused: It names a forbidden global, is damaged, or is too long.
    """
    try:
        return _Machine(language, persistent).run(stream, budget)
    except _DAMAGE as error:
        raise RefusedFile(
            f"is a damaged pickle ({type(error).__name__}: {str(error)[:80]})"
        ) from error


def _opcodes(stream: BytesIO) -> Iterator[tuple[str, Any]]:
    """Name of each opcode with its argument, which is not read for an unknown opcode."""
    while code := stream.read(1):
        opcode = _OPCODES[code.decode("latin1")]
        if opcode.name not in _KNOWN:
            raise RefusedFile(f"is a pickle with the opcode {opcode.name}, which no network needs")
        if opcode.name == "GLOBAL":  # the standard reader would unescape it, and warn
            yield opcode.name, ".".join(stream.readline()[:-1].decode() for _ in range(2))
        else:
            yield opcode.name, None if opcode.arg is None else opcode.arg.reader(stream)


@no_type_check  # called for each opcode: with runtime checks the tests take four times as long
class _Machine:
    """Stack, memo, and the effect of each opcode on them."""

    def __init__(self, language: Language, persistent: Meaning | None) -> None:
        self.language, self.persistent = language, persistent
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def run(self, stream: BytesIO, budget: Budget) -> Any:
        """Run to the end; the most frequent opcodes are handled here, without a call."""
        stack, memo = self.stack, self.memo
        for name, argument in _opcodes(stream):
            budget.steps -= 1
            if budget.steps < 0:
                raise RefusedFile(f"is a pickle of more than {MOST_STEPS:,} steps, too many")
            if name in _LITERALS:
                stack.append(argument)
            elif name in ("BINPUT", "LONG_BINPUT", "MEMOIZE"):
                memo[len(memo) if argument is None else argument] = stack[-1]
            elif name in ("BINGET", "LONG_BINGET"):
                stack.append(memo[argument])
            elif name in _CONSTANTS:
                stack.append(_CONSTANTS[name])
            elif name in _EMPTY:
                stack.append(_EMPTY[name]())
            elif name == "MARK":
                stack.append(_MARK)
            elif name == "STOP":
                return self.pop()
            elif name not in _IGNORED:
                self._act(name, argument)
        raise ValueError("it has no end")

    def pop(self) -> Any:
        value = self.stack.pop()
        if value is _MARK:
            raise ValueError("a mark where a value must be")
        return value

    def _act(self, name: str, argument: Any) -> None:
        match name:
            case "GLOBAL":
                self.stack.append(self.language.name(argument))
            case "STACK_GLOBAL":
                word, module = _plain(self.pop(), str), _plain(self.pop(), str)
                self.stack.append(self.language.name(f"{module}.{word}"))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                n = int(name[-1])
                self.stack[-n:] = [tuple(self._last(n))]
            case "TUPLE":
                self.stack.append(tuple(self._above_mark()))
            case "BINPERSID" if self.persistent is not None:
                self.stack.append(self.persistent(self.pop()))
            case _:
                self._fill(name)

    def _fill(self, name: str) -> None:
        """Handle opcodes that put values into others, or call."""
        match name:
            case "APPEND":
                value = self.pop()
                self._top(list).append(value)
            case "APPENDS":
                values = self._above_mark()
                self._top(list).extend(values)
            case "ADDITEMS":
                keys = self._above_mark()
                self._top(set).update(plain_key(key) for key in keys)
            case "SETITEM":
                value, key = self.pop(), self.pop()
                self._top(dict)[plain_key(key)] = value
            case "SETITEMS":
                values = self._above_mark()
                pairs = zip(values[::2], values[1::2], strict=True)
                self._top(dict).update((plain_key(key), value) for key, value in pairs)
            case "REDUCE":
                arguments, callee = _plain(self.pop(), tuple), _plain(self.pop(), Name)
                self.stack.append(self._call(callee.text, arguments))
            case "NEWOBJ":
                arguments, kind = _plain(self.pop(), tuple), _plain(self.pop(), Name)
                self.stack.append(self._new(kind.text, arguments))
            case "BUILD":
                self._build(self.pop())
            case _:
                raise ValueError("a reference to something outside of the pickle")

    def _call(self, name: str, arguments: tuple[Any, ...]) -> Any:
        if name not in self.language.meanings:
            raise forbidden(name)
        return self.language.meanings[name](*arguments)

    def _new(self, name: str, arguments: tuple[Any, ...]) -> Any:
        if name in self.language.meanings:
            return self.language.meanings[name](*arguments)
        if not self.language.classes(name) or arguments:
            raise forbidden(name)
        return Record(name)

    def _build(self, state: Any) -> None:
        target = self._top(object)
        # Attributes of a dict, such as torch's versions of state dicts, contain nothing.
        if not isinstance(target, dict):
            target.build(state)

    def _top(self, kind: type) -> Any:
        return _plain(self.stack[-1], kind)

    def _last(self, n: int) -> list[Any]:
        values = self.stack[-n:]
        if len(values) < n or any(value is _MARK for value in values):
            raise ValueError("too few values on the stack")
        return values

    def _above_mark(self) -> list[Any]:
        values = []
        while (value := self.stack.pop()) is not _MARK:
            values.append(value)
        return values[::-1]


@no_type_check
def _plain(value: Any, kind: type) -> Any:
    if value is _MARK or not isinstance(value, kind):
        raise TypeError(f"a {type(value).__name__} where a {kind.__name__} must be")
    return value


@no_type_check
def plain_key(key: Any) -> str | int:
    """The key, if hashing it takes no longer than usual.

    Hashing nested tuples takes exponential time, and multiples of 2⁶¹ - 1 all have the same hash.
    """
    if not (isinstance(key, str) or (isinstance(key, int) and abs(key) < 2**60)):
        raise TypeError(f"a key of type {type(key).__name__}")
    return key
