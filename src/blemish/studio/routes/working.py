"""Long work: exports, reports, checks of data and trainings, and how far each is."""

from dataclasses import dataclass
from functools import partial

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from blemish.documents import parse_json
from blemish.errors import DataError
from blemish.studio.answers import json_answer, read_wish, studio_of
from blemish.studio.commands import (
    ExportWish,
    TrainWish,
    check_command,
    export_command,
    free_name,
    report_command,
    set_stem,
    train_command,
)
from blemish.studio.routes.photographs import FolderWish


@dataclass(frozen=True, kw_only=True)
class SetWish:
    """Name of a set."""

    set: str


async def jobs(request: Request) -> Response:
    """All jobs, the newest first."""
    found = studio_of(request).jobs
    found.settle()
    known = sorted(found.known.values(), key=lambda job: -job.began)
    return json_answer([found.records.about(job) for job in known])


async def job(request: Request) -> Response:
    """A job with its log and its curves."""
    found = studio_of(request).jobs
    one, records = found.find(request.path_params["id"]), found.records
    curves = await run_in_threadpool(records.curves, one)
    sample = await run_in_threadpool(records.sample, one)
    shown = None if sample is None else f"{sample.parent.name}/{sample.stem}"
    return json_answer(
        {**records.about(one), "log": records.log(one), "curves": curves, "sample": shown}
    )


async def checked(request: Request) -> Response:
    """What a check of data has found; None while it runs."""
    found = studio_of(request).jobs
    text = found.records.output(found.find(request.path_params["id"]))
    try:
        return json_answer({"check": parse_json(text)})
    except ValueError:
        return json_answer({"check": None})


async def sample(request: Request) -> Response:
    """Newest grid of samples of a training."""
    found = studio_of(request).jobs
    path = await run_in_threadpool(found.records.sample, found.find(request.path_params["id"]))
    if path is None:
        raise DataError(got="no samples yet", expected="a training that has some", todo="Wait.")
    return FileResponse(path, media_type="image/png")


async def stop(request: Request) -> Response:
    """Stop a job."""
    found = studio_of(request).jobs
    return json_answer(found.records.about(found.stop(request.path_params["id"])))


async def resume(request: Request) -> Response:
    """Carry on a job."""
    found = studio_of(request).jobs
    return json_answer(found.records.about(await found.resume(request.path_params["id"])))


async def export(request: Request) -> Response:
    """Export a set."""
    studio, wish = studio_of(request), await read_wish(request, ExportWish)
    source = studio.collection.folder(wish.set)
    stem = f"{set_stem(wish.set)}-{wish.format}"
    name = free_name(studio.places.out / "exports", stem)
    folder = f"exports/{name}"
    command = export_command(source, studio.places.out / folder, wish)
    started = await studio.jobs.start("export", name, command, folder=folder)
    return json_answer(studio.jobs.records.about(started))


async def report(request: Request) -> Response:
    """Compare a set with the real defects."""
    studio, wish = studio_of(request), await read_wish(request, SetWish)
    if studio.real is None:
        raise DataError(
            got=f"{studio.places.data}, a folder without real defects",
            expected="real defects and their masks, in the layout of MVTec AD",
            todo="Start the studio with such a folder.",
        )
    source = studio.collection.folder(wish.set)
    name = free_name(studio.places.out / "reports", set_stem(wish.set))
    folder = f"reports/{name}"
    command = report_command(studio.real, source, studio.places.out / folder)
    started = await studio.jobs.start("report", name, command, folder=folder)
    return json_answer(studio.jobs.records.about(started))


async def check(request: Request) -> Response:
    """Check a folder of data."""
    studio, wish = studio_of(request), await read_wish(request, FolderWish)
    data = studio.places.of_data(wish.path)
    command = check_command(data)
    started = await studio.jobs.start("check", data.name, command)
    return json_answer(studio.jobs.records.about(started))


async def train(request: Request) -> Response:
    """Train a bundle."""
    studio, wish = studio_of(request), await read_wish(request, TrainWish)
    data, folder = studio.places.of_data(wish.data), f"bundles/{wish.name}"
    start = partial(studio.jobs.start, "train", wish.name, folder=folder, total=wish.minutes)
    started = await start(train_command(data, studio.places.out / folder, wish))
    return json_answer(studio.jobs.records.about(started))


ROUTES = [
    Route("/api/jobs", jobs),
    Route("/api/jobs/{id}", job),
    Route("/api/jobs/{id}/check", checked),
    Route("/api/jobs/{id}/sample.png", sample),
    Route("/api/jobs/{id}/stop", stop, methods=["POST"]),
    Route("/api/jobs/{id}/resume", resume, methods=["POST"]),
    Route("/api/export", export, methods=["POST"]),
    Route("/api/report", report, methods=["POST"]),
    Route("/api/check", check, methods=["POST"]),
    Route("/api/train", train, methods=["POST"]),
]
