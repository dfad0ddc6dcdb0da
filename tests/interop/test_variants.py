"""Files of the variants that people have, written by stand-ins of the published programs."""

from argparse import Namespace
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from interop.standins import (
    DFMGAN,
    TINY,
    Persistent,
    arguments,
    critic_arguments,
    networks,
    persistent,
    rosinality,
    snapshot,
    write_snapshot,
)
from safetensors.torch import save_file
from torch import Tensor

from blemish.errors import BundleError
from blemish.interop import Foreign, read_foreign, write_bundle
from blemish.models.critic import Critic
from blemish.models.generator import GeneratorConfig
from blemish.models.load import load_critic, load_generator, load_matching_critic

SQUARE = replace(TINY, z_dim=8, mapping_layers=3)
State = dict[str, Tensor]


def newer(config: GeneratorConfig, **more: Any) -> dict[str, Any]:
    """Arguments as StyleGAN3's repository has them: those of the synthesis among the rest."""
    made = arguments(config)
    synthesis = {"channel_base": config.channel_base, "channel_max": config.channel_max}
    del made["synthesis_kwargs"]
    return {**made, **synthesis, "fused_modconv_default": "inference_only", **more}


def written_by_newer(path: Path, config: GeneratorConfig, **more: Any) -> Path:
    generator, critic = networks(config)
    made = persistent(generator.state_dict(), "Generator", **newer(config, **more))
    judged = {k: v for k, v in critic_arguments(config).items() if k not in ("conv_clamp",)}
    judged = {k: v for k, v in judged.items() if k != "num_fp16_res"} | more
    judge = persistent(critic.state_dict(), "Discriminator", **judged)
    return write_snapshot(path, snapshot(made, {"D": judge}))


def test_stylegan2_of_the_newer_repository_has_its_defaults(tmp_path: Path) -> None:
    foreign = read_foreign(written_by_newer(tmp_path / "a.pkl", TINY))
    assert foreign.config == replace(TINY, conv_clamp=256)
    assert foreign.critic is not None
    assert any("float16" in note for note in foreign.notes)


def test_stylegan2_of_the_newer_repository_in_single_precision(tmp_path: Path) -> None:
    foreign = read_foreign(
        written_by_newer(tmp_path / "a.pkl", TINY, num_fp16_res=0, conv_clamp=None)
    )
    assert foreign.config == TINY
    assert not any("float16" in note for note in foreign.notes)


def test_an_option_that_changes_the_network_is_refused_in_either_place(tmp_path: Path) -> None:
    path = written_by_newer(tmp_path / "a.pkl", TINY, architecture="orig")
    with pytest.raises(BundleError, match="was built with architecture = orig"):
        read_foreign(path)


def test_alias_free_networks_are_called_by_their_name(tmp_path: Path) -> None:
    state = {
        "mapping.fc0.weight": torch.zeros(8, 6),
        "synthesis.input.weight": torch.zeros(8, 8),
        "synthesis.L0_36_512.weight": torch.zeros(8, 8, 3, 3),
    }
    made = persistent(state, "Generator", z_dim=6, w_dim=8, c_dim=0, img_resolution=16)
    layer = made.get_submodule("synthesis.L0_36_512")
    assert isinstance(layer, Persistent)
    vars(layer)["in_size"] = np.broadcast_to(np.asarray(16), [2])  # as its layers keep sizes
    with pytest.raises(BundleError, match=r"is a StyleGAN3 generator.*--cfg=stylegan2"):
        read_foreign(write_snapshot(tmp_path / "a.pkl", snapshot(made, {})))


def grey(config: GeneratorConfig) -> tuple[State, Critic, Callable[[Tensor], Tensor]]:
    """A generator of one channel, a critic of one, and what the generator draws from w."""
    generator, _ = networks(config)
    state = generator.state_dict()
    for name in state:
        if "torgb" in name and "affine" not in name and "res_" not in name:
            state[name] = state[name][:1].clone()
    critic = networks(config, channels=1)[1]
    return state, critic, lambda z: generator.draw(generator.codes(z)).image[:, :1]


def as_pickle(path: Path, state: State, critic: Critic, config: GeneratorConfig) -> Path:
    made = persistent(state, "Generator", **{**arguments(config), "img_channels": 1})
    judged = critic_arguments(config, channels=1)
    judge = persistent(critic.state_dict(), "Discriminator", **judged)
    return write_snapshot(path.with_suffix(".pkl"), snapshot(made, {"D": judge}))


def as_safetensors(path: Path, state: State, critic: Critic, config: GeneratorConfig) -> Path:
    tensors = {f"G.{k}": v.contiguous() for k, v in state.items()}
    tensors |= {f"D.{k}": v for k, v in critic.state_dict().items()}
    save_file(tensors, path.with_suffix(".safetensors"))
    return path.with_suffix(".safetensors")


@pytest.mark.parametrize("write", [as_pickle, as_safetensors])
def test_a_generator_of_one_channel_draws_three_equal_ones(
    tmp_path: Path, write: Callable[..., Path]
) -> None:
    state, critic, draw = grey(TINY)
    foreign = read_foreign(write(tmp_path / "a", state, critic, TINY))
    assert any("one channel" in note for note in foreign.notes)
    bundle, z = write_bundle(foreign, tmp_path / "bundle"), torch.randn(4, TINY.z_dim)
    found = load_generator(bundle)
    image = found.draw(found.codes(z)).image
    torch.testing.assert_close(image, draw(z).expand(-1, 3, -1, -1), rtol=0, atol=1e-5)
    torch.testing.assert_close(load_critic(bundle)(image), critic(image[:, :1]))


def test_a_critic_of_one_channel_and_a_mask_judges_three_and_the_mask(tmp_path: Path) -> None:
    config = replace(TINY, defect=DFMGAN)
    state, _, _ = grey(config)
    critic = networks(config, channels=2)[1]
    made = persistent(state, "Generator", **{**arguments(config), "img_channels": 1})
    judged = critic_arguments(config, channels=2)
    judge = persistent(critic.state_dict(), "Discriminator", **judged)
    path = write_snapshot(tmp_path / "a.pkl", snapshot(made, {"D_match": judge}))
    bundle = write_bundle(read_foreign(path), tmp_path / "bundle")
    image, mask = torch.randn(4, 1, 16, 16), torch.randn(4, 1, 16, 16)
    stack = torch.cat([image.expand(-1, 3, -1, -1), mask], dim=1)
    wanted = critic(torch.cat([image, mask], dim=1))
    torch.testing.assert_close(load_matching_critic(bundle)(stack), wanted)


@pytest.mark.parametrize("channels", [2, 4])
def test_other_numbers_of_channels_are_the_reason(tmp_path: Path, channels: int) -> None:
    state = networks(TINY)[0].state_dict()
    for name in [name for name in state if "torgb" in name and "affine" not in name]:
        state[name] = torch.cat([state[name]] * 2)[:channels].clone()
    save_file(state, tmp_path / "a.safetensors")
    with pytest.raises(BundleError, match=f"draws images of {channels} channels"):
        read_foreign(tmp_path / "a.safetensors")


def without(state: State, *ends: str) -> State:
    return {name: tensor for name, tensor in state.items() if not name.endswith(ends)}


def test_maps_of_noise_that_a_checkpoint_lacks_are_drawn_from_one_seed(tmp_path: Path) -> None:
    generator, critic = rosinality(SQUARE)
    bare = {k: v for k, v in generator.items() if not k.startswith("noises.")}
    torch.save({"g_ema": bare, "d": critic}, tmp_path / "a.pt")
    torch.save({"g_ema": generator, "d": critic}, tmp_path / "b.pt")
    first, again, whole = (read_foreign(tmp_path / name) for name in ("a.pt", "a.pt", "b.pt"))
    assert any("no noise maps" in note for note in first.notes)
    assert not any("no noise maps" in note for note in whole.notes)
    for name, tensor in first.generator.items():
        assert torch.equal(tensor, again.generator[name])
        if name.endswith("noise_const"):
            assert 0.5 < tensor.std() < 1.5
        elif not name.endswith("w_avg"):
            assert torch.equal(tensor, whole.generator[name])


def test_a_network_that_knows_no_noise_gets_none(tmp_path: Path) -> None:
    state = without(networks(TINY)[0].state_dict(), "noise_const", "noise_strength")
    made = persistent(state, "Generator", **arguments(TINY, use_noise=False))
    foreign = read_foreign(write_snapshot(tmp_path / "a.pkl", snapshot(made, {})))
    strengths = [v for k, v in foreign.generator.items() if k.endswith("noise_strength")]
    assert len(strengths) == 5
    assert not any(strengths)


def prefixed(state: State) -> State:
    return {f"module.{name}": tensor for name, tensor in state.items()}


def parallel_checkpoint(path: Path) -> Foreign:
    generator, critic = rosinality(SQUARE)
    torch.save({"g_ema": prefixed(generator), "d": prefixed(critic)}, path)
    return read_foreign(path)


def parallel_state(path: Path) -> Foreign:
    generator, critic = networks(TINY)
    tensors = {f"G.{k}": v for k, v in prefixed(generator.state_dict()).items()}
    tensors |= {f"D.{k}": v for k, v in prefixed(critic.state_dict()).items()}
    save_file(tensors, path)
    return read_foreign(path)


def parallel_bare_state(path: Path) -> Foreign:
    generator, critic = networks(TINY)
    save_file(prefixed(generator.state_dict()), path)
    save_file(prefixed(critic.state_dict()), path.with_suffix(".critic.safetensors"))
    return read_foreign(path)


@pytest.mark.parametrize("write", [parallel_checkpoint, parallel_state, parallel_bare_state])
def test_the_prefix_of_a_parallel_training_is_taken_off(
    tmp_path: Path, write: Callable[[Path], Foreign]
) -> None:
    foreign = write(tmp_path / "a.safetensors")
    assert foreign.critic is not None
    assert "synthesis.b8.conv0.weight" in foreign.generator


def encoder_checkpoint(decoder: State, mean: Tensor, prefix: str = "") -> dict[str, Any]:
    """What pSp and e4e write: encoder and decoder in one state dict, and their options."""
    encoder = {"encoder.input_layer.0.weight": torch.zeros(64, 3, 3, 3)}
    whole = {**encoder, **{f"decoder.{name}": tensor for name, tensor in decoder.items()}}
    options = {"output_size": 16, "device": "cuda:0", "checkpoint_path": None, "lr": 1e-4}
    state = {f"{prefix}{name}": tensor for name, tensor in whole.items()}
    return {"state_dict": state, "latent_avg": mean, "opts": options}


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("rows", [None, 1, 6])
@pytest.mark.parametrize("legacy", [False, True])
def test_the_decoder_of_an_encoder_is_the_generator(
    tmp_path: Path, prefix: str, rows: int | None, legacy: bool
) -> None:
    decoder, _ = rosinality(SQUARE)
    mean = torch.randn(SQUARE.w_dim)
    kept = mean if rows is None else mean.repeat(rows, 1)
    value = encoder_checkpoint(decoder, kept, prefix)
    value["opts"] = Namespace(**value["opts"]) if legacy else value["opts"]
    torch.save(value, tmp_path / "a.pt", _use_new_zipfile_serialization=not legacy)
    torch.save({"g_ema": decoder, "latent_avg": mean}, tmp_path / "b.pt")
    found, wanted = read_foreign(tmp_path / "a.pt"), read_foreign(tmp_path / "b.pt")
    assert found.config == wanted.config
    assert all(torch.equal(found.generator[k], v) for k, v in wanted.generator.items())
    assert found.critic is None
    assert "encoder (1 tensors) was left out" in found.notes[0]
    assert found.source["format"] == "the decoder of pSp or e4e"


@pytest.mark.parametrize(
    "value",
    [
        {"state_dict": {"encoder.weight": torch.zeros(2)}},
        {"state_dict": {}},
        {"state_dict": torch.zeros(2)},
        {"g": {"style.1.weight": torch.zeros(2)}},
        [torch.zeros(2)],
        {"state_dict": {"decoder.style.1.weight": 3}},
        {"state_dict": {"decoder.style.1.weight": torch.zeros(2, 2)}, "latent_avg": torch.ones(())},
    ],
    ids=str,
)
def test_torch_files_of_something_else_are_refused(tmp_path: Path, value: Any) -> None:
    torch.save(value, tmp_path / "a.pt")
    with pytest.raises(BundleError, match=r"a\.pt, which"):
        read_foreign(tmp_path / "a.pt")
