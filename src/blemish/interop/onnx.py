"""A bundle's networks as ONNX graphs, for use without PyTorch.

    mapping.onnx           z                  -> w
    good.onnx              w                  -> image
    defect_mapping.onnx    z_defect, type     -> w_defect
    defect.onnx            w, w_defect        -> image, mask_logits
    placed.onnx            w, w_defect, mask  -> image, mask_logits

z `n z`, w `n layers d`, w_defect `n defect_layers d`, mask `n 1 h w` in [0, 1], image `n 3 h w` RGB
in about [-1, 1] and not clamped, mask_logits `n 1 h w` with the defect where ≥ 0; n is free. ONNX
has no optional inputs, so an optional input gives two graphs. The last three need a bundle with a
defect branch; `type` (or a mapping's `label`) is the index of the name in `config.json`, absent if
the network knows only one. Noise is the layers' own.
"""

import logging
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from blemish.checkpoint import Bundle
from blemish.errors import OptionError
from blemish.files import ensure_writable, replacing
from blemish.interop.export import ExportedModel
from blemish.models.generator import Generator, Mapping
from blemish.models.load import load_generator
from blemish.types import Codes

_EXAMPLES = 2  # torch.export treats a batch of one as a constant


class MappingGraph(nn.Module):
    """Graph from a latent, and its kind if there are several, to rows of w."""

    def __init__(self, mapping: Mapping, rows: int) -> None:
        super().__init__()
        self.mapping, self.rows = mapping, rows

    def forward(
        self, z: Float[Tensor, "n z"], kind: Int[Tensor, " n"] | None = None
    ) -> Float[Tensor, "n rows d"]:
        return self.mapping(z, kind)[:, None].repeat(1, self.rows, 1)


class GoodGraph(nn.Module):
    """Graph from rows of w to the good part."""

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, w: Float[Tensor, "n layers d"]) -> Float[Tensor, "n 3 h w"]:
        return self.generator.draw(Codes(w=w)).image


class DefectGraph(nn.Module):
    """Graph from rows of w and w_defect, and optionally a mask, to the defective part."""

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator = generator

    def forward(
        self,
        w: Float[Tensor, "n layers d"],
        w_defect: Float[Tensor, "n defect_layers d"],
        mask: Float[Tensor, "n 1 h w"] | None = None,
    ) -> tuple[Float[Tensor, "n 3 h w"], Float[Tensor, "n 1 h w"]]:
        drawing = self.generator.draw(Codes(w=w, w_defect=w_defect), mask=mask)
        assert drawing.mask_logits is not None
        return drawing.image, drawing.mask_logits


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Graph:
    """Network with the inputs of its tracing."""

    name: str
    network: nn.Module
    inputs: dict[str, Tensor]
    outputs: tuple[str, ...]

    def __str__(self) -> str:
        return f"{', '.join(self.inputs)} -> {', '.join(self.outputs)}"


Track = Callable[[list[Graph]], Iterable[Graph]]


def export_onnx(bundle: Bundle, out: Path, *, track: Track = iter) -> list[ExportedModel]:
    """Write the graphs of a bundle; none is written unless all could be made.

    Args:
        bundle: Bundle with or without a defect branch.
        out: Output folder, created if it is missing.
        track: Wrapper of an iterable that shows progress; a graph takes seconds.

    Returns:
        The written files.

    Raises:
        BundleError: The bundle is broken.
        OptionError: The packages of the extra 'onnx' are not installed.
        OutputError: The folder can't be written to.
    """
    _need("onnx", "onnxscript")
    generator = load_generator(bundle)
    ensure_writable(out)
    programs = {graph: _program(graph) for graph in track(graphs(generator))}
    written = []
    for graph, program in programs.items():
        program.model.metadata_props["blemish.bundle"] = bundle.digest
        path = out / f"{graph.name}.onnx"
        with replacing(path) as temporary:
            program.save(temporary)
        written.append(ExportedModel(path=path, contents=str(graph)))
    return written


def graphs(generator: Generator) -> list[Graph]:
    """Graphs to export, each with inputs of the right shape."""
    config = generator.config
    z = torch.zeros(_EXAMPLES, config.z_dim)
    w = torch.zeros(_EXAMPLES, config.layers, config.w_dim)
    mapping = Graph(
        name="mapping",
        network=MappingGraph(generator.mapping, config.layers),
        inputs={"z": z, **_kind("label", generator.mapping)},
        outputs=("w",),
    )
    good = Graph(name="good", network=GoodGraph(generator), inputs={"w": w}, outputs=("image",))
    return [mapping, good, *_defect_graphs(generator, z, w)]


def _defect_graphs(generator: Generator, z: Tensor, w: Tensor) -> Iterator[Graph]:
    config = generator.config
    if config.defect is None:
        return
    yield Graph(
        name="defect_mapping",
        network=MappingGraph(generator.defect_mapping, config.defect_layers),
        inputs={"z_defect": z, **_kind("type", generator.defect_mapping)},
        outputs=("w_defect",),
    )
    codes = {"w": w, "w_defect": torch.zeros(_EXAMPLES, config.defect_layers, config.w_dim)}
    draw, outputs = DefectGraph(generator), ("image", "mask_logits")
    yield Graph(name="defect", network=draw, inputs=codes, outputs=outputs)
    if config.defect.takes_mask:
        mask = torch.zeros(_EXAMPLES, 1, config.resolution, config.resolution)
        yield Graph(name="placed", network=draw, inputs={**codes, "mask": mask}, outputs=outputs)


def _kind(name: str, mapping: Mapping) -> dict[str, Tensor]:
    return {name: torch.zeros(_EXAMPLES, dtype=torch.long)} if mapping.kinds else {}


def _program(graph: Graph) -> Any:
    free = tuple({0: torch.export.Dim("n")} for _ in graph.inputs)
    inputs = tuple(graph.inputs.values())
    with _quietly():
        # Strict tracing follows the length of the codes, which is n; running them would fix it.
        traced = torch.export.export(graph.network.eval(), inputs, dynamic_shapes=free, strict=True)
        return torch.onnx.export(
            traced,
            input_names=list(graph.inputs),
            output_names=list(graph.outputs),
            dynamic_shapes=free,  # once more, for the name of the axis
            dynamo=True,
            verbose=False,
        )


def _need(*packages: str) -> None:
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        raise OptionError(
            got=f"the format onnx without {' and '.join(missing)}",
            expected="the packages that write it",
            todo="Install them with: pip install 'blemish[onnx]'",
        )


@contextmanager
def _quietly() -> Iterator[None]:
    """Suppress the exporter's messages about its internals."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)
