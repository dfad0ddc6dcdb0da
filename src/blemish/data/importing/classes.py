"""Types of defects for the classes of a source."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from blemish.data.names import GOOD, is_good, normal
from blemish.errors import DataError, OptionError
from blemish.files import check_name


def parse_classes(text: str) -> dict[str, str]:
    """Types by class, from "NAME=TYPE,…".

    Raises:
        OptionError: It can't be understood.
    """
    found = {}
    for pair in text.split(","):
        name, equals, kind = (part.strip() for part in pair.rpartition("="))
        if not (name and equals and kind):
            raise OptionError(
                got=f"the class '{pair.strip()}'",
                expected="NAME=TYPE, several with commas between them",
                todo="Write it like scratch_deep=scratch,ok=good.",
            )
        found[normal(name)] = check_name(normal(kind), "the type", OptionError)
    return found


def kinds_by(labels: Iterable[str], named: Mapping[str, str]) -> dict[str, str]:
    """Type of each class: the one that was given, or its own name; "good" for good parts.

    Args:
        labels: Classes that occur in the source.
        named: Types that were given.

    Raises:
        OptionError: A type is given to a class that does not occur.
        DataError: A class can't be the name of a folder, or two types differ in case alone.
    """
    labels = sorted({*labels})
    unknown = sorted({*named} - {normal(label) for label in labels})
    if unknown:
        raise OptionError(
            got=f"the class '{unknown[0]}', which the source does not have",
            expected=f"some of its classes: {', '.join(labels) or 'it has none'}",
            todo="Correct --classes.",
        )
    found = {label: _kind(label, named) for label in labels}
    _refuse_alike(found.values())
    return found


def _kind(label: str, named: Mapping[str, str]) -> str:
    kind = named.get(normal(label))
    if kind is None:
        kind = normal(label.strip())
        check_name(kind, "the class (give it a type with --classes NAME=TYPE)")
    return GOOD if is_good(kind) else kind


def _refuse_alike(kinds: Iterable[str]) -> None:
    alike = defaultdict(set)
    for kind in kinds:
        alike[kind.casefold()].add(kind)
    for several in alike.values():
        if len(several) > 1:
            first, second = sorted(several)[:2]
            raise DataError(
                got=f"the types '{first}' and '{second}', which some systems take for one folder",
                expected="types that differ in more than upper and lower case",
                todo=f"Merge them with --classes {second}={first}, or rename one.",
            )
