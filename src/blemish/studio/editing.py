"""Editing and repair at work: the opened bundles, and the search that is under way."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from blemish.editing.fill import Filler
from blemish.editing.find import DefectSearch, defect_search
from blemish.editing.result import Edit
from blemish.editing.subjects import SEED, EditSubject, drawn
from blemish.errors import DataError
from blemish.studio.commands import free_name
from blemish.studio.editor import PartEdit, PartEditor
from blemish.studio.inversions import Inversions
from blemish.studio.looks import LookEditor, can_read_looks
from blemish.studio.photographs import Opened, Photographs
from blemish.studio.placing import DraftPlacer
from blemish.studio.worker import Pause, Worker
from blemish.windows.paint import NETWORK as WINDOWS

OPEN = 2  # bundles whose networks stay in memory


@dataclass
class SearchUnderWay:
    """Search of an inversion.

    Attributes:
        key: Bundle and photograph.
        task: Task that ends with it.
    """

    key: tuple[str, str]
    task: asyncio.Task[None]


class Editing:
    """Bundles at work.

    Args:
        placer: Bundles by name, the folder of real defects, and the device.
        photographs: Photographs that are open.
        worker: What computes.
        out: Folder of the studio.

    Attributes:
        share: Share of the newest search that is done.
    """

    def __init__(
        self, placer: DraftPlacer, photographs: Photographs, worker: Worker, out: Path
    ) -> None:
        self.placer, self.photographs, self.worker = placer, photographs, worker
        self.share = 1.0
        self.inversions, self.folder = Inversions(out / "inversions"), out / "edits"
        self.parts = lru_cache(OPEN)(self._part_editor)
        self.fillers = lru_cache(OPEN)(self._filler)
        self.looks = lru_cache(OPEN)(self._look_editor)
        self.searches = lru_cache(OPEN)(self._defect_search)
        self.newest: SearchUnderWay | None = None
        self.last: tuple[PartEdit, Edit] | None = None

    def about(self, name: str) -> dict[str, Any]:
        """What can be edited with a bundle."""
        bundle = self.placer.bundle(name)
        looks = {}
        if self.placer.real is not None and bundle.has(WINDOWS) and can_read_looks(bundle):
            looks = self.looks(name).about()
        return {**self.parts(name).about(), "looks": looks, "windows": bundle.has(WINDOWS)}

    async def invert(self, name: str, id: str) -> dict[str, Any]:
        """Search for the codes of a photograph, if they are not kept; what is known of them."""
        found = await self.worker.do(partial(self._subject, name, id))
        if found is None:
            await asyncio.shield(self._search_of(name, id))
            found = await self.worker.do(partial(self._subject, name, id))
        assert found is not None, "it has just been inverted"
        return {fact: found.facts[fact] for fact in ("outcome", "reason", "psnr_db")}

    async def edit(self, wish: PartEdit, lane: str = "edit") -> Edit:
        """Edit parts; their photographs are inverted first.

        Args:
            wish: Edit.
            lane: Kind of request; of several, the latest wins.
        """
        if self.last is not None and self.last[0] == wish:
            return self.last[1]
        for part in wish.parts:
            if not part.startswith(SEED):
                await self.invert(wish.bundle, part)
        if wish.verb == "transplant":
            self.share = 0
            found = await self.worker.search(lane, partial(self._edited, wish))
        else:
            found = await self.worker.latest(lane, partial(self._edited, wish))
        self.last = wish, found
        return found

    def defect(self, name: str, opened: Opened) -> Bool[np.ndarray, "h w"]:
        """Mask of a photograph's defect.

        Raises:
            DataError: Nothing stands out.
        """
        return self.searches(name)(opened.original.picture)

    def new_folder(self, stem: str) -> Path:
        """Folder for a result."""
        return self.folder / free_name(self.folder, stem)

    def _part_editor(self, name: str) -> PartEditor:
        return PartEditor(self.placer.bundle(name), self.placer.device)

    def _filler(self, name: str) -> Filler:
        return Filler(self.placer.bundle(name), self.placer.device)

    def _defect_search(self, name: str) -> DefectSearch:
        bundle = self.placer.bundle(name)
        return defect_search(bundle, lambda: self.parts(name).model, self.placer.device)

    def _look_editor(self, name: str) -> LookEditor:
        if self.placer.real is None:
            raise DataError(
                got="a folder without real defects",
                expected="real defects and their masks, in the layout of MVTec AD",
                todo="Start the studio with such a folder.",
            )
        return LookEditor(self.placer.bundle(name), self.placer.real, self.placer.device)

    def _edited(self, wish: PartEdit, pause: Pause = lambda: None) -> Edit:
        subjects = [self._found(wish.bundle, part) for part in wish.parts]
        on_progress = self._progress_of(pause)
        return self.parts(wish.bundle).edit(wish, subjects, lambda time, *_: on_progress(time))

    def _progress_of(self, pause: Pause) -> Callable[[float], None]:
        """Callback that notes how far a search is, and lets other work in."""

        def on_progress(share: float) -> None:
            pause()
            self.share = share

        return on_progress

    def _found(self, name: str, part: str) -> EditSubject:
        found = self._subject(name, part)
        assert found is not None, "photographs are inverted before they are edited"
        return found

    def _subject(self, name: str, part: str) -> EditSubject | None:
        """A part; None for a photograph that has not been inverted."""
        editor = self.parts(name)
        if part.startswith(SEED):
            return drawn(part, editor.model)
        return self.inversions.find(editor.bundle, editor.model, self.photographs.opened(part))

    def _search_of(self, name: str, id: str) -> asyncio.Task[None]:
        """The search for a photograph's codes; one that is under way is joined."""
        if self.newest is None or self.newest.key != (name, id) or self.newest.task.done():
            self.share = 0
            self.newest = SearchUnderWay((name, id), asyncio.create_task(self._search(name, id)))
        return self.newest.task

    async def _search(self, name: str, id: str) -> None:
        def searched(pause: Pause) -> None:
            editor, opened = self.parts(name), self.photographs.opened(id)
            self.inversions.search(editor.bundle, editor.model, opened, self._progress_of(pause))

        await self.worker.search("inversion", searched)
