"""The studio as an ASGI application."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.middleware import Middleware

from blemish.studio.answers import ERRORS
from blemish.studio.routes import ROUTES
from blemish.studio.security import Guard
from blemish.studio.studio import Studio


def make_app(studio: Studio, token: str, names: Iterable[str]) -> Starlette:
    """The application behind its guard.

    Args:
        studio: What it shows.
        token: Secret that each request must carry.
        names: Host names of the server.
    """

    @asynccontextmanager
    async def life(app: Starlette) -> AsyncIterator[None]:
        yield
        await studio.jobs.close()
        studio.worker.close()

    guard = Middleware(Guard, token=token, names=[*names])
    app = Starlette(routes=ROUTES, middleware=[guard], exception_handlers=ERRORS, lifespan=life)
    app.state.studio, app.state.token = studio, token
    return app
