"""Process pool whose results come in order.

This is the standard library's process pool with one thread per process, so that results depend
neither on the number of processes nor on the machine's cores. A pipe without data ties the
processes to the main one: when its main end closes, because the work was stopped or the main
process was killed, they exit at once.
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
    """Results of work in several processes, in the order of the inputs.

    Args:
        work: Pure function that can be pickled.
        inputs: Inputs of the work; at most `AHEAD` per process are taken in advance.
        workers: Number of processes.

    Raises:
        BlemishError: The operating system has killed a process.
        Exception: The exception of the work, in its input's turn; other work in progress is
            dropped.
    """
    context = get_context("spawn")  # no inherited locks
    end, ours = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(workers, context, initializer=_begin, initargs=(end,))
    try:
        yield from _through(pool, work, iter(inputs), AHEAD * workers)
        pool.shutdown()
    except BrokenProcessPool as error:
        raise BlemishError(
            "A process was killed, perhaps because memory ran out. Finished items are kept: run "
            "the same command again to resume, with fewer --workers if it happens again."
        ) from error
    finally:
        ours.close()
        pool.shutdown(cancel_futures=True)
        end.close()


def single_thread() -> None:
    """Compute on one thread in this process, so that items don't depend on the number of cores."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)


def usual_workers(device: str) -> int:
    """Number of available cores; 1 on an accelerator, because its memory is shared."""
    if device != "cpu":
        return 1
    allowed = getattr(os, "sched_getaffinity", None)  # not on every system
    return len(allowed(0)) if allowed else os.cpu_count() or 1


def refuse_workers(workers: int) -> None:
    """Raise an OptionError if there are none."""
    if workers < 1:
        got = f"--workers {workers}"
        raise OptionError(got=got, expected="1 or more", todo="Leave it out for all cores.")


def _through(
    pool: ProcessPoolExecutor, work: Callable[[T], R], inputs: Iterator[T], ahead: int
) -> Iterator[R]:
    """Results in order, with a limit on the work in progress."""
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
    """Processes started now ignore Ctrl-C; the main process handles it afterwards."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin(end: Connection) -> None:
    """First steps of a process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # where ignoring it was not possible
    single_thread()
    Thread(target=_leave_with, args=(end,), daemon=True).start()


def _leave_with(end: Connection) -> None:
    wait([end])
    os._exit(1)
