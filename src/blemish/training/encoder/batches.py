"""Training batches of an encoder: photographs, and images generated from known codes.

Both kinds may show a defect with known mask and type: a real one stitched onto the photograph of
another part, or one that the branch generated under a drawn mask.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int, UInt8
from numpy import ndarray
from torch import Tensor

from blemish.data.augment import Symmetries, augment_stack
from blemish.data.folder import DefectFolder, load_pictures
from blemish.data.stitch import Defects, draw_masks, parts_of, read_defects, stitch
from blemish.inversion.space import w_defect_statistics, w_statistics
from blemish.models.generator import Generator
from blemish.models.mixing import fresh_rows
from blemish.pictures import to_tensor
from blemish.training.loop import random_indices
from blemish.types import Codes

GOOD = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderBatch:
    """Batch: photographs of good parts, then photographs with defects, then generated images.

    Attributes:
        image: Input of the encoder.
        mask: Mask of the defect; empty for good parts.
        kind: Index of the defect's type, `GOOD` for good parts.
        good: Number of photographs of good parts, which come first.
        w: Codes of the generated images, which come last.
        w_defect: Their defect codes; meaningless if `kind` is `GOOD`.
    """

    image: Float[Tensor, "n 3 h w"]
    mask: Float[Tensor, "n 1 h w"]
    kind: Int[Tensor, " n"]
    good: int
    w: Float[Tensor, "k layers d"]
    w_defect: Float[Tensor, "k defect_layers d"] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchSource:
    """Source of training batches.

    Attributes:
        photographs: Photographs of good parts, at the generator's resolution.
        defects: Real defects, cut from photographs; None if there are none to learn from.
        symmetries: Augmentation of photographs.
        placements: Augmentation of defects.
    """

    photographs: UInt8[ndarray, "n h w 3"]
    defects: Defects | None
    symmetries: Symmetries
    placements: Symmetries


def read_source(
    data: DefectFolder,
    types: Sequence[str],
    resolution: int,
    *,
    symmetries: Symmetries,
    placements: Symmetries,
    everything: bool,
) -> BatchSource:
    """Read the data of a training.

    Args:
        data: Photographs of good parts and of defects.
        types: Defect types, in the order of their indices; without any, defects are left out.
        resolution: Resolution of the generator.
        symmetries: Augmentation of photographs.
        placements: Augmentation of defects.
        everything: Train on `test/good` and on all defects, not on the first third by name.

    Raises:
        DataError: There is no good photograph, or a file can't be read.
    """
    pictures, _ = load_pictures(data.good_to_learn(everything=everything), resolution)
    return BatchSource(
        photographs=pictures,
        defects=read_defects(data, types, resolution, third=not everything),
        symmetries=symmetries,
        placements=placements,
    )


class EncoderBatches:
    """Sampler of training batches.

    Args:
        generator: Frozen generator.
        source: Source of photographs and defects.
        pairs: Fraction of a batch that is generated.
        defects: Fraction of either kind that shows a defect.
    """

    def __init__(
        self, generator: Generator, source: BatchSource, *, pairs: float, defects: float
    ) -> None:
        self.generator, self.source = generator, source
        self.images = to_tensor(source.photographs)
        self.pairs = pairs
        self.defects = defects if generator.config.defect is not None else 0.0
        self.device = generator.mapping.w_avg.device
        of_w = w_statistics(generator)
        self.w_mean, self.variance = of_w.mean, of_w.unit**2
        self.w_defect_mean, self.defect_variance = torch.zeros_like(self.w_mean), 1.0
        if generator.config.defect is not None:
            of_defects = w_defect_statistics(generator)
            self.w_defect_mean, self.defect_variance = of_defects.mean, of_defects.unit**2

    def data(self) -> list[Tensor]:
        """All training data."""
        real = self.source.defects
        return [self.images] if real is None else [self.images, real.image, real.mask, real.kind]

    def draw(self, n: int, rng: torch.Generator) -> EncoderBatch:
        """Batch of `n` images."""
        drawn = round(n * self.pairs)
        flawed = round((n - drawn) * self.defects) if self.source.defects else 0
        good = n - drawn - flawed
        parts = [self.photographs(good, rng), self.stitched(flawed, rng)]
        known, w, w_defect = self._drawn(drawn, rng)
        image, mask, kind = (torch.cat(pieces) for pieces in zip(*parts, known, strict=True))
        return EncoderBatch(image=image, mask=mask, kind=kind, good=good, w=w, w_defect=w_defect)

    def photographs(self, n: int, rng: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Photographs of good parts, with empty masks and the kind `GOOD`."""
        chosen = self.images[random_indices(n, len(self.images), rng)]
        image = augment_stack(chosen, self.source.symmetries, generator=rng).to(self.device)
        return image, torch.zeros_like(image[:, :1]), self._kinds(n)

    def stitched(self, n: int, rng: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Real defects on photographs of good parts."""
        image, mask, kind = self.photographs(n, rng)
        if n == 0 or self.source.defects is None:
            return image, mask, kind
        chosen = self.source.defects.some(n, rng)
        image, mask = stitch(
            image, parts_of(image), self.source.defects, chosen, self.source.placements, rng
        )
        landed = mask.sum(dim=(1, 2, 3)) > 0
        kind = torch.where(landed, self.source.defects.kind[chosen].to(self.device), kind)
        return image, mask, kind

    @torch.no_grad()
    def _drawn(
        self, n: int, rng: torch.Generator
    ) -> tuple[tuple[Tensor, Tensor, Tensor], Tensor, Tensor | None]:
        """Generated images, the first of them with defects, and their codes."""
        w = fresh_rows(self.generator, n, rng).to(self.device)
        drawing = self.generator.draw(Codes(w=w))
        image, mask = drawing.image, torch.zeros_like(drawing.image[:, :1])
        kind, w_defect = self._kinds(n), None
        if self.generator.config.defect is not None:
            kinds = torch.randint(max(1, self._types), (n,), generator=rng).to(self.device)
            z = torch.randn(n, self.generator.config.z_dim, generator=rng).to(self.device)
            row = self.generator.defect_mapping(z, kinds)
            w_defect = row[:, None].repeat(1, self.generator.config.defect_layers, 1)
            flawed = slice(round(n * self.defects))
            image[flawed], mask[flawed] = self._flaw(
                w[flawed], w_defect[flawed], image[flawed], kinds[flawed], rng
            )
            kind[flawed] = torch.where(mask[flawed].sum(dim=(1, 2, 3)) > 0, kinds[flawed], GOOD)
        return (image.clamp(-1, 1), mask, kind), w, w_defect

    def _flaw(
        self, w: Tensor, w_defect: Tensor, twin: Tensor, kind: Tensor, rng: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Generate defects: under drawn masks if the branch takes them, else under its own."""
        assert self.generator.config.defect is not None
        mask = None
        if self.generator.config.defect.takes_mask and len(w):
            mask = draw_flaws(twin, kind, self.source, rng)
        sample = self.generator(Codes(w=w, w_defect=w_defect), mask=mask)
        return sample.image, sample.mask

    @property
    def _types(self) -> int:
        defect = self.generator.config.defect
        return len(defect.types) if defect else 0

    def _kinds(self, n: int) -> Int[Tensor, " n"]:
        return torch.full((n,), GOOD, device=self.device)


def draw_flaws(
    twin: Float[Tensor, "n 3 h w"],
    kind: Int[Tensor, " n"],
    source: BatchSource,
    rng: torch.Generator,
) -> Float[Tensor, "n 1 h w"]:
    """Masks on the parts of generated twins, for defects of given types.

    They are real ones of the type, moved, if there are some, and drawn ones.
    """
    real = torch.zeros_like(twin[:, :1]).cpu()
    if source.defects is not None:
        real = source.defects.mask[source.defects.like(kind, rng)]
    share = 0.6 if source.defects is not None else 0.0
    return draw_masks(parts_of(twin), real, source.placements, rng, share_real=share)
