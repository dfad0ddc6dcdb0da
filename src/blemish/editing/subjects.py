"""Parts to edit: photographs and saved inversions with their codes, or parts drawn from a seed."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from blemish.checkpoint import Bundle
from blemish.errors import DataError, OptionError
from blemish.inversion.descent import Watch
from blemish.inversion.invert import Inversion, invert, read_photograph
from blemish.inversion.methods import InversionMethod
from blemish.inversion.model import Model
from blemish.inversion.saved import load_inversion
from blemish.seeds import refuse_seeds
from blemish.types import Codes

SEED = "seed:"


@dataclass(frozen=True, slots=True, kw_only=True)
class EditSubject:
    """A part to edit.

    Attributes:
        name: Name in reports: a path, or `seed:N`.
        codes: Codes of a single item, without a defect.
        target: Photograph at the generator's resolution, in [-1, 1]; for a drawn part, its image.
        facts: Figures of the inversion; empty for a drawn part.
    """

    name: str
    codes: Codes
    target: Float[Tensor, "1 3 h w"]
    facts: dict[str, Any] = field(default_factory=dict)


def find_subjects(
    names: Sequence[str],
    bundle: Bundle,
    model: Model,
    method: InversionMethod,
    *,
    seed: int = 0,
    watch: Watch | None = None,
) -> list[EditSubject]:
    """Parts by name; each photograph is inverted by itself, so its codes depend on no other part.

    Args:
        names: For each part a photograph, a folder written by `blemish invert`, or `seed:N`.
        bundle: Bundle of the model.
        model: Networks of the bundle.
        method: Inversion method of the photographs.
        seed: Random seed of the searches.
        watch: Callback for each step of the search.

    Raises:
        DataError: A photograph or a folder can't be read.
        BundleError: A folder belongs to another bundle, or the bundle lacks what the method needs.
        OptionError: The number after `seed:` is not a seed.
    """
    files = [name for name in names if not name.startswith(SEED) and not Path(name).is_dir()]
    pictures = [read_photograph(Path(name)) for name in files]
    known = {name: _saved(name, bundle, model) for name in names if Path(name).is_dir()}
    known |= {name: drawn(name, model) for name in names if name.startswith(SEED)}
    for number, (name, picture) in enumerate(zip(files, pictures, strict=True)):
        within = None if watch is None else _part_of(watch, number, len(files))
        (found,) = invert(model, [picture], method, seed=seed, watch=within)
        known[name] = of_inversion(name, found)
    return [known[name] for name in names]


def _part_of(watch: Watch, number: int, count: int) -> Watch:
    """Callback for one of several searches; the time runs once over all of them."""
    return lambda time, terms, image: watch((number + time) / count, terms, image)


def of_inversion(name: str, inversion: Inversion) -> EditSubject:
    """EditSubject of a photograph that has been inverted."""
    return EditSubject(
        name=name,
        codes=inversion.codes.good(),
        target=inversion.target,
        facts=inversion.facts(),
    )


@torch.no_grad()
def drawn(name: str, model: Model) -> EditSubject:
    """A part that the generator draws from a random code.

    Args:
        name: `seed:N`.
        model: Networks of a bundle.

    Raises:
        OptionError: N is not a seed.
    """
    number = name.removeprefix(SEED)
    if not number.isdecimal():
        raise OptionError(
            got=f"the part '{name}'",
            expected="seed: and a whole number, such as seed:7",
            todo="Correct the number.",
        )
    refuse_seeds(int(number))
    rng = torch.Generator().manual_seed(int(number))
    z = torch.randn(1, model.generator.config.z_dim, generator=rng).to(model.device)
    codes = model.generator.codes(z, space="w+")
    return EditSubject(name=name, codes=codes, target=model.generator(codes).image)


def _saved(name: str, bundle: Bundle, model: Model) -> EditSubject:
    kept = load_inversion(Path(name), bundle)
    codes, target = kept.codes.good().to(model.device), kept.photograph.to(model.device)
    side = model.generator.config.resolution
    if target.shape[2:] != (side, side):
        raise DataError(
            got=f"{name}, whose photograph.png is {target.shape[3]} × {target.shape[2]}",
            expected=f"{side} × {side}, as 'blemish invert' writes it",
            todo="Invert the photograph again.",
        )
    return EditSubject(name=name, codes=codes, target=target, facts=kept.facts)
