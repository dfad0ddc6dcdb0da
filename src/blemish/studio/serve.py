"""The studio's server."""

import socket
import sys
import webbrowser
from pathlib import Path

import uvicorn

from blemish.errors import OptionError
from blemish.files import alone
from blemish.studio.app import make_app
from blemish.studio.places import Places
from blemish.studio.security import host_names, make_token
from blemish.studio.studio import Studio

MOST_CONNECTIONS = 256
QUIET = 10  # seconds that a connection may stay idle


def serve(
    data: Path, out: Path, *, bundle: str, host: str, port: int, device: str, browser: bool
) -> None:
    """Serve the page until Ctrl-C.

    Args:
        data: Folder of the user's photographs.
        out: Folder of all that the studio writes.
        bundle: Name or folder of a bundle.
        host: Address to listen at.
        port: Port to listen at; 0 takes a free one.
        device: Device to compute on.
        browser: Open the page in the user's browser.

    Raises:
        OptionError: The address is not this machine's, or the port is taken.
        OutputError: Another studio is using the folder.
    """
    with alone(out), _listening(host, port) as listener:
        studio = Studio(Places(data.absolute(), out.absolute()), bundle, device)
        token, number = make_token(), listener.getsockname()[1]
        app = make_app(studio, token, host_names(host))
        shown = "127.0.0.1" if host in ("0.0.0.0", "::") else host
        url = f"http://{shown}:{number}/?token={token}"
        print(f"Studio: {url}\nFiles: {out}\nCtrl-C ends it; nothing is lost.", file=sys.stderr)
        if browser:
            webbrowser.open(url)
        config = uvicorn.Config(
            app,
            log_level="warning",
            server_header=False,
            limit_concurrency=MOST_CONNECTIONS,
            timeout_keep_alive=QUIET,
            timeout_graceful_shutdown=QUIET,
            h11_max_incomplete_event_size=64 * 1024,
        )
        uvicorn.Server(config).run(sockets=[listener])


def _listening(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), backlog=128)
    except OSError as error:
        raise OptionError(
            got=f"--host {host} --port {port}, where nothing can listen ({error.strerror})",
            expected="an address of this machine and a free port",
            todo="Choose another port; 0 takes a free one.",
        ) from error
