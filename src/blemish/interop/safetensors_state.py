"""State dicts under StyleGAN2-ADA's names as safetensors, as Blemish and others export them.

The generator's names are plain, or have the prefix `G_ema.` or `G.`; the critic's have the prefix
`D.`, or are plain in the file `NAME.critic.safetensors` beside `NAME.safetensors`. The header may
give what tensors can't: `conv_clamp` and `mbstd_group_size`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from blemish.checkpoint import load_tensors
from blemish.interop.foreign import Foreign
from blemish.interop.refusal import RefusedFile, shown
from blemish.interop.states import Facts, State, config_of, fit_critic, fit_generator
from blemish.interop.variants import completed, unwrapped

_PREFIXES = ("G_ema.", "G.")


def from_safetensors(file: Path, facts: Facts) -> Foreign:
    """Read a state dict.

    Raises:
        BundleError: The file is damaged, or has values that are not finite.
        Refused: It has no generator, or one that our networks can't compute.
    """
    tensors, header = _load(file)
    generator, critic = _split(unwrapped(tensors), unwrapped(_beside(file)))
    generator, critics, notes = completed(generator, {"D": critic})
    critic, config = critics["D"], config_of(generator, critic, _facts_of(header, facts))
    return Foreign(
        config=config,
        generator=fit_generator(generator, config),
        critic=fit_critic(critic, config) if critic else None,
        source={"header": {shown(k)[1:-1]: shown(v)[1:-1] for k, v in header.items()}},
        notes=(*notes, *_notes(header)),
    )


def _split(tensors: State, beside: State) -> tuple[State, State]:
    """Tensors of generator and critic."""
    critic = _under("D.", tensors)
    rest = {k: v for k, v in tensors.items() if not k.startswith("D.")}
    prefix = next((p for p in _PREFIXES if any(k.startswith(p) for k in rest)), "")
    strange = sorted(k for k in rest if not k.startswith(prefix))
    if strange:
        raise RefusedFile(f"has tensors of neither generator nor critic: {shown(strange[0])}")
    return unwrapped(_under(prefix, rest)), unwrapped(critic or beside)


def _under(prefix: str, tensors: State) -> State:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _beside(file: Path) -> State:
    critic = file.with_suffix(".critic.safetensors")
    return _load(critic)[0] if critic.is_file() else {}


def _load(file: Path) -> tuple[State, dict[str, str]]:
    try:
        return load_tensors(file)
    except (RuntimeError, TypeError, ValueError, KeyError, AttributeError) as error:
        # Number formats that only one of torch and safetensors knows.
        raise RefusedFile(f"holds numbers that can't be read ({str(error)[:80]})") from error


def _facts_of(header: Mapping[str, str], facts: Facts) -> Facts:
    try:
        clamp = header.get("conv_clamp", "none")
        group = int(header.get("mbstd_group_size", "4"))
        number = None if clamp.lower() == "none" else float(clamp)
    except ValueError as error:
        raise RefusedFile(f"has an invalid header ({error})") from error
    if group < 1 or not (number is None or 0 < number < float("inf")):
        raise RefusedFile("has a header with an invalid conv_clamp or mbstd_group_size")
    return replace(facts, conv_clamp=number, critic_group=group)


def _notes(header: Mapping[str, str]) -> Iterator[str]:
    if "conv_clamp" not in header:
        yield "The file does not say whether activations are clamped; they are not."
