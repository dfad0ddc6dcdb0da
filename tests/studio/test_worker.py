"""One thing is computed at a time; long work lets short work in, and ends where it is overtaken."""

import asyncio
import time
from collections.abc import Callable

import pytest

from blemish.studio.worker import SupersededError, Worker

STEPS = 200
STEP = 0.01  # seconds


def searched(done: list[str], name: str) -> Callable[[Callable[[], None]], str]:
    def work(pause: Callable[[], None]) -> str:
        for _ in range(STEPS):
            time.sleep(STEP)
            pause()
        done.append(name)
        return name

    return work


def test_short_work_is_done_between_the_steps_of_long_work() -> None:
    async def both() -> list[str]:
        worker, done = Worker(), list[str]()
        long = asyncio.create_task(worker.search("inversion", searched(done, "long")))
        await asyncio.sleep(5 * STEP)
        await worker.do(lambda: done.append("short"))
        await long
        worker.close()
        return done

    assert asyncio.run(both()) == ["short", "long"]


def test_long_work_ends_where_a_later_request_comes() -> None:
    async def both() -> tuple[str, list[str]]:
        worker, done = Worker(), list[str]()
        first = asyncio.create_task(worker.search("inversion", searched(done, "first")))
        await asyncio.sleep(5 * STEP)
        second = await worker.search("inversion", searched(done, "second"))
        with pytest.raises(SupersededError):
            await first
        worker.close()
        return second, done

    assert asyncio.run(both()) == ("second", ["second"])


def test_long_work_ends_with_the_studio() -> None:
    async def closed() -> list[str]:
        worker, done = Worker(), list[str]()
        long = asyncio.create_task(worker.search("inversion", searched(done, "long")))
        await asyncio.sleep(5 * STEP)
        await asyncio.to_thread(worker.close)
        with pytest.raises(SupersededError):
            await long
        return done

    assert asyncio.run(closed()) == []
