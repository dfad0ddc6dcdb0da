"""Editing: parts and defects changed by their codes, filling and repair."""

from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from blemish.editing.result import Edit
from blemish.pictures import to_picture
from blemish.studio.answers import json_answer, picture, query_number, read_wish, studio_of
from blemish.studio.collection import write_mask
from blemish.studio.commands import set_stem
from blemish.studio.editor import PartEdit
from blemish.studio.fillings import FillWish, filled_picture, save_all, show_filling
from blemish.studio.looks import LookEdit
from blemish.studio.painted import painted
from blemish.studio.views import base64_png
from blemish.synthesis.naming import plain_stem


@dataclass(frozen=True, kw_only=True)
class BundleWish:
    """Name of a bundle."""

    bundle: str


async def about(request: Request) -> Response:
    """What can be edited with a bundle."""
    studio, name = studio_of(request), request.query_params.get("bundle", "")
    studio.placer.bundles.update(studio.bundles())
    return json_answer(await studio.worker.do(partial(studio.editing.about, name)))


async def invert(request: Request) -> Response:
    """Find the codes of a photograph, once."""
    studio, id = studio_of(request), request.path_params["id"]
    studio.photographs.find(id)
    wish = await read_wish(request, BundleWish)
    return json_answer(await studio.editing.invert(wish.bundle, id))


async def progress(request: Request) -> Response:
    """Share of the newest search that is done."""
    return json_answer({"share": studio_of(request).editing.share})


async def part(request: Request) -> Response:
    """Edit a part."""
    found = await studio_of(request).editing.edit(await read_wish(request, PartEdit))
    return json_answer(_shown(found))


async def save_part(request: Request) -> Response:
    """Edit a part and write what `blemish edit` writes."""
    studio, wish = studio_of(request), await read_wish(request, PartEdit)
    found = await studio.editing.edit(wish, "save")
    out = studio.editing.new_folder(f"part-{wish.verb}")
    bundle = studio.placer.bundle(wish.bundle)
    await studio.worker.do(partial(found.save, out, bundle))
    return json_answer({"folder": f"edits/{out.name}"})


async def closeup(request: Request) -> Response:
    """A real defect whose look can be taken."""
    studio, kind = studio_of(request), request.query_params.get("type", "")
    name, which = request.query_params.get("bundle", ""), query_number(request, "number", 0)
    return picture(await studio.worker.do(lambda: studio.editing.looks(name).closeup(kind, which)))


async def look(request: Request) -> Response:
    """Lay the look of a real defect on a photograph."""
    studio, id = studio_of(request), request.path_params["id"]
    wish = await read_wish(request, LookEdit)

    def shown() -> dict[str, Any]:
        opened = studio.photographs.opened(id)
        return studio.editing.looks(wish.bundle).show(opened, wish) | _foreign(request, wish.bundle)

    return json_answer(await studio.worker.latest("edit", shown))


async def save_look(request: Request) -> Response:
    """The same, and write what `blemish edit defect` writes."""
    studio, id = studio_of(request), request.path_params["id"]
    wish = await read_wish(request, LookEdit)

    def saved() -> dict[str, str]:
        out = studio.editing.new_folder(f"defect-{set_stem(wish.type)}")
        studio.editing.looks(wish.bundle).save(studio.photographs.opened(id), wish, out)
        return {"folder": f"edits/{out.name}"}

    return json_answer(await studio.worker.do(saved))


async def find(request: Request) -> Response:
    """Mask of a photograph's defect."""
    studio, id = studio_of(request), request.path_params["id"]
    wish = await read_wish(request, BundleWish)

    def found() -> dict[str, Any]:
        opened = studio.photographs.opened(id)
        return asdict(painted(studio.editing.defect(wish.bundle, opened)))

    return json_answer(await studio.worker.latest("mask", found))


async def fill(request: Request) -> Response:
    """Fill a hole, or repair a defect."""
    studio, id = studio_of(request), request.path_params["id"]
    wish = await read_wish(request, FillWish)
    lane = "variant" if "variant" in request.query_params else "edit"

    def shown() -> dict[str, Any]:
        filler, opened = studio.editing.fillers(wish.bundle), studio.photographs.opened(id)
        return show_filling(filler, opened, wish) | _foreign(request, wish.bundle)

    return json_answer(await studio.worker.latest(lane, shown))


async def save_fill(request: Request) -> Response:
    """Write all fillings of a request as `blemish fill` and `blemish repair` do."""
    studio, id = studio_of(request), request.path_params["id"]
    wish = await read_wish(request, FillWish)

    def saved() -> dict[str, str]:
        editing, opened = studio.editing, studio.photographs.opened(id)
        filler, bundle = editing.fillers(wish.bundle), studio.placer.bundle(wish.bundle)
        wish.hole(opened)  # refused before anything is written
        mask = write_mask(editing.folder / "masks", opened, wish.mask.mask(*opened.size))
        out = editing.new_folder(f"{plain_stem(opened.path)}-{wish.verb}")
        save_all(filler, bundle, opened, wish, mask, out)
        return {"folder": f"edits/{out.name}"}

    return json_answer(await studio.worker.do(saved))


async def keep_fill(request: Request) -> Response:
    """Keep a filling as a photograph, which can be opened and get defects."""
    studio, id = studio_of(request), request.path_params["id"]
    wish = await read_wish(request, FillWish)

    def kept() -> dict[str, str]:
        opened = studio.photographs.opened(id)
        data = filled_picture(studio.editing.fillers(wish.bundle), opened, wish)
        name = f"{plain_stem(opened.path)}_{wish.verb}_{wish.seed}.png"
        found = studio.photographs.keep(name, data)
        return {"id": found.id, "name": found.path.name, "folder": found.folder}

    return json_answer(await studio.worker.do(kept))


def _shown(edit: Edit) -> dict[str, Any]:
    """What the page shows of an edit of parts."""
    reasons = [one.facts.get("reason", "") for one in edit.subjects]
    return {
        "parts": [base64_png(to_picture(one.target[0])) for one in edit.subjects],
        "pictures": [base64_png(one) for one in to_picture(edit.image)],
        "percentiles": edit.percentiles,
        "reasons": list(dict.fromkeys(filter(None, reasons))),
    }


def _foreign(request: Request, name: str) -> dict[str, bool]:
    """Whether a photograph shows something else than the bundle's object."""
    studio, id = studio_of(request), request.path_params["id"]
    opened, worker = studio.photographs.opened(id), studio.placer.synthesizer(name, "window")
    return {
        "out_of_domain": bool(worker.networks.is_foreign(opened.original.picture, opened.digest))
    }


ROUTES = [
    Route("/api/editing", about),
    Route("/api/editing/progress", progress),
    Route("/api/editing/part", part, methods=["POST"]),
    Route("/api/editing/part/save", save_part, methods=["POST"]),
    Route("/api/editing/look.jpg", closeup),
    Route("/api/photographs/{id}/invert", invert, methods=["POST"]),
    Route("/api/photographs/{id}/look", look, methods=["POST"]),
    Route("/api/photographs/{id}/look/save", save_look, methods=["POST"]),
    Route("/api/photographs/{id}/find", find, methods=["POST"]),
    Route("/api/photographs/{id}/fill", fill, methods=["POST"]),
    Route("/api/photographs/{id}/fill/save", save_fill, methods=["POST"]),
    Route("/api/photographs/{id}/fill/keep", keep_fill, methods=["POST"]),
]
