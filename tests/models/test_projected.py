"""The critic on frozen features: what it sees, what learns, and what a checkpoint holds."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import CONFIG, write_bundle
from torch import Tensor

from blemish.efficientnet import WIDTHS
from blemish.errors import OptionError
from blemish.interop.export import export_state
from blemish.inversion.reconstruction import ReconstructionLoss
from blemish.models.critic import Critic, build_critic, inside_statistics
from blemish.models.generator import Generator, GeneratorConfig
from blemish.models.load import load_critic
from blemish.models.projected import ProjectedConfig
from blemish.training.adapt import average_of
from blemish.training.grow import grow

SHAPE = GeneratorConfig(resolution=32, z_dim=8, w_dim=8, channel_base=128, channel_max=8)


@pytest.fixture(scope="module")
def critic() -> Critic:
    torch.manual_seed(0)
    return build_critic(ProjectedConfig(), SHAPE).eval()


@pytest.fixture(scope="module")
def matching() -> Critic:
    torch.manual_seed(0)
    return build_critic(ProjectedConfig(), SHAPE, image_channels=4).eval()


def pictures(n: int = 2, side: int = 32) -> Tensor:
    return torch.rand(n, 3, side, side) * 2 - 1


def spot(n: int = 2, side: int = 32) -> Tensor:
    mask = torch.zeros(n, 1, side, side)
    mask[:, :, side // 4 : side // 2, side // 4 : side // 2] = 1
    return mask


def stack(image: Tensor, mask: Tensor) -> Tensor:
    return torch.cat([image, 2 * mask - 1], dim=1)


@pytest.mark.parametrize("side", [16, 32, 128, 256])
def test_a_logit_for_each_picture_of_any_size(critic: Critic, side: int) -> None:
    logits = critic(pictures(2, side))
    assert logits.shape == (2,) and logits.isfinite().all() and logits.dtype == torch.float32


def test_each_picture_is_judged_by_itself(critic: Critic, matching: Critic) -> None:
    image = pictures(3)
    alone = torch.cat([critic(one) for one in image.split(1)])
    torch.testing.assert_close(critic(image), alone, rtol=1e-3, atol=1e-4)
    both = stack(image, spot(3))
    alone = torch.cat([matching(one) for one in both.split(1)])
    torch.testing.assert_close(matching(both), alone, rtol=1e-3, atol=1e-4)


def test_features_are_the_pretrained_maps_of_the_picture(critic: Critic, matching: Critic) -> None:
    image = pictures()
    maps = critic.features(image)
    assert [x.shape[1] for x in maps] == list(WIDTHS.values())
    assert [x.shape[2] for x in maps] == [32, 16, 8, 4]  # of a picture of 128²
    for x, y in zip(maps, matching.features(stack(image, spot())), strict=True):
        torch.testing.assert_close(x, y)


def test_only_the_heads_learn(critic: Critic) -> None:
    copy = average_of(critic).requires_grad_(True)
    learning = {name for name, p in copy.named_parameters() if p.requires_grad}
    assert learning and all(name.startswith(("heads", "whole")) for name in learning)
    copy(pictures()).sum().backward()
    for name, parameter in copy.named_parameters():
        wanted = name in learning
        assert (parameter.grad is not None and parameter.grad.isfinite().all()) == wanted, name


def test_a_checkpoint_holds_the_random_mixing_and_not_what_a_package_ships(critic: Critic) -> None:
    names = critic.state_dict().keys()
    assert "projector.across.0.weight" in names and "projector.down.0.weight" in names
    assert not any("stages" in name for name in names)
    assert sum(tensor.numel() for tensor in critic.state_dict().values()) < 2_000_000


def test_it_comes_back_from_a_bundle_as_it_was(tmp_path: Path, critic: Critic) -> None:
    bundle = write_bundle(tmp_path / "bundle", critic=ProjectedConfig())
    bundle.write("critic", critic.state_dict())
    image = pictures()
    torch.testing.assert_close(load_critic(bundle)(image), critic(image))


@pytest.mark.parametrize(("change", "begins"), [({"blur_kimg": 3}, True), ({"width": 32}, False)])
def test_a_finer_critic_begins_as_a_coarser_one_of_the_same_layers(
    change: dict[str, Any], begins: bool, tmp_path: Path, critic: Critic
) -> None:
    bundle = write_bundle(tmp_path / "bundle", critic=ProjectedConfig())
    bundle.write("critic", critic.state_dict())
    config = replace(CONFIG, resolution=2 * CONFIG.resolution, defect=None)
    finer = build_critic(replace(ProjectedConfig(), **change), config)
    grow(Generator(config), finer, bundle)
    known = critic.state_dict()["heads.0.0.bias"]
    assert torch.equal(finer.state_dict()["heads.0.0.bias"], known) == begins


def test_the_mask_is_judged_as_well(matching: Critic) -> None:
    image, mask = pictures(), spot()
    here, there = (matching(stack(image, m)) for m in (mask, mask.flip(2).flip(3)))
    assert not torch.allclose(here, there)


def test_places_near_the_mask_count(matching: Critic) -> None:
    for head in matching.judge(stack(pictures(2, 128), spot(2, 128)))[:4]:
        weights = head.weights[0, 0]
        torch.testing.assert_close(head.weights.sum(dim=(1, 2, 3)), torch.ones(2))
        far, near = weights[-1, -1], weights[len(weights) * 3 // 8, len(weights) * 3 // 8]
        assert near > 100 * far
    whole = matching.judge(stack(pictures(2, 128), spot(2, 128)))[-1]
    assert whole.weights.std() < 1e-6


def test_gradients_reach_picture_and_mask_but_not_by_the_weights(matching: Critic) -> None:
    both = stack(pictures(), spot()).requires_grad_()
    heads = matching.judge(both)
    assert not any(head.weights.requires_grad for head in heads)
    matching(both).sum().backward()
    assert both.grad is not None and both.grad.isfinite().all()
    assert both.grad[:, :3].any() and both.grad[:, 3:].any()


def test_statistics_inside_masks_tell_defects_apart(matching: Critic) -> None:
    image, mask = pictures(), spot()
    found = inside_statistics(matching, image, mask)
    assert found.isfinite().all()
    painted = torch.where(mask > 0, torch.tensor(-1.0), image)
    assert not torch.allclose(inside_statistics(matching, painted, mask), found, atol=0.1)


def test_it_measures_likeness_in_searches(critic: Critic) -> None:
    target = pictures()
    likeness = ReconstructionLoss.to(critic.requires_grad_(False), target)
    assert likeness.terms(target)["features"].max() < 1e-6
    other = pictures().requires_grad_()
    likeness.terms(other)["features"].sum().backward()
    assert other.grad is not None and other.grad.isfinite().all() and other.grad.any()


@pytest.mark.parametrize("coarse", [16])
def test_it_grows_by_keeping_all_that_it_learnt(tmp_path: Path, coarse: int) -> None:
    config = replace(CONFIG, defect=None, resolution=coarse)
    bundle = write_bundle(tmp_path / "coarse", config, critic=ProjectedConfig())
    finer = build_critic(ProjectedConfig(), replace(config, resolution=2 * coarse))
    grow(Generator(replace(config, resolution=2 * coarse)), finer, bundle)
    known = bundle.tensors("critic")
    assert all(torch.equal(v, known[k]) for k, v in finer.state_dict().items())


def test_a_critic_of_another_kind_begins_afresh_when_a_generator_grows(tmp_path: Path) -> None:
    config = replace(CONFIG, defect=None)
    bundle = write_bundle(tmp_path / "coarse", config)
    finer = build_critic(ProjectedConfig(), replace(config, resolution=32))
    before = {k: v.clone() for k, v in finer.state_dict().items()}
    grow(Generator(replace(config, resolution=32)), finer, bundle)
    assert all(torch.equal(v, before[k]) for k, v in finer.state_dict().items())


def test_it_is_not_exported_to_a_framework_that_has_no_such(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "bundle", critic=ProjectedConfig())
    (only,) = export_state(bundle, tmp_path / "out.safetensors")
    assert only.path == tmp_path / "out.safetensors"


def test_its_layers_are_built_without_memory_as_well() -> None:
    with torch.device("meta"):
        shapes = {
            k: v.shape for k, v in build_critic(ProjectedConfig(), SHAPE).state_dict().items()
        }
    real = build_critic(ProjectedConfig(), SHAPE).state_dict()
    assert shapes == {k: v.shape for k, v in real.items()}


@pytest.mark.parametrize("change", [{"width": 0}, {"least_side": 16}])
def test_options_out_of_range_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match="projected critic"):
        ProjectedConfig(**change)
