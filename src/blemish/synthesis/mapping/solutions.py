"""Training defects for a mapper that the optimiser has solved.

On a photograph under a mask several real defects of the type are stitched. For each of them the
search of `defect.place_defects` finds the code that draws a similar one; the mapper learns to
predict it in one forward pass.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from blemish.checkpoint import digest_of, load_tensors, save_tensors
from blemish.generator.loop import choose
from blemish.generator.network import Generator
from blemish.inversion.encoder import Encoder
from blemish.inversion.lessons import Lessons, Source, draw_flaws
from blemish.pictures import to_mask, to_picture, to_tensor
from blemish.synthesis.defect import place_defects
from blemish.synthesis.drawers import BranchDrawer
from blemish.synthesis.options import SearchOptions
from blemish.synthesis.stitched import Stitched, stitch_defect
from blemish.types import Codes

LOOKS = 8  # real defects that are reproduced on one part, under one mask


@dataclass(frozen=True, slots=True, kw_only=True)
class Solutions:
    """Defects with known codes.

    Attributes:
        photograph: Photographs of good parts, at the generator's resolution.
        mask: Requested masks.
        kind: Index of the defects' type.
        w_defect: Rows of the defects.
        change: Generated image minus good twin.
    """

    photograph: Float[Tensor, "n 3 h w"]
    mask: Float[Tensor, "n 1 h w"]
    kind: Int[Tensor, " n"]
    w_defect: Float[Tensor, "n defect_layers d"]
    change: Float[Tensor, "n 3 h w"]

    def __len__(self) -> int:
        return len(self.kind)

    def __getitem__(self, index: Tensor) -> "Solutions":
        return Solutions(**{name: value[index] for name, value in self.tensors().items()})

    def to(self, device: torch.device) -> "Solutions":
        """A copy on another device."""
        return Solutions(**{name: value.to(device) for name, value in self.tensors().items()})

    def tensors(self) -> dict[str, Tensor]:
        """Tensors by name."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def joined(parts: Sequence[Solutions]) -> Solutions:
    """Several batches joined to one."""
    names = Solutions.__dataclass_fields__
    return Solutions(**{name: torch.cat([getattr(p, name) for p in parts]) for name in names})


@dataclass(frozen=True, slots=True, kw_only=True)
class Solver:
    """Networks and data that solve defects.

    Attributes:
        generator: Frozen generator with a defect branch.
        encoder: Encoder for the part's codes.
        source: Source of photographs and real defects of each type.
        lessons: Sampler that draws from this source.
        search: Options of the search.
    """

    generator: Generator
    encoder: Encoder
    source: Source
    lessons: Lessons
    search: SearchOptions

    def solve(self, number: int, seed: int) -> Solutions:
        """The `LOOKS` solutions of that number: one photograph, mask and type, several defects."""
        rng = torch.Generator().manual_seed(seed * 1_000_003 + number)
        photograph, _, _ = self.lessons.photographs(1, rng)
        kind = self._kind(number)
        mask = draw_flaws(photograph, torch.tensor([kind]), self.source, rng)
        # One start for all, so that their codes differ only in the appearance.
        start = int(torch.randint(2**62, (), generator=rng))
        placed = place_defects(
            BranchDrawer(self.generator),
            Codes(w=self.encoder(photograph).w.detach(), space="w+"),
            photograph,
            mask,
            kind,
            self.search,
            rngs=[torch.Generator().manual_seed(start) for _ in range(LOOKS)],
            reference=Stitched(self._likes(photograph, mask, kind, rng)),
        )
        assert placed.codes.w_defect is not None
        return Solutions(
            photograph=photograph.expand(LOOKS, -1, -1, -1),
            mask=mask.expand(LOOKS, -1, -1, -1),
            kind=torch.full((LOOKS,), kind, device=mask.device),
            w_defect=placed.codes.w_defect,
            change=placed.defective - placed.twin,
        )

    def origin(self) -> dict[str, str]:
        """Everything that solutions depend on, to recognise stored ones."""
        networks = {"generator": self.generator, "encoder": self.encoder}
        known = {
            name: digest_of(network.state_dict().values()) for name, network in networks.items()
        }
        photographs = digest_of(self.lessons.data())
        moves = repr((self.source.symmetries, self.source.placements))
        return {**known, "photographs": photographs, "moves": moves, "search": repr(self.search)}

    def _kind(self, number: int) -> int:
        defect = self.generator.config.defect
        return number % max(1, len(defect.types) if defect else 0)

    def _likes(
        self,
        photograph: Float[Tensor, "1 3 h w"],
        mask: Float[Tensor, "1 1 h w"],
        kind: int,
        rng: torch.Generator,
    ) -> Float[Tensor, "n 3 h w"]:
        """Real defects of the type, randomly chosen and warped under the mask."""
        real = self.source.defects
        assert real is not None
        mine = (real.kind == kind).nonzero()[:, 0]
        picture, target = to_picture(photograph[0]), to_mask(mask[0])
        pasted = [
            stitch_defect(
                picture, target, to_picture(real.image[k]), to_mask(real.mask[k]), blend=False
            )
            for k in mine[choose(LOOKS, len(mine), rng)]
        ]
        return to_tensor(np.stack(pasted)).to(mask.device)


def find_solutions(
    solver: Solver,
    groups: int,
    file: Path,
    *,
    seed: int,
    tell: Callable[[int], None] = lambda _: None,
) -> Solutions:
    """Solve group by group; groups that an interrupted run has stored in the file are reused.

    If networks, photographs or options differ, all are solved again.

    Args:
        solver: Solver of a group.
        groups: Number of groups, each of `LOOKS`.
        file: File that stores them.
        seed: Random seed.
        tell: Callback, called with the number of groups so far.
    """
    tensors: dict[str, Tensor] = {}
    origin = {"seed": str(seed), **solver.origin()}
    if file.exists():
        kept, about = load_tensors(file)
        tensors = kept if about == origin else {}
    done = len(tensors.get("kind", ())) // LOOKS
    for number in range(done, groups):
        fresh = {name: value.cpu() for name, value in solver.solve(number, seed).tensors().items()}
        tensors = {n: torch.cat([tensors[n], v]) if n in tensors else v for n, v in fresh.items()}
        save_tensors(file, tensors, metadata=origin)
        tell(number + 1)
    return Solutions(**{name: value[: groups * LOOKS] for name, value in tensors.items()})
