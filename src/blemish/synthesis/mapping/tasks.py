"""Training batches of a mapper: known defects, generated and solved, and photographs.

The random code of a known defect, or of a real one with a desired colour, is fresh except for its
first numbers, which `looks` assigns.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from blemish.generator.loop import choose
from blemish.generator.network import Generator
from blemish.inversion.encoder import Encoder
from blemish.inversion.lessons import Lessons, draw_flaws
from blemish.synthesis.mapping.looks import colour_inside, find_looks, with_look
from blemish.synthesis.mapping.mapper import Seen, by_chance, given_to, see
from blemish.synthesis.mapping.options import MapperTraining
from blemish.synthesis.mapping.solutions import Solutions, joined
from blemish.types import Codes


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Batch: first known defects (generated, then solved), then photographs.

    Attributes:
        image: Images of good parts.
        mask: Masks of the defects.
        kind: Types of the defects.
        z: Random codes.
        w_defect: Defect rows of the known ones.
        change: Changes of the known ones.
        colour: Desired colour of the photographs' defects.
    """

    image: Float[Tensor, "n 3 h w"]
    mask: Float[Tensor, "n 1 h w"]
    kind: Int[Tensor, " n"]
    z: Float[Tensor, "n z"]
    w_defect: Float[Tensor, "k defect_layers d"]
    change: Float[Tensor, "k 3 h w"]
    colour: Float[Tensor, "m 3"]


class Tasks:
    """Sampler of training batches.

    Args:
        generator: Frozen generator with a defect branch.
        lessons: Source of photographs, real defects and masks.
        solutions: Solutions of the optimiser; None disables them.
        training: Options, with the fractions of a batch.
    """

    def __init__(
        self,
        generator: Generator,
        lessons: Lessons,
        solutions: Solutions | None,
        training: MapperTraining,
    ) -> None:
        assert lessons.source.defects is not None
        self.generator, self.lessons = generator, lessons
        self.device = generator.mapping.w_avg.device
        self.solutions = None if solutions is None else solutions.to(self.device)
        self.looks = find_looks(lessons.source.defects)
        self.drawn_share, self.solved_share = training.drawn, training.solved

    def draw(self, n: int, rng: torch.Generator) -> Task:
        """Batch of `n`."""
        solved = 0 if self.solutions is None else round(n * self.solved_share)
        some = [self.drawn(max(1, round(n * self.drawn_share)), rng)]
        if self.solutions is not None:
            some.append(self.solutions[choose(solved, len(self.solutions), rng)])
        known = joined(some)
        image, _, _ = self.lessons.photographs(n - len(known), rng)
        _, z = self.chances(len(image), rng)
        kind, place, colour = self.looks.some(len(image), rng, image.device)
        mask = draw_flaws(image, kind, self.lessons.source, rng)
        return Task(
            image=torch.cat([known.photograph, image]),
            mask=torch.cat([known.mask, mask]),
            kind=torch.cat([known.kind, kind]),
            z=torch.cat([self.latents(known, rng), with_look(z, place)]),
            w_defect=known.w_defect,
            change=known.change,
            colour=colour,
        )

    def latents(self, known: Solutions, rng: torch.Generator) -> Float[Tensor, "k z"]:
        """Random codes that select the appearances of known defects."""
        _, z = self.chances(len(known), rng)
        colour = colour_inside(known.photograph + known.change, known.mask)
        return with_look(z, self.looks.of(colour, known.kind))

    @torch.no_grad()
    def drawn(self, n: int, rng: torch.Generator) -> Solutions:
        """Generated parts, and their defects under a mask."""
        z = torch.randn(n, self.generator.config.z_dim, generator=rng).to(self.device)
        codes = self.generator.codes(z)
        twin = self.generator.draw(codes).image
        kind, z_defect = self.chances(n, rng)
        mask = draw_flaws(twin, kind, self.lessons.source, rng)
        rows = by_chance(self.generator, kind, z_defect)
        flawed = self.generator.draw(
            Codes(w=codes.w, w_defect=rows), mask=given_to(self.generator, mask)
        ).image
        return Solutions(
            photograph=twin.clamp(-1, 1), mask=mask, kind=kind, w_defect=rows, change=flawed - twin
        )

    def chances(self, n: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Types and random codes."""
        defect = self.generator.config.defect
        kinds = max(1, len(defect.types) if defect else 0)
        kind = torch.randint(kinds, (n,), generator=rng)
        z = torch.randn(n, self.generator.config.z_dim, generator=rng)
        return kind.to(self.device), z.to(self.device)

    def real(self, n: int, rng: torch.Generator) -> Float[Tensor, "n 4 h w"]:
        """Real defects on photographs of good parts, with their masks in [-1, 1]."""
        image, mask, _ = self.lessons.stitched(n, rng)
        return torch.cat([image, 2 * mask - 1], dim=1)

    def places(
        self, encoder: Encoder, n: int, rng: torch.Generator
    ) -> tuple[Seen, Float[Tensor, "n 1 h w"]]:
        """Encoded photographs, and masks on them."""
        image, _, _ = self.lessons.photographs(n, rng)
        kind, _ = self.chances(n, rng)
        return see(encoder, image), draw_flaws(image, kind, self.lessons.source, rng)
