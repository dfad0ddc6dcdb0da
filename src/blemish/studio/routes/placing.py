"""Placing: masks, drafts, and the defect that appears."""

from dataclasses import asdict
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from blemish.data.pairs import read_mask_for
from blemish.errors import DataError
from blemish.files import ensure_writable
from blemish.originals import Original
from blemish.studio.answers import (
    json_answer,
    picture,
    query_number,
    read_body,
    read_wish,
    studio_of,
)
from blemish.studio.drafts import as_draft
from blemish.studio.painted import painted
from blemish.studio.placing import MaskWish


async def bundle(request: Request) -> Response:
    """What a bundle can draw."""
    studio, name = studio_of(request), request.query_params.get("name", "")
    studio.placer.bundles.update(studio.bundles())
    return json_answer(await studio.worker.do(partial(studio.placer.about, name)))


async def keep_draft(request: Request) -> Response:
    """Remember what is painted."""
    studio, id = studio_of(request), request.path_params["id"]
    studio.photographs.find(id)
    await run_in_threadpool(studio.session.keep, id, as_draft(await read_body(request)))
    return json_answer({"kept": True})


async def place(request: Request) -> Response:
    """Show the defects of a draft; the draft is remembered unless it is only a variant."""
    studio, id = studio_of(request), request.path_params["id"]
    draft = as_draft(await read_body(request))
    studio.photographs.find(id)
    lane = "variant" if "variant" in request.query_params else "place"
    if lane == "place":
        await run_in_threadpool(studio.session.keep, id, draft)

    def shown() -> dict[str, object]:
        return studio.placer.show(studio.photographs.opened(id), draft)

    return json_answer(await studio.worker.latest(lane, shown))


async def draw_mask(request: Request) -> Response:
    """A mask drawn on the part."""
    studio, id = studio_of(request), request.path_params["id"]
    wish = await read_wish(request, MaskWish)

    def drawn() -> dict[str, object]:
        return asdict(painted(studio.placer.draw(studio.photographs.opened(id), wish)))

    return json_answer(await studio.worker.latest("mask", drawn))


async def load_mask(request: Request) -> Response:
    """A mask from a file."""
    studio, id = studio_of(request), request.path_params["id"]
    data = await request.body()
    kind = request.query_params.get("type") or None

    def read() -> dict[str, object]:
        opened = studio.photographs.opened(id)
        ensure_writable(studio.session.folder)
        with TemporaryDirectory(dir=studio.session.folder) as folder:
            file = Path(folder) / "mask.png"
            file.write_bytes(data)
            return asdict(painted(read_mask_for(opened.original.header, file, kind)))

    return json_answer(await studio.worker.latest("mask", read))


async def save_mask(request: Request) -> Response:
    """A painted mask as a file, in the orientation of its photograph's."""
    studio, id = studio_of(request), request.path_params["id"]
    which, draft = query_number(request, "defect", 0), studio.session.draft(id)
    if draft is None or which >= len(draft.defects):
        raise DataError(got="no mask", expected="a painted one", todo="Paint one first.")

    def encoded() -> bytes:
        opened = studio.photographs.opened(id)
        levels = draft.defects[which].mask.mask(*opened.size).astype("uint8") * 255
        return Original(levels=levels, orientation=opened.original.orientation).encoded()

    return picture(await studio.worker.do(encoded), "image/png")


async def warm_up(request: Request) -> Response:
    """Compute what the first defect on a photograph would wait for."""
    studio, id = studio_of(request), request.path_params["id"]
    draft = as_draft(await read_body(request))

    def warmed() -> dict[str, bool]:
        studio.placer.warm_up(studio.photographs.opened(id), draft.bundle, draft.method)
        return {"ready": True}

    return json_answer(await studio.worker.latest("warm-up", warmed))


ROUTES = [
    Route("/api/bundle", bundle),
    Route("/api/photographs/{id}/draft", keep_draft, methods=["POST"]),
    Route("/api/photographs/{id}/place", place, methods=["POST"]),
    Route("/api/photographs/{id}/mask", draw_mask, methods=["POST"]),
    Route("/api/photographs/{id}/mask-file", load_mask, methods=["POST"]),
    Route("/api/photographs/{id}/mask.png", save_mask),
    Route("/api/photographs/{id}/warm-up", warm_up, methods=["POST"]),
]
