"""Snapshots of StyleGAN2-ADA (Karras et al., 2020b), and of DFMGAN (Duan et al., 2023).

The repository of StyleGAN3 trains the same networks with `--cfg=stylegan2`; it hands a generator's
options over in another place, and has other defaults.

A snapshot is a dict: `G` and its average `G_ema`, `D`, the augmentation, and the training set's
options. DFMGAN's second stage adds the defect branch to the generators, and a critic with four
channels, image and mask. The tensors describe most of a network; its constructor arguments give the
rest.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from blemish.interop.foreign import Foreign
from blemish.interop.options import ArgumentFacts, as_json, of_critic, of_generator
from blemish.interop.persistence import arguments_of, tensors_in
from blemish.interop.refusal import RefusedFile, shown
from blemish.interop.states import Facts, State, config_of, fit_critic, fit_generator
from blemish.interop.storage import tensors_of
from blemish.interop.unpickle import Record
from blemish.interop.variants import completed
from blemish.models.generator import GeneratorConfig

_BY_POSITION = {
    "Generator": ("z_dim", "c_dim", "w_dim", "img_resolution", "img_channels"),
    "Discriminator": ("c_dim", "img_resolution", "img_channels"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Network:
    """Network of the snapshot: its tensors, and its constructor arguments."""

    state: State
    made: Mapping[str, Any]


def from_snapshot(snapshot: Any, facts: Facts, *, nbytes: int) -> Foreign:
    """Read a snapshot.

    Args:
        snapshot: Content of the pickle.
        facts: Options of the user; facts from the snapshot are filled in.
        nbytes: Length of the file.

    Raises:
        Refused: It is not a snapshot, or one that our networks can't compute.
    """
    networks, added = _completed(dict(_networks(snapshot, nbytes)))
    generator = networks["G_ema"]
    arguments = {"G_ema": of_generator(generator.made)}
    critics = _critics(networks)
    newer = arguments["G_ema"].newer
    arguments |= {key: of_critic(networks[key].made, newer=newer) for key in critics.values()}
    names = networks[critics[3]].state if 3 in critics else ()
    config = config_of(generator.state, names, _facts(arguments, facts))
    _refuse_strange(arguments, config)

    def critic(channels: int) -> State | None:
        if channels not in critics:
            return None
        return fit_critic(networks[critics[channels]].state, config, channels=channels)

    return Foreign(
        config=config,
        generator=fit_generator(generator.state, config),
        critic=critic(3),
        match_critic=critic(4),
        source={"options": {key: dict(network.made) for key, network in networks.items()}},
        notes=(*added, *_notes(snapshot, networks, arguments)),
    )


def _networks(snapshot: Any, nbytes: int) -> Iterator[tuple[str, _Network]]:
    """Averaged generator and critics."""
    if not isinstance(snapshot, dict) or not isinstance(snapshot.get("G_ema"), Record):
        raise RefusedFile("is a pickle without the averaged generator 'G_ema'")
    if snapshot["G_ema"].name != "Generator":
        raise RefusedFile(f"has a {shown(snapshot['G_ema'].name)} in the place of a generator")
    for key, record in snapshot.items():
        wanted = key == "G_ema" or (isinstance(record, Record) and record.name == "Discriminator")
        if wanted:
            made = as_json(arguments_of(record, _BY_POSITION[record.name]))
            state = tensors_of(dict(tensors_in(record)), most_bytes=nbytes)
            yield str(key), _Network(state=state, made=made)


def _completed(networks: dict[str, _Network]) -> tuple[dict[str, _Network], list[str]]:
    """The networks with three channels and noise maps, and notes of what was added."""
    critics = {key: network.state for key, network in networks.items() if key != "G_ema"}
    generator, critics, notes = completed(networks["G_ema"].state, critics)
    states = {"G_ema": generator, **critics}
    return {k: replace(network, state=states[k]) for k, network in networks.items()}, notes


def _critics(networks: Mapping[str, _Network]) -> dict[int, str]:
    """Keys of the critics by their number of channels."""
    found: dict[int, str] = {}
    for key in networks.keys() - {"G_ema"}:
        taken = [v for k, v in networks[key].state.items() if k.endswith("fromrgb.weight")]
        channels = taken[0].shape[1] if len(taken) == 1 and taken[0].ndim == 4 else 0
        if channels not in (3, 4) or channels in found:
            raise RefusedFile(
                f"has a critic {shown(key)} that Blemish does not use",
                expected="one for the image, and one for image and mask, both "
                "of the architecture 'resnet'",
            )
        found[channels] = key
    return found


def _facts(arguments: Mapping[str, ArgumentFacts], facts: Facts) -> Facts:
    clamp = arguments["G_ema"].clamp
    groups = {each.group for key, each in arguments.items() if key != "G_ema"}
    if len(groups) > 1 or any(each.clamp != clamp for each in arguments.values()):
        raise RefusedFile(
            "clamps activations, or compares samples, differently in two networks",
            expected="networks with the same conv_clamp and mbstd_group_size",
        )
    return replace(facts, conv_clamp=clamp, critic_group=groups.pop() if groups else 4)


def _refuse_strange(arguments: Mapping[str, ArgumentFacts], config: GeneratorConfig) -> None:
    # The training options of stage 2 are DFMGAN's own; the branch is known by its tensors.
    strange = [text for each in arguments.values() for text in each.strange]
    if strange and config.defect is None:
        raise RefusedFile(f"has options unknown to Blemish: {', '.join(strange[:6])}")


def _notes(
    snapshot: Mapping[Any, Any],
    networks: Mapping[str, _Network],
    arguments: Mapping[str, ArgumentFacts],
) -> Iterator[str]:
    left = sorted(shown(str(key))[1:-1] for key in snapshot if str(key) not in networks)
    if left:
        yield f"Left out, because generation does not need them: {', '.join(left[:8])}."
    if any(each.halves for each in arguments.values()):
        yield "Blocks of float16 are computed in float32, which is more precise."
    for key, each in arguments.items():
        if each.strange:
            yield f"Options of {key} that Blemish does not know: {', '.join(each.strange[:8])}."
