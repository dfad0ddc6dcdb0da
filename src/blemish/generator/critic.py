"""Residual critic of StyleGAN2, for images or images with masks.

Its features are the perceptual space of the domain.
"""

from math import log2, sqrt

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from blemish.generator.layers import Conv, FullyConnected, normalise
from blemish.generator.network import GeneratorConfig


def minibatch_deviation(x: Float[Tensor, "n c h w"], group: int) -> Float[Tensor, "n 1 h w"]:
    """Mean deviation inside groups of samples, as one more channel (Karras et al., 2018, §3)."""
    n, _, h, w = x.shape
    size = next(g for g in range(min(group, n), 0, -1) if n % g == 0)
    members = x.reshape(size, n // size, *x.shape[1:]).float()
    deviation = (members.var(dim=0, unbiased=False) + 1e-8).sqrt().mean(dim=(1, 2, 3))
    return deviation.repeat(size)[:, None, None, None].expand(n, 1, h, w).to(x.dtype)


class CriticBlock(nn.Module):
    """Two convolutions that halve the size, and a shortcut."""

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
    """Mapping from a class to the direction of the critic's score."""

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
    """Layers from 4² features to `outputs` scores."""

    def __init__(self, channels: int, *, outputs: int = 1, group: int, clamp: float | None) -> None:
        super().__init__()
        self.conv = Conv(channels + 1, channels, kernel=3, clamp=clamp)
        self.fc = FullyConnected(channels * 16, channels, activation=True)
        self.out = FullyConnected(channels, outputs)
        self.group = group

    def forward(self, x: Float[Tensor, "n c 4 4"]) -> Float[Tensor, "n o"]:
        x = torch.cat([x, minibatch_deviation(x, self.group)], dim=1)
        return self.out(self.fc(self.conv(x).flatten(1))).float()


class Critic(nn.Module):
    """Critic of images; a higher score is more like real images.

    With classes, the score is a product with the direction of the class (Miyato and Koyama, 2018).

    Args:
        config: Configuration of the generator that it is trained against.
        image_channels: 3 for images, 4 for images with masks.
        group: Number of samples that are compared for their spread; by default `config`'s.
    """

    def __init__(
        self, config: GeneratorConfig, *, image_channels: int = 3, group: int | None = None
    ) -> None:
        super().__init__()
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
        """Input of each block, from fine to coarse; the last is `n c 4 4`."""
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


def inside_statistics(
    critic: Critic, image: Float[Tensor, "n 3 h w"], mask: Float[Tensor, "n 1 h w"]
) -> Float[Tensor, "n s"]:
    """Mean and deviation of a matching critic's features inside masks, layer after layer.

    Layers coarser than 8² are left out, because a defect is smaller than a pixel there.
    """
    found = []
    for features in critic.features(torch.cat([image, 2 * mask - 1], dim=1)):
        if features.shape[2] >= 8:
            weight = F.adaptive_avg_pool2d(mask, (features.shape[2], features.shape[3]))
            weight = weight / weight.sum(dim=(2, 3), keepdim=True).clamp(min=1e-6)
            mean = (features * weight).sum(dim=(2, 3))
            spread = ((features - mean[:, :, None, None]).square() * weight).sum(dim=(2, 3))
            found += [mean, (spread + 1e-6).sqrt()]
    return torch.cat(found, dim=1)
