"""Import of annotations from other tools into the layout of MVTec AD.

train/good/<name>.<suffix>            photographs without annotations
test/<type>/<name>.<suffix>           photographs with a defect of the type
ground_truth/<type>/<name>_mask.png   its mask
proposed.json                         which masks were proposed inside boxes, if any were

Everything is read and drawn before the first file is written. The same source gives the same bytes.
A split of the source into training and test photographs is not kept: trainings take the first third
of each type by name.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from blemish.data.importing.annotations import Annotated
from blemish.data.importing.classes import kinds_by
from blemish.data.importing.formats import detect, read_annotations
from blemish.data.importing.layout import (
    Content,
    NamedPhotograph,
    Proposer,
    files_of_defect,
    files_of_good,
)
from blemish.data.importing.names import plain_names
from blemish.data.importing.sources import AnnotatedFolder
from blemish.data.names import GOOD
from blemish.data.proposed import RECORD, Proposed, record
from blemish.data.unfinished import marked, refuse_full
from blemish.errors import OptionError
from blemish.files import ensure_writable, write_atomically
from blemish.names import AnnotationChoice, AnnotationFormat


@dataclass(frozen=True, slots=True)
class ProposalMethod:
    """How masks inside boxes are proposed.

    Attributes:
        words: Description for the record.
        prepare: From the photographs of good parts to what proposes a mask.
    """

    words: str
    prepare: Callable[[Sequence[Path]], Proposer]


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """Result of an import.

    Attributes:
        format: Format of the annotations.
        good: Number of photographs of good parts.
        types: Number of photographs with each type of defect.
        proposed: Masks that were proposed inside boxes.
        several: Photographs that are there once for each of several types, by name.
        left_out: Photographs whose defects have no place, by name, with their classes.
        dropped: Number of annotations of classes that mean good parts.
        files: All files, relative to the folder, in writing order.
    """

    format: AnnotationFormat
    good: int
    types: Mapping[str, int]
    proposed: tuple[str, ...]
    several: tuple[str, ...]
    left_out: Mapping[str, tuple[str, ...]]
    dropped: int
    files: tuple[str, ...]


@dataclass(slots=True)
class _Plan:
    """Files to write."""

    files: dict[str, Content] = field(default_factory=dict)
    proposed: dict[str, Proposed] = field(default_factory=dict)


def import_annotations(
    source: Path,
    out: Path,
    *,
    format: AnnotationChoice = "auto",
    classes: Mapping[str, str] | None = None,
    line_width: int = 3,
    method: ProposalMethod | None = None,
    on_progress: Callable[[float], None] = lambda _: None,
) -> Imported:
    """Write photographs and masks from annotations.

    Args:
        source: Folder of photographs and annotations, or a file of annotations.
        out: A new or empty folder, or one that the same command left unfinished.
        format: Format of the annotations; "auto" finds it.
        classes: Types of classes, for those that are not called like their type.
        line_width: Width of lines in pixels, for formats whose lines have none.
        method: Proposal of masks inside boxes; None fills the boxes.
        on_progress: Callback, called with the finished fraction of the work.

    Raises:
        DataError: The source is missing, or something in it is broken.
        OptionError: An option is out of range, or `out` lies in the source.
        OutputError: `out` is not empty, or can't be written to.
    """
    _refuse_width(line_width)
    refuse_full(out, what="import")
    with _opened(source, out) as opened:
        found = detect(opened) if format == "auto" else format
        annotated = read_annotations(opened, found, line_width)
        labels = [region.label for one in annotated for region in one.regions]
        labels += [label for one in annotated for label in one.unplaced]
        types = kinds_by(labels, classes or {})
        placed = _placed(annotated, types)
        plan = _planned(placed, types, method, lambda done: on_progress(0.8 * done))
        asked = {"format": found, "files": [*plan.files]}
        with marked(out, asked, "import"):
            for index, (path, content) in enumerate(plan.files.items(), 1):
                _write(out / path, content)
                on_progress(0.8 + 0.2 * index / len(plan.files))
    return Imported(
        format=found,
        good=sum(not one.kinds for one in placed),
        types=dict(sorted(Counter(kind for one in placed for kind in one.kinds).items())),
        proposed=tuple(sorted(plan.proposed)),
        several=tuple(one.annotated.name for one in placed if len(one.kinds) > 1),
        left_out={k.name: k.unplaced for k in annotated if not _is_placed(k, types)},
        dropped=sum(types[r.label] == GOOD for one in annotated for r in one.regions),
        files=tuple(plan.files),
    )


@contextmanager
def _opened(source: Path, out: Path) -> Iterator[AnnotatedFolder]:
    with TemporaryDirectory(prefix="blemish-") as scratch:
        opened = AnnotatedFolder(source, Path(scratch))
        if out.resolve().is_relative_to(opened.root.resolve()):
            raise OptionError(
                got=f"--out {out}, a folder in the source {opened.root}",
                expected="a folder outside it, because everything below it is read",
                todo="Choose another folder.",
            )
        yield opened


def _placed(annotated: Sequence[Annotated], types: Mapping[str, str]) -> list[NamedPhotograph]:
    wanted = [one for one in annotated if _is_placed(one, types)]
    names = plain_names([one.name for one in wanted])
    return [
        NamedPhotograph(annotated=one, name=name, kinds=_kinds(one, types))
        for one, name in zip(wanted, names, strict=True)
    ]


def _kinds(one: Annotated, types: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(sorted({types[region.label] for region in one.regions} - {GOOD}))


def _is_placed(one: Annotated, types: Mapping[str, str]) -> bool:
    """Whether it shows a good part, or a defect at a known place."""
    return bool(_kinds(one, types)) or all(types[label] == GOOD for label in one.unplaced)


def _planned(
    placed: Sequence[NamedPhotograph],
    types: Mapping[str, str],
    method: ProposalMethod | None,
    on_progress: Callable[[float], None],
) -> _Plan:
    plan = _Plan()
    good = [one for one in placed if not one.kinds]
    propose = None if method is None else method.prepare([one.annotated.path for one in good])
    for one in good:
        plan.files.update(files_of_good(one))
    for index, one in enumerate((one for one in placed if one.kinds), 1):
        for path, content, proposed in files_of_defect(one, types, propose):
            plan.files[path] = content
            if proposed is not None:
                plan.proposed[path] = proposed
        on_progress(index / (len(placed) - len(good)))
    if plan.proposed and method is not None:
        plan.files[RECORD] = record(plan.proposed, method.words)
    return plan


def _write(path: Path, content: Content) -> None:
    ensure_writable(path.parent)
    write_atomically(path, content if isinstance(content, bytes) else content.read_bytes())


def _refuse_width(width: int) -> None:
    if not 1 <= width <= 255:
        raise OptionError(
            got=f"--line-width {width}", expected="1 to 255 pixels", todo="Correct the option."
        )
