r"""Generator of image, defect mask and good twin from one pair of codes.

The backbone is StyleGAN2 with skip outputs. The defect branch follows DFMGAN (Duan et al., 2023):
at each resolution r from `first_resolution` up, residual features ρ_r pass a gate into the
backbone's,

    x_r ← x_r + g(m_r) ρ_r,      m_r = up(m_{r/2}) + tomask_r(ρ_r),

where m are mask logits. Beyond DFMGAN, the gate passes gradients of image losses to the mask
(straight-through), logits are refined at every resolution, the type of the defect conditions its
code, and the branch accepts a *given* mask, instead of its own, as gate and as input (the mask and
its distance map through a 1×1 convolution that starts at zero).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import log2
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from blemish.errors import OptionError
from blemish.files import check_name
from blemish.models.layers import (
    FullyConnected,
    SynthesisLayer,
    ToRGB,
    binomial_filter,
    normalise,
    upsample,
)
from blemish.names import Space
from blemish.types import Codes, Sample

Noise = Literal["const", "none", "random"]
DISTANCE_PX = 8
BRANCH = ("defect_mapping.", "synthesis.res_")  # prefixes of the branch's tensor names


@dataclass(frozen=True, slots=True, kw_only=True)
class DefectConfig:
    """Shape of the defect branch.

    Attributes:
        first_resolution: First resolution of the branch; a quarter of the image's side is suitable.
        types: Names of the defect types that the branch has learnt.
        conditional: Condition the code on the type; a branch of one type, like DFMGAN's, does not
            need it.
        gate: Kind of gate; "hard" cuts the gradient of images to the mask, as DFMGAN does.
        refine: Add mask logits at every resolution, not only at the first.
        takes_mask: Whether the branch accepts a given mask.
        float16_logits: Round logits to float16 at each resolution, as DFMGAN does: there a pixel of
            logit -5e-7 is a defect.
    """

    first_resolution: int
    types: tuple[str, ...] = ()
    conditional: bool = True
    gate: Literal["hard", "straight-through"] = "straight-through"
    refine: bool = True
    takes_mask: bool = True
    float16_logits: bool = False

    def __post_init__(self) -> None:
        for kind in self.types:
            check_name(kind, "the defect type", OptionError)  # types name folders
        if self.first_resolution < 8:
            raise OptionError(
                got=f"a defect branch that starts at {self.first_resolution}²",
                expected="8² or finer: it uses the backbone's features of half that size",
                todo="Correct first_resolution.",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratorConfig:
    """Shape of a generator and its critic; `channels(r) = min(channel_base / r, channel_max)`.

    Attributes:
        resolution: Side of the images.
        z_dim: Dimension of the latent.
        w_dim: Dimension of a row of w.
        mapping_layers: Layers of the mapping from one to the other.
        channel_base: Number of channels times resolution, below the maximum.
        channel_max: Maximum number of channels of a layer.
        conv_clamp: Limit of activations, on both sides of zero.
        c_dim: Number of classes that condition the backbone and its critic; 0 for none.
        label: Default class of images and scores.
        critic_group: Number of samples that the critic compares for their spread.
        critic_mapping_layers: Layers of the critic's own mapping of classes.
        defect: Shape of the defect branch, if there is one.
    """

    resolution: int
    z_dim: int = 512
    w_dim: int = 512
    mapping_layers: int = 2
    channel_base: int = 16384
    channel_max: int = 512
    conv_clamp: float | None = None
    c_dim: int = 0
    label: int = 0
    critic_group: int = 4
    critic_mapping_layers: int = 8
    defect: DefectConfig | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.label < max(self.c_dim, 1):
            raise OptionError(
                got=f"the class {self.label} of a generator with {self.c_dim or 'no'} classes",
                expected=f"0 to {self.c_dim - 1}" if self.c_dim else "0",
                todo="Correct the class.",
            )
        sides = [4 * 2**k for k in range(9)]
        finest = self.resolution if self.defect is None else self.defect.first_resolution
        if self.resolution not in sides or finest not in sides or finest > self.resolution:
            raise OptionError(
                got=f"a generator of {self.resolution}² with its defect branch from {finest}²",
                expected="powers of two up to 1024, the branch starting no finer than the image",
                todo="Correct the resolutions.",
            )

    def channels(self, resolution: int) -> int:
        return min(self.channel_base // resolution, self.channel_max)

    def resolutions(self) -> list[int]:
        return [2**k for k in range(2, int(log2(self.resolution)) + 1)]

    def defect_resolutions(self) -> list[int]:
        if self.defect is None:
            return []
        return [r for r in self.resolutions() if r >= self.defect.first_resolution]

    @property
    def layers(self) -> int:
        """Number of rows of `Codes.w`."""
        return 2 * len(self.resolutions())

    @property
    def defect_layers(self) -> int:
        """Number of rows of `Codes.w_defect`; the last drives the finest mask logits."""
        return 2 * len(self.defect_resolutions()) + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """Output of a generator, with the mask as logits.

    Attributes:
        image: Image in about [-1, 1], not clamped.
        mask_logits: Logits, ≥ 0 in the defect; None without the branch.
    """

    image: Float[Tensor, "n 3 h w"]
    mask_logits: Float[Tensor, "n 1 h w"] | None


class Mapping(nn.Module):
    """Mapping from a latent z and a kind (a class of parts, a type of defects) to w."""

    w_avg: Tensor

    def __init__(
        self, *, z_dim: int, w_dim: int, layers: int, kinds: int = 0, default: int | None = None
    ) -> None:
        super().__init__()
        if kinds:
            self.embed = FullyConnected(kinds, w_dim)
        for k in range(layers):
            inputs = (z_dim + (w_dim if kinds else 0)) if k == 0 else w_dim
            layer = FullyConnected(inputs, w_dim, activation=True, lr_multiplier=0.01)
            self.add_module(f"fc{k}", layer)
        self.register_buffer("w_avg", torch.zeros(w_dim))
        self.layers, self.kinds, self.default = layers, kinds, default

    def forward(
        self, z: Float[Tensor, "n z"], kind: Int[Tensor, " n"] | None = None
    ) -> Float[Tensor, "n d"]:
        x = normalise(z)
        if self.kinds:
            if kind is None:
                assert self.default is not None, "this mapping is conditioned on a type"
                kind = torch.full((len(z),), self.default, device=z.device)
            onehot = F.one_hot(kind, self.kinds).to(z.dtype)
            x = torch.cat([x, normalise(self.embed(onehot))], dim=1)
        for k in range(self.layers):
            x = self.get_submodule(f"fc{k}")(x)
        return x

    def truncate(self, w: Float[Tensor, "n d"], psi: float) -> Float[Tensor, "n d"]:
        """Truncate towards the mean: `w_avg + psi·(w - w_avg)`."""
        return self.w_avg.lerp(w, psi)


class SynthesisBlock(nn.Module):
    """Layers of one resolution; `outputs` colours or mask logits, or none."""

    resample_filter: Tensor

    def __init__(
        self, inputs: int, channels: int, *, config: GeneratorConfig, resolution: int, outputs: int
    ) -> None:
        super().__init__()
        shared = {"w_dim": config.w_dim, "clamp": config.conv_clamp}
        if inputs:
            self.conv0 = SynthesisLayer(inputs, channels, resolution=resolution, up=True, **shared)
        else:
            self.const = nn.Parameter(torch.randn(channels, resolution, resolution))
        self.conv1 = SynthesisLayer(channels, channels, resolution=resolution, **shared)
        if outputs:
            self.torgb = ToRGB(channels, outputs, **shared)
        self.register_buffer("resample_filter", binomial_filter())

    def accumulate(self, x: Tensor, w: Tensor, outputs: Tensor | None) -> Tensor:
        """Add this resolution's outputs to the coarser ones, doubled in size."""
        fresh = self.torgb(x, w)
        return fresh if outputs is None else upsample(outputs, self.resample_filter) + fresh


class DefectBlock(SynthesisBlock):
    """Residual block of the defect branch, which can take a mask."""

    def __init__(
        self, inputs: int, channels: int, *, config: GeneratorConfig, resolution: int, outputs: int
    ) -> None:
        super().__init__(inputs, channels, config=config, resolution=resolution, outputs=outputs)
        assert config.defect is not None
        if config.defect.takes_mask:
            self.frommask = nn.Conv2d(2, channels, 1, bias=False)
            nn.init.zeros_(self.frommask.weight)


def distance_map(mask: Float[Tensor, "n 1 h w"]) -> Float[Tensor, "n 1 h w"]:
    """Signed chessboard distance to the mask's edge, in [-1, 1], cut at `DISTANCE_PX` pixels."""
    eroded, dilated, total = mask, mask, torch.zeros_like(mask)
    for _ in range(DISTANCE_PX):
        eroded = -F.max_pool2d(-eroded, 3, stride=1, padding=1)
        dilated = F.max_pool2d(dilated, 3, stride=1, padding=1)
        total = total + eroded + dilated - 1
    return total / DISTANCE_PX


def mask_pyramid(
    mask: Float[Tensor, "n 1 h w"], resolutions: list[int]
) -> dict[int, Float[Tensor, "n 2 r r"]]:
    """Mask (in [-1, 1]) and its distance map at each resolution, averaged over the pixels."""
    hint = torch.cat([2 * mask - 1, distance_map(mask)], dim=1)
    return {r: F.adaptive_avg_pool2d(hint, r) for r in resolutions}


class Synthesis(nn.Module):
    """Network from rows of w to images."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        for r in config.resolutions():
            inputs = config.channels(r // 2) if r > 4 else 0
            block = SynthesisBlock(
                inputs, config.channels(r), config=config, resolution=r, outputs=3
            )
            self.add_module(f"b{r}", block)
        for k, r in enumerate(config.defect_resolutions()):
            assert config.defect is not None
            block = DefectBlock(
                config.channels(r // 2),
                config.channels(r),
                config=config,
                resolution=r,
                outputs=1 if k == 0 or config.defect.refine else 0,
            )
            self.add_module(f"res_b{r}", block)

    def layers(self) -> Iterator[tuple[str, SynthesisLayer]]:
        """Layers with noise, by name."""
        for name, module in self.named_modules():
            if isinstance(module, SynthesisLayer):
                yield name, module

    def forward(
        self,
        codes: Codes,
        *,
        noise: Noise = "const",
        mask: Float[Tensor, "n 1 h w"] | None = None,
        rng: torch.Generator | None = None,
        change: Callable[[int, Tensor], Tensor] | None = None,
        side: int | None = None,
    ) -> Drawing:
        """Generate images.

        Args:
            codes: Codes; without `w_defect` the good twin is drawn, and their noise maps precede
                `noise`.
            noise: Noise of layers that have no map in `codes`.
            mask: Mask of the defect, in [0, 1]; by default the branch draws its own.
            rng: Random generator of the noise, on the CPU.
            change: Change of the features of each resolution, called with its side.
            side: Side of the images in pixels, the sum of the outputs up to there; by default the
                generator's own.

        Raises:
            ValueError: A mask was given to a branch that does not accept one.
        """
        noises = _Noises(codes, noise, rng)
        hints = self._hints(codes, mask)
        x, image, logits = None, None, None
        for k, r in enumerate(self.config.resolutions()):
            block: SynthesisBlock = getattr(self, f"b{r}")
            rows = codes.w[:, max(2 * k - 1, 0) : 2 * k + 2].unbind(1)
            residual = None
            if codes.w_defect is not None and hasattr(self, f"res_b{r}"):
                assert x is not None
                residual, logits = self._residual(r, x, codes.w_defect, logits, hints, noises)
            if x is None:
                x = block.const.to(codes.w.dtype).expand(len(codes), -1, -1, -1)
                x = x.contiguous(memory_format=torch.channels_last)
            else:
                x = block.conv0(x, rows[0], noises(f"b{r}.conv0", block.conv0))
            x = block.conv1(x, rows[-2], noises(f"b{r}.conv1", block.conv1))
            if residual is not None:
                x = x + residual.to(x.dtype)
            if codes.features is not None and codes.features.shape[-1] == r:
                x = x + codes.features.to(x.dtype)
            x = x if change is None else change(r, x)
            image = block.accumulate(x, rows[-1], image)
            if r == side:
                break
        assert image is not None
        return Drawing(image=image, mask_logits=logits)

    def _hints(self, codes: Codes, mask: Tensor | None) -> dict[int, Tensor]:
        if mask is None or codes.w_defect is None:
            return {}
        if self.config.defect is None or not self.config.defect.takes_mask:
            raise ValueError("this defect branch draws its own mask and does not accept one")
        return mask_pyramid(mask, self.config.defect_resolutions())

    def _residual(
        self,
        r: int,
        x: Tensor,
        w_defect: Tensor,
        logits: Tensor | None,
        hints: dict[int, Tensor],
        noises: "_Noises",
    ) -> tuple[Tensor, Tensor]:
        """Gated residual features of resolution r, and the mask logits so far."""
        assert self.config.defect is not None
        block: DefectBlock = getattr(self, f"res_b{r}")
        k = 2 * self.config.defect_resolutions().index(r)
        y = block.conv0(x, w_defect[:, k], noises(f"res_b{r}.conv0", block.conv0))
        if r in hints:
            y = y + block.frommask(hints[r]).to(y.dtype)
        y = block.conv1(y, w_defect[:, k + 1], noises(f"res_b{r}.conv1", block.conv1))
        if hasattr(block, "torgb"):
            logits = block.accumulate(y, w_defect[:, k + 2], logits)
        else:
            assert logits is not None
            logits = upsample(logits, block.resample_filter)
        if self.config.defect.float16_logits:
            logits = logits.half().float()
        gate = hints[r][:, :1] / 2 + 0.5 if r in hints else self._gate(logits)
        return y * gate.to(y.dtype), logits

    def _gate(self, logits: Tensor) -> Tensor:
        assert self.config.defect is not None
        hard = (logits >= 0).to(logits.dtype)
        if self.config.defect.gate == "hard":
            return hard
        soft = logits.sigmoid()
        return hard + (soft - soft.detach())


@dataclass(frozen=True, slots=True)
class _Noises:
    """Noise of each layer: the codes' own map, else depending on the mode."""

    codes: Codes
    mode: Noise
    rng: torch.Generator | None

    def __call__(self, name: str, layer: SynthesisLayer) -> Tensor | None:
        if self.codes.noise is not None and name in self.codes.noise:
            return self.codes.noise[name]
        if self.mode == "const":
            return layer.noise_const
        if self.mode == "none":
            return None
        shape = (len(self.codes), 1, layer.resolution, layer.resolution)
        return torch.randn(shape, generator=self.rng).to(self.codes.w.device)


class Generator(nn.Module):
    """Generator from (z, z_defect, type) to codes to a sample."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        shared = {"z_dim": config.z_dim, "w_dim": config.w_dim, "layers": config.mapping_layers}
        self.mapping = Mapping(**shared, kinds=config.c_dim, default=config.label)
        self.synthesis = Synthesis(config)
        if config.defect is not None:
            kinds = len(config.defect.types) if config.defect.conditional else 0
            self.defect_mapping = Mapping(**shared, kinds=kinds)

    def codes(
        self,
        z: Float[Tensor, "n z"],
        z_defect: Float[Tensor, "n z"] | None = None,
        kind: Int[Tensor, " n"] | None = None,
        *,
        label: Int[Tensor, " n"] | None = None,
        psi: float = 1,
        space: Space = "z",
    ) -> Codes:
        """Map latents to the codes of the synthesis network.

        Args:
            z: Standard normal numbers.
            z_defect: Standard normal numbers; None gives the good twin.
            kind: Index into `config.defect.types`.
            label: Class of the part, if the backbone knows classes; `config.label` by default.
            psi: Truncation towards the mean of w; 1 leaves w unchanged.
            space: Space that the codes record as their origin.
        """
        w = self.mapping(z, label)
        w = self.mapping.truncate(w, psi) if psi != 1 else w
        rows = w[:, None].expand(-1, self.config.layers, -1)
        if z_defect is None:
            return Codes(w=rows, space=space)
        w_defect = self.defect_mapping(z_defect, kind)
        rows_defect = w_defect[:, None].expand(-1, self.config.defect_layers, -1)
        return Codes(w=rows, w_defect=rows_defect, space=space)

    def draw(
        self,
        codes: Codes,
        *,
        noise: Noise = "const",
        mask: Float[Tensor, "n 1 h w"] | None = None,
        rng: torch.Generator | None = None,
        side: int | None = None,
    ) -> Drawing:
        """Image and mask logits; see `Synthesis.forward`."""
        return self.synthesis(codes, noise=noise, mask=mask, rng=rng, side=side)

    def forward(self, codes: Codes, *, mask: Float[Tensor, "n 1 h w"] | None = None) -> Sample:
        """Image clamped to [-1, 1], with a mask of zeros and ones."""
        drawing = self.draw(codes, mask=mask)
        logits = drawing.mask_logits
        if mask is None:
            mask = torch.zeros_like(drawing.image[:, :1]) if logits is None else logits >= 0
        return Sample(image=drawing.image.clamp(-1, 1), mask=mask.float())
