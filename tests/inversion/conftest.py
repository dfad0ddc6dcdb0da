import pytest
import torch
from tiny import object_statistics

from blemish.generator.critic import Critic
from blemish.generator.network import Generator
from blemish.inversion.domain import fit_domain
from blemish.inversion.encoder import Encoder
from blemish.inversion.model import Model
from blemish.inversion.space import w_defect_statistics, w_statistics
from blemish.recognition import Recognizer


@pytest.fixture(scope="session")
def encoder(generator: Generator) -> Encoder:
    """Of random weights, about the mean of w."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = Encoder(generator.config).eval().requires_grad_(False)
    encoder.w_mean.copy_(w_statistics(generator).mean)
    encoder.w_defect_mean.copy_(w_defect_statistics(generator).mean)
    return encoder


@pytest.fixture(scope="session")
def model(generator: Generator, critic: Critic, encoder: Encoder) -> Model:
    domain = fit_domain(generator, encoder, n=200)
    return Model(
        generator=generator,
        critic=critic,
        encoder=encoder,
        domain=domain,
        recognizer=Recognizer(object_statistics()),
    )
