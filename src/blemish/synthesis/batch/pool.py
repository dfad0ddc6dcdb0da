"""Work handed to processes, its results in order.

The standard library's pool of processes, each with one thread, so that results depend neither on
how many there are nor on the machine's cores. A pipe that nothing is ever sent through ties them to
us: when our end closes, because the work is stopped or because we were killed, they leave at once.
"""

import os
import signal
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from threading import Thread
from typing import TypeVar

import cv2
import torch

from blemish.errors import BlemishError, OptionError

T = TypeVar("T")
R = TypeVar("R")
AHEAD = 2


def in_order(
    work: Callable[[T], R], inputs: Iterable[T], *, workers: int
) -> Generator[R, None, None]:
    """The results of some work, made by several processes, in the order of the inputs.

    Args:
        work: A pure function that can be pickled.
        inputs: Of the work; no more than `AHEAD` for each process are taken before they are due.
        workers: How many processes.

    Raises:
        BlemishError: The system has killed a process.
        Exception: What the work raised, at its input's turn; what else is in hand is dropped.
    """
    context = get_context("spawn")  # forked, it would inherit our threads' locks
    end, ours = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(workers, context, initializer=_begin, initargs=(end,))
    try:
        yield from _through(pool, work, iter(inputs), AHEAD * workers)
        pool.shutdown()
    except BrokenProcessPool as error:
        raise BlemishError(
            "A process was killed, perhaps because memory ran out. What has been made is kept: run "
            "the same again to carry on, with fewer --workers if it happens again."
        ) from error
    finally:
        ours.close()
        pool.shutdown(cancel_futures=True)
        end.close()


def usual_workers(device: str) -> int:
    """As many as cores that we may use; on an accelerator one, since its memory is shared."""
    if device != "cpu":
        return 1
    allowed = getattr(os, "sched_getaffinity", None)  # of a container, say; not every system tells
    return len(allowed(0)) if allowed else os.cpu_count() or 1


def refuse_workers(workers: int) -> None:
    """Raise an OptionError where there would be none."""
    if workers < 1:
        got = f"--workers {workers}"
        raise OptionError(got=got, expected="1 or more", todo="Leave it out for all cores.")


def _through(
    pool: ProcessPoolExecutor, work: Callable[[T], R], inputs: Iterator[T], ahead: int
) -> Iterator[R]:
    """Results in order, while no more than so many are under way."""
    first = [_submit(pool, work, item) for item in islice(inputs, ahead)]
    under_way: deque[Future[R]] = deque(first)
    while under_way:
        yield under_way.popleft().result()
        under_way.extend(_submit(pool, work, item) for item in islice(inputs, 1))


def _submit(pool: ProcessPoolExecutor, work: Callable[[T], R], item: T) -> Future[R]:
    with _ctrl_c_waits():
        return pool.submit(work, item)


@contextmanager
def _ctrl_c_waits() -> Iterator[None]:
    """A process that starts now will never hear of Ctrl-C; ours hears of it behind this."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin(end: Connection) -> None:
    """What a process does first."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # where it could not be kept from it
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    Thread(target=_leave_with, args=(end,), daemon=True).start()


def _leave_with(end: Connection) -> None:
    wait([end])
    os._exit(1)
