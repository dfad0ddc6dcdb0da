"""A bundle too small to be of use, with every part of a real one, and pictures for it."""

from collections.abc import Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from blemish.checkpoint import Bundle
from blemish.inversion.domain import fit_domain
from blemish.inversion.space import w_defect_statistics, w_statistics
from blemish.models.critic import Critic, CriticConfig, build_critic, inside_statistics
from blemish.models.encoder import Encoder
from blemish.models.finder import Finder, FinderConfig
from blemish.models.generator import DefectConfig, Generator, GeneratorConfig
from blemish.models.layers import ToRGB
from blemish.models.load import load_generator
from blemish.models.look_encoder import LookEncoder
from blemish.models.mask_generator import EMPTY, MaskConfig, MaskGenerator
from blemish.models.residual import ResidualConfig
from blemish.models.window_generator import WindowConfig, WindowGenerator
from blemish.pictures import fit_square, write_picture
from blemish.recognition import learn
from blemish.recognition.embedding import SIDE
from blemish.recognition.learn import fit_object
from blemish.recognition.statistics import ObjectStatistics
from blemish.synthesis.part import GoodPart
from blemish.synthesis.request import Request, read_request
from blemish.training.generator import GeneratorTraining

TYPES = ("crack", "paint")
CONFIG = GeneratorConfig(
    resolution=16,
    z_dim=16,
    w_dim=16,
    channel_base=256,
    channel_max=16,
    defect=DefectConfig(first_resolution=8, types=TYPES),
)


def write_bundle(
    path: Path,
    config: GeneratorConfig = CONFIG,
    *,
    encoder: bool = False,
    windows: bool = False,
    critic: CriticConfig = ResidualConfig(),  # noqa: B008
) -> Bundle:
    """A bundle with random weights; with a branch unless `config` has none.

    With an encoder, the domain of the codes and the look of its parts are known as well.
    """
    path.mkdir(parents=True)
    bundle = Bundle(path)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        bundle.write("generator", _generator(config).state_dict())
        bundle.write("critic", build_critic(critic, config).state_dict())
        if config.defect is not None:
            matching = build_critic(critic, config, image_channels=4)
            bundle.write("match_critic", matching.state_dict())
            bundle.write("statistics", _looks(matching, config))
    trained = {"generator": asdict(GeneratorTraining())}
    about = {"preset": "tiny-16", "generator": asdict(config), "training": trained}
    if critic != ResidualConfig():  # a bundle that does not say has a residual one
        about |= {"critic": asdict(critic), "match_critic": asdict(critic)}
    bundle.write_config({**about, "nimg": 4})
    if encoder:
        _add_encoder(bundle, config)
    if windows:
        add_windows(bundle)
    return bundle


def part(height: int = 64, width: int = 64, *, seed: int = 0) -> np.ndarray:
    """A disc with some texture on a plain ground."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    inside = np.hypot((y - height / 2) / height, (x - width / 2) / width) < 0.4
    colour = np.where(inside[:, :, None], rng.integers(90, 150, 3), (225, 220, 200))
    texture = cv2.GaussianBlur(rng.normal(0, 20, (height, width, 1)), (0, 0), 2)[:, :, None]
    return (colour + inside[:, :, None] * texture).clip(0, 255).astype(np.uint8)


def spot(height: int = 64, width: int = 64, *, at: tuple[float, float] = (0.5, 0.5)) -> np.ndarray:
    """A mask: a disc of an eighth of the side, in the middle of the part unless told otherwise."""
    y, x = np.mgrid[:height, :width]
    return np.hypot((y + 0.5) / height - at[0], (x + 0.5) / width - at[1]) < 0.125


def write_scene(folder: Path, height: int = 64, width: int = 64) -> tuple[Path, Path]:
    """Files of a part and of a mask on it."""
    folder.mkdir(parents=True, exist_ok=True)
    normal, mask = folder / "nut.png", folder / "nut_mask.png"
    write_picture(normal, part(height, width))
    write_picture(mask, spot(height, width))
    return normal, mask


def request_of(normal: Path, mask: Path, kind: str, types: tuple[str, ...], **more: Any) -> Request:
    """The request for a defect on a photograph; more as in `read_request`."""
    return read_request(GoodPart.read(normal), mask, kind, types, **more)


def write_recipe(
    root: Path,
    text: str,
    names: Sequence[str],
    torn: str,
    places: Sequence[tuple[float, float]] = ((0.5, 0.4),),
) -> Path:
    """A folder with a bundle, `good` photographs of which one is torn, `masks`, and a recipe."""
    write_bundle(root / "bundle")
    for folder in ("good", "masks"):
        (root / folder).mkdir()
    for seed, name in enumerate(names):
        write_picture(root / "good" / f"{name}.png", part(seed=seed))
    file = root / "good" / f"{torn}.png"
    file.write_bytes(file.read_bytes()[:900])
    for number, at in enumerate(places):
        write_picture(root / "masks" / f"{number}.png", spot(at=at))
    (root / "recipe.toml").write_text(text)
    return root


def write_parts(
    root: Path, *, train: int = 4, test: int = 0, defects: int = 3, side: int = 32
) -> Path:
    """A folder of real defects of both types and of good parts, in the layout of MVTec AD."""
    write_defects(root, n=defects, side=side)
    for split, n in (("train", train), ("test", test)):
        for k in range(n):
            file = root / split / "good" / f"{k}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            write_picture(file, part(side, side, seed=k))
    return root


def write_defects(root: Path, *, n: int = 3, side: int = 48) -> Path:
    """A folder of real defects of both types, in the layout of MVTec AD."""
    for kind, colour in zip(TYPES, ((30, 30, 30), (230, 20, 20)), strict=True):
        for k in range(n):
            picture, mask = part(side, side, seed=k), spot(side, side, at=(0.4 + 0.05 * k, 0.5))
            picture[mask] = colour
            for place, levels in (
                (f"test/{kind}/{k}", picture),
                (f"ground_truth/{kind}/{k}", mask),
            ):
                (root / place).parent.mkdir(parents=True, exist_ok=True)
                write_picture(root / f"{place}.png", levels)
    return root


@torch.no_grad()
def _generator(config: GeneratorConfig) -> Generator:
    generator = Generator(config)
    for name, parameter in generator.named_parameters():
        if name.endswith("noise_strength"):
            parameter.fill_(0.2)
        elif name.endswith("frommask.weight"):
            parameter.normal_()
        elif name.endswith("torgb.weight"):
            parameter.mul_(0.4)
        elif name.endswith("bias") and "affine" not in name:
            parameter.normal_(std=0.1)
    z = torch.randn(1000, config.z_dim)
    generator.mapping.w_avg.copy_(generator.mapping(z).mean(dim=0))
    return generator


def add_windows(bundle: Bundle) -> None:
    """A window generator of random weights for the types of `TYPES`."""
    config = WindowConfig(types=(*TYPES, "good"), z_dim=8, w_dim=16, channels=(8, 8, 12, 16, 16))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        bundle.write("windows", WindowGenerator(config).state_dict())
        bundle.write("windows_encoder", LookEncoder(config.z_dim).state_dict())
        known = bundle.statistics()
        latents = {f"windows.z.{kind}": torch.randn(3, config.z_dim) for kind in TYPES}
    bundle.write("statistics", {**known, **latents})
    bundle.write_config({**bundle.config, "windows": asdict(config)})


def add_finder(bundle: Bundle) -> None:
    """A finder of random weights."""
    config = FinderConfig(side=64, width=4)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        bundle.write("finder", Finder(config).state_dict())
    bundle.write_config({**bundle.config, "finder": asdict(config)})


def add_masks(bundle: Bundle) -> None:
    """A mask generator of random weights for the types of `TYPES`; half of a part is marked."""
    config = MaskConfig(types=TYPES, z_dim=8, w_dim=16, channels=(8, 8))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        generator = MaskGenerator(config)
    last = generator.tofield[-1]
    assert isinstance(last, ToRGB)
    with torch.no_grad():
        last.bias.fill_(-EMPTY)
    bundle.write("masks", generator.state_dict())
    bundle.write_config({**bundle.config, "masks": asdict(config)})


@cache
def object_statistics() -> ObjectStatistics:
    """What a training learns of parts, from four of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(learn, "VIEWS_OF_ONE", (1, 1))
        return fit_object([fit_square(part(seed=seed), SIDE) for seed in range(4)])


def _add_encoder(bundle: Bundle, config: GeneratorConfig) -> None:
    generator = load_generator(bundle)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = Encoder(config).eval().requires_grad_(False)
    encoder.w_mean.copy_(w_statistics(generator).mean)
    if config.defect is not None:
        encoder.w_defect_mean.copy_(w_defect_statistics(generator).mean)
    bundle.write("encoder", encoder.state_dict())
    known = fit_domain(generator, encoder, n=100).tensors()
    looks = bundle.statistics()
    bundle.write("statistics", looks | known | object_statistics().tensors())


@torch.no_grad()
def _looks(critic: Critic, config: GeneratorConfig) -> dict[str, torch.Tensor]:
    image = torch.rand(8, 3, config.resolution, config.resolution) * 2 - 1
    mask = (torch.rand(8, 1, config.resolution, config.resolution) < 0.2).float()
    found = {}
    assert config.defect is not None
    for k, kind in enumerate(config.defect.types):
        inside = inside_statistics(critic, image[k::2], mask[k::2])
        found[f"distil.{kind}.mean"] = inside.mean(dim=0)
        found[f"distil.{kind}.deviation"] = inside.std(dim=0, unbiased=False)
    return found
