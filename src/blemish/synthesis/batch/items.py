"""From a task to an item's files and its row: the work of each process.

State that a process keeps between items (networks, codes of photographs) is a cache of pure
functions: it changes only the time.
"""

import hashlib
import os
import traceback
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Generic, TypeVar

from blemish.checkpoint import Bundle
from blemish.errors import BlemishError, OutputError
from blemish.files import ensure_writable
from blemish.reading import AS_STORED, Reading, read_as
from blemish.stores.samples import key_of
from blemish.synthesis.batch.tasks import DrawnPart, Task
from blemish.synthesis.dataset import Dataset, SyntheticItem
from blemish.synthesis.demo import draw_part, write_part
from blemish.synthesis.naming import plain_stem
from blemish.synthesis.options import SynthesisOptions
from blemish.synthesis.part import GoodPart
from blemish.synthesis.request import Request, draw_request, read_requests
from blemish.synthesis.synthesize import Synthesizer
from blemish.types import Codes

T = TypeVar("T")
BENCHES, TWINS = 4, 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """Failed item."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Workplace:
    """Output folder and settings of the items.

    Attributes:
        root: Folder of the data set, absolute.
        device: Device of the networks.
        keep_all: Keep the images of refused items.
        reading: How pictures and masks are read.
    """

    root: Path
    device: str = "cpu"
    keep_all: bool = False
    reading: Reading = AS_STORED

    def make(self, task: Task) -> dict[str, Any] | Failed:
        """An item's row, after its files are written; or the reason of its failure.

        Raises:
            OutputError: The folder can't be written to.
        """
        try:
            with read_as(self.reading):
                item, dataset = self.item(task), _dataset(self.root)
                return dataset.write(item, keep_all=self.keep_all, twin=self._twin(item, task))
        except OutputError:
            raise
        except Exception as error:
            if os.environ.get("BLEMISH_DEBUG"):
                traceback.print_exception(error)
            return Failed(reason=self.reason(error, task))

    def item(self, task: Task) -> SyntheticItem:
        """An item in memory; a mask that is drawn for it, and a generated part, are written."""
        bench = self._bench(task)
        generated = isinstance(task.photograph, DrawnPart)
        request = replace(self._order(task, bench.synthesizer), generated=generated)
        made = bench.synthesizer.make(request, task.seed, twin=bench.twin(request, task.normal))
        facts = {**made.facts, **task.facts()}
        facts["requested"] = task.mask or f"drawn/{request.mask.name}"
        if "defects" in facts:
            facts["defects"] = _defects(facts["defects"], request, task)
        facts["options"] = {**made.facts["options"], "real": task.real, **task.files}
        return replace(made, name=task.name, facts=facts)

    def _bench(self, task: Task) -> "_Bench":
        return _bench(task.bundle, task.options.without_masks(), self.device)

    def _twin(self, item: SyntheticItem, task: Task) -> str:
        """Name of a photograph that items share."""
        twin = item.twin
        about = twin.orientation, twin.profile, twin.white, twin.mark
        key = task.normal, *about, hash(twin.levels.tobytes())
        return self._bench(task).names.get(key, lambda: _twin_name(item, task))

    def _order(self, task: Task, synthesizer: Synthesizer) -> Request:
        part, options = GoodPart.read(self._photograph(task, synthesizer)), task.options
        known = {"types": synthesizer.types, "strength": task.strength}
        if task.masks:
            masks = [task.here / mask for mask in task.masks]
            (request,) = read_requests(part, masks, task.kinds, options=options, **known)
            return request
        learned = synthesizer.networks.masks_for(options.mask_kind)
        place = {"seed": task.mask_seed, "folder": self.root / "drawn", "learned": learned}
        return draw_request(part, options, task.kinds, **place, **known)

    def _photograph(self, task: Task, synthesizer: Synthesizer) -> Path:
        """The photograph's file; the first process that needs a generated part writes it."""
        if not isinstance(task.photograph, DrawnPart):
            return task.here / task.photograph
        path = self.root / task.photograph.name
        if not path.exists():
            ensure_writable(path.parent)
            seed, windows = task.photograph.seed, synthesizer.networks.windows
            mark = synthesizer.items.mark(generated=True)
            write_part(path, draw_part(synthesizer.networks.generator, seed, windows), mark)
        return path

    def reason(self, error: Exception, task: Task) -> str:
        """Reason of a failure for the manifest, without folders: the same on every machine."""
        text = str(error)
        if not isinstance(error, BlemishError):
            text = f"Blemish failed with {type(error).__name__}: {text}".splitlines()[0]
        for folder in (self.root, task.here):
            text = text.replace(f"{folder}{os.sep}", "")
        return text


def _twin_name(item: SyntheticItem, task: Task) -> str:
    """Name of a photograph's file, which depends on its content.

    A photograph of twelve megapixels takes longer to encode than its defect to draw.
    """
    digest = hashlib.sha256(item.twin.encoded()).hexdigest()[:16]
    return f"{key_of(plain_stem(Path(task.normal)))}_{digest}"


def _defects(facts: list[dict[str, Any]], request: Request, task: Task) -> list[dict[str, Any]]:
    """Facts of each defect, with its mask by the name that it has on every machine."""
    drawn = (f"drawn/{one.mask.name}" for one in request.defects)
    names = task.masks or tuple(drawn)
    return [{**one, "requested": name} for one, name in zip(facts, names, strict=True)]


class _Recent(Generic[T]):
    """What was computed of the most recent photographs."""

    def __init__(self) -> None:
        self.known: OrderedDict[Hashable, T] = OrderedDict()

    def get(self, key: Hashable, compute: Callable[[], T]) -> T:
        """What belongs to a key, computed unless it is known."""
        if key not in self.known:
            self.known[key] = compute()
        self.known.move_to_end(key)
        if len(self.known) > TWINS:
            self.known.popitem(last=False)
        return self.known[key]


class _Bench:
    """A synthesizer, and the codes and file names of its most recent photographs."""

    def __init__(self, bundle: Bundle | None, options: SynthesisOptions, device: str) -> None:
        self.synthesizer = Synthesizer(bundle, options, device=device)
        self.codes: _Recent[Codes | None] = _Recent()
        self.names: _Recent[str] = _Recent()

    def twin(self, request: Request, name: str) -> Codes | None:
        """The codes of a photograph, searched for unless they are cached under this name."""
        return self.codes.get(name, lambda: self.synthesizer.invert(request))


_bench = lru_cache(maxsize=BENCHES)(_Bench)
_dataset = lru_cache(maxsize=1)(Dataset)
