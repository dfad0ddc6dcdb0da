"""Checkpoints of rosinality's stylegan2-pytorch (MIT), another implementation of StyleGAN2.

The mathematics is the same, term by term: dense layers scale by 1/√inputs (the mapping's by a
hundredth of it, biases too), demodulation cancels the scale of the weight, noise is one map times
one number before the bias, up-sampling is a transposed convolution with the weight as it is, then
the filter with gain 4. The differences are names, some axes of length one, and that z is as wide as
w.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from blemish.interop.foreign import Foreign
from blemish.interop.refusal import RefusedFile, shown
from blemish.interop.states import Facts, State, config_of, fit_critic, fit_generator
from blemish.interop.storage import Stored, tensors_of
from blemish.interop.variants import completed, unwrapped
from blemish.models.critic import build_critic
from blemish.models.generator import Generator, GeneratorConfig, Mapping
from blemish.models.layers import binomial_filter
from blemish.models.residual import ResidualConfig

_STYLED = {
    "conv.weight": "weight",
    "conv.modulation.weight": "affine.weight",
    "conv.modulation.bias": "affine.bias",
    "noise.weight": "noise_strength",
    "activate.bias": "bias",
    "bias": "bias",
}
_CRITIC_BLOCK = {
    "conv1.0.weight": "conv0.weight",
    "conv1.1.bias": "conv0.bias",
    "conv2.1.weight": "conv1.weight",
    "conv2.2.bias": "conv1.bias",
    "skip.1.weight": "skip.weight",
}
_CRITIC_ENDS = {
    "final_conv.0.weight": "b4.conv.weight",
    "final_conv.1.bias": "b4.conv.bias",
    "final_linear.0.weight": "b4.fc.weight",
    "final_linear.0.bias": "b4.fc.bias",
    "final_linear.1.weight": "b4.out.weight",
    "final_linear.1.bias": "b4.out.bias",
}
_DECODER = "decoder."
_AXES = {"bias": 1, "noise_strength": 0, "noise_const": 2, "const": 3, "affine.weight": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    """What a checkpoint holds, under its own names."""

    generator: State
    critic: State | None = None
    mean: Tensor | None = None
    source: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def from_checkpoint(checkpoint: Any, facts: Facts, *, nbytes: int) -> Foreign:
    """Read a checkpoint.

    Args:
        checkpoint: Content of the file.
        facts: Options of the user.
        nbytes: Length of the file.

    Raises:
        Refused: It is not a checkpoint, or one that our networks can't compute.
    """
    found = _parts(checkpoint, nbytes)
    theirs = {} if found.critic is None else {"d": dict(_critic(found.critic))}
    state, critics, added = completed(dict(_generator(found.generator)), theirs)
    notes, critic = [*found.notes, *added], critics.get("d")
    config = config_of(state, critic or (), facts)
    with torch.device("meta"):
        ours, judge = Generator(config), build_critic(ResidualConfig(), config)
    mean = found.mean
    state["mapping.w_avg"] = torch.zeros(config.w_dim) if mean is None else mean
    generator = fit_generator(_with_filters(state, ours), config)
    if mean is None:
        notes.append("The file has no mean of w; it was taken over 10 000 latents.")
        generator["mapping.w_avg"] = _mean_of(generator, config)
    return Foreign(
        config=config,
        generator=generator,
        critic=None if critic is None else fit_critic(_with_filters(critic, judge), config),
        source=found.source,
        notes=tuple(notes),
    )


def _parts(checkpoint: Any, nbytes: int) -> _Parts:
    if not isinstance(checkpoint, dict):
        raise RefusedFile("is a torch file without the averaged generator 'g_ema'")
    if isinstance(checkpoint.get("g_ema"), dict):
        return _Parts(
            generator=_tensors(checkpoint, "g_ema", nbytes),
            critic=_tensors(checkpoint, "d", nbytes) if "d" in checkpoint else None,
            mean=_mean(checkpoint, nbytes),
            notes=(*_left(checkpoint.keys() - {"g_ema", "d", "latent_avg"}),),
        )
    if isinstance(checkpoint.get("state_dict"), dict):
        return _decoder(checkpoint, nbytes)
    raise RefusedFile("is a torch file without the averaged generator 'g_ema'")


def _decoder(checkpoint: dict[Any, Any], nbytes: int) -> _Parts:
    """The generator inside a checkpoint of an encoder: pSp (Richardson et al., 2021), or e4e."""
    whole = {str(k).removeprefix("module."): v for k, v in checkpoint["state_dict"].items()}
    decoder = {k.removeprefix(_DECODER): v for k, v in whole.items() if k.startswith(_DECODER)}
    if not decoder:
        raise RefusedFile(
            "is a torch file with neither the averaged generator 'g_ema' nor a decoder"
        )
    others = len(whole) - len(decoder)
    note = f"The file's encoder ({others} tensors) was left out: it is of a network we don't have."
    return _Parts(
        generator=_tensors({"state_dict": decoder}, "state_dict", nbytes),
        mean=_mean(checkpoint, nbytes),
        source={"format": "the decoder of pSp or e4e"},
        notes=(note, *_left(checkpoint.keys() - {"state_dict", "latent_avg"})),
    )


def _tensors(checkpoint: dict[Any, Any], key: str, nbytes: int) -> State:
    found = checkpoint[key]
    if not isinstance(found, dict) or not all(isinstance(v, Stored) for v in found.values()):
        raise RefusedFile(f"has something other than tensors in '{key}'")
    return unwrapped(tensors_of({str(k): v for k, v in found.items()}, most_bytes=nbytes))


def _mean(checkpoint: dict[Any, Any], nbytes: int) -> Tensor | None:
    """The mean of w; where it is repeated for each layer, one of its equal rows."""
    mean = _tensor(checkpoint, "latent_avg", nbytes)
    if mean is not None and mean.ndim > 1:
        mean = mean.reshape(-1, mean.shape[-1])[0]
    return mean


def _tensor(checkpoint: dict[Any, Any], key: str, nbytes: int) -> Tensor | None:
    found = checkpoint.get(key)
    return tensors_of({key: found}, most_bytes=nbytes)[key] if isinstance(found, Stored) else None


def _generator(theirs: State) -> Iterator[tuple[str, Tensor]]:
    """Tensors of the generator under the published names; others keep their own."""
    for name, tensor in theirs.items():
        if re.fullmatch(r".*(blur|upsample)\.kernel", name):
            _check_filter(name, tensor / 4)
        else:
            ours = _name_of(name)
            yield ours, _slim(tensor, ours)


def _name_of(name: str) -> str:
    """Published name of a generator's tensor."""
    head, _, rest = name.partition(".")
    index, _, inner = rest.partition(".")
    k = int(index) if re.fullmatch(r"\d{1,2}", index) else 0
    match head:
        case "style":
            return f"mapping.fc{k - 1}.{inner}"
        case "input" if rest == "input":
            return "synthesis.b4.const"
        case "conv1" if rest in _STYLED:
            return f"synthesis.b4.conv1.{_STYLED[rest]}"
        case "to_rgb1" if rest in _STYLED:
            return f"synthesis.b4.torgb.{_STYLED[rest]}"
        case "convs" if inner in _STYLED:
            return f"synthesis.b{8 << k // 2}.conv{k % 2}.{_STYLED[inner]}"
        case "to_rgbs" if inner in _STYLED:
            return f"synthesis.b{8 << k}.torgb.{_STYLED[inner]}"
        case "noises" if match := re.fullmatch(r"noise_(\d{1,2})", rest):
            k = int(match[1]) + 1  # the first resolution has one layer only
            return f"synthesis.b{4 << k // 2}.conv{k % 2}.noise_const"
    return f"g_ema.{name}"


def _critic(theirs: State) -> Iterator[tuple[str, Tensor]]:
    """Tensors of the critic under the published names; others keep their own."""
    blocks = [re.match(r"convs\.(\d{1,2})\.", name) for name in theirs]
    finest = 4 << max((int(match[1]) for match in blocks if match), default=0)
    for name, tensor in theirs.items():
        if re.fullmatch(r".*\.kernel", name):
            _check_filter(name, tensor)
        else:
            ours = _critic_name(name, finest)
            yield ours, _slim(tensor, ours)


def _critic_name(name: str, finest: int) -> str:
    match name.split(".", 2):
        case ["convs", "0", "0.weight"]:
            return f"b{finest}.fromrgb.weight"
        case ["convs", "0", "1.bias"]:
            return f"b{finest}.fromrgb.bias"
        case ["convs", k, inner] if k.isdecimal() and len(k) < 3 and inner in _CRITIC_BLOCK:
            return f"b{finest >> int(k) - 1}.{_CRITIC_BLOCK[inner]}"
    return _CRITIC_ENDS.get(name, f"d.{name}")


def _slim(tensor: Tensor, name: str) -> Tensor:
    """Tensor without the extra axes of length one."""
    axes = next((n for end, n in _AXES.items() if name.endswith(end)), 4)
    while tensor.ndim > axes and tensor.shape[0] == 1:
        tensor = tensor.squeeze(0)
    while tensor.ndim > axes and tensor.shape[-1] == 1:
        tensor = tensor.squeeze(-1)
    return tensor


def _check_filter(name: str, kernel: Tensor) -> None:
    usual = binomial_filter()
    if kernel.shape != usual.shape or not torch.allclose(kernel.float(), usual, atol=1e-6):
        raise RefusedFile(
            f"resamples with another filter in {shown(name)}",
            expected="the filter [1, 3, 3, 1] of Blemish",
        )


def _with_filters(state: State, network: nn.Module) -> State:
    """State with a filter wherever the network has one: theirs are all the same, as checked."""
    names = [name for name in network.state_dict() if name.endswith("resample_filter")]
    return {name: binomial_filter() for name in names} | state


def _mean_of(state: State, config: GeneratorConfig, n: int = 10_000) -> Float[Tensor, " d"]:
    """Mean of w over mapped latents."""
    mapping = Mapping(z_dim=config.z_dim, w_dim=config.w_dim, layers=config.mapping_layers)
    own = {k.removeprefix("mapping."): v for k, v in state.items() if k.startswith("mapping.")}
    mapping.load_state_dict(own)
    z = torch.randn(n, config.z_dim, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return mapping(z).mean(dim=0)


def _left(keys: Iterable[Any]) -> Iterator[str]:
    left = sorted(shown(str(key))[1:-1] for key in keys)
    if left:
        yield f"Left out, because generation does not need them: {', '.join(left[:8])}."
