r"""Frozen networks whose features measure likeness.

Three classifiers trained on ImageNet, cut off before their verdict. EfficientNet-Lite0 comes with a
package and is always at hand, so networks are trained with it. SqueezeNet 1.0 (Iandola et al.,
2016) and VGG16 (Simonyan & Zisserman, 2015) are files under torchvision's state-dict names; nothing
is trained against SqueezeNet, so that it can judge. The distance of two images is the mean over the
layers $l$ of

    \frac{1}{h_l w_l} \sum_{p} \lVert \hat f_l(a)_p - \hat f_l(b)_p \rVert_2^2

with features $\hat f$ of unit length at each place $p$: LPIPS (Zhang et al., 2018, eq. 1) without
its learnt weights. Images are RGB in [-1, 1]; each network converts them to its own input
convention.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, overload

import torch
import torch.nn.functional as F
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from blemish.efficientnet import EfficientNetLite0, load_lite0
from blemish.errors import BundleError
from blemish.files import ensure_writable
from blemish.names import FileNetwork, NetworkName

Convention = Literal["torchvision", "caffe"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsSource:
    """Source of a network's weights.

    Attributes:
        filenames: Names of a local file, the most likely first.
        url: Address of the publisher's file.
        sha256: Digest of the file, or the part of it that the publisher states.
    """

    filenames: tuple[str, ...]
    url: str
    sha256: str


SOURCES: dict[FileNetwork, WeightsSource] = {
    "squeezenet": WeightsSource(
        filenames=("squeezenet1_0_imagenet.safetensors", "squeezenet1_0-b66bff10.pth"),
        url="https://download.pytorch.org/models/squeezenet1_0-b66bff10.pth",
        sha256="b66bff10",
    ),
    "vgg16": WeightsSource(
        filenames=("vgg16_imagenet.safetensors", "vgg16-397923af.pth"),
        url="https://download.pytorch.org/models/vgg16-397923af.pth",
        sha256="397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
    ),
}


class Fire(nn.Module):
    """SqueezeNet's block: few input channels, then parallel 1×1 and 3×3 convolutions."""

    def __init__(self, inputs: int, squeezed: int, expanded: int) -> None:
        super().__init__()
        self.squeeze1x1 = nn.Conv2d(inputs, squeezed, 1)
        self.expand1x1 = nn.Conv2d(squeezed, expanded, 1)
        self.expand3x3 = nn.Conv2d(squeezed, expanded, 3, padding=1)

    def forward(self, x: Float[Tensor, "n i h w"]) -> Float[Tensor, "n o h w"]:
        x = F.relu(self.squeeze1x1(x))
        return F.relu(torch.cat([self.expand1x1(x), self.expand3x3(x)], dim=1))


class FeatureNetwork(nn.Module):
    """Frozen network with named feature maps.

    Args:
        name: Name of the network.
        convention: Input convention of its weights: "caffe" takes BGR in 0..255 minus a mean
            colour, "torchvision" takes RGB in [0, 1], standardised.
    """

    def __init__(self, name: FileNetwork, convention: Convention = "torchvision") -> None:
        super().__init__()
        stack, self.layers = _squeezenet() if name == "squeezenet" else _vgg16()
        self.features = nn.Sequential(*stack)
        self.name: FileNetwork = name
        self.convention: Convention = convention
        self.requires_grad_(False).eval()

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> dict[str, Tensor]:
        """All named feature maps after their ReLU, each `n c h' w'`, in the order of depth.

        Args:
            images: RGB in [-1, 1], at least 32 pixels a side.
        """
        maps, x = {}, _prepared(images, self.convention)
        for index, layer in enumerate(self.features):
            x = layer(x)
            if index in self.layers:
                maps[self.layers[index]] = x
        return maps

    def train(self, mode: bool = True) -> "FeatureNetwork":
        """Stay frozen, also inside a network that is being trained."""
        return super().train(False)


Network = EfficientNetLite0 | FeatureNetwork


@overload
def load_features(
    name: FileNetwork, path: Path | None = None, *, download: bool = False
) -> FeatureNetwork: ...


@overload
def load_features(
    name: NetworkName, path: Path | None = None, *, download: bool = False
) -> Network: ...


def load_features(
    name: NetworkName, path: Path | None = None, *, download: bool = False
) -> Network:
    """Network with its published weights.

    Those of EfficientNet-Lite0 come with their package. Others are looked for at `path`, then in
    the folder that the environment variable BLEMISH_WEIGHTS names, then in the user's cache.

    Args:
        name: Name of the network.
        path: File of weights (safetensors, or a .pth of tensors alone), or a folder with one. The
            input convention is read from the metadata of a safetensors file ("convention", or a
            mention of Caffe under "input"); by default it is torchvision's.
        download: Whether to download a missing file into the cache, unless `path` is given; its
            digest must be the published one.

    Raises:
        BundleError: The file is missing, or belongs to another network.
        OutputError: The cache can't be written to.
    """
    if name == "efficientnet-lite0":
        return load_lite0(path)
    file = _found(name, path)
    if file is None and (path or not download):
        raise _missing(name, path)
    file = file or _downloaded(SOURCES[name])
    tensors, convention = _read(file)
    with torch.device("meta"):  # draws no random numbers for weights that are replaced anyway
        network = FeatureNetwork(name, convention)
    network.load_state_dict(_checked(tensors, network.state_dict(), file), assign=True)
    return network.requires_grad_(False)


def perceptual_distance(
    network: Network,
    a: Float[Tensor, "n 3 h w"],
    b: Float[Tensor, "n 3 h w"],
    *,
    layers: Sequence[str] | None = None,
) -> Float[Tensor, " n"]:
    """Perceptual distance of two images; 0 for equal ones, at most 2.

    Args:
        network: Feature network; name it with any figure.
        a: RGB in [-1, 1].
        b: Image to compare with.
        layers: Names of the feature maps; all by default.
    """
    return feature_distance(network(a), network(b), layers=layers)


def feature_distance(
    a: Mapping[str, Tensor], b: Mapping[str, Tensor], *, layers: Sequence[str] | None = None
) -> Float[Tensor, " n"]:
    """`perceptual_distance` of existing feature maps, for a target that is compared many times."""
    chosen = layers or list(a)
    return torch.stack([_layer_distance(a[layer], b[layer]) for layer in chosen]).mean(dim=0)


@torch.no_grad()
def pooled(
    network: Network, images: Float[Tensor, "n 3 h w"], *, batch: int = 16
) -> Float[Tensor, "n d"]:
    """Deepest features averaged over the image: one vector per image for distances of sets.

    Each is scaled to the length √d. Networks differ in scale by a factor of hundreds, and the
    kernel (x·y/d + 1)³ of `kernel_distance` needs products of about one.

    Args:
        network: Feature network; name it with any figure.
        images: RGB in [-1, 1].
        batch: Number of images per batch, which limits the memory.
    """
    deepest = list(network.layers.values())[-1]
    means = torch.cat([network(x)[deepest].mean(dim=(2, 3)) for x in images.split(batch)])
    return F.normalize(means, dim=1) * means.shape[1] ** 0.5


def _squeezenet() -> tuple[list[nn.Module], dict[int, str]]:
    stack: list[nn.Module] = [nn.Conv2d(3, 96, 7, stride=2), nn.ReLU(), _ceiling_pool()]
    stack += [Fire(96, 16, 64), Fire(128, 16, 64), Fire(128, 32, 128), _ceiling_pool()]
    stack += [Fire(256, 32, 128), Fire(256, 48, 192), Fire(384, 48, 192), Fire(384, 64, 256)]
    stack += [_ceiling_pool(), Fire(512, 64, 256)]
    fires = [index for index, layer in enumerate(stack) if isinstance(layer, Fire)]
    return stack, {1: "conv1"} | {index: f"fire{i}" for i, index in enumerate(fires, start=2)}


def _ceiling_pool() -> nn.MaxPool2d:
    return nn.MaxPool2d(3, stride=2, ceil_mode=True)


def _vgg16() -> tuple[list[nn.Module], dict[int, str]]:
    stack, names, inputs = [], {}, 3
    for stage, (depth, outputs) in enumerate([(2, 64), (2, 128), (3, 256), (3, 512), (3, 512)]):
        stack += [nn.MaxPool2d(2)] if stage else []
        for place in range(depth):
            stack += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()]
            names[len(stack) - 1], inputs = f"conv{stage + 1}_{place + 1}", outputs
    return stack, names


def _prepared(images: Tensor, convention: Convention) -> Tensor:
    if convention == "caffe":
        mean = images.new_tensor([104.0, 117, 123])[:, None, None]
        return (images.flip(1) + 1) * 127.5 - mean
    mean = images.new_tensor([0.485, 0.456, 0.406])[:, None, None]
    deviation = images.new_tensor([0.229, 0.224, 0.225])[:, None, None]
    return ((images + 1) / 2 - mean) / deviation


def _layer_distance(a: Tensor, b: Tensor) -> Tensor:
    difference = F.normalize(a, dim=1, eps=1e-6) - F.normalize(b, dim=1, eps=1e-6)
    return difference.square().sum(dim=1).mean(dim=(1, 2))


def _cache() -> Path:
    return Path.home() / ".cache" / "blemish"


def _found(name: FileNetwork, path: Path | None) -> Path | None:
    if path is not None and not path.is_dir():
        return path if path.is_file() else None
    folders = [path] if path else [*_configured_folder(), _cache()]
    places = [folder / file for folder in folders for file in SOURCES[name].filenames]
    return next((place for place in places if place.is_file()), None)


def _configured_folder() -> list[Path]:
    configured = os.environ.get("BLEMISH_WEIGHTS")
    return [Path(configured)] if configured else []


def _downloaded(source: WeightsSource) -> Path:
    file = _cache() / source.filenames[-1]
    ensure_writable(file.parent)
    try:
        torch.hub.download_url_to_file(source.url, str(file), hash_prefix=source.sha256)
    except RuntimeError as error:
        raise _spoilt(Path(source.url), "another SHA-256 than the publisher's") from error
    except OSError as error:
        raise _unreachable(source, error) from error
    return file


def _read(file: Path) -> tuple[dict[str, Tensor], Convention]:
    if file.suffix == ".safetensors":
        return _read_safetensors(file)
    try:
        tensors = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # a broken file may raise any exception in the unpickler
        raise _spoilt(file, "an incomplete or damaged file") from error
    if not isinstance(tensors, dict) or not all(isinstance(t, Tensor) for t in tensors.values()):
        raise _spoilt(file, "content other than named tensors")
    return tensors, "torchvision"


def _read_safetensors(file: Path) -> tuple[dict[str, Tensor], Convention]:
    try:
        with safe_open(file, "pt") as opened:
            keys, metadata = opened.keys(), opened.metadata() or {}
            return {key: opened.get_tensor(key) for key in keys}, _convention(metadata)
    except (SafetensorError, OSError) as error:
        raise _spoilt(file, "an incomplete or damaged file") from error


def _convention(metadata: Mapping[str, str]) -> Convention:
    stated = metadata.get("convention", metadata.get("input", "torchvision"))
    return "caffe" if "caffe" in stated.lower() else "torchvision"


def _checked(
    tensors: Mapping[str, Tensor], slots: Mapping[str, Tensor], file: Path
) -> dict[str, Tensor]:
    for key, slot in slots.items():
        if key not in tensors:
            raise _spoilt(file, f"no tensor '{key}'")
        if tensors[key].shape != slot.shape:
            raise _spoilt(file, f"'{key}' of {[*tensors[key].shape]}, not {[*slot.shape]}")
        if not tensors[key].float().isfinite().all():
            raise _spoilt(file, f"values that are not finite in '{key}'")
    return {key: tensors[key].float() for key in slots}


def _spoilt(file: Path, trouble: str) -> BundleError:
    return BundleError(
        got=f"{file}: {trouble}",
        expected="the published weights of a feature network under torchvision's names",
        todo="Download the file again, or use another.",
    )


def _missing(name: FileNetwork, path: Path | None) -> BundleError:
    places = [path] if path else [*_configured_folder(), _cache()]
    return BundleError(
        got=f"no weights for {name} at {' or '.join(map(str, places))}",
        expected=f"a file such as {' or '.join(SOURCES[name].filenames)}",
        todo=f"Download {SOURCES[name].url} and set BLEMISH_WEIGHTS to its folder.",
    )


def _unreachable(source: WeightsSource, error: OSError) -> BundleError:
    return BundleError(
        got=f"no answer for {source.url} ({error})",
        expected="to download it into the cache",
        todo="Check the connection and the free space, or set BLEMISH_WEIGHTS to a folder with it.",
    )
