"""State dicts under the published names."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from interop.standins import DFMGAN, TINY, networks
from safetensors import safe_open
from safetensors.torch import load_file
from tiny import CONFIG
from tiny import write_bundle as write_tiny
from torch import Tensor

from blemish.checkpoint import Bundle, save_tensors
from blemish.errors import BundleError
from blemish.interop import read_foreign, write_bundle
from blemish.interop.export import export_state
from blemish.models.generator import GeneratorConfig
from blemish.models.load import load_critic, load_generator, shape_of
from blemish.types import Codes

CLOSE = {"rtol": 0, "atol": 1e-4}
SHAPES = [
    TINY,
    replace(TINY, resolution=32, mapping_layers=5),
    replace(TINY, c_dim=4),
    replace(TINY, conv_clamp=256.0, critic_group=2),
]


def prefixed(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}{name}": tensor for name, tensor in tensors.items()}


def header(config: GeneratorConfig) -> dict[str, str]:
    return {"conv_clamp": str(config.conv_clamp), "mbstd_group_size": str(config.critic_group)}


@pytest.mark.parametrize("prefix", ["", "G.", "G_ema."])
@pytest.mark.parametrize("config", SHAPES)
def test_the_shape_is_read_off_the_tensors(
    tmp_path: Path, config: GeneratorConfig, prefix: str
) -> None:
    generator, critic = networks(config)
    state = prefixed(prefix, generator.state_dict()) | prefixed("D.", critic.state_dict())
    save_tensors(tmp_path / "a.safetensors", state, metadata=header(config))
    foreign = read_foreign(tmp_path / "a.safetensors")
    assert foreign.config == config and foreign.critic is not None
    assert torch.equal(foreign.critic["b4.out.weight"], critic.state_dict()["b4.out.weight"])
    assert torch.equal(foreign.generator["mapping.w_avg"], generator.mapping.w_avg)


@pytest.mark.parametrize("resolution", [32, 64, 128, 256, 512, 1024])
def test_every_resolution_is_known(tmp_path: Path, resolution: int) -> None:
    config = replace(TINY, resolution=resolution, channel_base=1024)
    save_tensors(tmp_path / "a.safetensors", networks(config)[0].state_dict())
    assert read_foreign(tmp_path / "a.safetensors").config.resolution == resolution


def test_what_was_exported_comes_back(tmp_path: Path) -> None:
    bundle = write_tiny(tmp_path / "tiny", replace(CONFIG, defect=None, conv_clamp=2.0))
    export_state(bundle, tmp_path / "a.safetensors")
    back = write_bundle(read_foreign(tmp_path / "a.safetensors"), tmp_path / "back")
    assert shape_of(back) == shape_of(bundle)
    for name in ("generator", "critic"):
        before, after = bundle.tensors(name), back.tensors(name)
        assert before.keys() == after.keys()
        assert all(torch.equal(before[key], after[key]) for key in before)


@pytest.mark.parametrize("types", [("crack", "paint"), ("a", "b")])
def test_a_branch_of_ours_comes_back_with_its_types_named_anew(
    tmp_path: Path, types: tuple[str, ...]
) -> None:
    bundle = write_tiny(tmp_path / "tiny")
    path = bundle.path / "generator.safetensors"
    foreign = read_foreign(path, types=types)
    assert CONFIG.defect is not None
    assert foreign.config == replace(CONFIG, defect=replace(CONFIG.defect, types=types))
    with pytest.raises(BundleError, match="2 defect type"):
        read_foreign(path, types=("crack",))


def test_what_the_header_does_not_say_is_reported(tmp_path: Path) -> None:
    save_tensors(tmp_path / "a.safetensors", networks(TINY)[0].state_dict())
    foreign = read_foreign(tmp_path / "a.safetensors")
    assert any("clamped" in note for note in foreign.notes)
    assert foreign.missing() == ("critic", "defects", "encoder")


@pytest.mark.parametrize(
    "about",
    [
        {"conv_clamp": "much"},
        {"conv_clamp": "-1"},
        {"conv_clamp": "inf"},
        {"mbstd_group_size": "0"},
        {"mbstd_group_size": "four"},
    ],
)
def test_headers_that_make_no_sense_are_refused(tmp_path: Path, about: dict[str, str]) -> None:
    save_tensors(tmp_path / "a.safetensors", networks(TINY)[0].state_dict(), metadata=about)
    with pytest.raises(BundleError, match="header"):
        read_foreign(tmp_path / "a.safetensors")


@pytest.mark.parametrize(
    "name, reported",
    [("io.z", "neither generator nor critic"), ("G.more", "Blemish does not use: 'more'")],
)
def test_tensors_of_nothing_known_are_refused(tmp_path: Path, name: str, reported: str) -> None:
    state = prefixed("G.", networks(TINY)[0].state_dict()) | {name: torch.zeros(1)}
    save_tensors(tmp_path / "a.safetensors", state)
    with pytest.raises(BundleError, match=reported):
        read_foreign(tmp_path / "a.safetensors")


@pytest.mark.parametrize("resolution", [12, 2048])
def test_sides_that_are_none_of_ours_are_refused(tmp_path: Path, resolution: int) -> None:
    state = networks(TINY)[0].state_dict()
    name = f"synthesis.b{resolution}.conv1.weight"
    weight = state["synthesis.b16.conv1.weight"][: max(1, 64 // resolution)].clone()
    state = {k: v for k, v in state.items() if "b16" not in k}
    save_tensors(tmp_path / "a.safetensors", state | {name: weight})
    with pytest.raises(BundleError):
        read_foreign(tmp_path / "a.safetensors")


def test_a_mapping_without_end_is_refused(tmp_path: Path) -> None:
    deep = replace(TINY, mapping_layers=65)
    save_tensors(tmp_path / "a.safetensors", networks(deep)[0].state_dict())
    with pytest.raises(BundleError, match="more than 64 layers"):
        read_foreign(tmp_path / "a.safetensors")


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.bfloat16, torch.float64])
def test_every_kind_of_number_is_taken_or_refused(tmp_path: Path, dtype: torch.dtype) -> None:
    state = networks(TINY)[0].state_dict()
    state["synthesis.b4.const"] = state["synthesis.b4.const"].to(dtype)
    save_tensors(tmp_path / "a.safetensors", state)
    try:
        found = read_foreign(tmp_path / "a.safetensors").generator
        assert found["synthesis.b4.const"].dtype == torch.float32
    except BundleError as error:
        assert "numbers" in error.got


def golden(shared: Path, name: str, out: Path) -> tuple[Bundle, dict[str, Tensor]]:
    """A golden file without its numbers in and out, imported; and these numbers."""
    path = shared / "golden" / f"{name}.safetensors"
    with safe_open(path, "pt") as file:
        facts = file.metadata()
    tensors = load_file(path)
    io = {k.removeprefix("io."): v for k, v in tensors.items() if k.startswith("io.")}
    networks = {k: v for k, v in tensors.items() if not k.startswith("io.")}
    save_tensors(out / "a.safetensors", networks, metadata=facts)
    return write_bundle(read_foreign(out / "a.safetensors"), out / "bundle"), io


def test_the_published_numbers_come_out(shared: Path, tmp_path: Path) -> None:
    bundle, io = golden(shared, "stylegan2_ada_32", tmp_path)
    generator = load_generator(bundle)
    torch.testing.assert_close(generator.codes(io["z"]).w, io["ws"], **CLOSE)
    truncated = generator.codes(io["z"], psi=0.7).w
    torch.testing.assert_close(truncated, io["ws_truncated_psi0_7"], **CLOSE)
    image = generator.draw(Codes(w=io["w_plus"]), noise="none").image
    torch.testing.assert_close(image, io["img_noise_none"], **CLOSE)
    logits = load_critic(bundle)(io["img_noise_const"])
    torch.testing.assert_close(logits[:, None], io["d_logits_on_img_noise_const"], **CLOSE)


def test_the_published_defects_come_out(shared: Path, tmp_path: Path) -> None:
    bundle, io = golden(shared, "dfmgan_128", tmp_path)
    assert shape_of(bundle).defect == replace(DFMGAN, first_resolution=64)
    generator = load_generator(bundle)
    image = generator.draw(generator.codes(io["z"], io["defect_z"])).image
    torch.testing.assert_close(image, io["img"], **CLOSE)
