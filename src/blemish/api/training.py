"""Training of a bundle on a folder of photographs: masks first, then windows."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from blemish.api.bundle import OpenBundle
from blemish.checkpoint import Bundle
from blemish.data import DefectFolder
from blemish.data.folder import known_types
from blemish.devices import make_fabric, use_threads, usual_precision
from blemish.errors import BundleError
from blemish.evaluation.windows import choose_snapshot
from blemish.models.mask_generator import MaskConfig
from blemish.models.window_generator import GOOD, WindowConfig
from blemish.names import Device, LoggerName
from blemish.seeds import refuse_seeds
from blemish.synthesis.masks.learned import NETWORK as MASKS
from blemish.training.loop import Schedule, stored_options
from blemish.training.masks.train import MaskTraining, train_masks
from blemish.training.windows.train import WindowTraining, train_windows
from blemish.windows.paint import NETWORK as WINDOWS
from blemish.windows.sources import read_sources

MASK_MINUTES = 10  # maximum of the mask generator in a training of both
MASK_SHARE = 1 / 6


def minutes_of_masks(minutes: float) -> float:
    """Time of the mask generator in a training of both."""
    return min(MASK_MINUTES, MASK_SHARE * minutes)


def train(
    data: str | Path,
    out: str | Path,
    minutes: float = 60,
    *,
    types: Sequence[str] | None = None,
    everything: bool = False,
    seed: int = 0,
    threads: int | None = None,
    device: Device = "auto",
    log: LoggerName | None = None,
) -> OpenBundle:
    """Train all that `synthesize` needs, masks and windows, as `blemish train DATA` does.

    The same call carries on a training that was interrupted, and one whose time is up.

    Args:
        data: Folder in the layout of MVTec AD: good parts in train/good, defects in test/<type>,
            their masks in ground_truth/<type>.
        out: Folder of the bundle; it is made.
        minutes: Time limit.
        types: Defects to learn; by default all.
        everything: Learn from all defects of a type, not from the first third by name, and from
            test/good.
        seed: Random seed.
        threads: CPU threads; by default PyTorch's choice.
        device: Device to train on; auto is CUDA where there is one.
        log: Logger of the figures beside stats.jsonl; each needs the extra of its name.

    Raises:
        DataError: The folder can't be read, or has no defect of a type.
        OptionError: There is no such type, a number is out of range, or the logger's package is not
            installed.
        TrainingError: The training diverged; the last checkpoint is kept.
    """
    refuse_seeds(seed)
    if log is not None:
        from blemish.loggers import refuse_without_package  # slow to import

        refuse_without_package(log)
    folder, bundle = DefectFolder(Path(data)), Path(out)
    kinds = known_types(folder, types)
    share = minutes_of_masks(minutes)
    if threads is not None:
        use_threads(threads)
    fabric = make_fabric(device, precision=usual_precision())
    fabric.launch()
    own = {"everything": everything, "seed": seed, "threads": threads, "log": log}
    options = {**own, "types": None if types is None else ",".join(kinds)}
    known: dict[str, Any] = {
        "options": {name: value for name, value in options.items() if value not in (None, False)},
        "first_third": not everything,
        "everything": everything,
        "resume": True,
    }
    sources = read_sources(folder, kinds, first_third=not everything, everything=everything)
    masks, windows = MaskTraining(), WindowTraining()
    masks = replace(masks, schedule=_seeded(masks.schedule, bundle, MASKS, seed))
    windows = replace(windows, schedule=_seeded(windows.schedule, bundle, WINDOWS, seed))
    train_masks(folder, bundle, MaskConfig(types=kinds), masks, fabric, minutes=share, **known)
    config, left = WindowConfig(types=(*kinds, GOOD)), minutes - share
    known |= {"minutes": left, "sources": sources}
    train_windows(folder, bundle, config, windows, fabric, **known)
    with suppress(BundleError):  # without the network that judges, the last snapshot is kept
        choose_snapshot(Bundle(bundle), sources)
    return OpenBundle(Bundle(bundle), device)


def _seeded(schedule: Schedule, bundle: Path, stage: str, seed: int) -> Schedule:
    """The schedule with the seed with which the stage has begun, or else with this one."""
    begun = stored_options(bundle / "training" / stage)
    return replace(schedule, seed=int(begun.get("seed", seed)))
