"""Variation of a defect's appearance over random codes, under one mask.

    python -m benchmarks.looks DATA [--codes N]

Defects from several random codes under each of several real masks on good photographs of others.
Reported is the deviation over codes of the mean colour of the change inside the mask, in levels of
0..255, averaged over channels and masks; beside it that of the mean colours of the real defects.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
import tyro
from torch import Tensor

from benchmarks._hardware import heading
from blemish.checkpoint import find_bundle
from blemish.data.folder import DefectFolder, load
from blemish.files import write_atomically
from blemish.generator.network import Generator
from blemish.generator.restore import load_generator
from blemish.generator.stitch import read_defects
from blemish.inversion.encoder import Encoder, load_encoder
from blemish.pictures import mask_to_tensor, to_tensor
from blemish.synthesis.mapping.looks import colour_inside
from blemish.synthesis.mapping.mapper import Mapper, codes_for, fresh_mapper, load_mapper, see

REPORT = Path(__file__).with_suffix(".md")


@dataclass(frozen=True)
class Scenes:
    """Photographs and masks at the generator's resolution, and a type for all."""

    photograph: Tensor
    mask: Tensor
    kind: int


def main(data: Path, /, bundle: str = "hazelnut", codes: int = 16) -> None:
    """Measure, print a table, and write it to benchmarks/looks.md.

    Args:
        data: Folder with good photographs and defects of the types that the bundle knows.
        bundle: Folder or name of a bundle with a mapper.
        codes: Number of random codes per mask.
    """
    found, folder = find_bundle(bundle), DefectFolder(data)
    generator, encoder = load_generator(found), load_encoder(found)
    defect = generator.config.defect
    assert defect is not None
    lines = [
        "| type | the branch alone | the mapper | real defects |",
        "| --- | ---: | ---: | ---: |",
    ]
    for kind, name in enumerate(defect.types):
        scenes = _scenes(folder, name, kind, generator.config.resolution)
        cells = [
            _spread(generator, encoder, mapper, scenes, codes)
            for mapper in (fresh_mapper(generator, seed=0), load_mapper(found))
        ]
        real = read_defects(folder, (name,), generator.config.resolution, third=False)
        assert real is not None
        cells.append(colour_inside(real.image, real.mask).std(dim=0).mean().item() * 127.5)
        lines.append(f"| {name} | {' | '.join(f'{cell:.1f}' for cell in cells)} |")
    print(*lines, sep="\n")
    command = f"python -m benchmarks.looks DATA --codes {codes}"
    about = " ".join((__doc__ or "").split("\n\n")[2].split())
    text = "\n".join([heading("Looks under one mask", command), about, "", *lines, ""])
    write_atomically(REPORT, text.encode())


def _scenes(folder: DefectFolder, name: str, kind: int, side: int) -> Scenes:
    _, masks = load(folder.defects(name), side)
    marked = masks[masks.any(axis=(1, 2))]
    good, _ = load(folder.good(), side)
    photographs = to_tensor(good[torch.arange(len(marked)).numpy() % len(good)])
    return Scenes(photographs, mask_to_tensor(marked), kind)


@torch.no_grad()
def _spread(
    generator: Generator, encoder: Encoder, mapper: Mapper, scenes: Scenes, codes: int
) -> float:
    seen, rng = see(encoder, scenes.photograph), torch.Generator().manual_seed(0)
    kind = torch.full((len(scenes.mask),), scenes.kind)
    colours = []
    for _ in range(codes):
        z = torch.randn(len(kind), generator.config.z_dim, generator=rng)
        found = codes_for(generator, mapper, seen, scenes.mask, kind, z)
        drawn = generator.draw(found, mask=scenes.mask).image
        change = drawn - generator.draw(found.good()).image
        colours.append(colour_inside(change, scenes.mask))
    return torch.stack(colours).std(dim=0).mean().item() * 127.5


if __name__ == "__main__":
    tyro.cli(main)
