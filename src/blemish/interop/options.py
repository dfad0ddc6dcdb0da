"""Arguments of the published networks: the relevant ones, and the values that ours support.

Names and defaults are those of StyleGAN2-ADA's constructors. Arguments that follow from the tensors
are ignored; of the rest our networks support one value, or read it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from blemish.interop.refusal import RefusedFile, shown

MOST_VALUES = 1000
Arguments = Mapping[str, Any]

_ANY = object()
_NEWER_CLAMP = 256
_BLOCK = {
    "activation": "lrelu",
    "resample_filter": [1, 3, 3, 1],
    "freeze_layers": _ANY,
    "fp16_channels_last": _ANY,
}
_SHAPE = dict.fromkeys(("z_dim", "c_dim", "w_dim", "img_resolution", "img_channels"), _ANY)
_WIDTHS = dict.fromkeys(("channel_base", "channel_max", "num_fp16_res", "conv_clamp"), _ANY)
_MAPPING = {
    **dict.fromkeys(("num_layers", "embed_features", "layer_features", "w_avg_beta"), _ANY),
    "activation": "lrelu",
    "lr_multiplier": 0.01,
}
_SYNTHESIS: Arguments = {
    **_WIDTHS,
    **_BLOCK,
    "architecture": "skip",
    "kernel_size": 3,
    "use_noise": _ANY,  # without, the files lack the strengths, and get zeros
    "fused_modconv_default": _ANY,  # how the same is computed
}
GENERATOR: Arguments = {
    **_SHAPE,
    "mapping_kwargs": _MAPPING,
    "synthesis_kwargs": _SYNTHESIS,
    **_SYNTHESIS,  # where StyleGAN3's repository has them
}
CRITIC: Arguments = {
    **_SHAPE,
    **_WIDTHS,
    "cmap_dim": _ANY,
    "architecture": "resnet",
    "block_kwargs": _BLOCK,
    "mapping_kwargs": _MAPPING,
    "epilogue_kwargs": {
        "mbstd_group_size": _ANY,
        "mbstd_num_channels": 1,
        "activation": "lrelu",
    },
}
# DFMGAN's: logits above it are a defect
_BRANCH: Arguments = {"mask_threshold": 0}


@dataclass(frozen=True, slots=True, kw_only=True)
class ArgumentFacts:
    """Facts about a network from its arguments.

    Attributes:
        clamp: Limit of its activations.
        group: Number of samples that a critic compares.
        halves: Whether some blocks were made for float16.
        newer: Whether StyleGAN3's repository made the network, which has other defaults.
        strange: Unknown arguments, with their values.
    """

    clamp: float | None
    group: int
    halves: bool
    newer: bool
    strange: tuple[str, ...]


def of_generator(given: Arguments) -> ArgumentFacts:
    """Read a generator's arguments.

    Raises:
        Refused: They require something that our networks can't compute.
    """
    strange = tuple(_strange(given, GENERATOR))
    newer = any(name in given for name in _SYNTHESIS)
    options = given if newer else given.get("synthesis_kwargs") or {}
    return _facts_of(options, 0, newer, strange)


def of_critic(given: Arguments, *, newer: bool = False) -> ArgumentFacts:
    """Read a critic's arguments.

    Args:
        given: The arguments.
        newer: Whether StyleGAN3's repository made the generator.

    Raises:
        Refused: They require something that our networks can't compute.
    """
    strange = tuple(_strange(given, CRITIC))
    group = (given.get("epilogue_kwargs") or {}).get("mbstd_group_size", 4)
    if type(group) is not int or group < 1:
        raise RefusedFile(
            f"has a critic that compares {shown(group)} samples", expected="1 or more"
        )
    return _facts_of(given, group, newer, strange)


def as_json(value: Any, left: list[int] | None = None, depth: int = 0) -> Any:
    """Arguments as JSON values: tuples become lists.

    Raises:
        Refused: They contain anything but numbers, strings, lists and dicts, or too many of them.
    """
    left = [MOST_VALUES] if left is None else left
    left[0] -= 1
    if left[0] < 0 or depth > 4:
        raise RefusedFile("has more arguments than a network has")
    if isinstance(value, dict):
        return {str(k): as_json(v, left, depth + 1) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(v, left, depth + 1) for v in value]
    if (isinstance(value, int) and abs(value) < 2**60) or isinstance(value, str | float | None):
        return value
    raise RefusedFile(f"has {shown(value)} as an argument")


def _strange(given: Arguments, known: Arguments, path: str = "") -> Iterator[str]:
    for name, value in given.items():
        wanted = known.get(name, _BRANCH.get(name))
        if isinstance(wanted, Mapping) and isinstance(value, Mapping):
            yield from _strange(value, wanted, f"{path}{name}.")
        elif wanted is None:
            yield f"{shown(f'{path}{name}')[1:-1]}={shown(value)}"
        elif wanted is not _ANY and value != wanted:
            raise RefusedFile(
                f"was built with {path}{name} = {_text(value)}",
                expected=f"{path}{name} = {_text(wanted)}, the only one that Blemish supports",
                todo="Train a generator with 'blemish train generator', or import another one.",
            )


def _facts_of(given: Arguments, group: int, newer: bool, strange: tuple[str, ...]) -> ArgumentFacts:
    return ArgumentFacts(
        clamp=_clamp(given, _NEWER_CLAMP if newer else None),
        group=group,
        halves=bool(given.get("num_fp16_res", newer)),
        newer=newer,
        strange=strange,
    )


def _clamp(given: Arguments, default: float | None) -> float | None:
    value = given.get("conv_clamp", default)
    if value is not None and not (isinstance(value, int | float) and 0 < value < float("inf")):
        raise RefusedFile(
            f"clamps activations to {shown(value)}", expected="a positive number or None"
        )
    return value


def _text(value: Any) -> str:
    return str(value)[:80]
