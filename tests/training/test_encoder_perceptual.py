from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tiny import CONFIG
from torch import Tensor

from blemish.errors import BundleError
from blemish.features import SOURCES, Convention, FeatureNetwork
from blemish.inversion.losses import feature_error, squared_error
from blemish.models.critic import Critic, build_critic
from blemish.models.projected import ProjectedConfig
from blemish.names import FeatureSource, FileNetwork
from blemish.training.encoder.perceptual import LEVELS_PER_DEVIATION, VGG_LAYER, PerceptualLoss
from blemish.training.encoder.presets import EncoderTraining

CLASSIFIERS: tuple[FileNetwork, ...] = ("squeezenet", "vgg16")


SIGHTS: list[tuple[FeatureSource, int]] = [
    ("critic", 16),
    ("efficientnet-lite0", 16),
    ("squeezenet", 32),
    ("vgg16", 16),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where weights of the published names and shapes are, random ones."""
    folder = tmp_path_factory.mktemp("weights")
    for name in CLASSIFIERS:
        _write(folder, name, {"convention": "torchvision"})
    return folder


@pytest.fixture
def weights(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BLEMISH_WEIGHTS", str(folder))
    return folder


def _write(folder: Path, name: FileNetwork, metadata: dict[str, str]) -> None:
    with torch.device("meta"):
        slots = FeatureNetwork(name).state_dict()
    rng = torch.Generator().manual_seed(0)
    tensors = {k: _weight(slot.shape, rng).half() for k, slot in slots.items()}
    save_file(tensors, folder / SOURCES[name].filenames[0], metadata)


def _weight(shape: torch.Size, rng: torch.Generator) -> Tensor:
    scale = (2 / max(1, shape[1:].numel())) ** 0.5 if len(shape) > 1 else 0.0
    return torch.randn(shape, generator=rng) * scale


def pictures(side: int, n: int = 2) -> Tensor:
    return torch.rand(n, 3, side, side) * 2 - 1


def test_the_critic_sees_as_in_the_searches(critic: Critic) -> None:
    drawn, target = pictures(16), pictures(16)
    expected = feature_error(critic.features(drawn), critic.features(target))
    torch.testing.assert_close(PerceptualLoss.of("critic", critic).error(drawn, target), expected)


@pytest.mark.parametrize("name, side", SIGHTS)
def test_an_error_is_a_number_for_each_picture(
    critic: Critic, weights: Path, name: FeatureSource, side: int
) -> None:
    loss, drawn, target = PerceptualLoss.of(name, critic), pictures(side, 3), pictures(side, 3)
    found = loss.error(drawn, target)
    assert found.shape == (3,) and (found > 0).all()
    torch.testing.assert_close(loss.error(target, target), torch.zeros(3))
    torch.testing.assert_close(loss.error(drawn[1:2], target[1:2]), found[1:2], rtol=1e-3, atol=0)


@pytest.mark.parametrize("name, side", SIGHTS)
def test_gradients_reach_the_drawn_pictures_alone(
    critic: Critic, weights: Path, name: FeatureSource, side: int
) -> None:
    drawn, target = pictures(side).requires_grad_(), pictures(side).requires_grad_()
    PerceptualLoss.of(name, critic).error(drawn, target).sum().backward()
    assert drawn.grad is not None and drawn.grad.isfinite().all() and drawn.grad.any()
    assert target.grad is None


@pytest.mark.parametrize("convention, scale", [("torchvision", LEVELS_PER_DEVIATION), ("caffe", 1)])
def test_the_units_of_vgg16_are_those_of_levels(
    critic: Critic,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    convention: Convention,
    scale: float,
) -> None:
    network = FeatureNetwork("vgg16", convention)
    monkeypatch.setattr("blemish.training.encoder.perceptual.load_features", lambda name: network)
    drawn, target = pictures(16), pictures(16)
    maps = [network(image)[VGG_LAYER] * scale for image in (drawn, target)]
    found = PerceptualLoss.of("vgg16", critic).error(drawn, target)
    torch.testing.assert_close(found, squared_error(*maps))


def test_the_default_space_is_the_projected_critic_s() -> None:
    critic = build_critic(ProjectedConfig(), CONFIG).requires_grad_(False)
    drawn, target = pictures(16), pictures(16)
    expected = PerceptualLoss.of("critic", critic).error(drawn, target)
    found = PerceptualLoss.of(EncoderTraining().features, critic).error(drawn, target)
    torch.testing.assert_close(found, expected)


def test_errors_of_vgg16_are_raw_and_of_others_relative(critic: Critic, weights: Path) -> None:
    assert not PerceptualLoss.of("vgg16", critic).relative
    assert (
        PerceptualLoss.of("squeezenet", critic).relative
        and PerceptualLoss.of("critic", critic).relative
    )


def test_both_conventions_see_about_as_far() -> None:
    """The factor is that of the two inputs' widths, 255 levels over a range of 1/0.226."""
    assert pytest.approx(255 * 0.226, rel=0.01) == LEVELS_PER_DEVIATION


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_missing_weights_are_named(
    critic: Critic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: FileNetwork
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("BLEMISH_WEIGHTS", str(tmp_path / "none"))
    with pytest.raises(BundleError, match=f"no weights for {name}.*set BLEMISH_WEIGHTS"):
        PerceptualLoss.of(name, critic)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_torn_weights_are_refused(
    critic: Critic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: FileNetwork
) -> None:
    monkeypatch.setenv("BLEMISH_WEIGHTS", str(tmp_path))
    (tmp_path / SOURCES[name].filenames[0]).write_bytes(b"hello")
    with pytest.raises(BundleError, match="an incomplete or damaged file"):
        PerceptualLoss.of(name, critic)
