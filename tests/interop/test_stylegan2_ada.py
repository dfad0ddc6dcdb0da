"""Snapshots of StyleGAN2-ADA and DFMGAN, made by stand-ins of the published classes."""

from dataclasses import replace
from math import sqrt
from pathlib import Path
from typing import Any

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
    snapshot,
    snapshot_of,
    write_snapshot,
)
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from blemish.checkpoint import Bundle
from blemish.errors import BundleError, OutputError
from blemish.interop import Foreign, read_foreign, write_bundle
from blemish.models.generator import GeneratorConfig
from blemish.models.load import (
    load_critic,
    load_generator,
    load_matching_critic,
    shape_of,
)
from blemish.types import Codes

CLOSE: dict[str, Any] = {"rtol": 0, "atol": 1e-4}
CONDITIONAL = replace(TINY, c_dim=3, label=1, mapping_layers=3)
SHAPES = {
    "plain": TINY,
    "wide": replace(TINY, channel_base=128),
    "32": replace(TINY, resolution=32),
    "clamped": replace(TINY, conv_clamp=0.5),
    "eight layers": replace(TINY, mapping_layers=8),
    "groups of two": replace(TINY, critic_group=2),
    "conditional": CONDITIONAL,
}


def under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def imported(path: Path, **wishes: Any) -> Bundle:
    return write_bundle(read_foreign(path, **wishes), path.parent / "bundle")


@pytest.fixture(params=SHAPES)
def config(request: pytest.FixtureRequest) -> GeneratorConfig:
    return SHAPES[request.param]


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_protocol_is_read_foreign(tmp_path: Path, protocol: int) -> None:
    foreign = read_foreign(write_snapshot(tmp_path / "a.pkl", snapshot_of(TINY), protocol))
    assert foreign.config == TINY and foreign.critic is not None


def test_a_snapshot_draws_and_judges_as_before(tmp_path: Path, config: GeneratorConfig) -> None:
    generator, critic = networks(config)
    made = persistent(generator.state_dict(), "Generator", **arguments(config))
    judge = persistent(critic.state_dict(), "Discriminator", **critic_arguments(config))
    path = write_snapshot(tmp_path / "a.pkl", snapshot(made, {"D": judge}))
    bundle = imported(path, label=config.label)
    assert shape_of(bundle) == config
    codes = generator.codes(torch.randn(4, config.z_dim), psi=0.6)
    image = generator.draw(codes).image
    assert torch.equal(load_generator(bundle).draw(codes).image, image)
    assert torch.equal(load_critic(bundle)(image), critic(image))


@pytest.mark.parametrize("label", [0, 1, 2])
def test_the_class_that_is_asked_for_is_drawn(tmp_path: Path, label: int) -> None:
    path = write_snapshot(tmp_path / "a.pkl", snapshot_of(CONDITIONAL))
    bundle, z = imported(path, label=label), torch.randn(4, CONDITIONAL.z_dim)
    generator, critic = load_generator(bundle), load_critic(bundle)
    wanted = torch.full((4,), label)
    assert torch.equal(generator.codes(z).w, generator.codes(z, label=wanted).w)
    image = generator.draw(generator.codes(z)).image
    assert torch.equal(critic(image), critic(image, wanted))
    others = [generator.codes(z, label=(wanted + k) % 3).w for k in (1, 2)]
    assert not any(torch.allclose(generator.codes(z).w, other) for other in others)


def _dense(state: dict[str, Tensor], x: Tensor, layers: int) -> Tensor:
    """Dense layers at a hundredth of the learning rate, as the mapping networks have them."""
    for k in range(layers):
        weight, bias = state[f"fc{k}.weight"], state[f"fc{k}.bias"]
        x = x @ weight.T * (0.01 / sqrt(x.shape[1])) + bias * 0.01
        x = torch.where(x < 0, 0.2 * x, x) * sqrt(2)
    return x


def _of_class(state: dict[str, Tensor], label: int, n: int) -> Tensor:
    """The embedding of a class, its mean square brought to one."""
    y = state["embed.weight"][:, label] / sqrt(state["embed.weight"].shape[1])
    y = y + state["embed.bias"]
    return (y / (y.square().mean() + 1e-8).sqrt()).expand(n, -1)


@pytest.mark.parametrize("label", [0, 2])
def test_classes_enter_both_networks_as_published(label: int) -> None:
    generator, critic = networks(CONDITIONAL)
    z, which = torch.randn(4, CONDITIONAL.z_dim), torch.full((4,), label)
    own = under(generator.state_dict(), "mapping.")
    unit = z / (z.square().mean(dim=1, keepdim=True) + 1e-8).sqrt()
    both = torch.cat([unit, _of_class(own, label, 4)], dim=1)
    codes = generator.codes(z, label=which)
    torch.testing.assert_close(codes.w[:, 0], _dense(own, both, 3))
    image = generator.draw(codes).image
    judged = under(critic.state_dict(), "mapping.")
    looked_for = _dense(judged, _of_class(judged, label, 4), 8)
    found = critic.get_submodule("b4")(critic.features(image)[-1])
    verdict = (found * looked_for).sum(dim=1) / sqrt(found.shape[1])
    torch.testing.assert_close(critic(image, which), verdict)


def test_a_class_that_is_not_there_is_refused(tmp_path: Path) -> None:
    path = write_snapshot(tmp_path / "a.pkl", snapshot_of(CONDITIONAL))
    with pytest.raises(BundleError, match="class 3 of a generator with 3 classes"):
        read_foreign(path, label=3)


def test_float16_blocks_are_reported_and_channels_last_is_undone(tmp_path: Path) -> None:
    value = snapshot_of(TINY, num_fp16_res=2)
    layer = value["G_ema"].get_submodule("synthesis.b8.conv0")
    layer.weight.data = layer.weight.data.to(memory_format=torch.channels_last)
    foreign = read_foreign(write_snapshot(tmp_path / "a.pkl", value))
    found = foreign.generator["synthesis.b8.conv0.weight"]
    assert torch.equal(found, layer.weight) and found.is_contiguous()
    assert any("float16" in note for note in foreign.notes)


def test_what_is_left_out_is_reported(tmp_path: Path) -> None:
    foreign = read_foreign(write_snapshot(tmp_path / "a.pkl", snapshot_of(TINY)))
    assert any("G, augment_pipe, training_set_kwargs" in note for note in foreign.notes)
    assert foreign.missing() == ("defects", "encoder")


def test_the_bundle_says_where_it_is_from(tmp_path: Path) -> None:
    path = write_snapshot(tmp_path / "snapshot.pkl", snapshot_of(TINY))
    source = imported(path).config["source"]
    assert source["format"] == "stylegan2-ada" and source["file"] == "snapshot.pkl"
    assert len(source["sha256"]) == 64 and source["options"]["D"]["img_channels"] == 3


def test_a_bundle_that_is_there_is_left_alone(tmp_path: Path) -> None:
    path = write_snapshot(tmp_path / "a.pkl", snapshot_of(TINY))
    foreign = read_foreign(path)
    write_bundle(foreign, tmp_path / "bundle")
    with pytest.raises(OutputError, match="contains a bundle"):
        write_bundle(foreign, tmp_path / "bundle")


def test_a_generator_alone_is_taken_and_its_critic_missed(tmp_path: Path) -> None:
    value = snapshot_of(TINY)
    del value["D"]
    foreign = read_foreign(write_snapshot(tmp_path / "a.pkl", value))
    assert foreign.critic is None and foreign.missing()[0] == "critic"
    assert not write_bundle(foreign, tmp_path / "bundle").has("critic")


@pytest.mark.parametrize(
    "name, value, reported",
    [
        ("architecture", "resnet", "synthesis_kwargs.architecture = resnet"),
        ("resample_filter", [1, 2, 1], "resample_filter = \\[1, 2, 1\\]"),
        ("activation", "relu", "activation = relu"),
        ("conv_clamp", "much", "clamps activations to 'much'"),
        ("conv_clamp", 256, "differently in two networks"),
        ("fourier", 3, "synthesis_kwargs.fourier=3"),
        ("widths", [[[[[[1]]]]]], "more arguments"),
        ("hook", torch.device("cpu").type.encode(), "bytes as an argument"),
    ],
)
def test_options_that_ours_can_not_compute_are_refused(
    tmp_path: Path, name: str, value: Any, reported: str
) -> None:
    path = write_snapshot(tmp_path / "a.pkl", snapshot_of(TINY, **{name: value}))
    with pytest.raises(BundleError, match=reported):
        read_foreign(path)


@pytest.mark.parametrize(
    "more, reported",
    [
        ({"architecture": "orig"}, "architecture = orig"),
        ({"epilogue_kwargs": {"mbstd_group_size": None}}, "compares None samples"),
        ({"epilogue_kwargs": {"mbstd_num_channels": 2}}, "mbstd_num_channels = 2"),
        ({"mapping_kwargs": {"lr_multiplier": 1}}, "lr_multiplier = 1"),
    ],
)
def test_critics_that_ours_can_not_compute_are_refused(
    tmp_path: Path, more: dict[str, Any], reported: str
) -> None:
    value = snapshot_of(TINY)
    value["D"]._init_kwargs.update(more)
    with pytest.raises(BundleError, match=reported):
        read_foreign(write_snapshot(tmp_path / "a.pkl", value))


def _odd(value: dict[str, Any], what: str) -> None:
    ema: Persistent = value["G_ema"]
    block = ema.get_submodule("synthesis.b16")
    match what:
        case "extra":
            block.get_submodule("conv1").register_buffer("resample_filter_2", torch.zeros(1))
        case "missing":
            del block.get_submodule("conv0")._parameters["bias"]
        case "shape":
            block.get_submodule("conv0").get_parameter("bias").data = torch.zeros(3)
        case "nan":
            block.get_submodule("conv0").get_parameter("bias").data[0] = float("nan")
        case "whole":
            block.get_submodule("conv0").register_buffer("noise_const", torch.zeros(16, 16).int())
        case "filter":
            block.register_buffer("resample_filter", torch.full((4, 4), 1 / 16))
        case "grey":
            torgb = block.get_submodule("torgb")
            torgb.get_parameter("weight").data = torgb.get_parameter("weight").data[:1]
        case "mapping":
            del ema._modules["mapping"]
        case "name":
            ema.class_name = "Transformer"
        case "two critics":
            value["D2"] = value["D"]
        case "no average":
            del value["G_ema"]


@pytest.mark.parametrize(
    "what, reported",
    [
        ("extra", "Blemish does not use: 'synthesis.b16.conv1.resample_filter_2'"),
        ("missing", "missing: 'synthesis.b16.conv0.bias'"),
        ("shape", r"synthesis.b16.conv0.bias of \[3\], not \[4\]"),
        ("nan", "NaN, infinite or whole numbers in synthesis.b16.conv0.bias"),
        ("whole", "whole numbers in synthesis.b16.conv0.noise_const"),
        ("filter", "another filter in synthesis.b16.resample_filter"),
        ("grey", "1 channel"),
        ("mapping", "no generator under"),
        ("name", "'Transformer' in the place of a generator"),
        ("two critics", "Blemish does not use"),
        ("no average", "without the averaged generator"),
    ],
)
def test_networks_that_do_not_fit_are_refused(tmp_path: Path, what: str, reported: str) -> None:
    value = snapshot_of(TINY)
    _odd(value, what)
    with pytest.raises(BundleError, match=reported) as error:
        read_foreign(write_snapshot(tmp_path / "a.pkl", value))
    assert str(tmp_path / "a.pkl") in error.value.got and error.value.todo


def test_channels_that_follow_no_law_are_refused(tmp_path: Path) -> None:
    value = snapshot_of(TINY)
    odd = networks(replace(TINY, channel_max=7))[0].state_dict()
    conv = value["G_ema"].get_submodule("synthesis.b8.conv1")
    conv.get_parameter("weight").data = odd["synthesis.b8.conv1.weight"]
    with pytest.raises(BundleError, match="8 at 4², 7 at 8²"):
        read_foreign(write_snapshot(tmp_path / "a.pkl", value))


def with_branch(path: Path, **made: Any) -> tuple[Foreign, Any]:
    config = replace(TINY, resolution=32, defect=DFMGAN)
    generator, match = networks(config, channels=4)
    critic = networks(config)[1]
    value = snapshot(
        persistent(generator.state_dict(), "Generator", **arguments(config), **made),
        {
            "D": persistent(critic.state_dict(), "Discriminator", **critic_arguments(config)),
            "D_match": persistent(
                match.state_dict(), "Discriminator", **critic_arguments(config, 4)
            ),
        },
    )
    return read_foreign(write_snapshot(path, value), types=("crack",)), (generator, critic, match)


def test_both_networks_and_both_critics_of_dfmgan_are_taken(tmp_path: Path) -> None:
    foreign, (generator, critic, match) = with_branch(tmp_path / "a.pkl", transfer="blocks")
    assert foreign.config.defect == replace(DFMGAN, types=("crack",))
    assert foreign.source["format"] == "dfmgan" and foreign.missing() == ("encoder",)
    assert any("transfer='blocks'" in note for note in foreign.notes)
    bundle = write_bundle(foreign, tmp_path / "bundle")
    ours = load_generator(bundle)
    z = torch.randn(2, 3, 6)
    codes = ours.codes(z[0], z[1], torch.zeros(3, dtype=torch.long))
    drawn, before = ours.draw(codes), generator.draw(generator.codes(z[0], z[1]))
    assert drawn.mask_logits is not None and before.mask_logits is not None
    assert torch.equal(drawn.image, before.image)
    assert torch.equal(drawn.mask_logits, before.mask_logits)
    stack = torch.cat([drawn.image, drawn.mask_logits], dim=1)
    assert torch.equal(load_critic(bundle)(drawn.image), critic(drawn.image))
    assert torch.equal(load_matching_critic(bundle)(stack), match(stack))


def test_a_gate_that_opens_elsewhere_is_refused(tmp_path: Path) -> None:
    with_branch(tmp_path / "zero.pkl", mask_threshold=0.0)
    with pytest.raises(BundleError, match=r"mask_threshold = 0\.5"):
        with_branch(tmp_path / "half.pkl", mask_threshold=0.5)


def test_one_type_has_one_name(tmp_path: Path) -> None:
    with_branch(tmp_path / "a.pkl")
    with pytest.raises(BundleError, match="1 defect type"):
        read_foreign(tmp_path / "a.pkl", types=("crack", "print"))


def golden(path: Path) -> tuple[dict[str, Tensor], GeneratorConfig]:
    with safe_open(path, "pt") as file:
        facts = file.metadata()
    names = ("z_dim", "w_dim", "mapping_layers", "channel_base", "channel_max")
    shape: Any = {name: int(facts[name]) for name in names}
    return load_file(path), GeneratorConfig(resolution=int(facts["img_resolution"]), **shape)


def test_the_published_numbers_come_out_of_a_snapshot(shared: Path, tmp_path: Path) -> None:
    tensors, config = golden(shared / "golden" / "stylegan2_ada_32.safetensors")
    made = persistent(under(tensors, "G."), "Generator", **arguments(config))
    judge = persistent(under(tensors, "D."), "Discriminator", **critic_arguments(config))
    bundle = imported(write_snapshot(tmp_path / "a.pkl", snapshot(made, {"D": judge})))
    io, generator = under(tensors, "io."), load_generator(bundle)
    torch.testing.assert_close(generator.codes(io["z"]).w, io["ws"], **CLOSE)
    image = generator.draw(Codes(w=io["w_plus"])).image
    torch.testing.assert_close(image, io["img_noise_const"], **CLOSE)
    logits = load_critic(bundle)(io["img_noise_const"])
    torch.testing.assert_close(logits[:, None], io["d_logits_on_img_noise_const"], **CLOSE)


def test_the_published_defects_come_out_of_a_snapshot(shared: Path, tmp_path: Path) -> None:
    tensors, config = golden(shared / "golden" / "dfmgan_128.safetensors")
    made = persistent(under(tensors, "G."), "Generator", **arguments(config))
    bundle = imported(write_snapshot(tmp_path / "a.pkl", snapshot(made, {})))
    io, generator = under(tensors, "io."), load_generator(bundle)
    codes = generator.codes(io["z"], io["defect_z"])
    drawing = generator.draw(codes)
    assert drawing.mask_logits is not None
    torch.testing.assert_close(drawing.image, io["img"], **CLOSE)
    float16_step = 2**-10 * io["mask_raw"].abs().max().item()
    torch.testing.assert_close(drawing.mask_logits, io["mask_raw"], rtol=0, atol=float16_step)
    good = generator.draw(codes.good()).image
    torch.testing.assert_close(good, io["img_without_defect"], **CLOSE)
