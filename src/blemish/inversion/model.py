"""Opened bundle: its frozen networks, and the statistics of its codes."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from blemish.checkpoint import Bundle
from blemish.devices import one_thread
from blemish.errors import BundleError
from blemish.inversion.domain import PREFIX, Domain, fit_domain
from blemish.models.critic import Critic
from blemish.models.encoder import Encoder, load_encoder
from blemish.models.generator import Generator
from blemish.models.load import load_critic, load_generator
from blemish.recognition import Recognizer

SAMPLES = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """Frozen networks of a bundle for inversion.

    Attributes:
        generator: Generator from codes to images.
        critic: Critic of images; its features measure likeness.
        encoder: Encoder from images to codes; None if the bundle has none.
        domain: Domain of the generator's own codes; None if it has not been computed.
        recognizer: Recognizer of the bundle's object; None if the bundle lacks its statistics.
    """

    generator: Generator
    critic: Critic
    encoder: Encoder | None = None
    domain: Domain | None = None
    recognizer: Recognizer | None = None

    @property
    def device(self) -> torch.device:
        """Device of the networks."""
        return self.generator.mapping.w_avg.device


@one_thread()
def load_model(bundle: Bundle, device: torch.device | str = "cpu") -> Model:
    """The bundle's networks, as far as it has them.

    Raises:
        BundleError: The generator or the critic is missing, or a part is damaged.
    """
    generator = load_generator(bundle, device)
    statistics = bundle.statistics()
    domain = Domain.read(statistics)
    _refuse_others(bundle, generator.config.w_dim, domain)
    return Model(
        generator=generator,
        critic=load_critic(bundle, device),
        encoder=load_encoder(bundle, device) if bundle.has("encoder") else None,
        domain=None if domain is None else domain.to(device),
        recognizer=Recognizer.of(bundle),
    )


def learn_domain(
    bundle: Bundle,
    device: torch.device | str = "cpu",
    *,
    samples: int = SAMPLES,
    on_progress: Callable[[int], None] | None = None,
) -> None:
    """Compute the domain of a bundle's codes and store it in its statistics.

    Args:
        bundle: Bundle with a generator, and optionally an encoder.
        device: Device to compute on.
        samples: Number of fresh samples.
        on_progress: Callback, called with the number of samples so far.
    """
    generator = load_generator(bundle, device)
    encoder = load_encoder(bundle, device) if bundle.has("encoder") else None
    _keep(bundle, fit_domain(generator, encoder, n=samples, on_progress=on_progress).tensors())


def forget_domain(bundle: Bundle) -> None:
    """Remove from a bundle's statistics the results of another encoder."""
    bundle.forget(PREFIX)


def _refuse_others(bundle: Bundle, w_dim: int, domain: Domain | None) -> None:
    if domain is not None and len(domain.mean) != w_dim:
        raise BundleError(
            got=f"{bundle.path / 'statistics.safetensors'}, of the codes of another generator",
            expected=f"statistics of codes of {w_dim} numbers a row",
            todo="Download the bundle again, or train its encoder again.",
        )


def _keep(bundle: Bundle, found: dict[str, Tensor]) -> None:
    known = bundle.statistics()
    bundle.write("statistics", {**known, **found})
