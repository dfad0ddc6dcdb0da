"""Collecting: items that are kept, the gallery, and the recipe."""

from functools import partial

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from blemish.files import ensure_writable, write_atomically
from blemish.studio.answers import (
    json_answer,
    picture,
    query_number,
    read_body,
    read_wish,
    studio_of,
)
from blemish.studio.collection import DISCARDED, KEPT
from blemish.studio.commands import free_name, run_command
from blemish.studio.drafts import as_draft
from blemish.studio.placing import bundle_name
from blemish.studio.recipes import RecipeWish, of_one_bundle, write_recipe

PAGE = 60


async def keep(request: Request) -> Response:
    """Keep the item of a draft."""
    studio, id = studio_of(request), request.path_params["id"]
    draft = as_draft(await read_body(request))

    def kept() -> dict[str, object]:
        row = studio.collection.keep(studio.placer, studio.photographs.opened(id), draft)
        return {"name": row["name"], "outcome": row["outcome"], "files": row["files"]}

    return json_answer(await studio.worker.do(kept))


async def sets(request: Request) -> Response:
    """All sets."""
    return json_answer(await run_in_threadpool(studio_of(request).collection.sets))


async def items(request: Request) -> Response:
    """Some items of a set."""
    name, first = request.query_params.get("set", KEPT), query_number(request, "first", 0)
    studio = studio_of(request)
    found = partial(studio.collection.page, name, first, PAGE, studio.placer.bundles)
    return json_answer(await run_in_threadpool(found))


async def item_picture(request: Request) -> Response:
    """A picture of an item."""
    query = request.query_params
    names = query.get("set", KEPT), query.get("item", ""), request.path_params["kind"]
    return picture(await run_in_threadpool(studio_of(request).collection.picture, *names))


async def discard(request: Request) -> Response:
    """Take an item out of those that are kept; its files stay among the discarded ones."""
    return await _move(request, KEPT, DISCARDED)


async def restore(request: Request) -> Response:
    """Take a discarded item back."""
    return await _move(request, DISCARDED, KEPT)


async def recipe(request: Request) -> Response:
    """A recipe of many items like those that were kept, as text."""
    wish = await read_wish(request, RecipeWish)
    return json_answer({"recipe": await run_in_threadpool(_recipe, request, wish)})


async def run(request: Request) -> Response:
    """Write a recipe and run it."""
    studio, wish = studio_of(request), await read_wish(request, RecipeWish)
    text = await run_in_threadpool(_recipe, request, wish)
    out = studio.places.out
    ensure_writable(out / "recipes")
    name = free_name(out / "runs", "set")
    file = out / "recipes" / f"{name}.toml"
    write_atomically(file, text.encode())
    folder = f"runs/{name}"
    command = run_command(file, out / folder)
    job = await studio.jobs.start("run", name, command, folder=folder, total=wish.count)
    return json_answer(studio.jobs.records.about(job))


def _recipe(request: Request, wish: RecipeWish) -> str:
    studio = studio_of(request)
    kept = [row for row in studio.collection.rows(KEPT) if row["outcome"] != "failed"]
    rows, bundle = of_one_bundle(kept)
    known = studio.placer.bundles
    return write_recipe(
        rows,
        studio.collection.folder(KEPT),
        wish,
        bundle=bundle_name(bundle or known[studio.bundle].path.name, known.values()),
        photographs=[one.path.absolute() for one in studio.photographs.known.values()],
        real=studio.real,
    )


async def _move(request: Request, source: str, target: str) -> Response:
    studio, body = studio_of(request), await read_body(request)
    name = str(body.get("item", "")) if isinstance(body, dict) else ""
    await studio.worker.do(partial(studio.collection.move, name, source, target))
    return json_answer({"moved": name})


ROUTES = [
    Route("/api/photographs/{id}/keep", keep, methods=["POST"]),
    Route("/api/sets", sets),
    Route("/api/items", items),
    Route("/api/items/{kind}.jpg", item_picture),
    Route("/api/discard", discard, methods=["POST"]),
    Route("/api/restore", restore, methods=["POST"]),
    Route("/api/recipe", recipe, methods=["POST"]),
    Route("/api/run", run, methods=["POST"]),
]
