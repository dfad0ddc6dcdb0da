"""`blemish train directions`."""

from pathlib import Path
from typing import TYPE_CHECKING

from blemish.cli.options import Flag, Json
from blemish.cli.progress import Progress, print_json
from blemish.names import Device

if TYPE_CHECKING:
    from blemish.checkpoint import Bundle
    from blemish.editing.looks import LookDirection


def directions(
    bundle: Path,
    samples: int = 1000,
    probes: int = 64,
    components: int = 4,
    seed: int = 0,
    device: Device = "auto",
    dry_run: Flag = False,
    json: Json = False,
) -> None:
    """Find directions of a bundle's codes that change one attribute each, without labels.

    Stores attribute boundaries, conditioned on each other, with their separation accuracy and
    purity, directions of SeFa, principal components, and directions of the looks of defects if the
    bundle has windows.

    Args:
        bundle: Folder of a bundle.
        samples: Number of generated parts whose attributes are measured.
        probes: Number of generated parts that are moved along each direction; with few of
            them, purities are too low.
        components: Number of directions of SeFa, and of principal components; 0 finds none.
        seed: Random seed of the parts.
        device: Device to compute on; auto uses CUDA if available.
        dry_run: Print the options and stop.
        json: Print the figures as JSON.
    """
    from blemish.cli.training_options import trainable
    from blemish.devices import choose_device, one_thread
    from blemish.editing.directions import (
        DirectionTraining,
        learn_directions,
        pictures_needed,
        write_directions,
    )
    from blemish.editing.lookfile import write_looks
    from blemish.files import ensure_writable
    from blemish.models.load import load_generator
    from blemish.seeds import refuse_seeds

    refuse_seeds(seed)
    training = DirectionTraining(samples=samples, probes=probes, components=components, seed=seed)
    found = trainable(bundle)
    generator = load_generator(found, choose_device(device))
    total = pictures_needed(generator, training)
    if dry_run:
        print(f"{found.path}: {training}, {total} pictures")
        return
    ensure_writable(found.path)
    with Progress("drawing", total) as progress, one_thread():
        learnt = learn_directions(generator, training, progress.part)
    looks = _looks(found, seed)
    write_directions(found, learnt)
    write_looks(found, looks)
    if json:
        names = ("name", "attribute", "accuracy", "purity")
        return print_json([{name: getattr(one, name) for name in names} for one in learnt])
    for one in learnt:
        print(f"{one.name:<12} {one.attribute:<12} {one.accuracy:.0%}  purity {one.purity:.1f}")


def _looks(bundle: "Bundle", seed: int) -> "dict[str, list[LookDirection]]":
    """Directions of the looks of each type of defect, if the bundle has windows."""
    from blemish.devices import one_thread
    from blemish.editing.looks import LOOK_SAMPLES, learn_looks
    from blemish.windows.paint import NETWORK, load_windows

    if not bundle.has(NETWORK):
        return {}
    model, found = load_windows(bundle), {}
    with Progress("drawing defects", LOOK_SAMPLES * len(model.types)) as progress, one_thread():
        for k, kind in enumerate(model.types):
            before = k * LOOK_SAMPLES
            found[kind] = learn_looks(
                model,
                kind,
                samples=LOOK_SAMPLES,
                seed=seed,
                on_progress=lambda done, before=before: progress.part(before + done),
            )
    return found


def _step(progress: Progress, before: int, done: int) -> None:
    progress.part(before + done)
