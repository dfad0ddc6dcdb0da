"""The residual critic of StyleGAN2, which judges an image, or an image with its mask.

It learns from nothing what pictures are; its features are the domain's own perceptual space. It
plays the logistic game with lazy R1 and augmentation that adapts (Karras et al., 2020b).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import log2, sqrt

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from blemish.models.critic import Critic, CriticConfig
from blemish.models.generator import GeneratorConfig
from blemish.models.layers import SLOPE, SQRT2, Conv, FullyConnected, normalise


@dataclass(frozen=True, slots=True, kw_only=True)
class ResidualConfig(CriticConfig):
    """Options of the residual critic; its widths follow the generator's."""

    kind: str = "residual"

    def build(self, shape: GeneratorConfig, image_channels: int) -> "ResidualCritic":
        return ResidualCritic(shape, image_channels=image_channels)


def minibatch_deviation(x: Float[Tensor, "n c h w"], group: int) -> Float[Tensor, "n 1 h w"]:
    """Mean deviation inside groups of samples, as one more channel (Karras et al., 2018, §3)."""
    n, _, h, w = x.shape
    size = next(g for g in range(min(group, n), 0, -1) if n % g == 0)
    members = x.reshape(size, n // size, *x.shape[1:]).float()
    deviation = (members.var(dim=0, unbiased=False) + 1e-8).sqrt().mean(dim=(1, 2, 3))
    return deviation.repeat(size)[:, None, None, None].expand(n, 1, h, w).to(x.dtype)


class CriticBlock(nn.Module):
    """Two convolutions that halve the size, beside a shortcut."""

    def __init__(
        self, inputs: int, outputs: int, *, image_channels: int, clamp: float | None
    ) -> None:
        super().__init__()
        if image_channels:
            self.fromrgb = Conv(image_channels, inputs, kernel=1, clamp=clamp)
        self.conv0 = Conv(inputs, inputs, kernel=3, clamp=clamp)
        self.conv1 = Conv(inputs, outputs, kernel=3, down=True, gain=sqrt(0.5), clamp=clamp)
        self.skip = Conv(
            inputs, outputs, kernel=1, down=True, bias=False, activation=False, gain=sqrt(0.5)
        )
        self.register_buffer("resample_filter", self.conv0.resample_filter.clone())

    def forward(self, x: Float[Tensor, "n i h w"]) -> Float[Tensor, "n o p q"]:
        return self.skip(x) + self.conv1(self.conv0(x))


class CriticMapping(nn.Module):
    """A class to what the critic looks for in it."""

    def __init__(self, *, classes: int, width: int, layers: int) -> None:
        super().__init__()
        self.embed = FullyConnected(classes, width)
        for k in range(layers):
            layer = FullyConnected(width, width, activation=True, lr_multiplier=0.01)
            self.add_module(f"fc{k}", layer)
        self.classes, self.layers = classes, layers

    def forward(self, label: Int[Tensor, " n"]) -> Float[Tensor, "n d"]:
        x = normalise(self.embed(F.one_hot(label, self.classes).to(self.embed.weight.dtype)))
        for k in range(self.layers):
            x = self.get_submodule(f"fc{k}")(x)
        return x


class CriticEpilogue(nn.Module):
    """From 4² features to `outputs` verdicts."""

    def __init__(self, channels: int, *, outputs: int = 1, group: int, clamp: float | None) -> None:
        super().__init__()
        self.conv = Conv(channels + 1, channels, kernel=3, clamp=clamp)
        self.fc = FullyConnected(channels * 16, channels, activation=True)
        self.out = FullyConnected(channels, outputs)
        self.group = group

    def forward(self, x: Float[Tensor, "n c 4 4"]) -> Float[Tensor, "n o"]:
        x = torch.cat([x, minibatch_deviation(x, self.group)], dim=1)
        return self.out(self.fc(self.conv(x).flatten(1))).float()


class ResidualCritic(Critic):
    """Blocks that halve the size, then one logit per picture.

    With classes, the logit is a product with what is looked for in the class (Miyato and Koyama,
    2018).

    Args:
        config: Shape of the generator that it is trained against.
        image_channels: 3 for images, 4 for images with masks.
        group: Samples that are compared for their spread; by default what `config` says.
    """

    def __init__(
        self, config: GeneratorConfig, *, image_channels: int = 3, group: int | None = None
    ) -> None:
        super().__init__(ResidualConfig())
        self.resolutions = [2**k for k in range(int(log2(config.resolution)), 2, -1)]
        for r in self.resolutions:
            block = CriticBlock(
                config.channels(r),
                config.channels(r // 2),
                image_channels=image_channels if r == config.resolution else 0,
                clamp=config.conv_clamp,
            )
            self.add_module(f"b{r}", block)
        width = config.channels(4)
        self.b4 = CriticEpilogue(
            width,
            outputs=width if config.c_dim else 1,
            group=config.critic_group if group is None else group,
            clamp=config.conv_clamp,
        )
        if config.c_dim:
            layers = config.critic_mapping_layers
            self.mapping = CriticMapping(classes=config.c_dim, width=width, layers=layers)
        self.label = config.label

    def features(self, stack: Float[Tensor, "n c h w"]) -> list[Tensor]:
        """What each block sees, from fine to coarse; the last is `n c 4 4`."""
        stack = stack.contiguous(memory_format=torch.channels_last)  # a fifth faster on a CPU
        x = self.get_submodule(f"b{self.resolutions[0]}.fromrgb")(stack)
        found = []
        for r in self.resolutions:
            x = self.get_submodule(f"b{r}")(x)
            found.append(x)
        return found

    def forward(
        self, stack: Float[Tensor, "n c h w"], label: Int[Tensor, " n"] | None = None
    ) -> Float[Tensor, " n"]:
        found = self.b4(self.features(stack)[-1])
        if not hasattr(self, "mapping"):
            return found.squeeze(1)
        if label is None:
            label = torch.full((len(stack),), self.label, device=stack.device)
        return (found * self.mapping(label)).sum(dim=1) / sqrt(found.shape[1])

    @torch.no_grad()
    def grow_from(self, known: Mapping[str, Tensor], resolution: int) -> None:
        """Begin as the coarser critic, whose blocks are all kept but for its first layer.

        A new block starts by handing the picture on at half the size, so at first the logit is the
        coarser critic's: x = (r(x) - r(-x)) / (1 + a) with the leaky ReLU r of slope a, so that two
        channels of opposite signs carry a colour through any layer. Blocks of fewer channels than
        that stay random.
        """
        kept = {k: v for k, v in known.items() if ".fromrgb." not in k}
        unknown = self.load_state_dict(kept, strict=False).unexpected_keys
        assert not unknown, unknown  # shapes are alike but for what is missing
        self._hand_on(known, resolution)

    def _hand_on(self, known: Mapping[str, Tensor], above: int) -> None:
        """Let blocks finer than `above` give the next what the coarser critic's first layer did."""
        blocks = [self.get_submodule(f"b{r}") for r in self.resolutions if r > above]
        finer = [block for block in blocks if isinstance(block, CriticBlock)]
        weight, bias = (known[f"b{above}.fromrgb.{name}"] for name in ("weight", "bias"))
        colours = torch.eye(weight.shape[1])
        signed = torch.cat([colours, -colours])  # from colours to the channels that carry them
        read = signed.T / (1 + SLOPE)  # and back
        if any(len(block.conv0.weight) < len(signed) for block in finer):
            return
        # An equalised layer divides by the root of its inputs; the gain of its ReLU is √2.
        look = SQRT2 * weight[:, :, 0, 0] / len(colours) ** 0.5 @ read
        _set(finer[0].fromrgb, signed)
        for block in finer:
            last = block is finer[-1]
            _set(block.conv0, signed @ read)
            _set(block.conv1, look if last else signed @ read, SQRT2 * bias if last else None)
            block.skip.weight[: len(bias if last else signed)] = 0


def _set(
    layer: Conv, matrix: Float[Tensor, "o i"], bias: Float[Tensor, " o"] | None = None
) -> None:
    """Let the first outputs be this of the first inputs at each pixel, and of no others."""
    o, i = matrix.shape
    assert layer.bias is not None
    layer.weight[:o] = 0
    layer.weight[:o, :i, layer.kernel // 2, layer.kernel // 2] = matrix / layer.weight_gain
    layer.bias[:o] = 0 if bias is None else bias / layer.bias_gain
