import pytest
import torch
from torch import Tensor

from blemish.inversion.losses import feature_error, squared_error
from blemish.inversion.reconstruction import ReconstructionLoss, filled
from blemish.models.critic import Critic


def hole() -> Tensor:
    where = torch.ones(2, 1, 16, 16)
    where[:, :, 3:9, 5:13] = 0
    return where


def test_terms_are_pixels_and_features(critic: Critic) -> None:
    a, b = torch.randn(2, 3, 16, 16), torch.randn(2, 3, 16, 16)
    found = ReconstructionLoss.to(critic, b).terms(a)
    torch.testing.assert_close(found["pixels"], squared_error(a, b))
    expected = feature_error(critic.features(a), critic.features(b))
    torch.testing.assert_close(found["features"], expected)


@pytest.mark.parametrize("where", [None, hole()])
def test_a_picture_is_like_itself(critic: Critic, where: Tensor | None) -> None:
    image = torch.randn(2, 3, 16, 16)
    found = ReconstructionLoss.to(critic, image, where).terms(image)
    assert not any(values.any() for values in found.values())


def test_places_that_do_not_count_are_not_seen(critic: Critic) -> None:
    target, image, where = torch.randn(2, 3, 16, 16), torch.randn(2, 3, 16, 16), hole()
    likeness = ReconstructionLoss.to(critic, target, where)
    spoilt = torch.where(where > 0, target, torch.randn_like(target))
    other = torch.where(where > 0, image, torch.randn_like(image))
    for a, b in ((likeness, image), (ReconstructionLoss.to(critic, spoilt, where), other)):
        torch.testing.assert_close(a.terms(b), likeness.terms(image), rtol=0, atol=0)
    assert (likeness.terms(image)["pixels"] > 0).all()


def test_gradients_reach_the_image_alone(critic: Critic) -> None:
    image, target = torch.randn(2, 3, 16, 16).requires_grad_(), torch.randn(2, 3, 16, 16)
    likeness = ReconstructionLoss.to(critic, target.requires_grad_())
    assert not any(map.requires_grad for map in likeness.wanted)
    (gradient,) = torch.autograd.grad(likeness.terms(image)["features"].sum(), image)
    assert gradient.isfinite().all()
    assert gradient.any()


def test_left_out_places_take_the_mean_colour_of_the_rest() -> None:
    image, where = torch.randn(2, 3, 16, 16), hole()
    found = filled(image, where)
    inside = where.bool().expand_as(image)
    assert torch.equal(found[inside], image[inside])
    for item in range(2):
        mean = image[item][:, where[item, 0] > 0].mean(dim=1)
        torch.testing.assert_close(found[item, :, 5, 7], mean)
    assert filled(image, None) is image
    assert not filled(image, torch.zeros_like(where)).any()
