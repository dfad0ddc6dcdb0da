"""Requests and answers in JSON; a user's mistake becomes an answer with what to do."""

from dataclasses import asdict
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from blemish.documents import dataclass_from, parse_json
from blemish.errors import BlemishError, UserError
from blemish.studio.drafts import unfit
from blemish.studio.studio import Studio
from blemish.studio.worker import BusyError, SupersededError

T = TypeVar("T")


def studio_of(request: Request) -> Studio:
    """The studio that answers."""
    return request.app.state.studio


async def read_body(request: Request) -> Any:
    """JSON of a request.

    Raises:
        DataError: It is malformed.
    """
    try:
        return parse_json((await request.body()).decode())
    except ValueError as error:
        raise unfit(str(error)) from error


async def read_wish(request: Request, kind: type[T]) -> T:
    """A dataclass from the JSON of a request.

    Raises:
        DataError: It does not fit.
    """
    try:
        return dataclass_from(kind, await read_body(request), "the request")
    except ValueError as error:
        raise unfit(str(error)) from error


def query_number(request: Request, name: str, usual: int) -> int:
    """A whole query_number in the query, from 0 to a million.

    Raises:
        DataError: It is none.
    """
    text = request.query_params.get(name, str(usual))
    if not text.isascii() or not text.isdecimal() or len(text) > 6:
        raise unfit(f"{name} is not a whole number")
    return int(text)


def json_answer(value: Any) -> JSONResponse:
    """An answer in JSON; dataclasses become objects."""
    return JSONResponse(asdict(value) if hasattr(value, "__dataclass_fields__") else value)


def picture(data: bytes, kind: str = "image/jpeg") -> Response:
    """A picture."""
    return Response(data, media_type=kind)


async def answer_mistake(request: Request, error: Exception) -> Response:
    """Answer for a user's mistake."""
    assert isinstance(error, BlemishError)
    if isinstance(error, UserError):
        return JSONResponse({"got": error.got, "expected": error.expected, "todo": error.todo}, 422)
    return JSONResponse({"got": str(error), "expected": "", "todo": ""}, 500)


async def answer_superseded(request: Request, error: Exception) -> Response:
    """Answer to a request for which nobody waits any more."""
    return JSONResponse({"superseded": True}, 409)


async def answer_busy(request: Request, error: Exception) -> Response:
    """Answer where too much is waiting."""
    return JSONResponse({"refused": "too much work is waiting"}, 503)


async def answer_failure(request: Request, error: Exception) -> Response:
    """Answer for a failure of our own; the page learns no more than its kind."""
    text = f"a failure of the studio ({type(error).__name__})"
    return JSONResponse({"got": text, "expected": "none", "todo": "See the terminal."}, 500)


ERRORS: dict[Any, Any] = {
    BlemishError: answer_mistake,
    SupersededError: answer_superseded,
    BusyError: answer_busy,
    Exception: answer_failure,
}
