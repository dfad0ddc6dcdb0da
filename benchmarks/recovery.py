"""Own samples with a defect, recovered: `python -m benchmarks.recovery BUNDLE DATA`.

Part, mask and look of a sample come from random codes. It is inverted like any picture, and its
mask compared with the one that it was drawn under.
"""

from collections import defaultdict
from pathlib import Path
from time import monotonic

import numpy as np
import torch
import tyro

from benchmarks._hardware import hardware
from blemish.checkpoint import find_bundle
from blemish.data.folder import DefectFolder
from blemish.editing.defective import DefectInverter
from blemish.evaluation.inversion.arbitrary import RECOVERED_DB, RECOVERED_IOU
from blemish.evaluation.inversion.subjects import DefectNetworks, own_samples, source_of
from blemish.evaluation.metrics import mask_iou, psnr
from blemish.inversion.encode import Encode
from blemish.inversion.methods import InversionMethod, chosen_method
from blemish.inversion.model import load_model


def main(
    bundle: Path,
    data: Path,
    /,
    samples: int = 100,
    first: int = 0,
    steps: int | None = None,
    encode: bool = False,
) -> None:
    """Print a row for each sample, and one for each type.

    Args:
        bundle: Folder of a bundle, or the name of a shipped one.
        data: Folder of its training data.
        samples: Number of samples with a defect.
        first: Leave out the samples before this one, which another process inverts.
        steps: Steps of the search for the part's code; as many as usual by default.
        encode: Take the encoder's codes; otherwise search.
    """
    torch.set_num_threads(1)
    found = find_bundle(bundle)
    model = load_model(found)
    beside = DefectNetworks.of(found)
    source = source_of(found, DefectFolder(data), model.generator)
    _, own = own_samples(model.generator, source, 2 * samples, beside=beside)
    inverter = DefectInverter(found, model)
    method: InversionMethod = Encode() if encode else chosen_method(True, steps=steps)
    print(hardware())
    print("| sample | type | mask IoU | PSNR, dB | in-domain percentile | s |")
    print("| --- | --- | ---: | ---: | ---: | ---: |")
    rows = defaultdict[str, list[tuple[float, float]]](list)
    assert own.kinds is not None
    assert own.mask is not None
    for k in range(first, samples):
        began, image = monotonic(), own.image[k : k + 1]
        (one,) = inverter.find(image, method)
        mask = torch.zeros_like(image[:, :1]) if one.mask is None else one.mask
        overlap = float(mask_iou(mask, own.mask[k : k + 1]))
        likeness = float(psnr(one.image, image))
        rows[own.kinds[k]].append((overlap, likeness))
        percentile = one.domain_scores.get("percentile", float("nan"))
        seconds = monotonic() - began
        print(
            f"| {own.names[k]} | {own.kinds[k]} | {overlap:.3f} | {likeness:.1f} "
            f"| {percentile:.1f} | {seconds:.0f} |",
            flush=True,
        )
    print("\n| type | n | median IoU | mask | picture | both |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for kind, pairs in rows.items():
        overlaps, likenesses = np.array(pairs).T
        masks, pictures = overlaps >= RECOVERED_IOU, likenesses >= RECOVERED_DB
        print(
            f"| {kind} | {len(pairs)} | {np.median(overlaps):.3f} | {masks.sum()} "
            f"| {pictures.sum()} | {(masks & pictures).sum()} |"
        )


if __name__ == "__main__":
    tyro.cli(main)
