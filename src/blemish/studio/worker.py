"""Worker of the studio: one thread does all that computes, and the latest request wins."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from itertools import count
from typing import TypeVar

T = TypeVar("T")
MOST_WAITING = 32


class SupersededError(Exception):
    """A later request of the same kind has come; nobody waits for this answer."""


class BusyError(Exception):
    """Too much work is waiting."""


class Worker:
    """A thread, and what waits for it in the order of arrival."""

    def __init__(self) -> None:
        self.pool = ThreadPoolExecutor(1, "studio")
        self.tickets, self.newest = count(), dict[str, int]()
        self.waiting = 0

    async def latest(self, lane: str, work: Callable[[], T]) -> T:
        """Do work unless a later request comes before it has begun.

        Args:
            lane: Kind of request; a later one of the same kind takes this one's place.
            work: Function to call in the thread.

        Raises:
            SupersededError: A later request has come.
            BusyError: Too much is waiting.
        """
        ticket = self.newest[lane] = next(self.tickets)

        def unless_superseded() -> T:
            if self.newest[lane] != ticket:
                raise SupersededError
            return work()

        return await self.do(unless_superseded)

    async def do(self, work: Callable[[], T]) -> T:
        """Do work that must not be lost.

        Raises:
            BusyError: Too much is waiting.
        """
        if self.waiting >= MOST_WAITING:
            raise BusyError
        self.waiting += 1
        try:
            loop, context = asyncio.get_running_loop(), copy_context()
            return await loop.run_in_executor(self.pool, context.run, work)
        finally:
            self.waiting -= 1

    def close(self) -> None:
        """Let the work that is under way end."""
        self.pool.shutdown(wait=True)
