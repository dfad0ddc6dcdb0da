from pathlib import Path
from typing import get_args

import pytest
import torch
from safetensors.torch import save_file

from blemish import features
from blemish.errors import BundleError
from blemish.features import (
    SOURCES,
    Convention,
    FeatureNetwork,
    feature_distance,
    load_features,
    perceptual_distance,
    pooled,
)
from blemish.names import FileNetwork

NAMES: tuple[FileNetwork, ...] = get_args(FileNetwork)
CONVENTIONS: tuple[Convention, ...] = get_args(Convention)
SIZES = {"squeezenet": 735_424, "vgg16": 14_714_688}
DEPTHS = {"squeezenet": 512, "vgg16": 512}


def images(n: int = 2, side: int = 64) -> torch.Tensor:
    return torch.rand(n, 3, side, side) * 2 - 1


@pytest.fixture(scope="module")
def squeezenet() -> FeatureNetwork:
    torch.manual_seed(0)
    return FeatureNetwork("squeezenet")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("BLEMISH_WEIGHTS", raising=False)
    return tmp_path


@pytest.fixture
def weights(squeezenet: FeatureNetwork) -> dict[str, torch.Tensor]:
    return dict(squeezenet.state_dict())


@pytest.mark.parametrize("name", NAMES)
def test_networks_have_the_published_size_and_stay_frozen(name: FileNetwork) -> None:
    network = FeatureNetwork(name).train()
    assert sum(p.numel() for p in network.parameters()) == SIZES[name]
    assert not network.training and not any(p.requires_grad for p in network.parameters())


def test_squeezenet_names_its_maps(squeezenet: FeatureNetwork) -> None:
    maps = squeezenet(images(side=224))
    assert list(maps) == ["conv1", *(f"fire{i}" for i in range(2, 10))]
    assert maps["fire2"].shape == (2, 128, 54, 54)
    assert maps["fire9"].shape == (2, 512, 13, 13)


def test_vgg16_names_its_maps_under_torchvisions_indices() -> None:
    network = FeatureNetwork("vgg16")
    maps = network(images(1, 32))
    assert network.layers[22] == "conv4_3" and "features.21.weight" in network.state_dict()
    assert maps["conv4_3"].shape == (1, 512, 4, 4) and maps["conv5_3"].shape == (1, 512, 2, 2)


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_a_convention_only_changes_the_input(convention: Convention) -> None:
    network = FeatureNetwork("squeezenet", convention)
    x = images(1, 32)
    unit = (x + 1) / 2
    if convention == "caffe":
        red, green, blue = (255 * unit).unbind(dim=1)
        expected = torch.stack([blue - 104, green - 117, red - 123], dim=1)
    else:
        red, green, blue = unit.unbind(dim=1)
        standardised = [(red - 0.485) / 0.229, (green - 0.456) / 0.224, (blue - 0.406) / 0.225]
        expected = torch.stack(standardised, dim=1)
    first = network.features[0](expected).relu()
    torch.testing.assert_close(network(x)["conv1"], first, rtol=1e-3, atol=1e-3)


def test_distance_is_zero_symmetric_and_bounded(squeezenet: FeatureNetwork) -> None:
    a, b = images(), images()
    distance = perceptual_distance(squeezenet, a, b)
    assert distance.shape == (2,) and (distance > 0).all() and (distance <= 2).all()
    torch.testing.assert_close(perceptual_distance(squeezenet, a, a), torch.zeros(2))
    torch.testing.assert_close(distance, perceptual_distance(squeezenet, b, a))


def test_distance_of_orthogonal_features_is_two() -> None:
    a, b = torch.zeros(1, 2, 3, 3), torch.zeros(1, 2, 3, 3)
    a[:, 0], b[:, 1] = 5, 0.1
    torch.testing.assert_close(feature_distance({"x": a}, {"x": b}), torch.tensor([2.0]))


def test_distance_ignores_a_layers_scale_and_the_layers_not_chosen() -> None:
    a, b = torch.rand(2, 4, 3, 3), torch.rand(2, 4, 3, 3)
    plain = feature_distance({"x": a}, {"x": b})
    other = feature_distance({"x": 7 * a, "y": a}, {"x": b, "y": b * 0}, layers=["x"])
    torch.testing.assert_close(plain, other)


def test_gradients_reach_the_images(squeezenet: FeatureNetwork) -> None:
    a = images().requires_grad_()
    perceptual_distance(squeezenet, a, images()).sum().backward()
    assert a.grad is not None and a.grad.isfinite().all() and a.grad.abs().sum() > 0


def test_pooled_does_not_depend_on_the_batch(squeezenet: FeatureNetwork) -> None:
    x = images(5)
    vectors = pooled(squeezenet, x, batch=2)
    assert vectors.shape == (5, DEPTHS["squeezenet"])
    torch.testing.assert_close(vectors, pooled(squeezenet, x))
    torch.testing.assert_close(vectors.square().mean(dim=1), torch.ones(5))
    means = squeezenet(x)["fire9"].mean(dim=(2, 3))
    torch.testing.assert_close(torch.cosine_similarity(vectors, means), torch.ones(5))


@pytest.mark.parametrize("kind", ["safetensors", "pth"])
def test_saved_weights_are_loaded(
    tmp_path: Path, squeezenet: FeatureNetwork, weights: dict[str, torch.Tensor], kind: str
) -> None:
    file = tmp_path / f"weights.{kind}"
    weights["classifier.1.weight"] = torch.zeros(1000, 512, 1, 1)
    save_file(weights, file) if kind == "safetensors" else torch.save(weights, file)
    loaded = load_features("squeezenet", file)
    assert not any(p.requires_grad for p in loaded.parameters())
    x = images(1)
    torch.testing.assert_close(loaded(x), squeezenet(x))


def test_loading_draws_no_random_numbers(tmp_path: Path, weights: dict[str, torch.Tensor]) -> None:
    save_file(weights, tmp_path / "weights.safetensors")
    before = torch.get_rng_state()
    load_features("squeezenet", tmp_path / "weights.safetensors")
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    ("metadata", "convention"),
    [
        (None, "torchvision"),
        ({"convention": "caffe"}, "caffe"),
        ({"input": "BGR 0..255 (caffe)"}, "caffe"),
        ({"convention": "torchvision", "input": "not as in Caffe"}, "torchvision"),
    ],
)
def test_the_convention_is_read_from_the_metadata(
    tmp_path: Path, weights: dict[str, torch.Tensor], metadata: dict | None, convention: str
) -> None:
    save_file(weights, tmp_path / "weights.safetensors", metadata)
    assert load_features("squeezenet", tmp_path / "weights.safetensors").convention == convention


def test_half_precision_weights_become_single(
    tmp_path: Path, weights: dict[str, torch.Tensor]
) -> None:
    file = tmp_path / "weights.safetensors"
    save_file({key: tensor.half() for key, tensor in weights.items()}, file)
    assert {p.dtype for p in load_features("squeezenet", file).parameters()} == {torch.float32}


@pytest.mark.parametrize("place", ["argument", "variable", "cache"])
def test_weights_are_found_in_three_places(
    home: Path, weights: dict[str, torch.Tensor], monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    folder = home / ".cache" / "blemish" if place == "cache" else home / "weights"
    folder.mkdir(parents=True)
    torch.save(weights, folder / SOURCES["squeezenet"].filenames[-1])
    if place == "variable":
        monkeypatch.setenv("BLEMISH_WEIGHTS", str(folder))
    assert load_features("squeezenet", folder if place == "argument" else None).name == "squeezenet"


@pytest.mark.parametrize("name", NAMES)
def test_missing_weights_say_what_to_do(home: Path, name: FileNetwork) -> None:
    with pytest.raises(BundleError, match=f"no weights for {name}.*BLEMISH_WEIGHTS"):
        load_features(name)


def test_a_path_that_is_missing_is_named_and_never_downloaded(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.hub, "download_url_to_file", lambda *_, **__: pytest.fail("fetched"))
    with pytest.raises(BundleError, match=r"nowhere\.pth"):
        load_features("squeezenet", home / "nowhere.pth", download=True)


def spoil(weights: dict[str, torch.Tensor], how: str) -> dict[str, torch.Tensor]:
    key = "features.3.squeeze1x1.weight"
    if how == "missing":
        return {k: t for k, t in weights.items() if k != key}
    if how == "shape":
        return weights | {key: torch.zeros(3, 3)}
    return weights | {key: torch.full_like(weights[key], float("nan" if how == "nan" else "inf"))}


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("missing", "no tensor 'features.3.squeeze1x1.weight'"),
        ("shape", r"'features.3.squeeze1x1.weight' of \[3, 3\], not \[16, 96, 1, 1\]"),
        ("nan", "not finite in 'features.3.squeeze1x1.weight'"),
        ("infinite", "not finite"),
    ],
)
def test_spoilt_weights_are_refused(
    tmp_path: Path, weights: dict[str, torch.Tensor], how: str, words: str
) -> None:
    save_file(spoil(weights, how), tmp_path / "weights.safetensors")
    with pytest.raises(BundleError, match=words):
        load_features("squeezenet", tmp_path / "weights.safetensors")


@pytest.mark.parametrize("kind", ["safetensors", "pth"])
@pytest.mark.parametrize("kept", [0, 10, 0.5, 0.99])
def test_truncated_files_are_refused(
    tmp_path: Path, weights: dict[str, torch.Tensor], kind: str, kept: float
) -> None:
    file = tmp_path / f"weights.{kind}"
    save_file(weights, file) if kind == "safetensors" else torch.save(weights, file)
    whole = file.read_bytes()
    file.write_bytes(whole[: int(kept if kept >= 1 else kept * len(whole))])
    with pytest.raises(BundleError, match="an incomplete or damaged file"):
        load_features("squeezenet", file)


class Trap:
    def __reduce__(self) -> tuple:
        return Path("sprung").touch, ()


@pytest.mark.parametrize("content", [Trap(), [1, 2], {"features.0.weight": "text"}])
def test_a_pickle_of_something_else_is_refused_and_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: object
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(content, "weights.pth")
    with pytest.raises(BundleError):
        load_features("squeezenet", Path("weights.pth"))
    assert not Path("sprung").exists()


def test_a_download_lands_in_the_cache(
    home: Path, weights: dict[str, torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched = []

    def fetch(url: str, file: str, *, hash_prefix: str) -> None:
        fetched.append((url, hash_prefix))
        torch.save(weights, file)

    monkeypatch.setattr(features.torch.hub, "download_url_to_file", fetch)
    load_features("squeezenet", download=True)
    load_features("squeezenet", download=True)
    assert fetched == [(SOURCES["squeezenet"].url, "b66bff10")]


@pytest.mark.parametrize(
    ("trouble", "words"),
    [(RuntimeError("invalid hash value"), "another SHA-256"), (OSError("timed out"), "timed out")],
)
def test_a_failed_download_says_why(
    home: Path, monkeypatch: pytest.MonkeyPatch, trouble: Exception, words: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise trouble

    monkeypatch.setattr(features.torch.hub, "download_url_to_file", fail)
    with pytest.raises(BundleError, match=words):
        load_features("vgg16", download=True)


@pytest.mark.parametrize("name", NAMES)
def test_the_digest_is_the_one_in_the_file_name(name: FileNetwork) -> None:
    assert SOURCES[name].url.endswith(f"-{SOURCES[name].sha256[:8]}.pth")
    assert SOURCES[name].url.endswith(SOURCES[name].filenames[-1])


def test_the_published_squeezenet_prefers_a_small_shift_to_another_picture(shared: Path) -> None:
    file = shared / "weights" / "squeezenet1_0_imagenet.safetensors"
    if not file.is_file():
        pytest.skip("the ImageNet weights of SqueezeNet are not in ../shared/weights")
    network = load_features("squeezenet", file)
    assert network.convention == "caffe"
    coarse = torch.nn.functional.interpolate(images(3, 8), size=64, mode="bicubic").clamp(-1, 1)
    shifted = coarse.roll(2, dims=3)
    near = perceptual_distance(network, coarse, shifted)
    far = perceptual_distance(network, coarse, coarse.roll(1, dims=0))
    assert (2 * near < far).all()


def test_efficientnet_lite0_needs_no_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("BLEMISH_WEIGHTS", raising=False)
    network = load_features("efficientnet-lite0")
    a, b = images(), images()
    distance = perceptual_distance(network, a, b)
    assert (distance > 0).all() and (distance <= 2).all()
    torch.testing.assert_close(perceptual_distance(network, a, a), torch.zeros(2))
    assert pooled(network, a).shape == (2, 320)
