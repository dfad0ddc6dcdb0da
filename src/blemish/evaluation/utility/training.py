r"""Training and evaluation of a detector, the same in every arm.

    L = BCE(s, m) + 1 - (2 \sum p m + 1) / (\sum p + \sum m + 1) + CE(t, k),   p = \sigma(s)

with the U-Net's logits s and the masks m over the whole batch, where the second term (Milletari et
al., 2016) keeps small defects from being outweighed by background, and the classifier's logits t
and the types k of the defective half.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import cos, pi
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from blemish.errors import TrainingError
from blemish.evaluation.utility.arms import GOOD_KIND, Batches, TrainingBatch
from blemish.evaluation.utility.detector import Detector
from blemish.names import Precision
from blemish.pictures import to_tensor

RATE = 3e-3  # of the U-Net
TYPE_RATE = 3e-4  # of the classifier; with a higher rate it gives the same answer to everything
DECAY = 1e-2
WARM_UP = 0.1
ASKED = 16  # images per batch
SURE = 1e-12  # probabilities closer to 0 or 1 have no finite logit


def train_detector(
    detector: Detector,
    batches: Batches,
    *,
    device: torch.device,
    precision: Precision = "32-true",
    on_progress: Callable[[int], None] = lambda _: None,
) -> None:
    """Train both networks in place, by AdamW with a rate that rises and falls once.

    Args:
        detector: Detector, on the device.
        batches: Batches, one for each step.
        device: Device to compute on.
        precision: Number format inside the networks.
        on_progress: Callback, called with the number of finished steps.

    Raises:
        TrainingError: The loss is no longer finite.
    """
    groups: list[dict[str, Any]] = [
        {"params": detector.segmenter.parameters(), "lr": RATE},
        {"params": detector.classifier.parameters(), "lr": TYPE_RATE},
    ]
    descent = torch.optim.AdamW(groups, weight_decay=DECAY)
    pace = torch.optim.lr_scheduler.LambdaLR(descent, lambda index: rate_at(index, len(batches)))
    detector.train()
    for index, batch in enumerate(batches, 1):
        descent.zero_grad()
        loss = loss_of(detector, batch, device, precision)
        if not loss.isfinite():
            raise TrainingError(f"The detector diverged at step {index}: its loss is {loss:g}.")
        loss.backward()
        descent.step()
        pace.step()
        on_progress(index)
    detector.train(False)


def rate_at(index: int, steps: int) -> float:
    """Fraction of the maximum rate: linear rise, then half a cosine down."""
    warm = max(1, round(WARM_UP * steps))
    if index < warm:
        return (index + 1) / warm
    return (1 + cos(pi * (index - warm + 1) / (steps - warm + 1))) / 2


def loss_of(
    detector: Detector, batch: TrainingBatch, device: torch.device, precision: Precision = "32-true"
) -> Tensor:
    """The sum of all three terms, over a batch with at least one defect."""
    image, mask, kind = (t.to(device) for t in (batch.image, batch.mask, batch.kind))
    odd = kind != GOOD_KIND
    with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16-mixed"):
        logits, verdicts = detector.segmenter(image), detector.classifier(image[odd])
    logits, verdicts = logits.float(), verdicts.float()
    where = F.binary_cross_entropy_with_logits(logits, mask) + overlap_loss(logits, mask)
    return where + F.cross_entropy(verdicts, kind[odd])


def overlap_loss(logits: Float[Tensor, "n 1 h w"], mask: Float[Tensor, "n 1 h w"]) -> Tensor:
    """One minus Dice's coefficient of the whole batch."""
    found = logits.sigmoid()
    return 1 - (2 * (found * mask).sum() + 1) / (found.sum() + mask.sum() + 1)


@torch.no_grad()
def maps_of(
    detector: Detector, pictures: UInt8[np.ndarray, "n s s 3"], device: torch.device
) -> Float[np.ndarray, "n s s"]:
    """Logits of a defect at every pixel, from the mean probability over all `VIEWS`."""

    def likely(images: Tensor) -> Tensor:
        seen = [view.back(detector.segmenter(view.of(images)))[:, 0] for view in VIEWS]
        return _mean_likelihood(seen, torch.sigmoid)

    return torch.logit(_asked(likely, pictures, device), eps=SURE).numpy()


@torch.no_grad()
def types_of(
    detector: Detector, pictures: UInt8[np.ndarray, "n s s 3"], device: torch.device
) -> Int[np.ndarray, " n"]:
    """Index of the most likely type over all `VIEWS`."""

    def likely(images: Tensor) -> Tensor:
        seen = [detector.classifier(view.of(images)) for view in VIEWS]
        return _mean_likelihood(seen, partial(torch.softmax, dim=1))

    return _asked(likely, pictures, device).argmax(dim=1).numpy()


@dataclass(frozen=True, slots=True)
class QuarterTurn:
    """Rotation of a square image by quarter turns, after an optional reflection."""

    quarters: int
    mirrored: bool

    def of(self, images: Float[Tensor, "n c s s"]) -> Float[Tensor, "n c s s"]:
        """Images in this view."""
        images = images.flip(3) if self.mirrored else images
        return torch.rot90(images, self.quarters, (2, 3))

    def back(self, maps: Float[Tensor, "n c s s"]) -> Float[Tensor, "n c s s"]:
        """Maps of this view, rotated back to the images."""
        maps = torch.rot90(maps, -self.quarters, (2, 3))
        return maps.flip(3) if self.mirrored else maps


# A detector trained with rotations and reflections is evaluated under them: the mean of its
# predictions has a smaller error than any of them.
VIEWS = tuple(
    QuarterTurn(quarters, mirrored) for mirrored in (False, True) for quarters in range(4)
)


def _mean_likelihood(logits: list[Tensor], likelihood: Callable[[Tensor], Tensor]) -> Tensor:
    # In single precision, all nearly certain values would be equal.
    return torch.stack([likelihood(seen.double()) for seen in logits]).mean(dim=0)


def _asked(
    answer: Callable[[Tensor], Tensor],
    pictures: UInt8[np.ndarray, "n s s 3"],
    device: torch.device,
) -> Tensor:
    images = to_tensor(pictures).split(ASKED)
    return torch.cat([answer(image.to(device)).cpu() for image in images])


def about_training() -> dict[str, float]:
    """Description of the training for a report."""
    rates = {"learning_rate": RATE, "type_learning_rate": TYPE_RATE}
    return {**rates, "weight_decay": DECAY, "warm_up": WARM_UP, "views": len(VIEWS)}
