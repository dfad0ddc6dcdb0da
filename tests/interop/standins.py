"""Files as the published programs write them, from classes that only bear the same names.

A stand-in pickles as the real one would, and fails the test if ever it is brought to life.
"""

import pickle
import sys
import types
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch
from torch import Tensor, nn

from blemish.models.critic import Critic, build_critic
from blemish.models.generator import DefectConfig, Generator, GeneratorConfig
from blemish.models.residual import ResidualConfig

TINY = GeneratorConfig(resolution=16, z_dim=6, w_dim=8, channel_base=64, channel_max=8)
DFMGAN = DefectConfig(
    first_resolution=8,
    types=("defect",),
    conditional=False,
    gate="hard",
    refine=False,
    takes_mask=False,
    float16_logits=True,
)
BUFFERS = ("noise_const", "resample_filter", "w_avg")
SOURCE = "raise SystemExit('the source of a class was run')"


class EasyDict(dict):
    """As dnnlib.util has it."""


def _reconstruct_persistent_obj(meta: Any) -> NoReturn:
    raise AssertionError(f"{meta['class_name']} was brought to life")


EasyDict.__module__, EasyDict.__qualname__ = "dnnlib.util", "EasyDict"
_reconstruct_persistent_obj.__module__ = "torch_utils.persistence"


class Persistent(nn.Module):
    """A module whose class travels as source text."""

    def __init__(self, class_name: str, **made: Any) -> None:
        super().__init__()
        self._init_args, self._init_kwargs = (), EasyDict(made)
        self.class_name, self.weight_gain = class_name, 1 / np.sqrt(3)

    def __reduce__(self) -> tuple[Any, ...]:
        state = {k: v for k, v in self.__dict__.items() if k != "class_name"}
        meta = EasyDict(
            type="class",
            version=6,
            module_src=SOURCE,
            class_name=self.class_name,
            state=state,
        )
        return _reconstruct_persistent_obj, (meta,), None


def persistent(state: Mapping[str, Tensor], class_name: str, **made: Any) -> Persistent:
    """A network of that state dict."""
    root = Persistent(class_name, **made)
    for name, tensor in state.items():
        *path, leaf = name.split(".")
        module = root
        for step in path:
            if step not in module._modules:
                module.add_module(step, Persistent("Layer"))
            module = module.get_submodule(step)
        if leaf in BUFFERS:
            module.register_buffer(leaf, tensor)
        else:
            module.register_parameter(leaf, nn.Parameter(tensor, requires_grad=False))
    return root


def arguments(config: GeneratorConfig, **synthesis: Any) -> dict[str, Any]:
    """What StyleGAN2-ADA makes a generator with."""
    widths = {"channel_base": config.channel_base, "channel_max": config.channel_max}
    clamp = {"num_fp16_res": 0, "conv_clamp": config.conv_clamp}
    return {
        "z_dim": config.z_dim,
        "w_dim": config.w_dim,
        "c_dim": config.c_dim,
        "img_resolution": config.resolution,
        "img_channels": 3,
        "mapping_kwargs": EasyDict(num_layers=config.mapping_layers),
        "synthesis_kwargs": EasyDict(**{**widths, **clamp, **synthesis}),
    }


def critic_arguments(config: GeneratorConfig, channels: int = 3, **more: Any) -> dict[str, Any]:
    """What StyleGAN2-ADA makes a critic with."""
    return {
        "c_dim": config.c_dim,
        "img_resolution": config.resolution,
        "img_channels": channels,
        "channel_base": config.channel_base,
        "channel_max": config.channel_max,
        "num_fp16_res": 0,
        "conv_clamp": config.conv_clamp,
        "block_kwargs": EasyDict(),
        "mapping_kwargs": EasyDict(),
        "epilogue_kwargs": EasyDict(mbstd_group_size=config.critic_group),
        **more,
    }


def snapshot(generator: Persistent, critics: Mapping[str, Persistent]) -> dict[str, Any]:
    """What a training writes."""
    data = EasyDict(class_name="training.dataset.ImageFolderDataset", path="/data/nuts.zip")
    pipe = persistent({"p": torch.zeros([])}, "AugmentPipe", xflip=1)
    return {
        "training_set_kwargs": data,
        "G": generator,
        "G_ema": generator,
        "augment_pipe": pipe,
        **critics,
    }


def snapshot_of(config: GeneratorConfig, **synthesis: Any) -> dict[str, Any]:
    """A snapshot with random weights."""
    generator, critic = networks(config)
    made = persistent(generator.state_dict(), "Generator", **arguments(config, **synthesis))
    judge = persistent(critic.state_dict(), "Discriminator", **critic_arguments(config))
    return snapshot(made, {"D": judge})


@torch.no_grad()
def networks(config: GeneratorConfig, channels: int = 3) -> tuple[Generator, Critic]:
    """Networks with random weights in which noise, biases and classes do something."""
    generator, critic = (
        Generator(config),
        build_critic(ResidualConfig(), config, image_channels=channels),
    )
    for network in (generator, critic):
        for name, parameter in network.named_parameters():
            if name.endswith("noise_strength"):
                parameter.fill_(0.3)
            elif name.endswith("bias") and "affine" not in name:
                parameter.normal_()
    generator.mapping.w_avg.normal_()
    return generator, critic


@contextmanager
def published() -> Iterator[None]:
    """In which stand-ins can be pickled under their names."""
    fakes = {
        "dnnlib": types.ModuleType("dnnlib"),
        "dnnlib.util": types.ModuleType("dnnlib.util"),
        "torch_utils": types.ModuleType("torch_utils"),
        "torch_utils.persistence": types.ModuleType("torch_utils.persistence"),
    }
    vars(fakes["dnnlib.util"])["EasyDict"] = EasyDict
    vars(fakes["torch_utils.persistence"])[_reconstruct_persistent_obj.__name__] = (
        _reconstruct_persistent_obj
    )
    sys.modules.update(fakes)
    try:
        yield
    finally:
        for name in fakes:
            del sys.modules[name]


def pickled(value: Any, protocol: int = 4) -> bytes:
    with published():
        return pickle.dumps(value, protocol=protocol)


def write_snapshot(path: Path, value: Any, protocol: int = 4) -> Path:
    path.write_bytes(pickled(value, protocol))
    return path


def rosinality(config: GeneratorConfig) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """State dicts of a generator and its critic as stylegan2-pytorch has them, random weights."""
    generator, critic = networks(config)
    return dict(_theirs(generator.state_dict())), dict(_their_critic(critic.state_dict(), config))


def _theirs(state: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    kernel = torch.tensor([1.0, 3, 3, 1]).outer(torch.tensor([1.0, 3, 3, 1])) / 16
    for name, tensor in state.items():
        if name.startswith("mapping.fc"):
            index, leaf = name.removeprefix("mapping.fc").split(".")
            yield f"style.{int(index) + 1}.{leaf}", tensor
        elif name == "synthesis.b4.const":
            yield "input.input", tensor[None]
        elif name.startswith("synthesis.b4."):
            yield from _layer(name.removeprefix("synthesis.b4."), tensor, "conv1", "to_rgb1", 0)
        elif name.startswith("synthesis.b"):
            side, rest = name.removeprefix("synthesis.b").split(".", 1)
            k = int(side).bit_length() - 4
            layer = f"convs.{2 * k + int(rest.startswith('conv1'))}"
            index = 2 * k + 1 + int(rest.startswith("conv1"))
            yield from _layer(rest, tensor, layer, f"to_rgbs.{k}", index)
            if rest == "torgb.weight":
                yield f"to_rgbs.{k}.upsample.kernel", kernel
            if rest == "conv0.weight":
                yield f"{layer}.conv.blur.kernel", kernel


def _layer(
    rest: str, tensor: Tensor, layer: str, colour: str, noise: int
) -> Iterator[tuple[str, Tensor]]:
    head, _, leaf = rest.partition(".")
    place = colour if head == "torgb" else layer
    if leaf.startswith("affine"):
        yield f"{place}.conv.modulation.{leaf.removeprefix('affine.')}", tensor
    elif leaf == "weight":
        yield f"{place}.conv.weight", tensor[None]
    elif leaf == "noise_strength":
        yield f"{place}.noise.weight", tensor[None]
    elif leaf == "noise_const":
        yield f"noises.noise_{noise}", tensor[None, None]
    elif leaf == "bias" and head == "torgb":
        yield f"{place}.bias", tensor[None, :, None, None]
    elif leaf == "bias":
        yield f"{place}.activate.bias", tensor


def _their_critic(
    state: Mapping[str, Tensor], config: GeneratorConfig
) -> Iterator[tuple[str, Tensor]]:
    finest = config.resolution.bit_length()
    kernel = torch.tensor([1.0, 3, 3, 1]).outer(torch.tensor([1.0, 3, 3, 1])) / 64
    inner = {"conv0.weight": "conv1.0.weight", "conv0.bias": "conv1.1.bias"}
    inner |= {"conv1.weight": "conv2.1.weight", "conv1.bias": "conv2.2.bias"}
    inner |= {"skip.weight": "skip.1.weight"}
    inner |= {"conv1.resample_filter": "conv2.0.kernel", "skip.resample_filter": "skip.0.kernel"}
    ends = {"conv.weight": "final_conv.0.weight", "conv.bias": "final_conv.1.bias"}
    ends |= {f"{a}.{w}": f"final_linear.{k}.{w}" for k, a in enumerate(("fc", "out"))
             for w in ("weight", "bias")}  # fmt: skip
    for name, tensor in state.items():
        side, rest = name.removeprefix("b").split(".", 1)
        if side == "4" and rest in ends:
            yield ends[rest], tensor
        elif rest.startswith("fromrgb") and "filter" not in rest:
            yield f"convs.0.{'0.weight' if rest.endswith('weight') else '1.bias'}", tensor
        elif side != "4" and rest in inner:
            k = finest - int(side).bit_length() + 1
            yield f"convs.{k}.{inner[rest]}", kernel if rest.endswith("filter") else tensor
