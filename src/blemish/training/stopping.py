"""Stopping a training between two steps: Ctrl-C, SIGTERM, or a time limit."""

import signal
from dataclasses import dataclass
from math import inf
from threading import current_thread, main_thread
from time import monotonic
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from blemish.errors import OptionError, Terminated

if TYPE_CHECKING:
    from lightning_fabric import Fabric

TIME_LIMIT = 1  # beside the signals' numbers, which are higher


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a training ended.

    Attributes:
        reason: "finished" is the end of the schedule. Signals raise instead.
        steps: Steps that are done, those of earlier runs included.
        nimg: Images that the critic has been shown.
    """

    reason: Literal["finished", "time limit"]
    steps: int
    nimg: int


class Stop:
    """Within its context, Ctrl-C and SIGTERM are noted, for the training to stop between steps.

    The second signal acts at once. In a thread other than the main one signals are left alone.

    Args:
        fabric: Launched; all its processes get the same answer.
        minutes: Time limit from now on; None has none.

    Raises:
        OptionError: The time limit is not above zero.
    """

    def __init__(self, fabric: "Fabric", minutes: float | None) -> None:
        if minutes is not None and not minutes > 0:
            raise OptionError(
                got=f"a time limit of {minutes} minutes",
                expected="more than 0",
                todo="Allow some time, or leave the option out.",
            )
        self.fabric, self.heard = fabric, 0
        self.deadline = inf if minutes is None else monotonic() + 60 * minutes
        self.before: dict[int, Any] = {}

    def __enter__(self) -> "Stop":
        if current_thread() is main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._listen(number)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)
        self.before = {}

    def cause(self) -> int:
        """Number of the signal, `TIME_LIMIT`, or 0 to go on; the same in all processes."""
        mine = self.heard or (TIME_LIMIT if monotonic() > self.deadline else 0)
        if self.fabric.world_size == 1:
            return mine
        own = torch.tensor(mine, device=self.fabric.device)
        agreed = self.fabric.all_reduce(own, reduce_op="max")
        assert isinstance(agreed, Tensor)
        return int(agreed)

    def _listen(self, number: int) -> None:
        before = signal.getsignal(number)
        if before not in (None, signal.SIG_IGN):  # nohup, say, wants Ctrl-C to be ignored
            self.before[number] = before
            signal.signal(number, self._hear)

    def _hear(self, number: int, _frame: object) -> None:
        self.heard = number
        self.__exit__()


def raise_signal(cause: int, text: str) -> None:
    """Raise what a noted signal would have raised: KeyboardInterrupt or Terminated."""
    if cause == signal.SIGINT:
        raise KeyboardInterrupt(text)
    if cause == signal.SIGTERM:
        raise Terminated(text)
