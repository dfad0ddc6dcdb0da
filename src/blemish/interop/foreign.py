"""Imported model in the form of a bundle."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from blemish.checkpoint import Bundle
from blemish.errors import OutputError
from blemish.files import ensure_writable
from blemish.models.generator import Generator, GeneratorConfig

State = dict[str, Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreign:
    """Networks that were trained elsewhere, under our names and in float32.

    Attributes:
        config: Shape of the generator.
        generator: Tensors of the generator.
        critic: Tensors of its critic of images, if the file has one.
        match_critic: Tensors of its critic of images with masks, if the file has one.
        source: The file's name, format and SHA-256, and the options of its networks.
        notes: Remarks for the user: what was left out or filled in.
    """

    config: GeneratorConfig
    generator: State
    critic: State | None = None
    match_critic: State | None = None
    source: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def missing(self) -> tuple[str, ...]:
        """Parts of a complete bundle that are missing."""
        lacks = {
            "critic": self.critic is None,
            "defects": self.config.defect is None,
            "match_critic": self.config.defect is not None and self.match_critic is None,
        }
        return (*(name for name, absent in lacks.items() if absent), "encoder")


Learn = Callable[[Generator], State]


def write_bundle(foreign: Foreign, out: Path, *, learn: Learn | None = None) -> Bundle:
    """Write a new bundle; its `config.json` comes last, so that an incomplete one does not count.

    Args:
        foreign: The networks.
        out: The bundle's folder.
        learn: Makes the bundle's statistics from its generator, which is frozen.

    Raises:
        OutputError: The folder has a bundle already, or can't be written to.
    """
    if (out / "config.json").exists():
        raise OutputError(
            got=f"{out}, which contains a bundle",
            expected="a new folder",
            todo="Choose another folder with --out.",
        )
    ensure_writable(out)
    bundle = Bundle(out)
    networks = {
        "generator": foreign.generator,
        "critic": foreign.critic,
        "match_critic": foreign.match_critic,
    }
    for name, tensors in networks.items():
        if tensors is not None:
            bundle.write(name, tensors)
    if learn is not None:
        bundle.write("statistics", learn(_generator(foreign)))
    about = {"generator": asdict(foreign.config), "source": foreign.source}
    bundle.write_config({"preset": None, **about, "notes": list(foreign.notes)})
    return bundle


def _generator(foreign: Foreign) -> Generator:
    generator = Generator(foreign.config)
    generator.load_state_dict(foreign.generator)
    return generator.eval().requires_grad_(False)
