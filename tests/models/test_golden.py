"""Numbers of the published reference implementations, on random weights."""

from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from blemish.models.critic import Critic, build_critic
from blemish.models.generator import DefectConfig, Generator, GeneratorConfig, Noise
from blemish.models.losses import path_lengths
from blemish.models.residual import ResidualConfig
from blemish.types import Codes

TOLERANCE = {"rtol": 0, "atol": 1e-4}


def read(path: Path) -> tuple[dict[str, Tensor], GeneratorConfig]:
    with safe_open(path, "pt") as file:
        facts = file.metadata()
    first = facts.get("first_defect_resolution")
    branch = {"gate": "hard", "refine": False, "takes_mask": False, "float16_logits": True}
    config = GeneratorConfig(
        resolution=int(facts["img_resolution"]),
        z_dim=int(facts["z_dim"]),
        w_dim=int(facts["w_dim"]),
        mapping_layers=int(facts["mapping_layers"]),
        channel_base=int(facts["channel_base"]),
        channel_max=int(facts["channel_max"]),
        defect=DefectConfig(first_resolution=int(first), **branch) if first else None,
    )
    return load_file(path), config


def under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


@pytest.fixture(scope="module")
def stylegan(shared: Path) -> tuple[dict[str, Tensor], Generator, Critic]:
    tensors, config = read(shared / "golden" / "stylegan2_ada_32.safetensors")
    generator, critic = Generator(config), build_critic(ResidualConfig(), config)
    generator.load_state_dict(under(tensors, "G."))
    critic.load_state_dict(under(tensors, "D."))
    return under(tensors, "io."), generator, critic


def test_mapping(stylegan: tuple[dict[str, Tensor], Generator, Critic]) -> None:
    io, generator, _ = stylegan
    torch.testing.assert_close(generator.codes(io["z"]).w, io["ws"], **TOLERANCE)
    truncated = generator.codes(io["z"], psi=0.7).w
    torch.testing.assert_close(truncated, io["ws_truncated_psi0_7"], **TOLERANCE)


@pytest.mark.parametrize("noise", ["const", "none"])
def test_synthesis(stylegan: tuple[dict[str, Tensor], Generator, Critic], noise: Noise) -> None:
    io, generator, _ = stylegan
    image = generator.draw(Codes(w=io["w_plus"]), noise=noise).image
    torch.testing.assert_close(image, io[f"img_noise_{noise}"], **TOLERANCE)


def test_gradient_of_the_generator(stylegan: tuple[dict[str, Tensor], Generator, Critic]) -> None:
    io, generator, _ = stylegan
    w = io["w_plus"].clone().requires_grad_()
    (gradient,) = torch.autograd.grad(generator.draw(Codes(w=w)).image.square().sum(), w)
    expected = io["grad_sum_img2_wrt_w_plus"]
    torch.testing.assert_close(
        gradient, expected, rtol=1e-4, atol=1e-4 * expected.abs().max().item()
    )


def test_critic_and_its_gradient(stylegan: tuple[dict[str, Tensor], Generator, Critic]) -> None:
    io, _, critic = stylegan
    image = io["img_noise_const"].clone().requires_grad_()
    logits = critic(image)
    torch.testing.assert_close(logits[:, None], io["d_logits_on_img_noise_const"], **TOLERANCE)
    (gradient,) = torch.autograd.grad(logits.sum(), image)
    torch.testing.assert_close(gradient, io["d_r1_grad"], **TOLERANCE)


def test_path_lengths(stylegan: tuple[dict[str, Tensor], Generator, Critic]) -> None:
    io, generator, _ = stylegan
    w = io["w_plus"].clone().requires_grad_()
    image = generator.draw(Codes(w=w), noise="none").image
    found = path_lengths(image, w, io["pl_noise"] * 32)  # the file's is divided by the side already
    torch.testing.assert_close(found, io["path_lengths"], rtol=1e-4, atol=1e-4)


def test_dfmgan(shared: Path) -> None:
    tensors, config = read(shared / "golden" / "dfmgan_128.safetensors")
    generator = Generator(config)
    generator.load_state_dict(under(tensors, "G."))
    io = under(tensors, "io.")
    codes = generator.codes(io["z"], io["defect_z"])
    assert codes.w_defect is not None
    torch.testing.assert_close(codes.w, io["ws"], **TOLERANCE)
    torch.testing.assert_close(codes.w_defect, io["defect_ws"], **TOLERANCE)
    drawing = generator.draw(codes)
    assert drawing.mask_logits is not None
    torch.testing.assert_close(drawing.image, io["img"], **TOLERANCE)
    float16_step = 2**-10 * io["mask_raw"].abs().max().item()  # the reference's own rounding
    torch.testing.assert_close(drawing.mask_logits, io["mask_raw"], rtol=0, atol=float16_step)
    good = generator.draw(codes.good()).image
    torch.testing.assert_close(good, io["img_without_defect"], **TOLERANCE)
