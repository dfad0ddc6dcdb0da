"""Copy-paste set, the baseline of synthetic sets.

    python -m benchmarks.reproduce.paste REAL OUT --count N --seed 0

Defects of the protocol's first thirds are moved onto photographs of train/good as in
`blemish.evaluation.utility.paste`; types take turns. OUT is laid out as MVTec AD, so that `blemish
evaluate synthesis` reads it. Item k is a function of the seed and of k.
"""

from pathlib import Path

import numpy as np
import tyro

from blemish.evaluation.utility.paste import Pasted
from blemish.evaluation.utility.protocol import read_protocol
from blemish.files import ensure_writable
from blemish.pictures import write_picture
from blemish.synthesis.batch.record import keep_record


def main(real: Path, out: Path, /, count: int, seed: int = 0, size: int = 256) -> None:
    """Write the set, or write it again to the same bytes.

    Args:
        real: Photographs with defects and their masks.
        out: Folder of the set.
        count: Number of items of all types together.
        seed: Random seed.
        size: Side of the squares to which photographs are resized.
    """
    write_pasted(real, out, count=count, seed=seed, size=size)
    print(f"{count} items in {out}")


def write_pasted(real: Path, out: Path, *, count: int, seed: int, size: int) -> None:
    """Write a copy-paste set.

    Args:
        real: Photographs in the layout of MVTec AD.
        out: Folder of the set.
        count: Number of items of all types together.
        seed: Random seed.
        size: Side of the squares to which photographs are resized.

    Raises:
        DataError: A photograph can't be read or lacks its mask, or `out` holds another set.
        OutputError: The set can't be written.
    """
    ensure_writable(out)
    keep_record(out, {"real": str(real), "count": count, "seed": seed, "size": size})
    protocol = read_protocol(real, size)
    source = Pasted(protocol.learnt, protocol.good)
    for index in range(count):
        kind = source.kinds[index % len(source.kinds)]
        rng = np.random.default_rng(np.random.SeedSequence([seed, index]))
        picture, label = source.draw(kind, rng)
        _write(out / "test" / kind / f"{index:04d}.png", picture)
        _write(out / "ground_truth" / kind / f"{index:04d}_mask.png", label.astype(bool))


def _write(path: Path, picture: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_picture(path, picture)


if __name__ == "__main__":
    tyro.cli(main)
