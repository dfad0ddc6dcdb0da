from dataclasses import replace

import pytest
import torch
from tiny import CONFIG, part

from blemish.data.augment import Symmetries
from blemish.generator.critic import Critic, build_critic
from blemish.generator.network import Generator
from blemish.generator.residual import ResidualConfig
from blemish.inversion.encoder import Encoder, Encoding
from blemish.inversion.losses import feature_error, squared_error
from blemish.inversion.refusal import MOVES, PIXEL_WEIGHT, strangeness, strangest
from blemish.pictures import fit, to_tensor
from blemish.types import Codes

STILL = Symmetries()
MOVED = Symmetries(flip=True, rotate=True, shift=True, colour=True)


class Omniscient(Encoder):
    """Knows the codes that it is asked for, in their order."""

    def __init__(self, w: torch.Tensor) -> None:
        super().__init__(CONFIG)
        self.w = w

    def forward(self, image: torch.Tensor) -> Encoding:
        return Encoding(w=self.w[: len(image)])


@pytest.fixture(scope="module")
def photographs() -> torch.Tensor:
    return torch.stack([to_tensor(fit(part(seed=seed), 16)) for seed in range(5)])


def test_what_the_codes_draw_is_not_strange(generator: Generator, critic: Critic) -> None:
    w = generator.codes(torch.randn(3, CONFIG.z_dim)).w.contiguous()
    image = generator(Codes(w=w)).image
    found = strangeness(generator, critic, Omniscient(w), image)
    torch.testing.assert_close(found, torch.zeros(3))
    assert (strangeness(generator, critic, Omniscient(w), image.flip(0)) > 0.01)[[0, 2]].all()


def test_strangeness_is_the_distance_to_what_the_encoder_s_code_draws(
    generator: Generator, critic: Critic, encoder: Encoder, photographs: torch.Tensor
) -> None:
    again = generator(Codes(w=encoder(photographs).w)).image
    features = feature_error(critic.features(again), critic.features(photographs))
    expected = PIXEL_WEIGHT * squared_error(again, photographs) + features
    found = strangeness(generator, critic, encoder, photographs)
    torch.testing.assert_close(found, expected)
    assert found.shape == (5,) and not found.requires_grad


def test_each_photograph_is_judged_for_itself(
    generator: Generator, critic: Critic, encoder: Encoder, photographs: torch.Tensor
) -> None:
    together = strangeness(generator, critic, encoder, photographs)
    alone = [strangeness(generator, critic, encoder, one[None]) for one in photographs]
    torch.testing.assert_close(together, torch.cat(alone), rtol=1e-3, atol=1e-4)


def test_of_still_photographs_the_strangest_is_the_largest(
    generator: Generator, critic: Critic, encoder: Encoder, photographs: torch.Tensor
) -> None:
    found = strangest(generator, critic, encoder, photographs, STILL)
    expected = strangeness(generator, critic, encoder, photographs).max().item()
    assert found == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("batch", [1, 3, 64])
def test_the_batch_changes_nothing_but_rounding(
    generator: Generator, critic: Critic, encoder: Encoder, photographs: torch.Tensor, batch: int
) -> None:
    whole = strangest(generator, critic, encoder, photographs, STILL)
    parts = strangest(generator, critic, encoder, photographs, STILL, batch=batch)
    assert parts == pytest.approx(whole, rel=1e-3)


def test_moved_photographs_count_too(
    generator: Generator, critic: Critic, encoder: Encoder, photographs: torch.Tensor
) -> None:
    still, moved, again, other = (
        strangest(generator, critic, encoder, photographs, moves, seed=seed)
        for moves, seed in ((STILL, 0), (MOVED, 0), (MOVED, 0), (MOVED, 1))
    )
    assert moved == again
    assert len({still, moved, other}) == 3


def test_each_photograph_is_moved_so_often(
    generator: Generator, critic: Critic, encoder: Encoder, photographs: torch.Tensor
) -> None:
    seen: list[int] = []
    hook = encoder.register_forward_pre_hook(lambda _, images: seen.append(len(images[0])))
    strangest(generator, critic, encoder, photographs, STILL)
    hook.remove()
    assert sum(seen) == MOVES * len(photographs)


def test_noise_is_stranger_than_a_part_to_one_who_knows_parts(
    generator: Generator, critic: Critic
) -> None:
    w = generator.codes(torch.randn(4, CONFIG.z_dim)).w.contiguous()
    own = generator(Codes(w=w)).image
    near = (own + 0.05 * torch.randn_like(own)).clamp(-1, 1)
    knows = Omniscient(w)
    assert (
        strangeness(generator, critic, knows, near)
        < strangeness(generator, critic, knows, torch.rand_like(own) * 2 - 1)
    ).all()


def test_a_bundle_without_a_branch_refuses_as_well(photographs: torch.Tensor) -> None:
    plain = replace(CONFIG, defect=None)
    networks = (
        Generator(plain).eval(),
        build_critic(ResidualConfig(), plain).eval(),
        Encoder(plain).eval(),
    )
    assert strangest(*networks, photographs, MOVED) > 0
