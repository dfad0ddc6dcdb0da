"""Inversions of photographs, each searched for once and kept on disk."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from blemish.checkpoint import Bundle
from blemish.editing.subjects import EditSubject
from blemish.errors import UserError
from blemish.inversion.invert import invert
from blemish.inversion.methods import chosen_method
from blemish.inversion.model import Model
from blemish.inversion.saved import load_inversion
from blemish.studio.photographs import Opened

OnProgress = Callable[[float], None]


class Inversions:
    """Inversions in a folder.

    Args:
        folder: The folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find(self, bundle: Bundle, model: Model, opened: Opened) -> EditSubject | None:
        """A photograph as a part to edit, if it has been inverted."""
        folder = self._folder(bundle, opened)
        if not folder.is_dir():
            return None
        with suppress(UserError):  # damaged: it is inverted again
            kept = load_inversion(folder, bundle)
            return EditSubject(
                name=str(opened.path),
                codes=kept.codes.good().to(model.device),
                target=kept.photograph.to(model.device),
                facts={name: fact for name, fact in kept.facts.items() if name != "bundle"},
            )
        return None

    def search(self, bundle: Bundle, model: Model, opened: Opened, on_progress: OnProgress) -> None:
        """Invert a photograph as `blemish edit` does.

        Args:
            bundle: Bundle of the model.
            model: Networks of the bundle.
            opened: Photograph.
            on_progress: Callback for each step, called with the time from 0 to 1.
        """
        method = chosen_method(model.encoder is not None, space="w+")
        picture = opened.original.picture
        (found,) = invert(model, [picture], method, watch=lambda time, *_: on_progress(time))
        found.save(self._folder(bundle, opened), bundle)

    def _folder(self, bundle: Bundle, opened: Opened) -> Path:
        return self.folder / f"{opened.digest}-{bundle.digest[:16]}"
