"""Checkpoints of stylegan2-pytorch: its names here, its mathematics as it describes them."""

from argparse import Namespace
from dataclasses import replace
from math import sqrt
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from interop.standins import TINY, rosinality
from torch import Tensor

from blemish.errors import BundleError
from blemish.interop import read_foreign, write_bundle
from blemish.models.generator import GeneratorConfig
from blemish.models.load import load_critic, load_generator
from blemish.types import Codes

SQUARE = replace(TINY, z_dim=8, mapping_layers=3)  # z is as wide as w there
CLOSE: dict[str, Any] = {"rtol": 1e-4, "atol": 1e-4}


def checkpoint(config: GeneratorConfig = SQUARE) -> dict[str, Any]:
    generator, critic = rosinality(config)
    adam = torch.optim.Adam([torch.nn.Parameter(torch.zeros(2))])
    return {
        "g": generator,
        "d": critic,
        "g_ema": generator,
        "g_optim": adam.state_dict(),
        "args": Namespace(size=config.resolution, n_mlp=config.mapping_layers, path="lmdb"),
        "ada_aug_p": 0.0,
        "latent_avg": torch.randn(config.w_dim),
    }


def write(path: Path, value: Any, *, legacy: bool = False) -> Path:
    torch.save(value, path, _use_new_zipfile_serialization=not legacy)
    return path


def their_mapping(g: dict[str, Tensor], z: Tensor) -> Tensor:
    x = z / (z.square().mean(dim=1, keepdim=True) + 1e-8).sqrt()
    for k in range(1, 1 + sum(name.startswith("style.") for name in g) // 2):
        weight = g[f"style.{k}.weight"] * (0.01 / sqrt(x.shape[1]))
        x = F.leaky_relu(F.linear(x, weight) + g[f"style.{k}.bias"] * 0.01, 0.2) * sqrt(2)
    return x


def their_conv(
    g: dict[str, Tensor], name: str, x: Tensor, w: Tensor, *, demodulate: bool = True
) -> Tensor:
    """One sample at a time, each with its own weight."""
    weight = g[f"{name}.conv.weight"][0]
    scale = 1 / sqrt(weight[0].numel())
    affine = g[f"{name}.conv.modulation.weight"] / sqrt(w.shape[1])
    found = []
    for item, row in zip(x, w, strict=True):
        style = affine @ row + g[f"{name}.conv.modulation.bias"]
        own = scale * weight * style[None, :, None, None]
        if demodulate:
            own = own / (own.square().sum(dim=(1, 2, 3), keepdim=True) + 1e-8).sqrt()
        if f"{name}.conv.blur.kernel" in g:
            doubled = F.conv_transpose2d(item[None], own.transpose(0, 1), stride=2)
            found.append(their_fir(doubled, g[f"{name}.conv.blur.kernel"], 1, 1))
        else:
            found.append(F.conv2d(item[None], own, padding=weight.shape[-1] // 2))
    return torch.cat(found)


def their_fir(x: Tensor, kernel: Tensor, before: int, after: int) -> Tensor:
    padded = F.pad(x, (before, after, before, after))
    taps = kernel.flip(0, 1)[None, None].expand(x.shape[1], -1, -1, -1)
    return F.conv2d(padded, taps, groups=x.shape[1])


def their_layer(g: dict[str, Tensor], name: str, x: Tensor, w: Tensor, noise: Tensor) -> Tensor:
    x = their_conv(g, name, x, w) + g[f"{name}.noise.weight"] * noise
    return F.leaky_relu(x + g[f"{name}.activate.bias"][None, :, None, None], 0.2) * sqrt(2)


def their_image(g: dict[str, Tensor], w: Tensor) -> Tensor:
    x = g["input.input"].expand(len(w), -1, -1, -1)
    x = their_layer(g, "conv1", x, w[:, 0], g["noises.noise_0"])
    image = their_conv(g, "to_rgb1", x, w[:, 1], demodulate=False) + g["to_rgb1.bias"]
    for k in range(sum(name.endswith("blur.kernel") for name in g)):
        for j in (0, 1):
            noise = g[f"noises.noise_{2 * k + 1 + j}"]
            x = their_layer(g, f"convs.{2 * k + j}", x, w[:, 2 * k + 1 + j], noise)
        n, c, h, _ = image.shape
        stuffed = torch.zeros(n, c, 2 * h, 2 * h)
        stuffed[:, :, ::2, ::2] = image
        image = their_fir(stuffed, g[f"to_rgbs.{k}.upsample.kernel"], 2, 1)
        colour = f"to_rgbs.{k}"
        image = image + their_conv(g, colour, x, w[:, 2 * k + 3], demodulate=False)
        image = image + g[f"{colour}.bias"]
    return image


def their_verdict(d: dict[str, Tensor], x: Tensor) -> Tensor:
    def conv(name: str, x: Tensor, bias: str | None = None, **how: Any) -> Tensor:
        weight = d[f"{name}.weight"]
        y = F.conv2d(x, weight / sqrt(weight[0].numel()), **how)
        if bias is None:
            return y
        return F.leaky_relu(y + d[f"{bias}.bias"][None, :, None, None], 0.2) * sqrt(2)

    x = conv("convs.0.0", x, "convs.0.1")
    for k in range(1, 1 + sum(name.endswith("skip.0.kernel") for name in d)):
        here = f"convs.{k}"
        y = conv(f"{here}.conv1.0", x, f"{here}.conv1.1", padding=1)
        y = their_fir(y, d[f"{here}.conv2.0.kernel"], 2, 2)
        y = conv(f"{here}.conv2.1", y, f"{here}.conv2.2", stride=2)
        skip = their_fir(x, d[f"{here}.skip.0.kernel"], 1, 1)
        x = (y + conv(f"{here}.skip.1", skip, stride=2)) / sqrt(2)
    spread = (x.var(dim=0, unbiased=False) + 1e-8).sqrt().mean()
    x = torch.cat([x, spread.expand(len(x), 1, 4, 4)], dim=1)
    x = conv("final_conv.0", x, "final_conv.1", padding=1).flatten(1)
    weight = d["final_linear.0.weight"]
    x = F.linear(x, weight / sqrt(weight.shape[1])) + d["final_linear.0.bias"]
    x = F.leaky_relu(x, 0.2) * sqrt(2)
    weight = d["final_linear.1.weight"]
    return (F.linear(x, weight / sqrt(weight.shape[1])) + d["final_linear.1.bias"])[:, 0]


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("resolution", [8, 32])
def test_it_draws_and_judges_as_it_did(tmp_path: Path, resolution: int, legacy: bool) -> None:
    config = replace(SQUARE, resolution=resolution)
    value = checkpoint(config)
    foreign = read_foreign(write(tmp_path / "a.pt", value, legacy=legacy))
    assert foreign.config == config and foreign.source["format"] == "stylegan2-pytorch"
    bundle = write_bundle(foreign, tmp_path / "bundle")
    generator, critic = load_generator(bundle), load_critic(bundle)
    z, w = torch.randn(4, 8), torch.randn(4, config.layers, 8)
    torch.testing.assert_close(generator.mapping(z), their_mapping(value["g_ema"], z), **CLOSE)
    image = their_image(value["g_ema"], w)
    torch.testing.assert_close(generator.draw(Codes(w=w)).image, image, **CLOSE)
    torch.testing.assert_close(critic(image), their_verdict(value["d"], image), **CLOSE)
    assert torch.equal(generator.mapping.w_avg, value["latent_avg"])


@pytest.mark.parametrize("legacy", [False, True])
def test_tensors_are_those_that_torch_reads(tmp_path: Path, legacy: bool) -> None:
    path = write(tmp_path / "a.pt", {**checkpoint(), "args": None}, legacy=legacy)
    known = torch.load(path, weights_only=True)
    found = read_foreign(path).generator
    assert torch.equal(found["synthesis.b4.const"], known["g_ema"]["input.input"][0])
    assert torch.equal(found["mapping.w_avg"], known["latent_avg"])


def test_half_precision_is_widened(tmp_path: Path) -> None:
    value = checkpoint()
    value["g_ema"] = {k: v.half() for k, v in value["g_ema"].items()}
    found = read_foreign(write(tmp_path / "a.pt", value)).generator
    assert {tensor.dtype for tensor in found.values()} == {torch.float32}


def test_the_mean_of_w_is_made_up_for(tmp_path: Path) -> None:
    value = checkpoint()
    del value["latent_avg"]
    foreign = read_foreign(write(tmp_path / "a.pt", value))
    w = their_mapping(value["g_ema"], torch.randn(10_000, 8))
    mean = foreign.generator["mapping.w_avg"]
    assert (mean - w.mean(dim=0)).abs().max() < 6 * w.std(dim=0).max() / 100
    assert any("mean of w" in note for note in foreign.notes)


def test_what_is_left_out_is_reported(tmp_path: Path) -> None:
    foreign = read_foreign(write(tmp_path / "a.pt", checkpoint()))
    assert any("ada_aug_p, args, g, g_optim" in note for note in foreign.notes)


def _odd(value: dict[str, Any], what: str) -> None:
    g, d = value["g_ema"], value["d"]
    match what:
        case "extra":
            g["convs.0.conv.weight_2"] = torch.zeros(1)
        case "extra of the critic":
            d["convs.1.conv3.0.weight"] = torch.zeros(1)
        case "missing":
            del g["conv1.activate.bias"]
        case "filter":
            g["convs.0.conv.blur.kernel"] = torch.full((4, 4), 1 / 4)
        case "filter of the critic":
            d["convs.1.skip.0.kernel"] = torch.full((4, 4), 1 / 16)
        case "coarsest":
            g["input.input"] = torch.zeros(1, 8, 16, 16)
        case "no tensor":
            g["input.input"] = [1.0]
        case "no average":
            del value["g_ema"]


@pytest.mark.parametrize(
    "what, reported",
    [
        ("extra", "Blemish does not use: 'g_ema.convs.0.conv.weight_2'"),
        ("extra of the critic", "Blemish does not use: 'd.convs.1.conv3.0.weight'"),
        ("missing", "missing: 'synthesis.b4.conv1.bias'"),
        ("filter", "another filter in 'convs.0.conv.blur.kernel'"),
        ("filter of the critic", "another filter in 'convs.1.skip.0.kernel'"),
        ("coarsest", r"synthesis.b4.const of \[8, 16, 16\]"),
        ("no tensor", "something other than tensors in 'g_ema'"),
        ("no average", "without the averaged generator"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, what: str, reported: str) -> None:
    value = checkpoint()
    value["g_ema"] = dict(value["g_ema"])
    _odd(value, what)
    with pytest.raises(BundleError, match=reported):
        read_foreign(write(tmp_path / "a.pt", value))


def test_a_state_dict_with_its_versions_is_read_foreign(tmp_path: Path) -> None:
    linear = torch.nn.Linear(2, 2)
    value = {**checkpoint(), "versions": linear.state_dict()}
    assert read_foreign(write(tmp_path / "a.pt", value)).critic is not None
