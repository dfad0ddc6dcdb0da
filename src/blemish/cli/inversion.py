"""`blemish invert`: codes of photographs."""

import itertools
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import arg

from blemish.cli.options import Flag, Json
from blemish.cli.progress import Progress, print_json
from blemish.errors import DataError, OptionError
from blemish.names import (
    Device,
    Fidelity,
    InversionChoice,
    InversionName,
    PrecisionChoice,
    SearchStart,
    Space,
)

if TYPE_CHECKING:
    from blemish.checkpoint import Bundle
    from blemish.inversion.descent import Watch
    from blemish.inversion.invert import Inversion
    from blemish.inversion.methods import InversionMethod
    from blemish.inversion.model import Model
    from blemish.inversion.trajectory import Trajectory

OF_METHOD = "(default: the method's)"
SEARCHED = 0.5  # share of the progress that the part's search takes, if the defect comes after it


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchFlags:
    """Options of the inversion method.

    Attributes:
        method: encode only runs the encoder; in-domain starts there and keeps the code in the
            encoder's domain; optimize uses only the image; project is StyleGAN2's projector, which
            needs no encoder; auto is in-domain if the bundle has an encoder, else project.
        space: Search space; encode does not support z. f/w+ also changes features at 16², for parts
            that lie as none of the training's did.
        steps: Maximum steps of the search.
        seconds: Time limit per batch, in seconds.
        start: Start of optimize.
        noise_weight: Weight of the noise map regularity in project; 0 keeps the maps fixed, the
            paper uses 1e5.
        precision: Number format of the search; auto is bfloat16 for images of 128² and more on a
            processor that computes in it. The result is always checked in float32.
    """

    method: InversionChoice = "auto"
    space: Space = "w+"
    steps: Annotated[int | None, arg(help_behavior_hint=OF_METHOD)] = None
    seconds: Annotated[float | None, arg(help_behavior_hint="(default: no limit)")] = None
    start: Annotated[SearchStart | None, arg(help_behavior_hint="(default: mean)")] = None
    noise_weight: Annotated[float | None, arg(help_behavior_hint="(default: 0)")] = None
    precision: PrecisionChoice = "auto"

    def chosen(self, bundle: "Bundle") -> "InversionMethod":
        """The method with its options.

        Raises:
            OptionError: An option does not belong to the method.
        """
        from blemish.inversion.methods import usual_name

        name = usual_name(bundle.has("encoder")) if self.method == "auto" else self.method
        return replace(self, method=name)._made(name)

    def _made(self, name: InversionName) -> "InversionMethod":
        from blemish.inversion.methods import METHODS

        self._refuse("start", "optimize")
        self._refuse("noise_weight", "project")
        self._refuse("steps", "in-domain", "optimize", "project")
        self._refuse("seconds", "in-domain", "optimize", "project")
        if self.precision != "auto":
            self._refuse("precision", "in-domain", "optimize", "project")
        given = {name: getattr(self, name) for name in ("start", "noise_weight")}
        method: Any = METHODS[name](
            space=self.space, **{k: v for k, v in given.items() if v is not None}
        )
        budget = {"steps": self.steps, "seconds": self.seconds, "precision": self.precision}
        budget = {k: v for k, v in budget.items() if v not in (None, "auto")}
        return replace(method, search=replace(method.search, **budget)) if budget else method

    def _refuse(self, name: str, *methods: str) -> None:
        if getattr(self, name) is not None and self.method not in methods:
            raise OptionError(
                got=f"--{name.replace('_', '-')} for the method {self.method}",
                expected=f"it with {' or '.join(methods)} only",
                todo="Leave it out, or choose another method.",
            )


FlatHow = Annotated[SearchFlags, arg(name="")]


def invert(
    image: tuple[Path, ...],
    bundle: str = "hazelnut",
    how: FlatHow = SearchFlags(),
    defect: Flag = False,
    fidelity: Fidelity = "codes",
    trajectory: Flag = False,
    batch: int = 8,
    seed: int = 0,
    out: Path = Path("inversion"),
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Find the generator's codes for photographs.

    Args:
        image: Photograph of any size, several, or a folder of them; the outcome says if one shows
            something else than the part.
        bundle: Folder of a bundle, or the name of a shipped one.
        how: Inversion method and its options.
        defect: Search for a defect as well: its code and its mask.
        fidelity: consult also brings back the detail that the codes lose, if the bundle has a
            consultation branch; it does not go with --defect.
        trajectory: Save the course of the search: images along its steps, loss terms as curves.
        batch: Photographs per search batch; it changes only rounding.
        seed: Random seed of the search.
        out: Folder for codes, images and figures; several photographs get one subfolder each.
        device: Device to compute on; auto uses CUDA if available.
        json: Print the figures as JSON; several photographs give a list.
    """
    from blemish.checkpoint import find_bundle
    from blemish.devices import choose_device
    from blemish.editing.defective import picture_inverter
    from blemish.files import ensure_writable
    from blemish.inversion.invert import Unreadable, invert_files, read_photograph
    from blemish.inversion.model import load_model
    from blemish.inversion.trajectory import Trajectory
    from blemish.seeds import refuse_seeds

    refuse_seeds(seed)
    if batch < 1:
        raise OptionError(got=f"--batch {batch}", expected="1 or more", todo="Choose 1 or more.")
    files, several = _files(image)
    if not several:
        read_photograph(files[0])  # refused before anything is written
    found = find_bundle(bundle)
    method = how.chosen(found)
    model = load_model(found, choose_device(device))
    detail = _detail(fidelity, found, model, defect=defect)
    work = picture_inverter(found, model, method, seed=seed, defect=defect)
    ensure_writable(out)
    rows: list[dict[str, Any]] = []
    firsts = range(0, len(files), batch)
    courses = [Trajectory() if trajectory else None for _ in firsts]
    share = SEARCHED if defect and model.generator.config.defect is None else 1
    with Progress("inverting", len(files)) as progress:
        watches = [
            _watch(progress, first, min(batch, len(files) - first) * share, course)
            for first, course in zip(firsts, courses, strict=True)
        ]
        made = invert_files(work, files, batch=batch, watches=watches)
        for folder, (file, result) in zip(_folders(files, out, several), made, strict=True):
            if isinstance(result, Unreadable):
                facts = result.facts()
            else:
                facts = detail(result).save(folder, found)
            rows.append({"image": str(file), **facts})
            progress.step(len(rows) - 1)
    _draw([course for course in courses if course is not None], out)
    if all(row["outcome"] == "unreadable" for row in rows):
        raise _nothing(rows)
    _report(rows, out, several=several, json=json)


def _detail(
    fidelity: Fidelity, bundle: "Bundle", model: "Model", *, defect: bool
) -> "Callable[[Inversion], Inversion]":
    """Function that brings back the detail of an inversion, if it was asked for."""
    from blemish.inversion.consult import load_consultation, with_detail

    if fidelity == "codes":
        return lambda inversion: inversion
    if defect:
        raise OptionError(
            got="--fidelity consult and --defect",
            expected="one of them: the branch draws good parts",
            todo="Leave one out.",
        )
    branch = load_consultation(bundle, model.device)
    return partial(with_detail, model.generator, branch)


def _files(images: tuple[Path, ...]) -> tuple[list[Path], bool]:
    """The photograph files, and whether more than one was requested."""
    from blemish.data.listing import pictures_in

    files = [file for image in images for file in (pictures_in(image) or [image])]
    return files, len(images) != 1 or images[0].is_dir()


def _folders(files: list[Path], out: Path, several: bool) -> Iterator[Path]:
    """One folder per file; files with the same name get a number."""
    taken: set[str] = set()
    for file in files:
        stem = file.stem.lstrip(".") or "photograph"
        names = (stem if count == 1 else f"{stem}-{count}" for count in itertools.count(1))
        name = next(name for name in names if name.casefold() not in taken)
        taken.add(name.casefold())
        yield out / name if several else out


def _watch(progress: Progress, first: int, size: float, trajectory: "Trajectory | None") -> "Watch":
    """Callback for a batch's steps: shows progress and records the trajectory if requested."""

    def hear(time: float, terms: Any, image: Any) -> None:
        progress.part(first + time * size)
        if trajectory is not None:
            trajectory(time, terms, image)

    return hear


def _draw(trajectories: "list[Trajectory]", out: Path) -> None:
    """Write the recorded trajectories: an image strip and curves for each batch."""
    from blemish.pictures import write_picture

    for index, trajectory in enumerate(trajectories):
        if trajectory.times:
            number = f"-{index}" if len(trajectories) > 1 else ""
            write_picture(out / f"trajectory{number}.png", trajectory.strip())
            trajectory.draw_curves(out / f"curves{number}.png")


def _nothing(rows: list[dict[str, Any]]) -> DataError:
    more = f", and {len(rows) - 1} more like it" if len(rows) > 1 else ""
    return DataError(
        got=f"{rows[0]['reason'].removeprefix('got ')}{more}" if rows else "no photograph",
        expected="photographs, or a folder of photographs",
        todo="Check the files.",
    )


def _report(rows: list[dict[str, Any]], out: Path, *, several: bool, json: bool) -> None:
    if json:
        print_json(rows if several else rows[0])
        return
    for row in rows:
        figures = ""
        if "psnr_db" in row:
            figures = f"PSNR {row['psnr_db']:.2f} dB in {row['space']}"
            if "percentile" in row["standing"]:
                figures += f", in-domain percentile {row['standing']['percentile']:.1f}"
        reason = f" ({row['reason']})" if row["reason"] else ""
        print("  ".join(part for part in (row["image"], row["outcome"] + reason, figures) if part))
    print(f"{out} has the codes and images.", file=sys.stderr)
