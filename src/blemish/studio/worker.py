"""Worker of the studio: one thing is computed at a time, and the latest request wins.

Short work is done in the order of its arrival. Long work, such as the search of an inversion, has a
thread of its own and pauses between its steps, so that short work need not wait for its end.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from itertools import count
from threading import Lock
from typing import TypeVar

T = TypeVar("T")
Pause = Callable[[], None]
MOST_WAITING = 32
BREATH = 0.002  # seconds between looks at whether short work is still waiting


class SupersededError(Exception):
    """A later request of the same kind has come; nobody waits for this answer."""


class BusyError(Exception):
    """Too much work is waiting."""


class Worker:
    """Two threads of which one at a time computes, and what waits for them."""

    def __init__(self) -> None:
        self.pool, self.long = ThreadPoolExecutor(1, "studio"), ThreadPoolExecutor(1, "long")
        self.tickets, self.newest = count(), dict[str, int]()
        self.waiting, self.turn, self.closing = 0, Lock(), False

    async def latest(self, lane: str, work: Callable[[], T]) -> T:
        """Do work unless a later request comes before it has begun.

        Args:
            lane: Kind of request; a later one of the same kind takes this one's place.
            work: Function to call in the thread.

        Raises:
            SupersededError: A later request has come.
            BusyError: Too much is waiting.
        """
        check = self._ticket(lane)

        def unless_superseded() -> T:
            check()
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
            return await self._in(self.pool, work)
        finally:
            self.waiting -= 1

    async def search(self, lane: str, work: Callable[[Pause], T]) -> T:
        """Do long work, which ends early where a later request comes.

        Args:
            lane: Kind of request; see `latest`.
            work: Function to call; it calls its argument between steps, where short work is let in.

        Raises:
            SupersededError: A later request has come, or the studio ends.
        """
        check = self._ticket(lane)

        def pause() -> None:
            check()
            while self.waiting and not self.closing:
                self.turn.release()
                time.sleep(BREATH)
                self.turn.acquire()

        def paused() -> T:
            check()
            return work(pause)

        return await self._in(self.long, paused)

    def close(self) -> None:
        """Let the work that is under way end."""
        self.closing = True
        self.pool.shutdown(wait=True)
        self.long.shutdown(wait=True)

    def _ticket(self, lane: str) -> Pause:
        """Function that raises a SupersededError once a later request of this kind has come."""
        ticket = self.newest[lane] = next(self.tickets)

        def check() -> None:
            if self.newest[lane] != ticket or self.closing:
                raise SupersededError

        return check

    async def _in(self, pool: ThreadPoolExecutor, work: Callable[[], T]) -> T:
        def alone() -> T:
            with self.turn:
                return work()

        loop, context = asyncio.get_running_loop(), copy_context()
        return await loop.run_in_executor(pool, context.run, alone)
