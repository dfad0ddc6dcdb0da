"""A bundle at work: its frozen networks, and what is known of its codes."""

from collections.abc import Callable
from dataclasses import dataclass

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
from blemish.inversion.refusal import strangest

STRANGEST = "strangest"
SAMPLES = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """The networks of a bundle that inversion needs, frozen.

    Attributes:
        generator: Draws pictures from codes.
        critic: Of images; its features measure likeness.
        encoder: Pictures to codes; None where the bundle has not learnt to encode.
        domain: Of the generator's own codes; None where it has not been learnt.
        strangest: Of the photographs that the encoder has learnt from; None where unknown.
    """

    generator: Generator
    critic: Critic
    encoder: Encoder | None = None
    domain: Domain | None = None
    strangest: float | None = None

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return self.generator.mapping.w_avg.device


@one_thread()
def load_model(bundle: Bundle, device: torch.device | str = "cpu") -> Model:
    """The bundle's networks, as far as it has them.

    Raises:
        BundleError: It lacks a generator or a critic, or something in it is torn.
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
    """Learn the domain of a bundle's codes, and keep it in its statistics.

    Args:
        bundle: With a generator, and an encoder if it has learnt to encode.
        device: To work on.
        samples: Fresh ones to learn from.
        tell: Called with the number of samples so far.
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
    """Learn how strange photographs of the part are to the bundle, and keep it likewise."""
    model = load_model(bundle, device)
    assert model.encoder is not None
    value = strangest(model.generator, model.critic, model.encoder, photographs, symmetries)
    _keep(bundle, {STRANGEST: torch.tensor(value)})


def forget_domain(bundle: Bundle) -> None:
    """Drop from a bundle's statistics what was learnt with another encoder."""
    bundle.forget(PREFIX, STRANGEST)


def _refuse_others(
    bundle: Bundle, w_dim: int, domain: Domain | None, strange: Tensor | None
) -> None:
    fits = domain is None or len(domain.mean) == w_dim
    if not (fits and (strange is None or strange.ndim == 0)):
        raise BundleError(
            got=f"{bundle.path / 'statistics.safetensors'}, of the codes of another generator",
            expected=f"what is known of codes of {w_dim} numbers a row",
            todo="Fetch the bundle again, or train its encoder again.",
        )


def _keep(bundle: Bundle, found: dict[str, Tensor]) -> None:
    known = bundle.tensors("statistics") if bundle.has("statistics") else {}
    bundle.write("statistics", {**known, **found})
