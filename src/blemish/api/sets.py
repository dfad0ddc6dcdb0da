"""Data sets on the disk: export to other tools, and comparison with real defects."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from blemish.devices import choose_device
from blemish.evaluation.synthesis.report import ComparisonOptions, prepare_comparison
from blemish.names import Device, ExportFormat, FeatureChoice
from blemish.synthesis.export.export import Exported
from blemish.synthesis.export.export import export as write
from blemish.synthesis.export.push import push_set, refuse_nameless


def export(
    made: str | Path,
    out: str | Path,
    format: ExportFormat,
    *,
    pairs: bool = False,
    hold_out: float = 0,
    bundle: str | Path | None = None,
    classes: Sequence[str] | None = None,
    include_doubtful: bool = False,
    push: str | None = None,
    private: bool = False,
) -> Exported:
    """Export synthetic items to other tools, as `blemish export` does.

    Args:
        made: Folder written by `batch`, `Item.save` or the commands.
        out: A new or empty folder.
        format: MVTec AD layout, COCO, YOLO, an image folder for Hugging Face's datasets, or tasks
            for Label Studio.
        pairs: Add the untouched photograph of each item under the same name.
        hold_out: Fraction of the photographs to hold out for tests, with all items on them.
        bundle: Folder or name of the bundle that made the items; the card states its licence.
        classes: Order in which types are numbered; by default the bundle's.
        include_doubtful: Export the items that curation refused, too, if their images were kept.
        push: Data set of the Hugging Face Hub to upload the folder to, as user/name.
        private: Whether a new data set of the hub is private.

    Returns:
        The written files and the items.

    Raises:
        DataError: The folder was not written by Blemish, or has no item that can be exported.
        OptionError: The fraction is out of range, or `classes` lacks a type.
        BundleError: `bundle` is missing or made none of the items, or the hub refuses.
        OutputError: `out` is not empty or can't be written to.
    """
    refuse_nameless(push)
    done = write(
        Path(made),
        Path(out),
        format,
        pairs=pairs,
        share=hold_out,
        bundle=bundle,
        classes=classes,
        doubtful=include_doubtful,
    )
    if push is not None:
        push_set(Path(out), push, private=private)
    return done


def evaluate(
    synthetic: str | Path,
    real: str | Path,
    out: str | Path = "synthesis-report",
    *,
    features: FeatureChoice = "auto",
    bundle: str | Path | None = None,
    everything: bool = False,
    device: Device = "auto",
) -> dict[str, Any]:
    """Compare synthetic defects with real ones, as `blemish evaluate synthesis` does.

    Args:
        synthetic: Folder written by `batch`, `Item.save` or the commands, or one like `real`.
        real: Folder in the layout of MVTec AD. The first third of each type by name counts as
            training data; the rest is compared with.
        out: Folder for report.html and report.json.
        features: Feature network; auto is SqueezeNet if its weights are available, else
            EfficientNet-Lite0.
        bundle: Folder or name of a bundle, for its critic.
        everything: Compare with all real defects, because the bundle was trained on all of them.
        device: Device to compute on; auto is CUDA where there is one.

    Returns:
        Content of report.json.

    Raises:
        DataError: A folder can't be read, or has nothing to compare.
        BundleError: Weights are missing or damaged.
        OutputError: `out` can't be written to.
    """
    plan = ComparisonOptions(
        real=Path(real),
        synthetic=Path(synthetic),
        features=features,
        bundle=None if bundle is None else str(bundle),
        everything=everything,
        device=choose_device(device),
    )
    return prepare_comparison(plan).run(Path(out))
