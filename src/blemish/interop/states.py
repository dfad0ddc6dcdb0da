"""From tensors under the published names to a network of ours that uses all of them.

The tensors give the shape: `synthesis.b{r}.conv1.weight` has channels(r) rows, the finest r is the
resolution, `mapping.fc{k}` count its layers, `mapping.embed` has a column for each class,
`synthesis.res_b{r}` is the defect branch. A network of that shape, without allocated memory, then
gives the valid names and shapes.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from blemish.errors import UserError
from blemish.interop.refusal import RefusedFile, shown
from blemish.models.critic import build_critic
from blemish.models.generator import DefectConfig, Generator, GeneratorConfig
from blemish.models.layers import binomial_filter
from blemish.models.residual import ResidualConfig

State = dict[str, Tensor]
MOST_LAYERS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Facts that tensors do not give.

    Attributes:
        conv_clamp: Limit of activations.
        critic_group: Number of samples that the critic compares.
        label: Default class.
        types: Names for the defect types of a branch, as many as it has.
    """

    conv_clamp: float | None = None
    critic_group: int = 4
    label: int = 0
    types: tuple[str, ...] = ()


def config_of(
    generator: Mapping[str, Tensor], critic: Collection[str], facts: Facts
) -> GeneratorConfig:
    """Shape of a generator.

    Args:
        generator: Tensors under the published names.
        critic: Names of its critic's tensors.
        facts: Facts that neither gives.

    Raises:
        Refused: No generator has that shape.
    """
    channels = _channels(generator)
    base, most = _law(channels)
    w_dim, inputs = _size(generator, "mapping.fc0.weight", 2)
    classes = _size(generator, "mapping.embed.weight", 2)[1] if _conditional(generator) else 0
    colours = _size(generator, f"synthesis.b{max(channels)}.torgb.weight", 4)[0]
    if colours != 3:
        raise RefusedFile(
            f"draws images of {colours} channels", expected="one that draws RGB or grey"
        )
    if classes and inputs <= w_dim:
        raise RefusedFile(f"has a mapping of {inputs} inputs, none of them for z")
    try:
        return GeneratorConfig(
            resolution=max(channels),
            z_dim=inputs - (w_dim if classes else 0),
            w_dim=w_dim,
            mapping_layers=_count(generator, "mapping.fc{}.weight"),
            channel_base=base,
            channel_max=most,
            conv_clamp=facts.conv_clamp,
            c_dim=classes,
            label=facts.label,
            critic_group=facts.critic_group,
            critic_mapping_layers=_count(critic, "mapping.fc{}.weight") or 8,
            defect=_branch(generator, facts),
        )
    except UserError as error:
        raise RefusedFile(f"describes {error.got}", error.expected, error.todo) from error


def fit_generator(found: Mapping[str, Tensor], config: GeneratorConfig) -> State:
    """Tensors in float32, if they are exactly those of a generator of that shape."""
    with torch.device("meta"):
        return _fit(found, Generator(config), "generator")


def fit_critic(found: Mapping[str, Tensor], config: GeneratorConfig, *, channels: int = 3) -> State:
    """Tensors in float32, if they are exactly those of a critic of that shape."""
    with torch.device("meta"):
        critic = build_critic(ResidualConfig(), config, image_channels=channels)
        return _fit(found, critic, "critic")


def _fit(found: Mapping[str, Tensor], network: nn.Module, what: str) -> State:
    wanted = network.state_dict()
    _refuse_names(found.keys() - wanted.keys(), what, "that Blemish does not use")
    _refuse_names(wanted.keys() - found.keys(), what, "missing", "lacks tensors")
    for name, tensor in found.items():
        _check(name, tensor, wanted[name], what)
    return {name: found[name].float() for name in wanted}


def _refuse_names(names: Collection[str], what: str, why: str, how: str = "has tensors") -> None:
    if names:
        some = ", ".join(shown(name) for name in sorted(names)[:4])
        more = f" and {len(names) - 4} more" if len(names) > 4 else ""
        raise RefusedFile(f"{how} of a {what} {why}: {some}{more}")


def _check(name: str, tensor: Tensor, wanted: Tensor, what: str) -> None:
    if tensor.shape != wanted.shape:
        sizes = f"{list(tensor.shape)}, not {list(wanted.shape)}"
        raise RefusedFile(f"has a {what} with {name} of {sizes}, as its other tensors require")
    if not tensor.is_floating_point() or not tensor.isfinite().all():
        raise RefusedFile(f"has a {what} with NaN, infinite or whole numbers in {name}")
    with torch.device("cpu"):
        usual = binomial_filter()
    if name.endswith("resample_filter") and not torch.allclose(tensor.float(), usual, atol=1e-6):
        raise RefusedFile(
            f"has a {what} that resamples with another filter in {name}",
            expected="the filter [1, 3, 3, 1] of Blemish",
        )


def _channels(generator: Mapping[str, Tensor]) -> dict[int, int]:
    """Number of channels at each resolution of the backbone."""
    found = {}
    for name in generator:
        if match := re.fullmatch(r"synthesis\.b([1-9]\d{0,3})\.conv1\.weight", name):
            found[int(match[1])] = _size(generator, name, 4)[0]
    if any(re.match(r"synthesis\.(input\.|L\d+_\d+_\d+\.)", name) for name in generator):
        raise RefusedFile(
            "is a StyleGAN3 generator, whose alias-free layers Blemish does not compute",
            expected="a StyleGAN2 generator; StyleGAN3's own code trains one with --cfg=stylegan2",
            todo="Import such a one, or train one with 'blemish train generator'.",
        )
    if 4 not in found or "mapping.fc0.weight" not in generator:
        raise RefusedFile("has no generator under StyleGAN2-ADA's names")
    return found


def _law(channels: Mapping[int, int]) -> tuple[int, int]:
    """Values `channel_base` and `channel_max` of min(base / r, max).

    Raises:
        Refused: The channels do not follow this rule.
    """
    most = channels[4]
    below = [r * n for r, n in channels.items() if n < most]
    base = max(below, default=most * max(channels))
    if any(n != min(base // r, most) for r, n in channels.items()):
        counts = ", ".join(f"{n} at {r}²" for r, n in sorted(channels.items()))
        raise RefusedFile(
            f"has a generator of {counts} channels",
            expected="channels of min(channel_base / resolution, channel_max)",
        )
    return base, most


def _branch(generator: Mapping[str, Tensor], facts: Facts) -> DefectConfig | None:
    """Defect branch, with DFMGAN's drawing unless it takes masks, which only ours can."""
    names = [re.fullmatch(r"synthesis\.res_b([1-9]\d{0,3})\.conv1\.weight", k) for k in generator]
    sides = [int(match[1]) for match in names if match]
    if not sides:
        return None
    conditional = "defect_mapping.embed.weight" in generator
    known = _size(generator, "defect_mapping.embed.weight", 2)[1] if conditional else 1
    if known != len(facts.types):
        raise RefusedFile(
            f"has a branch with {known} defect type(s)",
            expected=f"as many names, not {len(facts.types)}",
            todo="Name them with --types.",
        )
    outputs = [k for k in generator if re.fullmatch(r"synthesis\.res_b\d+\.torgb\.weight", k)]
    ours = f"synthesis.res_b{min(sides)}.frommask.weight" in generator
    return DefectConfig(
        first_resolution=min(sides),
        types=facts.types,
        conditional=conditional,
        gate="straight-through" if ours else "hard",
        refine=len(outputs) > 1,
        takes_mask=ours,
        float16_logits=not ours,
    )


def _conditional(generator: Mapping[str, Tensor]) -> bool:
    return "mapping.embed.weight" in generator


def _count(names: Collection[str], pattern: str) -> int:
    n = next((k for k in range(MOST_LAYERS + 1) if pattern.format(k) not in names), MOST_LAYERS + 1)
    if n > MOST_LAYERS:
        raise RefusedFile(f"has a mapping of more than {MOST_LAYERS} layers")
    return n


def _size(tensors: Mapping[str, Tensor], name: str, axes: int) -> tuple[int, ...]:
    tensor = tensors.get(name)
    if tensor is None or tensor.ndim != axes or not tensor.numel():
        raise RefusedFile(f"has no {name} of {axes} axes with numbers in it")
    return tuple(tensor.shape)
