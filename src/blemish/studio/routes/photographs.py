"""Photographs: folders, uploads, previews and cut-outs."""

from dataclasses import asdict, dataclass
from functools import partial

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from blemish.studio.answers import json_answer, picture, query_number, read_wish, studio_of
from blemish.studio.photographs import ListedPhotograph
from blemish.studio.views import crop_view, jpeg


@dataclass(frozen=True, kw_only=True)
class FolderWish:
    """Folder to open, inside the user's."""

    path: str


async def photographs(request: Request) -> Response:
    """All photographs that are open."""
    return json_answer([_named(one) for one in studio_of(request).photographs.known.values()])


async def upload(request: Request) -> Response:
    """Take a file that was dragged onto the page."""
    name = request.query_params.get("name", "")
    found = await studio_of(request).photographs.receive(name, request.stream())
    return json_answer(_named(found))


async def folder(request: Request) -> Response:
    """What is in a folder."""
    name = request.query_params.get("path", "")
    return json_answer(await run_in_threadpool(studio_of(request).places.listing, name))


async def open_folder(request: Request) -> Response:
    """Open a folder, now and at later starts."""
    studio, wish = studio_of(request), await read_wish(request, FolderWish)
    studio.places.of_data(wish.path)
    await run_in_threadpool(studio.open_folder, wish.path)
    studio.session.remember_folder(wish.path)
    return await photographs(request)


async def opened(request: Request) -> Response:
    """Read a photograph into memory; size, and what was painted on it."""
    studio, id = studio_of(request), request.path_params["id"]
    found = await studio.worker.latest("open", partial(studio.photographs.opened, id))
    draft = studio.session.draft(id)
    return json_answer({**found.about(), "draft": None if draft is None else asdict(draft)})


async def preview(request: Request) -> Response:
    """Reduced photograph."""
    studio, id = studio_of(request), request.path_params["id"]
    data = await studio.worker.latest("preview", lambda: studio.photographs.opened(id).preview)
    return picture(data)


async def thumbnail(request: Request) -> Response:
    """Small picture of a photograph."""
    studio, id = studio_of(request), request.path_params["id"]
    return picture(await run_in_threadpool(studio.photographs.thumbnail, id))


async def cut(request: Request) -> Response:
    """Part of a photograph at its own pixels."""
    studio, id = studio_of(request), request.path_params["id"]
    x, y = query_number(request, "x", 0), query_number(request, "y", 0)
    box = x, y, query_number(request, "w", 512), query_number(request, "h", 512)

    def encoded() -> bytes:
        return jpeg(crop_view(studio.photographs.opened(id).original.picture, *box), 95)

    return picture(await studio.worker.latest("cut", encoded))


def _named(one: ListedPhotograph) -> dict[str, str]:
    return {"id": one.id, "name": one.path.name, "folder": one.folder}


ROUTES = [
    Route("/api/photographs", photographs),
    Route("/api/photographs", upload, methods=["POST"]),
    Route("/api/folders", folder),
    Route("/api/folders", open_folder, methods=["POST"]),
    Route("/api/photographs/{id}", opened),
    Route("/api/photographs/{id}/preview", preview),
    Route("/api/photographs/{id}/thumbnail", thumbnail),
    Route("/api/photographs/{id}/cut", cut),
]
