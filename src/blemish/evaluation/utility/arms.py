"""Arms: training sets of a detector that differ only in the source of their defects.

Half of a batch are good photographs, the same at the same step of every arm. The other half is
defective, from the arm's sources in equal shares; types are sampled equally often, because a real
set has more of one than of another. Then everything is augmented by the same symmetries.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from blemish.data.augment import Symmetries, augment
from blemish.data.folder import as_sample
from blemish.evaluation.utility.paste import Pasted
from blemish.evaluation.utility.protocol import Protocol
from blemish.evaluation.utility.sources import DefectSource, Pair, Real

ArmName = Literal["real", "copy-paste", "synthetic", "real+synthetic", "copy-paste+synthetic"]
GOOD_KIND = -1
AUGMENT = Symmetries(
    flip=True,
    flip_vertical=True,
    rotate=True,
    shift=True,
    scale=True,
    colour=True,
    degrees=180,
    scale_by=0.25,
    colour_by=0.2,
)
OFTEN = 0.75  # probability of each symmetry: test photographs are upright and unblurred


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """Training set of a detector.

    Attributes:
        name: Name of the arm.
        sources: Sources of its defects, in equal shares.
    """

    name: ArmName
    sources: tuple[DefectSource, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingBatch:
    """Training batch.

    Attributes:
        image: Images in [-1, 1], or slightly beyond.
        mask: Masks, 1 on defects and 0 elsewhere.
        kind: Index of the defect's type; `GOOD_KIND` for a good part.
    """

    image: Float[Tensor, "n 3 s s"]
    mask: Float[Tensor, "n 1 s s"]
    kind: Int[Tensor, " n"]


def make_arms(names: Sequence[ArmName], real: Protocol, made: DefectSource | None) -> list[Arm]:
    """The named arms; those with synthetic defects need some."""
    learnt = Real(real.learnt)
    return [Arm(name=name, sources=_sources(name, real, learnt, made)) for name in names]


def _sources(
    name: ArmName, real: Protocol, learnt: DefectSource, made: DefectSource | None
) -> tuple[DefectSource, ...]:
    if name == "real":
        return (learnt,)
    pasted = Pasted(real.learnt, real.good)
    if name == "copy-paste":
        return (learnt, pasted)
    assert made is not None
    if name == "copy-paste+synthetic":
        return (learnt, pasted, made)
    return (made,) if name == "synthetic" else (learnt, made)


@dataclass(frozen=True, slots=True, kw_only=True)
class Batches:
    """All batches of a training; batch k depends on (seed, k) alone.

    Attributes:
        arm: Source of defects.
        real: Source of good photographs, and the order of types.
        steps: Number of batches.
        batch: Images per batch; the smaller half is defective.
        seed: Random seed of the training.
    """

    arm: Arm
    real: Protocol
    steps: int
    batch: int
    seed: int

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[TrainingBatch]:
        return (self.at(index) for index in range(self.steps))

    def at(self, index: int) -> TrainingBatch:
        """Batch of a step."""
        good_rng, defect_rng, moves = self._randomness(index)
        chosen = good_rng.integers(len(self.real.good), size=self.batch - self.batch // 2)
        good = [(self.real.good.pictures[k], self.real.good.masks[k]) for k in chosen]
        drawn = [self._defect(index, slot, defect_rng) for slot in range(self.batch // 2)]
        kinds = [GOOD_KIND] * len(good) + [kind for kind, _ in drawn]
        return _moved([*good, *(pair for _, pair in drawn)], kinds, moves)

    def _defect(self, index: int, slot: int, defect_rng: np.random.Generator) -> tuple[int, Pair]:
        sources = self.arm.sources
        source = sources[(index * (self.batch // 2) + slot) % len(sources)]
        kind = str(defect_rng.choice(source.kinds))
        return self.real.types.index(kind), source.draw(kind, defect_rng)

    def _randomness(
        self, index: int
    ) -> tuple[np.random.Generator, np.random.Generator, torch.Generator]:
        good, defects, shifts = np.random.SeedSequence([self.seed, index]).spawn(3)
        state = int(shifts.generate_state(1, np.uint64)[0] >> np.uint64(1))
        moves = torch.Generator().manual_seed(state)
        return np.random.default_rng(good), np.random.default_rng(defects), moves


def _moved(pairs: Sequence[Pair], kinds: Sequence[int], moves: torch.Generator) -> TrainingBatch:
    sample = as_sample(np.stack([p for p, _ in pairs]), np.stack([m for _, m in pairs]))
    sample = augment(sample, AUGMENT, generator=moves, probability=OFTEN)
    mask = (sample.mask > 0.5).float()
    return TrainingBatch(image=sample.image, mask=mask, kind=torch.tensor(kinds))


def about_batches() -> dict[str, Any]:
    """Description of the batches for a report."""
    return {"augment": asdict(AUGMENT), "augment_probability": OFTEN, "defective_share": 0.5}
