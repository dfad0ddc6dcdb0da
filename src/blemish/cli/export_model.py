"""`blemish export-model`: a bundle's networks for other programs."""

import sys
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from blemish.names import ModelFormat

Source = Annotated[str, Positional, arg(metavar="BUNDLE")]


def export_model(bundle: Source, out: Path, format: ModelFormat = "stylegan2-ada-state") -> None:
    """Write a bundle's networks for other programs.

    Args:
        bundle: Folder of a bundle, the name of a shipped one, or user/repository of the hub.
        out: File that ends in .safetensors (the critic is written beside it); for onnx, a folder.
        format: State dicts for StyleGAN2-ADA's own networks, or ONNX graphs of all networks that
            generate (needs the extra 'onnx').
    """
    from rich.console import Console
    from rich.progress import track

    from blemish.checkpoint import load_bundle
    from blemish.interop.export import export_state
    from blemish.interop.onnx import export_onnx

    found, aside = load_bundle(bundle), Console(stderr=True)
    if format == "onnx":
        written = export_onnx(
            found,
            out,
            track=lambda graphs: track(
                graphs, "tracing", console=aside, transient=True, disable=not sys.stderr.isatty()
            ),
        )
    else:
        written = export_state(found, out)
    for file in written:
        print(f"{file.path}: {file.contents}")
