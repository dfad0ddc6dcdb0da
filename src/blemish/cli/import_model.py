"""`blemish import`: a bundle from a generator that was trained elsewhere."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional, arg

from blemish.cli.options import Json
from blemish.cli.progress import Progress, print_json

if TYPE_CHECKING:
    from torch import Tensor

    from blemish.interop import Foreign
    from blemish.models.generator import Generator

# Commands that add each missing part.
REMEDIES = {
    "critic": "the file has no critic, and 'blemish invert' needs one: import a file that has one",
    "defects": "the file has no defect branch; to draw defects, run blemish train windows DATA "
    "--bundle {out}",
    "match_critic": "--reference distil needs a critic of defects, which the file does not contain",
    "encoder": "blemish train encoder DATA --bundle {out}",
}


def import_model(
    file: Annotated[Path, Positional, arg(metavar="FILE")],
    out: Path,
    label: int = 0,
    types: Annotated[str, arg(metavar="NAME,...")] = "defect",
    json: Json = False,
) -> None:
    """Make a bundle from a generator that was trained elsewhere; no code from the file runs.

    Args:
        file: Network snapshot (.pkl) of StyleGAN2-ADA, DFMGAN or StyleGAN3's --cfg=stylegan2, .pt
            file of rosinality's stylegan2-pytorch, pSp or e4e, or safetensors state dict under
            StyleGAN2-ADA's names.
        out: Folder for the new bundle.
        label: Class of parts to generate, for a conditional generator.
        types: Names for the defect types; DFMGAN has one type without a name.
        json: Print the contents of the file as JSON.
    """
    from blemish.interop import read_foreign, write_bundle
    from blemish.inversion.domain import fit_domain
    from blemish.inversion.model import SAMPLES

    names = tuple(dict.fromkeys(name.strip() for name in types.split(",")))
    foreign = read_foreign(file, label=label, types=names)
    with Progress("computing statistics of the codes", SAMPLES) as progress:

        def learn(generator: "Generator") -> dict[str, "Tensor"]:
            return fit_domain(generator, None, n=SAMPLES, on_progress=progress.part).tensors()

        write_bundle(foreign, out, learn=learn)
    for note in foreign.notes:
        print(note, file=sys.stderr)
    if json:
        _print_json(foreign)
    else:
        print(f"{out}: {_summary(foreign)}")
        for lack in foreign.missing():
            print(f"  no {lack.replace('_', ' ')} yet: {REMEDIES[lack].format(out=out)}")
        print(f"  next: blemish invert --image PHOTOGRAPH --bundle {out}")


def _summary(foreign: "Foreign") -> str:
    shape, branch = foreign.config, foreign.config.defect
    parts = [f"a generator of {shape.resolution}² from {foreign.source['format']}"]
    if shape.c_dim:
        parts.append(f"which draws class {shape.label} of {shape.c_dim}")
    if branch is not None:
        parts.append(f"with defects ({', '.join(branch.types)}) from {branch.first_resolution}² up")
    return ", ".join(parts) + f"; SHA-256 {foreign.source['sha256'][:12]}…"


def _print_json(foreign: "Foreign") -> None:
    from dataclasses import asdict

    found: dict[str, Any] = {
        "generator": asdict(foreign.config),
        "source": foreign.source,
        "missing": foreign.missing(),
        "notes": foreign.notes,
    }
    print_json(found)
