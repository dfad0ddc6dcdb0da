"""`blemish synthesize` and `demo`: the main job."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import UseAppendAction, arg

from blemish.cli.options import Json
from blemish.cli.progress import Progress, carried_on, print_json
from blemish.errors import OptionError
from blemish.names import Device
from blemish.seeds import refuse_seeds
from blemish.synthesis.options import SynthesisOptions
from blemish.synthesis.removed import refuse_removed

if TYPE_CHECKING:
    import numpy as np

    from blemish.synthesis.part import GoodPart
    from blemish.synthesis.request import Request
    from blemish.synthesis.synthesize import Synthesizer

Masks = Annotated[
    tuple[Path, ...],
    UseAppendAction,
    arg(help_behavior_hint="(default: one is drawn for each defect)"),
]
Flat = Annotated[SynthesisOptions, arg(name="")]


def synthesize(
    normal: Path,
    defect: UseAppendAction[tuple[str, ...]],
    mask: Masks = (),
    strength: float = 1,
    bundle: str = "hazelnut",
    count: int = 1,
    seed: int = 0,
    out: Path = Path("synthesized"),
    device: Device = "auto",
    json: Json = False,
    options: Flat = SynthesisOptions(),
) -> None:
    """Place one or more defects on a photograph of a good part.

    Args:
        normal: Photograph of the good part; a note says if it shows something else.
        defect: Type of the defect; the bundle must have learnt it, or the real defects to paste
            have it. Repeat it, and the mask, for several defects on one photograph.
        mask: Mask of the defect: an image of the photograph's size, bright there; or a folder of
            masks, which are used in turn. Several types may share one mask of class numbers, which
            --classes names.
        strength: Strength of the defect, from barely visible (0.1) to full (1).
        bundle: Folder of a bundle, or the name of a shipped one.
        count: Number of different defects; their seeds are consecutive.
        seed: Random seed of the first defect, and of its mask if that is drawn.
        out: Folder of the data set; existing items are not made again.
        device: Device to compute on; auto uses CUDA if available.
        json: Print the manifest's rows of these items as JSON.
        options: Mask and placement of the defect.
    """
    from blemish.checkpoint import find_bundle
    from blemish.devices import choose_device
    from blemish.files import alone
    from blemish.synthesis.batch.record import refuse_batch
    from blemish.synthesis.dataset import Dataset
    from blemish.synthesis.part import GoodPart
    from blemish.synthesis.request import read_requests
    from blemish.synthesis.synthesize import Synthesizer, in_turn
    from blemish.synthesis.synthesize import synthesize as make

    refuse_seeds(seed, count)
    refuse_batch(out)
    _refuse_typeless(defect)
    options.check_masks(bool(mask))
    found = find_bundle(bundle) if options.needs_bundle else None
    worker = Synthesizer(found, options, device=choose_device(device))
    for kind in defect:
        worker.prepare(kind)
    part, known = GoodPart.read(normal), {"types": worker.types, "strength": strength}
    if mask:
        request_of = in_turn(read_requests(part, mask, defect, options=options, **known))
    else:
        drawn = partial(_drawn_request, worker, part, defect, options, out / "drawn", strength)
        request_of = lru_cache(1)(drawn)
        request_of(seed)  # what can't be drawn is refused before anything is written
    dataset = Dataset(out)
    with carried_on(), alone(out), Progress("placing", count) as progress:
        rows = make(worker, request_of, dataset, count=count, seed=seed, on_progress=progress.say)
    if json:
        print_json(rows)
    else:
        for row in rows:
            print(_line(out, row))
        print(f"{out / 'contact_sheet.png'} shows them.")


def _drawn_request(
    worker: "Synthesizer",
    part: "GoodPart",
    defect: tuple[str, ...],
    options: SynthesisOptions,
    folder: Path,
    strength: float,
    seed: int,
) -> "Request":
    """Request of a seed whose masks are drawn."""
    from blemish.synthesis.request import draw_request

    learned = worker.networks.masks_for(options.mask_kind)
    known = {"strength": strength, "learned": learned}
    return draw_request(part, options, defect, worker.types, seed=seed, folder=folder, **known)


def refuse_removed_options(args: Sequence[str]) -> None:
    """Refuse `synthesize` with a method or an option that is gone, before tyro reads the line.

    Raises:
        OptionError: One is gone; the message names what replaced it.
    """
    words = [word for arg in args for word in arg.split("=", 1)]
    if words[:1] == ["synthesize"]:
        pairs = zip(words, [*words[1:], ""], strict=True)
        refuse_removed({word[2:]: value for word, value in pairs if word.startswith("--")})


def _refuse_typeless(defect: tuple[str, ...]) -> None:
    if not defect:
        raise OptionError(
            got="no type of a defect",
            expected="--defect, once for each defect",
            todo="Add one, as in --defect crack.",
        )


def demo(
    out: Path = Path("blemish-demo"),
    bundle: str = "hazelnut",
    parts: int = 6,
    count: int = 2,
    seed: int = 0,
) -> None:
    """Run the main job on parts and masks that the bundle generates itself.

    Args:
        out: Folder for the data set, the contact sheet and the report.
        bundle: Folder of a bundle, or the name of a shipped one.
        parts: Number of good parts to generate.
        count: Number of defects per part.
        seed: Random seed of the first part.
    """
    from blemish.checkpoint import find_bundle
    from blemish.files import alone
    from blemish.synthesis.batch.record import refuse_batch
    from blemish.synthesis.dataset import Dataset
    from blemish.synthesis.demo import draw_scene
    from blemish.synthesis.part import GoodPart
    from blemish.synthesis.request import read_request
    from blemish.synthesis.synthesize import Synthesizer, in_turn
    from blemish.synthesis.synthesize import synthesize as make

    if min(parts, count) < 1:
        got = f"--parts {parts} --count {count}"
        raise OptionError(got=got, expected="1 or more of each", todo="Choose 1 or more.")
    refuse_seeds(seed, max(parts, count))
    refuse_batch(out)
    found = find_bundle(bundle)
    worker = Synthesizer(found, SynthesisOptions())
    masked = _mask_drawer(worker, worker.types[0])
    dataset, began = Dataset(out), time.monotonic()
    rows: list[dict[str, Any]] = []
    with carried_on(), alone(out), Progress("placing", parts * count) as progress:
        for index in range(parts):
            place = (out / "parts", seed + index, worker.networks.windows)
            mark = worker.items.mark(generated=True)
            normal, mask = draw_scene(worker.networks.generator, *place, masked=masked, mark=mark)
            request = read_request(GoodPart.read(normal), mask, worker.types[0], worker.types)
            rows += make(
                worker,
                in_turn([replace(request, generated=True)]),
                dataset,
                count=count,
                seed=seed,
                on_progress=progress.say,
            )
            progress.step((index + 1) * count - 1)
    took = time.monotonic() - began
    _report(out, bundle, rows, took)
    print(f"{len(rows)} items in {took:.0f} s:")
    for name in ("test", "contact_sheet.png", "manifest.jsonl", "report.html"):
        print(f"  {out / name}")


def _mask_drawer(worker: "Synthesizer", kind: str) -> "Callable[[np.ndarray, int], np.ndarray]":
    """Masks by the bundle's mask generator if it knows the type, else strokes and blobs."""
    from blemish.data.shadow import unshadowed_silhouette
    from blemish.synthesis.demo import draw_demo_mask
    from blemish.synthesis.masks.learned import NETWORK, learned_mask

    masks = worker.networks.masks if worker.bundle and worker.bundle.has(NETWORK) else None
    if masks is None or kind not in masks.types:
        return draw_demo_mask
    return lambda picture, seed: learned_mask(masks, unshadowed_silhouette(picture), kind, seed)


def _line(out: Path, row: dict[str, Any]) -> str:
    if "image" not in row["files"]:
        return f"Seed {row['seed']} changed nothing; its line in the manifest has the scores."
    iou, doubts = row["scores"]["iou_requested"], row.get("reasons", ())
    doubted = f"  (doubtful: {'; '.join(doubts)})" if doubts else ""
    return f"{out / row['files']['image']}  IoU with the requested mask {iou:.2f}{doubted}"


def _report(out: Path, bundle: str, rows: list[dict[str, Any]], took: float) -> None:
    from blemish.evaluation.report import Page

    page = Page(f"{len(rows)} defects by the bundle '{bundle}'")
    page.text(
        f"Made in {took:.0f} s on this machine: parts and masks generated by the bundle, a defect "
        "drawn under each mask, the change added to the part."
    )
    page.picture(out / "contact_sheet.png", "good part, requested mask, result, mask of the change")
    header = ("item", "seed", "IoU with request", "area", "pixels changed beyond reach")
    names = ("iou_requested", "area", "pixels_changed_beyond_reach")
    body = [(r["name"], r["seed"], *(r["scores"][name] for name in names)) for r in rows]
    page.table(header, body)
    page.write(out / "report.html")
