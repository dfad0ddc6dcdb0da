"""The page itself, and the reports that commands have written."""

from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from blemish.data.listing import folders_in
from blemish.studio.answers import json_answer, studio_of
from blemish.studio.security import cookie_name
from blemish.version import __version__

STATIC = Path(__file__).parents[1] / "static"
REPORT_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; sandbox"


async def page(request: Request) -> Response:
    """The page; it leaves the token in a cookie, for what the page loads."""
    answer = FileResponse(STATIC / "index.html")
    token = request.app.state.token
    name = cookie_name(request.scope)
    answer.set_cookie(name, token, httponly=True, samesite="strict", path="/")
    return answer


async def about(request: Request) -> Response:
    """What the page shows at its start."""
    studio = studio_of(request)
    reports = [path.name for path in folders_in(studio.places.out / "reports")]
    return json_answer(
        {
            "version": __version__,
            "data": str(studio.places.data),
            "out": str(studio.places.out),
            "bundles": [*studio.bundles()],
            "bundle": studio.bundle,
            "real": studio.real is not None,
            "reports": reports,
        }
    )


async def report(request: Request) -> Response:
    """A report as a page that may run nothing and load nothing."""
    studio, name = studio_of(request), request.path_params["name"]
    file = await run_in_threadpool(studio.places.of_out, f"reports/{name}/report.html")
    policy = {"content-security-policy": REPORT_POLICY}
    return FileResponse(file, media_type="text/html", headers=policy)


ROUTES = [
    Route("/", page),
    Route("/api/about", about),
    Route("/reports/{name}", report),
    Mount("/static", StaticFiles(directory=STATIC)),
]
