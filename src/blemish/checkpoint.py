"""Bundles: folders of models, as JSON and safetensors, never as pickles.

    config.json              what the model is, how it was trained, its licence
    generator.safetensors    and one such file for each further network
    statistics.safetensors   statistics of its latent space
    README.md                the model card

Everything is checked when it is read: damaged files, values that are not finite, wrong shapes.
"""

import hashlib
import json
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar, get_args

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from blemish.cards import with_model_matter
from blemish.documents import dataclass_from, read_json
from blemish.errors import BundleError
from blemish.files import ensure_writable, visible, write_atomically
from blemish.header import Header, read_header, sort_metadata
from blemish.hub import fetch, names_repository, upload
from blemish.names import Space
from blemish.types import ROWS, Codes

T = TypeVar("T")
FORMAT = 1
EMBEDDED = Path(__file__).parent / "bundles"
_NOISE = "noise."


@dataclass(frozen=True)
class Bundle:
    """Folder of a model; see the module's docstring."""

    path: Path

    @property
    def config(self) -> dict[str, Any]:
        """Content of `config.json`."""
        file = self.path / "config.json"
        config = read_json(file, "a file as Blemish wrote it", BundleError)
        if not isinstance(config, dict) or config.get("format") != FORMAT:
            raise _broken(file, f"is not of bundle format {FORMAT}")
        for name in ("generator", "training"):
            if not isinstance(config.get(name, {}), dict):
                raise _broken(file, f"has a '{name}' that is no object")
        return config

    def training_of(self, stage: str) -> dict[str, Any]:
        """The options that a stage was trained with; empty where the bundle does not say."""
        options = self.config.get("training", {}).get(stage, {})
        if not isinstance(options, dict):
            raise _broken(self.path / "config.json", f"has no options in training.{stage}")
        return options

    def weights(self) -> list[Path]:
        """The files of its networks and statistics, by name, without hidden ones."""
        return visible(self.path.glob("*.safetensors"))

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the configuration and the weights; the same model has the same digest."""
        total = hashlib.sha256()
        for file in sorted([self.path / "config.json", *self.weights()]):
            total.update(file.name.encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
        return total.hexdigest()

    def has(self, name: str) -> bool:
        """Whether the bundle has the network or the statistics of that name."""
        return (self.path / f"{name}.safetensors").is_file()

    @property
    def embedded(self) -> bool:
        """Whether it is part of Blemish, so that nothing may be trained in it."""
        return self.path.resolve().is_relative_to(EMBEDDED.resolve())

    def require(self, name: str, what: str, stage: str, *, otherwise: str = "") -> None:
        """Raise an error unless the bundle has a network.

        Args:
            name: Name of the network.
            what: What it is, with its article.
            stage: Arguments of the `blemish train` command that trains it.
            otherwise: What else helps, after a comma.

        Raises:
            BundleError: It is missing; the message says how to train it.
        """
        if not self.has(name):
            raise BundleError(
                got=f"{self.path}, a bundle without {what}",
                expected=f"a bundle with {name}.safetensors",
                todo=f"{self.advice(stage)}{otherwise}.",
            )

    def advice(self, stage: str) -> str:
        """How to train a stage of this bundle, for a message; a shipped one is copied first."""
        if self.embedded:
            return f"Copy {self.path} to BUNDLE and run 'blemish train {stage} --bundle BUNDLE'"
        return f"Run 'blemish train {stage} --bundle {self.path}'"

    def tensors(self, name: str) -> dict[str, Tensor]:
        """Tensors of `name.safetensors`, in float32."""
        return load_tensors(self.path / f"{name}.safetensors")[0]

    def statistics(self) -> dict[str, Tensor]:
        """Statistics by name; empty if the bundle has none."""
        return self.tensors("statistics") if self.has("statistics") else {}

    def check_fits(self, module: nn.Module, name: str) -> None:
        """Compare names and shapes in `name.safetensors` with a network's, before either is read.

        Raises:
            BundleError: They differ.
        """
        file = self.path / f"{name}.safetensors"
        found = _header(file).shapes
        wanted = {key: tuple(tensor.shape) for key, tensor in module.state_dict().items()}
        if odd := sorted(key for key in found | wanted if found.get(key) != wanted.get(key)):
            more = f" and {len(odd) - 1} more" if len(odd) > 1 else ""
            raise _broken(file, f"does not fit config.json ({odd[0]}{more})")

    def load_into(
        self,
        module: nn.Module,
        name: str,
        change: Mapping[str, Tensor] | None = None,
        *,
        without: tuple[str, ...] = (),
    ) -> None:
        """Fill a network with the weights of `name.safetensors`, or of `change` if it has them.

        Args:
            module: Network.
            name: Name of the file.
            change: Weights that replace those of the file.
            without: Prefixes of the file's weights to ignore.

        Raises:
            BundleError: Names or shapes differ from the network's.
        """
        try:
            known = {k: v for k, v in self.tensors(name).items() if not k.startswith(without)}
            module.load_state_dict({**known, **(change or {})})
        except RuntimeError as error:
            file = self.path / f"{name}.safetensors"
            raise _broken(file, f"does not fit config.json ({str(error)[:300]})") from error

    def shape_of(self, kind: type[T], network: str, what: str) -> T:
        """Shape of a network, as `config.json` has it under the network's name.

        Args:
            kind: Dataclass of the shape.
            network: Name of the network.
            what: What it is, for the message.

        Raises:
            BundleError: It is missing, or a field has another type.
        """
        try:
            return dataclass_from(kind, self.config.get(network), f"its '{network}'")
        except ValueError as error:
            raise BundleError(
                got=f"{self.path}/config.json, in which {error}",
                expected=f"the shape of {what}",
                todo=f"Restore the file, or train the {network} again.",
            ) from error

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Replace `config.json`."""
        text = json.dumps({"format": FORMAT, **config}, indent=2, ensure_ascii=False)
        write_atomically(self.path / "config.json", (text + "\n").encode())
        self.__dict__.pop("digest", None)

    def record(
        self, name: str, shape: Mapping[str, Any], training: Mapping[str, Any], nimg: int
    ) -> None:
        """Note a trained network in `config.json`, which may not exist yet.

        Args:
            name: Name of the network.
            shape: Options of its shape.
            training: Options of its training.
            nimg: Images that the training has shown it.
        """
        config = self.config if (self.path / "config.json").exists() else {}
        about = {name: shape, f"{name}_nimg": nimg}
        trained = {**config.get("training", {}), name: training}
        self.write_config({**config, **about, "training": trained})

    def write(self, name: str, tensors: Mapping[str, Tensor], *, half: bool = False) -> None:
        """Replace `name.safetensors`; half precision halves its size."""
        save_tensors(self.path / f"{name}.safetensors", tensors, half=half)
        self.__dict__.pop("digest", None)

    def drop(self, *names: str) -> None:
        """Remove networks that depend on a changed part."""
        for name in names:
            (self.path / f"{name}.safetensors").unlink(missing_ok=True)
        self.__dict__.pop("digest", None)

    def forget(self, *prefixes: str) -> None:
        """Remove statistics whose names have a prefix."""
        known = self.statistics()
        kept = {k: v for k, v in known.items() if not k.startswith(prefixes)}
        if known and not kept:
            self.drop("statistics")  # a file without tensors can't be read
        elif kept.keys() != known.keys():
            self.write("statistics", kept)

    def push_to_hub(
        self, repository: str, *, private: bool = False, message: str = "Upload by Blemish"
    ) -> str:
        """Publish the files that `pack` keeps, with the model card and its images.

        Args:
            repository: Name as `user/repository`; created if it is missing.
            private: Whether a new repository is private.
            message: Message of the commit.

        Returns:
            The address of the repository.

        Raises:
            BundleError: The bundle is broken, or the hub can't be reached or refuses.
        """
        with TemporaryDirectory() as folder:
            pack(self, Path(folder))
            _copy_card(self, Path(folder))
            return upload(Path(folder), repository, private=private, message=message)


def pack(bundle: Bundle, out: Path) -> Bundle:
    """Copy the parts of a usable bundle, in half precision and without its training folder."""
    ensure_writable(out)
    for file in bundle.weights():
        Bundle(out).write(file.stem, bundle.tensors(file.stem), half=True)
    Bundle(out).write_config({k: v for k, v in bundle.config.items() if k != "format"})
    return Bundle(out)


def find_bundle(name: str | Path) -> Bundle:
    """Bundle in a folder, or the shipped one of that name.

    Raises:
        BundleError: There is neither.
    """
    for path in (Path(name), EMBEDDED / str(name)):
        if (path / "config.json").is_file():
            return Bundle(path)
    known = ", ".join(embedded_bundles()) or "none"
    raise BundleError(
        got=f"the bundle '{name}', which is not a folder with a config.json",
        expected=f"a bundle's folder, or the name of a shipped one ({known})",
        todo="Check the path, or train one with 'blemish train generator DATA --out BUNDLE'.",
    )


def load_bundle(name: str | Path, *, revision: str | None = None) -> Bundle:
    """Bundle in a folder, shipped bundle of that name, or bundle of the Hugging Face Hub.

    Args:
        name: Folder, name, or `user/repository` if there is no such folder.
        revision: Branch, tag or commit of a repository; by default the main branch.

    Raises:
        BundleError: There is none, or it is not a bundle.
    """
    local = Path(name).exists() or not names_repository(str(name))
    if local and revision is not None:
        raise BundleError(
            got=f"the revision '{revision}' of '{name}'",
            expected="a revision only for a repository of the hub, as user/repository",
            todo="Leave the revision out, or give the repository.",
        )
    bundle = find_bundle(name) if local else Bundle(fetch(str(name), revision=revision))
    _ = bundle.config  # so that errors are raised now
    return bundle


def embedded_bundles() -> list[str]:
    """Names of the shipped bundles."""
    return sorted(file.parent.name for file in EMBEDDED.glob("*/config.json"))


def save_tensors(
    path: Path,
    tensors: Mapping[str, Tensor],
    *,
    half: bool = False,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write a safetensors file, whole or not at all."""
    ready = {name: _stored(tensor, half) for name, tensor in tensors.items()}
    write_atomically(path, sort_metadata(save(ready, dict(metadata) if metadata else None)))


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read a safetensors file: its tensors, floats as float32, and its metadata.

    Raises:
        BundleError: The file is missing or damaged, or has values that are not finite.
    """
    metadata = _header(path).metadata
    try:
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise _broken(path, f"can't be read as safetensors ({error})") from error
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise _broken(path, f"has NaN or infinite values in '{name}'")
    wide = {k: v.float() if v.is_floating_point() else v for k, v in tensors.items()}
    return wide, metadata


def read_metadata(path: Path) -> dict[str, str]:
    """Read the metadata of a safetensors file, without its tensors.

    Raises:
        BundleError: The file is missing or torn.
    """
    return _header(path).metadata


def digest_of(tensors: Iterable[Tensor]) -> str:
    """Sixteen hex digits of the SHA-256 of all values, to identify networks and data."""
    total = hashlib.sha256()
    for tensor in tensors:
        total.update(tensor.detach().cpu().numpy().tobytes())
    return total.hexdigest()[:16]


def save_codes(path: Path, codes: Codes) -> None:
    """Write codes to a safetensors file, noise maps under `noise.<layer>`, whole or not at all."""
    noise = {f"{_NOISE}{name}": map for name, map in (codes.noise or {}).items()}
    save_tensors(path, {**codes.rows(), **noise}, metadata={"space": codes.space})


def load_codes(path: Path) -> Codes:
    """Read codes of `save_codes`.

    Raises:
        BundleError: The file is missing or damaged, or has other contents.
    """
    tensors, about = load_tensors(path)
    space: Any = about.get("space")
    if "w" not in tensors or space not in get_args(Space):
        raise _broken(path, "has no codes")
    noise = {k.removeprefix(_NOISE): v for k, v in tensors.items() if k.startswith(_NOISE)}
    rows = {name: tensors[name] for name in ROWS if name in tensors}
    return Codes(**rows, noise=noise or None, space=space)


def _header(path: Path) -> Header:
    try:
        return read_header(path)
    except (OSError, ValueError) as error:
        raise _broken(path, f"can't be read as safetensors ({error})") from error


def _copy_card(bundle: Bundle, out: Path) -> None:
    """Copy a model card with its images; it gets front matter if it has none."""
    card = bundle.path / "README.md"
    if not card.is_file():
        return
    text = card.read_text(encoding="utf-8")
    write_atomically(out / "README.md", with_model_matter(text, bundle.config).encode())
    for name in re.findall(r"!\[[^]]*\]\(([\w-]+\.png)\)", text):
        if (bundle.path / name).is_file():
            shutil.copyfile(bundle.path / name, out / name)


def _stored(tensor: Tensor, half: bool) -> Tensor:
    tensor = tensor.detach().cpu().contiguous()
    return tensor.half() if half and tensor.dtype == torch.float32 else tensor


def _broken(file: Path, complaint: str) -> BundleError:
    return BundleError(
        got=f"{file}, which {complaint}",
        expected="a file written by Blemish",
        todo="Download or train the bundle again; nothing of this one was used.",
    )
