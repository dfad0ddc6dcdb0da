"""A bundle's networks as state dicts for StyleGAN2-ADA's own networks.

    OUT.safetensors           the generator that draws good parts: `mapping.*`, `synthesis.*`
    OUT.critic.safetensors    its critic, if the bundle has one of that kind: `b64.*` ... `b4.*`

Names, shapes and values are those of the published networks, with the buffers they expect (`w_avg`,
`noise_const`, `resample_filter`); the header of each file describes how to build them. The defect
branch has no counterpart there and is left out: the exported generator draws the good twin.
"""

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from blemish.checkpoint import Bundle, save_tensors
from blemish.errors import OptionError
from blemish.files import ensure_writable
from blemish.models.generator import BRANCH, GeneratorConfig
from blemish.models.load import critic_of, load_critic, load_generator, shape_of
from blemish.models.residual import ResidualConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedModel:
    """Written file, and its contents."""

    path: Path
    contents: str


def export_state(bundle: Bundle, out: Path) -> list[ExportedModel]:
    """Write the backbone, and the critic beside it, for StyleGAN2-ADA.

    Args:
        bundle: Bundle with or without a defect branch.
        out: File that ends in .safetensors.

    Returns:
        The written files.

    Raises:
        BundleError: The bundle is broken.
        OptionError: `out` has another ending.
        OutputError: The file can't be written.
    """
    if out.suffix != ".safetensors":
        raise OptionError(
            got=f"the output {out}",
            expected="a file that ends in .safetensors",
            todo=f"Write {out.stem or 'model'}.safetensors.",
        )
    states = {out: _backbone(bundle)}
    if bundle.has("critic") and critic_of(bundle) == ResidualConfig():
        states[out.with_suffix(".critic.safetensors")] = _critic(bundle)
    ensure_writable(out.parent)
    for path, (contents, header, tensors) in states.items():
        save_tensors(path, tensors, metadata={**header, "contents": contents})
    return [ExportedModel(path=path, contents=contents) for path, (contents, *_) in states.items()]


_State = tuple[str, dict[str, str], dict[str, Tensor]]


def _backbone(bundle: Bundle) -> _State:
    generator = load_generator(bundle)
    tensors = {k: v for k, v in generator.state_dict().items() if not k.startswith(BRANCH)}
    contents = "the generator, which draws good parts"
    if generator.config.defect is not None:
        contents += "; the defect branch is left out, because StyleGAN2-ADA has none"
    return contents, _header(generator.config, bundle), tensors


def _critic(bundle: Bundle) -> _State:
    critic = load_critic(bundle)
    return "the critic of images", _header(shape_of(bundle), bundle), critic.state_dict()


def _header(config: GeneratorConfig, bundle: Bundle) -> dict[str, str]:
    """Constructor options of the published networks that take these tensors."""
    numbers = {
        "img_resolution": config.resolution,
        "img_channels": 3,
        "c_dim": config.c_dim,
        "z_dim": config.z_dim,
        "w_dim": config.w_dim,
        "mapping_layers": config.mapping_layers,
        "channel_base": config.channel_base,
        "channel_max": config.channel_max,
        "conv_clamp": "none" if config.conv_clamp is None else config.conv_clamp,
        "num_fp16_res": 0,
        "mbstd_group_size": config.critic_group,
    }
    words = {"G_architecture": "skip", "D_architecture": "resnet", "resample_filter": "1,3,3,1"}
    return {**{k: str(v) for k, v in numbers.items()}, **words, "bundle": bundle.digest}
