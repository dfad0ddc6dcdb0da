"""EfficientNet-Lite0: stage widths, folding, and the fast depthwise gradient."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from blemish.efficientnet import (
    EPSILON,
    STAGES,
    WIDTHS,
    EfficientNetLite0,
    FrozenDepthwise,
    _packaged,
    load_lite0,
    pad_same,
)
from blemish.errors import BundleError


@pytest.fixture(scope="module")
def network() -> EfficientNetLite0:
    return load_lite0()


def unfolded(published: dict[str, Tensor], images: Tensor) -> dict[str, Tensor]:
    """The slow twin: batch norms applied, depthwise convolutions by PyTorch."""

    def norm(x: Tensor, name: str) -> Tensor:
        slots = (f"{name}.{k}" for k in ("running_mean", "running_var", "weight", "bias"))
        mean, variance, weight, bias = (published[slot] for slot in slots)
        return F.batch_norm(x, mean, variance, weight, bias, eps=EPSILON)

    x = F.conv2d(pad_same(images, 3, 2), published["_conv_stem.weight"], stride=2)
    x, index, maps = F.relu6(norm(x, "_bn0")), 0, {}
    names = dict(zip((1, 2, 4, 6), WIDTHS, strict=True))
    for stage, (repeats, kernel, stride, expansion, _, _) in enumerate(STAGES):
        for k in range(repeats):
            at, y, step = f"_blocks.{index}.", x, stride if k == 0 else 1
            if expansion != 1:
                y = F.relu6(norm(F.conv2d(y, published[f"{at}_expand_conv.weight"]), f"{at}_bn0"))
            weight = published[f"{at}_depthwise_conv.weight"]
            y = F.conv2d(pad_same(y, kernel, step), weight, stride=step, groups=len(weight))
            y = F.conv2d(F.relu6(norm(y, f"{at}_bn1")), published[f"{at}_project_conv.weight"])
            y = norm(y, f"{at}_bn2")
            x = x + y if x.shape == y.shape else y
            index += 1
        if stage in names:
            maps[names[stage]] = x
    return maps


def test_maps_have_the_published_widths_and_strides(network: EfficientNetLite0) -> None:
    maps = network(torch.rand(2, 3, 96, 64) * 2 - 1)
    assert {name: found.shape[1] for name, found in maps.items()} == WIDTHS
    assert WIDTHS == {"stride4": 24, "stride8": 40, "stride16": 112, "stride32": 320}
    for name, found in maps.items():
        stride = int(name.removeprefix("stride"))
        assert found.shape[2:] == (96 // stride, 64 // stride)


def test_folded_network_equals_its_slow_twin(network: EfficientNetLite0) -> None:
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    published = torch.load(_packaged(), map_location="cpu", weights_only=True)
    slow = unfolded(published, images)
    for name, found in network(images).items():
        torch.testing.assert_close(found, slow[name], atol=2e-3, rtol=1e-3)


@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (5, 1), (5, 2)])
def test_depthwise_gradient_equals_pytorchs(kernel: int, stride: int) -> None:
    rng = torch.Generator().manual_seed(1)
    x = torch.randn(2, 6, 12, 16, generator=rng, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(6, 1, kernel, kernel, generator=rng, dtype=torch.float64)
    bias = torch.randn(6, generator=rng, dtype=torch.float64)
    padded = pad_same(x, kernel, stride)
    ours = FrozenDepthwise.apply(padded, weight, bias, stride)
    theirs = F.conv2d(padded, weight, bias, stride=stride, groups=6)
    torch.testing.assert_close(ours, theirs)
    along = torch.randn(theirs.shape, generator=rng, dtype=torch.float64)
    (mine,) = torch.autograd.grad(ours, x, along, retain_graph=True)
    (other,) = torch.autograd.grad(theirs, x, along)
    torch.testing.assert_close(mine, other)


def test_network_stays_frozen_inside_a_training(network: EfficientNetLite0) -> None:
    network.train()
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_foreign_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "other.pth"
    torch.save({"weight": torch.zeros(3)}, file)
    with pytest.raises(BundleError, match=r"other\.pth"):
        load_lite0(file)
