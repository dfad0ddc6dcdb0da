"""`blemish studio`: the local page."""

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from blemish.cli.options import Flag
from blemish.errors import OptionError
from blemish.names import Device

Folder = Annotated[Path, Positional, arg(metavar="DATA")]


def studio(
    data: Folder = Path(),
    bundle: str = "hazelnut",
    out: Path = Path("studio"),
    host: str = "127.0.0.1",
    port: int = 0,
    no_browser: Flag = False,
    device: Device = "auto",
) -> None:
    """Open a local page on which defects are placed, collected, made in number, and learnt.

    The page can read DATA and the folders inside it, and writes to --out only. What was painted and
    kept is there again at the next start.

    Args:
        data: Folder with photographs; in the layout of MVTec AD, its real defects can be pasted
            and learnt, too.
        bundle: Folder of a bundle, or the name of a shipped one.
        out: Folder of all that the studio writes.
        host: Address to listen at; others than 127.0.0.1 let other machines in that know the token.
        port: Port to listen at; 0 takes a free one.
        no_browser: Print the address only.
        device: Device to compute on; auto uses CUDA if available.
    """
    from blemish.devices import choose_device

    if not data.is_dir():
        raise OptionError(
            got=f"{data}, which is not a folder",
            expected="a folder with photographs",
            todo="Check the path.",
        )
    try:
        from blemish.studio.serve import serve
    except ModuleNotFoundError as error:
        raise OptionError(
            got=f"an installation without {error.name}",
            expected="the studio's extra",
            todo="Run pip install 'blemish[studio]'.",
        ) from error
    on = choose_device(device)
    serve(data, out, bundle=bundle, host=host, port=port, device=on, browser=not no_browser)
