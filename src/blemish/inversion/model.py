"""Opened bundle: its frozen networks, and the statistics of its codes."""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf

import torch
from jaxtyping import Float
from torch import Tensor

from blemish.checkpoint import Bundle
from blemish.data.augment import Symmetries
from blemish.devices import one_thread
from blemish.errors import BundleError
from blemish.generator.critic import Critic
from blemish.generator.network import Generator
from blemish.generator.restore import load_critic, load_generator
from blemish.inversion.domain import PREFIX, Domain, fit_domain
from blemish.inversion.encoder import Encoder, load_encoder
from blemish.inversion.refusal import MARGIN, strangeness, strangest

STRANGEST = "strangest"
SAMPLES = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """Frozen networks of a bundle for inversion.

    Attributes:
        generator: Generator from codes to images.
        critic: Critic of images; its features measure likeness.
        encoder: Encoder from images to codes; None if the bundle has none.
        domain: Domain of the generator's own codes; None if it has not been computed.
        strangest: Maximum reconstruction distance of the encoder's training photographs; None if
            unknown.
    """

    generator: Generator
    critic: Critic
    encoder: Encoder | None = None
    domain: Domain | None = None
    strangest: float | None = None

    @property
    def device(self) -> torch.device:
        """Device of the networks."""
        return self.generator.mapping.w_avg.device

    @property
    def limit(self) -> float:
        """The strangeness above which a photograph shows something else than the part."""
        return inf if self.strangest is None else MARGIN * self.strangest

    @torch.no_grad()
    def is_foreign(self, target: Float[Tensor, "1 3 h w"]) -> bool | None:
        """Whether a photograph shows something else than the part; None where nobody knows.

        Args:
            target: The photograph at the generator's resolution, in [-1, 1].
        """
        if self.encoder is None or self.strangest is None:
            return None
        found = strangeness(self.generator, self.critic, self.encoder, target)
        return found.item() > self.limit


@one_thread()
def load_model(bundle: Bundle, device: torch.device | str = "cpu") -> Model:
    """The bundle's networks, as far as it has them.

    Raises:
        BundleError: The generator or the critic is missing, or a part is damaged.
    """
    generator = load_generator(bundle, device)
    statistics = bundle.tensors("statistics") if bundle.has("statistics") else {}
    domain, strange = Domain.read(statistics), statistics.get(STRANGEST)
    _refuse_others(bundle, generator.config.w_dim, domain, strange)
    return Model(
        generator=generator,
        critic=load_critic(bundle, device),
        encoder=load_encoder(bundle, device) if bundle.has("encoder") else None,
        domain=None if domain is None else domain.to(device),
        strangest=None if strange is None else strange.item(),
    )


def learn_domain(
    bundle: Bundle,
    device: torch.device | str = "cpu",
    *,
    samples: int = SAMPLES,
    tell: Callable[[int], None] | None = None,
) -> None:
    """Compute the domain of a bundle's codes and store it in its statistics.

    Args:
        bundle: Bundle with a generator, and optionally an encoder.
        device: Device to compute on.
        samples: Number of fresh samples.
        tell: Callback, called with the number of samples so far.
    """
    generator = load_generator(bundle, device)
    encoder = load_encoder(bundle, device) if bundle.has("encoder") else None
    _keep(bundle, fit_domain(generator, encoder, n=samples, tell=tell).tensors())


def learn_strangeness(
    bundle: Bundle,
    photographs: Float[Tensor, "n 3 h w"],
    symmetries: Symmetries,
    device: torch.device | str = "cpu",
) -> None:
    """Compute the largest reconstruction distance of photographs of the part, and store it."""
    model = load_model(bundle, device)
    assert model.encoder is not None
    value = strangest(model.generator, model.critic, model.encoder, photographs, symmetries)
    _keep(bundle, {STRANGEST: torch.tensor(value)})


def forget_domain(bundle: Bundle) -> None:
    """Remove from a bundle's statistics the results of another encoder."""
    bundle.forget(PREFIX, STRANGEST)


def _refuse_others(
    bundle: Bundle, w_dim: int, domain: Domain | None, strange: Tensor | None
) -> None:
    fits = domain is None or len(domain.mean) == w_dim
    if not (fits and (strange is None or strange.ndim == 0)):
        raise BundleError(
            got=f"{bundle.path / 'statistics.safetensors'}, of the codes of another generator",
            expected=f"statistics of codes of {w_dim} numbers a row",
            todo="Download the bundle again, or train its encoder again.",
        )


def _keep(bundle: Bundle, found: dict[str, Tensor]) -> None:
    known = bundle.tensors("statistics") if bundle.has("statistics") else {}
    bundle.write("statistics", {**known, **found})
