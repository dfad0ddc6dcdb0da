"""`blemish edit defect`: the look of a real defect, changed and laid on a photograph."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import arg

from blemish.cli.options import Json
from blemish.cli.progress import print_json
from blemish.errors import DataError, OptionError
from blemish.names import Device

if TYPE_CHECKING:
    import numpy as np

    from blemish.checkpoint import Bundle
    from blemish.editing.looks import Latents
    from blemish.types import Codes
    from blemish.windows.paint import WindowModel

Optional = Annotated[Path | None, arg(help_behavior_hint="(default: none)")]
Text = Annotated[str | None, arg(help_behavior_hint="(default: none)")]
Numbers = Annotated[tuple[float, ...], arg(help_behavior_hint="(default: none)")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Change of the look or the size; without any, the defect is laid as it is.

    Attributes:
        to: Photograph of a second real defect, to interpolate to or to mix with.
        to_mask: Mask of the second defect.
        steps: Pictures of an interpolation, both ends included.
        rows: Rows of the second defect's code to mix in, such as 0-3,8; none interpolates.
        direction: Attribute of the look to change: tone, warmth, gloss or texture.
        distance: Distances along the direction, one picture for each; 1 is about one deviation.
        size: Factors of the mask's size, one picture for each.
    """

    to: Optional = None
    to_mask: Optional = None
    steps: int = 5
    rows: Text = None
    direction: Text = None
    distance: tuple[float, ...] = (-2.0, -1.0, 0.0, 1.0, 2.0)
    size: Numbers = ()

    def check(self) -> None:
        """Raise an OptionError if options contradict each other or are out of range."""
        kinds = [self.to is not None, self.direction is not None, bool(self.size)]
        if sum(kinds) > 1:
            raise OptionError(
                got="several of --to, --direction and --size",
                expected="one of them",
                todo="Make one change after another.",
            )
        if (self.to is None) != (self.to_mask is None) or (self.rows and self.to is None):
            raise OptionError(
                got="an incomplete second defect",
                expected="--to and --to-mask together, and --rows only with them",
                todo="Complete it, or leave all of them out.",
            )
        if not 2 <= self.steps <= 100:
            raise OptionError(
                got=f"--steps {self.steps}", expected="2 to 100", todo="Correct the option."
            )


FlatChange = Annotated[Change, arg(name="")]


def defect(
    image: Path,
    mask: Path,
    defect: str,
    like: Path,
    like_mask: Path,
    change: FlatChange = Change(),
    bundle: str = "hazelnut",
    seed: int = 0,
    out: Path = Path("edit"),
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Change the look of a real defect by its code, and lay it on a photograph.

    Args:
        image: Photograph to lay the defect on.
        mask: Place of the defect: a mask of the photograph's size.
        defect: Type of the defect.
        like: Photograph of the real defect.
        like_mask: Mask of the real defect.
        change: What to change; one picture for each step, distance or size.
        bundle: Folder of a bundle with windows, or the name of a shipped one.
        seed: Random seed of the drawing's noise.
        out: Folder for pictures, masks of what changed, codes, a strip and figures.
        device: Device to compute on; auto uses CUDA if available.
        json: Print the figures as JSON.
    """
    from blemish.checkpoint import find_bundle
    from blemish.data.pairs import read_mask_for
    from blemish.devices import choose_device, one_thread
    from blemish.editing.looks import place_look
    from blemish.editing.saved_looks import save_looks
    from blemish.originals import read_original
    from blemish.seeds import refuse_seeds
    from blemish.windows.codes import LookReader
    from blemish.windows.paint import load_windows

    refuse_seeds(seed)
    change.check()
    found = find_bundle(bundle)
    model = load_windows(found, choose_device(device))
    if defect not in model.types:
        raise OptionError(
            got=f"the type '{defect}'",
            expected=f"one of {', '.join(model.types)}",
            todo="Correct the type.",
        )
    photograph = read_original(image)
    place = read_mask_for(photograph.header, mask, defect)
    if not place.any():
        raise DataError(
            got=f"{mask}, a mask with no pixel marked",
            expected="a mask that is brighter where the defect is to lie",
            todo="Mark the place.",
        )
    reader = LookReader(found, model)
    with one_thread():
        looks = [_look(reader, like, like_mask, defect)]
        if change.to is not None and change.to_mask is not None:
            looks.append(_look(reader, change.to, change.to_mask, defect))
        plans = list(_plans(change, found, model, looks, defect, place))
        drawn = [
            place_look(model, photograph.picture, where, codes, seed) for codes, where, _ in plans
        ]
    steps = [step for _, _, step in plans]
    row = save_looks(out, photograph, drawn, [plan[0] for plan in plans], place, steps, found)
    if json:
        print_json(row)
    else:
        print(f"{out} has {len(drawn)} pictures, masks, codes and a strip.", file=sys.stderr)


def _look(reader: Any, photograph: Path, mask: Path, kind: str) -> "Latents":
    from blemish.data.pairs import read_mask_for
    from blemish.pictures import read_picture

    return reader.latents(read_picture(photograph), read_mask_for(photograph, mask, kind))


def _plans(
    change: Change,
    bundle: "Bundle",
    model: "WindowModel",
    looks: "list[Latents]",
    kind: str,
    place: "np.ndarray",
) -> "Iterator[tuple[Codes, np.ndarray, dict[str, Any]]]":
    """Codes, mask and step of each picture."""
    from blemish.editing.directions import direction_named
    from blemish.editing.lookfile import read_looks
    from blemish.editing.looks import between, mixed_look, scaled
    from blemish.editing.rows import parse_rows
    from blemish.windows.codes import codes_like

    if change.rows is not None:
        chosen = parse_rows(change.rows, model.generator.config.layers, {})
        yield (
            mixed_look(model, looks[0], looks[1], kind, place, chosen),
            place,
            {"rows": change.rows},
        )
    elif change.to is not None:
        for k in range(change.steps):
            time = k / (change.steps - 1)
            look = between(looks[0], looks[1], time)
            yield codes_like(model, look, kind, place), place, {"time": time}
    elif change.direction is not None:
        known = read_looks(bundle, kind)
        vector = direction_named(change.direction, known, bundle).vector
        for far in change.distance:
            look = looks[0] + far * vector
            yield codes_like(model, look, kind, place), place, {"distance": far}
    else:
        for by in change.size or (1.0,):
            where = place if by == 1 else scaled(place, by)
            yield codes_like(model, looks[0], kind, where), where, {"size": by}
