"""Choice of a training's snapshot: close to the real images without copying them.

A small set is overfitted long before a run ends, so the last snapshot is rarely the best. Each is
judged by the kernel distance of its samples to photographs, and by the fraction of samples that are
closer to a training photograph than photographs are to each other.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from blemish.checkpoint import Bundle, load_tensors
from blemish.errors import OptionError
from blemish.evaluation.metrics import kernel_distance, memorisation_rate
from blemish.models.generator import Generator, GeneratorConfig

Features = Callable[[Float[Tensor, "n 3 h w"]], Float[Tensor, "n d"]]
BATCH = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Measurements of a snapshot.

    Attributes:
        kimg: Length of the training at the snapshot, in thousands of images.
        kernel_distance: Unbiased distance to the photographs; lower is closer.
        memorised: Fraction of samples that are closer to a training photograph than nearly all
            training photographs are to each other.
    """

    kimg: int
    kernel_distance: float
    memorised: float


@torch.no_grad()
def draw_samples(
    generator: Generator, n: int, *, seed: int = 0, psi: float = 1
) -> Float[Tensor, "n 3 h w"]:
    """Good parts from fresh latents, in [-1, 1]."""
    rng = torch.Generator().manual_seed(seed)
    z = torch.randn(n, generator.config.z_dim, generator=rng)
    return torch.cat([generator(generator.codes(part, psi=psi)).image for part in z.split(BATCH)])


def judge_generator_snapshots(
    folder: Path,
    config: GeneratorConfig,
    real: Float[Tensor, "m 3 h w"],
    features: Features,
    *,
    n: int = 500,
) -> list[Verdict]:
    """Judge every `generator-*.safetensors` of a training folder.

    Args:
        folder: Folder `training/generator` inside a bundle.
        config: Shape of the snapshots.
        real: Training photographs of the run, in [-1, 1].
        features: Function from images to the feature space of the distances.
        n: Number of samples per snapshot.
    """
    wanted, verdicts = features(real), []
    for file in sorted(folder.glob("generator-*.safetensors")):
        generator = Generator(config)
        generator.load_state_dict(load_tensors(file)[0])
        found = features(draw_samples(generator.eval(), n))
        verdicts.append(
            Verdict(
                kimg=int(file.stem.split("-")[1]),
                kernel_distance=kernel_distance(found, wanted),
                memorised=memorisation_rate(found, wanted),
            )
        )
    return verdicts


def best(verdicts: list[Verdict], *, most_memorised: float = 0.1) -> Verdict:
    """Closest snapshot of those that copy little; if all copy, the one that copies least."""
    honest = [v for v in verdicts if v.memorised <= most_memorised]
    if honest:
        return min(honest, key=lambda v: v.kernel_distance)
    return min(verdicts, key=lambda v: v.memorised)


def keep(bundle: Bundle, kimg: int) -> None:
    """Make a snapshot the generator of its bundle; the training's state stays unchanged.

    Args:
        bundle: Bundle without parts that were trained on its present generator.
        kimg: Length of the training at the snapshot.

    Raises:
        OptionError: The bundle has an encoder.
        BundleError: The snapshot can't be read.
        OutputError: The bundle can't be written.
    """
    if bundle.has("encoder"):
        raise OptionError(
            got=f"{bundle.path}, whose encoder was trained on its present generator",
            expected="a bundle without any later training",
            todo="Choose the snapshot first, then train the encoder.",
        )
    file = bundle.path / "training" / "generator" / f"generator-{kimg:06d}.safetensors"
    bundle.write("generator", load_tensors(file)[0])
    bundle.write_config({**bundle.config, "kept_nimg": 1000 * kimg})
