"""Growing an encoder: one for a finer generator starts from a trained coarser one.

An image of twice the side passes one more stem and block, and then the layers of the coarser
encoder. First the new layers are trained alone, to reproduce the output of the coarser stem for the
image at half the side, and masks at full size; no image is generated for that.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from blemish.checkpoint import Bundle
from blemish.errors import OptionError
from blemish.models.encoder import Encoder, load_encoder
from blemish.models.generator import GeneratorConfig
from blemish.models.load import shape_of
from blemish.models.losses import overlap_error
from blemish.training.encoder.batches import EncoderBatches
from blemish.training.grow import refuse_unlike

WARM_BATCH, WARM_RATE = 16, 3e-3
OF_ROWS = ("torows.", "defect.torows.")
OF_FINEST = ("stem.", "defect.tomask.")  # same shapes, but different inputs


def refuse_other_codes(config: GeneratorConfig, coarse: Bundle) -> None:
    """Refuse a bundle whose codes are not the finer generator's without its last rows.

    Raises:
        OptionError: The bundle is not coarser by one octave, or its branch differs.
    """
    refuse_unlike(config, coarse)
    other = shape_of(coarse)
    if 2 * other.resolution != config.resolution or other.defect != config.defect:
        raise OptionError(
            got=f"{coarse.path}, of {other.resolution}² with the branch {other.defect}",
            expected=f"one of {config.resolution // 2}² with the branch {config.defect}",
            todo="Grow by one octave, with the same types, or leave --grow out.",
        )


def grow_encoder(
    encoder: Encoder, coarse: Bundle, batches: EncoderBatches, *, seed: int, steps: int
) -> None:
    """Start from a coarser bundle's encoder.

    Args:
        encoder: Fresh encoder, for a generator of twice the side.
        coarse: Bundle with an encoder.
        batches: Source of photographs, with real defects on them, for the new layers.
        seed: Random seed of these.
        steps: Number of steps that train the new layers alone.

    Raises:
        OptionError: The encoder is for another generator; see `refuse_other_codes`.
        BundleError: The bundle has no encoder.
    """
    refuse_other_codes(encoder.config, coarse)
    known = load_encoder(coarse, batches.device)
    _take(encoder, known)
    finest = encoder.config.resolution
    fresh, reader = [encoder.stem, encoder.get_submodule(f"b{finest}")], encoder.defect
    if reader is not None:
        fresh += [reader.get_submodule(f"b{finest}"), reader.tomask]
    adam = torch.optim.Adam([p for module in fresh for p in module.parameters()], lr=WARM_RATE)
    rng = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        image, mask, _ = batches.stitched(WARM_BATCH, rng)
        features = encoder.features(image)
        target = known.features(F.avg_pool2d(image, 2))[0]
        loss = (features[1] - target).square().mean() / target.square().mean()
        if reader is not None:
            loss = loss + overlap_error(reader(features)[0], mask).mean()
        adam.zero_grad()
        loss.backward()
        adam.step()


def more_rows(layer: Tensor, count: int, width: int) -> Tensor:
    """Weights of a layer that outputs rows of w, with the last row's repeated for the finer ones.

    Args:
        layer: Weights or biases of n rows, `n·width …`.
        count: Number of rows of the result.
        width: Width of a row.
    """
    rows = layer.unflatten(0, (-1, width))
    last = rows[-1:].expand(count - len(rows), *rows.shape[1:])
    return torch.cat([rows, last]).flatten(0, 1)


@torch.no_grad()
def _take(encoder: Encoder, known: Encoder) -> None:
    mine = encoder.state_dict()
    for name, value in known.state_dict().items():
        if name.startswith(OF_FINEST):
            continue
        if name.startswith(OF_ROWS):
            width = encoder.config.w_dim
            mine[name].copy_(more_rows(value, len(mine[name]) // width, width))
        elif name == "defect.look.weight":  # features of the finest resolution come last
            mine[name].zero_()[:, : value.shape[1]] = value
        else:
            mine[name].copy_(value)
