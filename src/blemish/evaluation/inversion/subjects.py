"""Subjects of the evaluation, in groups.

The groups are held-out photographs of good parts; defective ones with their masks, without the
first third of each type, which is training data; the generator's own samples, with known codes; and
photographs of other objects. A group that a folder lacks is left out with a note.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, Self

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from blemish.checkpoint import Bundle
from blemish.data.augment import Symmetries
from blemish.data.folder import GOOD, DefectFolder, Photograph, as_sample, load_pictures
from blemish.data.listing import pictures_in
from blemish.data.shadow import unshadowed_silhouette
from blemish.data.stitch import read_defects
from blemish.errors import DataError
from blemish.models.generator import Generator
from blemish.models.load import trained_symmetries
from blemish.models.mixing import fresh_rows
from blemish.pictures import mask_to_tensor, to_picture, to_tensor
from blemish.recognition.embedding import SIDE
from blemish.synthesis.composite import Carried
from blemish.synthesis.curation.curate import Curator
from blemish.synthesis.masks.learned import MaskModel, load_masks
from blemish.synthesis.placement.window import painted_on
from blemish.training.encoder.batches import BatchSource, draw_flaws
from blemish.types import Codes, Sample
from blemish.windows.paint import WindowModel, load_windows

Group = Literal["good", "defective", "own", "own defective", "foreign"]
# Searches use the run's own seed; a sample with the same seed would have the same latent.
OWN_SEEDS = 1_000_003
MOST_TRIES = 20  # of a sample's defect, until curation keeps it

OwnSample = tuple[Sample, Codes, str]
Draw = Callable[[torch.Generator], OwnSample]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subjects:
    """Group of images at the generator's resolution.

    Attributes:
        group: Name of the group.
        names: Names of the files or samples.
        image: Images in [-1, 1].
        pictures: Photographs as the recognizer sees them; none for generated samples.
        mask: Masks of their defects, zeros and ones; None if unknown.
        kinds: "good" or the type of the defect; None for other objects.
        codes: True codes; None for photographs.
        defect: Whether the methods search for a defect.
    """

    group: Group
    names: tuple[str, ...]
    image: Float[Tensor, "n 3 h w"]
    pictures: tuple[UInt8[np.ndarray, "s s 3"], ...] = ()
    mask: Float[Tensor, "n 1 h w"] | None = None
    kinds: tuple[str, ...] | None = None
    codes: Codes | None = None
    defect: bool = False

    def __len__(self) -> int:
        return len(self.names)


def held_out_good(
    folder: DefectFolder, generator: Generator, limit: int | None = None
) -> Subjects | None:
    """Held-out photographs of good parts; None if there are none."""
    chosen = _some(folder.good("test"), limit)
    if not chosen:
        return None
    sample, names = _read(chosen, folder.root, generator)
    return Subjects(
        group="good",
        names=names,
        image=sample.image,
        pictures=_pictures(chosen),
        kinds=_kinds(chosen),
    )


def held_out_defects(
    folder: DefectFolder, generator: Generator, limit: int | None = None, *, look: bool = True
) -> Subjects | None:
    """Photographs of defects without the first third of each type; None if none are left.

    Args:
        folder: Folder with the defects' masks.
        generator: Generator that sets resolution and device.
        limit: Maximum number.
        look: Search for the defect; this needs a defect branch and an encoder.

    Raises:
        DataError: A file can't be read, or a mask is missing.
    """
    chosen = _some([p for kind in folder.types for p in folder.thirds(kind)[1]], limit)
    if not chosen:
        return None
    sample, names = _read(chosen, folder.root, generator)
    return Subjects(
        group="defective",
        names=names,
        image=sample.image,
        pictures=_pictures(chosen),
        mask=sample.mask,
        kinds=_kinds(chosen),
        defect=look,
    )


def foreign_objects(path: Path, generator: Generator, limit: int | None = None) -> Subjects:
    """Photographs of other objects: a plain folder of images, or the good parts of a data set.

    Raises:
        DataError: The folder is missing or has no photographs, or a file can't be read.
    """
    plain = [Photograph(path=file, kind=GOOD, split="test") for file in pictures_in(path)]
    chosen = _some(plain or DefectFolder(path).good(), limit)
    sample, names = _read(chosen, path, generator)
    pictures = _pictures(chosen)
    return Subjects(group="foreign", names=names, image=sample.image, pictures=pictures)


def source_of(bundle: Bundle, folder: DefectFolder, generator: Generator) -> BatchSource:
    """Source of masks for own samples: the defects that the bundle was trained on."""
    defect = generator.config.defect
    types, side = () if defect is None else defect.types, generator.config.resolution
    real = read_defects(folder, types, side, third=True)
    pictures, _ = load_pictures((), side)
    return BatchSource(
        photographs=pictures,
        defects=real,
        symmetries=Symmetries(),
        placements=_placements(bundle),
    )


@dataclass(frozen=True, slots=True)
class DefectNetworks:
    """Networks that draw a defect on a generated part, for a generator without a branch.

    Attributes:
        windows: Window generator.
        masks: Mask generator.
        curator: Judge of what they draw; None keeps all.
    """

    windows: WindowModel
    masks: MaskModel
    curator: Curator | None = None

    @classmethod
    def of(cls, bundle: Bundle, device: str = "cpu") -> Self:
        """Networks of a bundle.

        Args:
            bundle: Bundle with windows and masks.
            device: Device of the networks.

        Raises:
            BundleError: It lacks windows or masks, or they do not fit its configuration.
        """
        windows, masks = load_windows(bundle, device), load_masks(bundle)
        return cls(windows, masks, Curator.of(bundle, device))

    @property
    def types(self) -> tuple[str, ...]:
        """Types that both have learnt."""
        return tuple(kind for kind in self.windows.types if kind in self.masks.types)

    def keeps(
        self,
        kind: str,
        twin: UInt8[np.ndarray, "h w 3"],
        requested: Bool[np.ndarray, "h w"],
        drawn: Carried,
    ) -> bool:
        """Whether curation would keep a defect.

        Args:
            kind: Type of the defect.
            twin: The part without it.
            requested: The mask that it was drawn under.
            drawn: The part with it, and its label.
        """
        if self.curator is None:
            return True
        judged = self.curator.judge(kind, drawn.picture, twin, drawn.changed, requested)
        return not judged.reasons


@torch.no_grad()
def own_samples(
    generator: Generator,
    source: BatchSource,
    n: int,
    *,
    seed: int = 0,
    look: bool = True,
    beside: DefectNetworks | None = None,
) -> list[Subjects]:
    """The generator's own samples, half of them with a defect if it knows defects.

    Args:
        generator: Frozen generator.
        source: Source of masks, if the branch takes them.
        n: Total number.
        seed: Random seed; each sample depends on it and on its own number.
        look: Whether the methods can search for defects; otherwise all samples are good parts.
        beside: Networks that draw defects on parts; None if the branch does, or nothing.
    """
    flawed: Draw | None = None
    if beside is not None:
        flawed = partial(_draw_composed, generator, beside)
    elif generator.config.defect is not None:
        flawed = partial(_draw_flawed, generator, source)
    half = n // 2 if look and flawed is not None else 0
    good = _own(partial(_draw_good, generator), range(n - half), seed, defect=False)
    return good if flawed is None else good + _own(flawed, range(n - half, n), seed, defect=True)


def _own(draw: Draw, numbers: range, seed: int, *, defect: bool) -> list[Subjects]:
    if not numbers:
        return []
    rngs = [torch.Generator().manual_seed(seed + OWN_SEEDS + k) for k in numbers]
    samples, rows, kinds = zip(*map(draw, rngs), strict=True)
    return [
        Subjects(
            group="own defective" if defect else "own",
            names=tuple(f"sample {k}" for k in numbers),
            image=torch.cat([sample.image for sample in samples]),
            mask=torch.cat([sample.mask for sample in samples]) if defect else None,
            kinds=kinds,
            codes=Codes.joined(rows),
            defect=defect,
        )
    ]


def _draw_good(generator: Generator, rng: torch.Generator) -> OwnSample:
    codes = Codes(w=fresh_rows(generator, 1, rng), space="w+")
    return generator(codes), codes, GOOD


def _draw_flawed(generator: Generator, source: BatchSource, rng: torch.Generator) -> OwnSample:
    """Samples under a drawn mask if the branch takes one, else under its own."""
    twin, codes, _ = _draw_good(generator, rng)
    config, defect = generator.config, generator.config.defect
    assert defect is not None
    kind = torch.randint(max(1, len(defect.types)), (1,), generator=rng)
    z = torch.randn(1, config.z_dim, generator=rng).to(codes.w.device)
    row = generator.defect_mapping(z, kind.to(z.device))
    rows = row[:, None].expand(-1, config.defect_layers, -1)
    codes = Codes(w=codes.w, w_defect=rows, space="w+")
    mask = draw_flaws(twin.image, kind, source, rng) if defect.takes_mask else None
    name = defect.types[int(kind)] if defect.types else "defect"
    sample = generator(codes, mask=mask)
    return sample, codes, name if sample.mask.any() else GOOD


def _draw_composed(generator: Generator, beside: DefectNetworks, rng: torch.Generator) -> OwnSample:
    """Part, mask and look by a random code each, as `synthesize` delivers them.

    Odd parts, on which no mask lies, are skipped, and so are defects that curation rejects, unless
    it rejects `MOST_TRIES` of them.
    """
    kind = beside.types[int(torch.randint(len(beside.types), (1,), generator=rng))]
    tries = 0
    while True:
        twin, codes, _ = _draw_good(generator, rng)
        picture = to_picture(twin.image[0])
        try:
            mask = beside.masks.draw(unshadowed_silhouette(picture), kind, rng)
        except DataError:
            continue
        look = beside.windows.codes(kind, rng)
        drawn = painted_on(beside.windows.generator, picture, mask, look, rng)
        tries += 1
        if tries == MOST_TRIES or beside.keeps(kind, picture, mask, drawn):
            break
    image, marked = to_tensor(drawn.picture)[None], mask_to_tensor(mask & drawn.changed)[None]
    sample = Sample(image=image.to(codes.w.device), mask=marked.to(codes.w.device))
    return sample, Codes(w=codes.w, w_defect=look.w, space="w+"), kind


def _some(photographs: Sequence[Photograph], limit: int | None) -> Sequence[Photograph]:
    """At most the given number, evenly spread, because they are sorted by type."""
    n = len(photographs)
    if limit is None or limit >= n:
        return photographs
    return [photographs[k * n // limit] for k in range(limit)]


def _read(
    photographs: Sequence[Photograph], root: Path, generator: Generator
) -> tuple[Sample, tuple[str, ...]]:
    device = generator.mapping.w_avg.device
    sample = as_sample(*load_pictures(photographs, generator.config.resolution))
    names = tuple(p.path.relative_to(root).as_posix() for p in photographs)
    return Sample(image=sample.image.to(device), mask=sample.mask.to(device)), names


def _pictures(photographs: Sequence[Photograph]) -> tuple[UInt8[np.ndarray, "s s 3"], ...]:
    return tuple(load_pictures(photographs, SIDE)[0])


def _kinds(photographs: Sequence[Photograph]) -> tuple[str, ...]:
    return tuple(photograph.kind for photograph in photographs)


def _placements(bundle: Bundle) -> Symmetries:
    """Symmetries of a defect in the branch's training; an imported bundle may lack them."""
    return trained_symmetries(bundle, "defects", "placements") or Symmetries()
