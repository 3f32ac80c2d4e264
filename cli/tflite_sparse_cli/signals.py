"""SIGINT and SIGTERM: exceptions while a command works, so that it cleans up; behind its end the exit status alone."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from types import FrameType

_STATUS = {int(signal.SIGINT): 130, int(signal.SIGTERM): 143}


class Signals:
    """What has arrived, and what it does.

    Attributes:
        status: exit status that the last signal asks for; None: none has arrived.
    """

    def __init__(self) -> None:
        self.status: int | None = None

    def raise_exceptions(self) -> None:
        """From now on SIGINT raises KeyboardInterrupt, and SIGTERM exits."""
        _handle(self._raise)

    def set_the_status(self) -> None:
        """From now on exit handlers finish, as an exception in one is printed and lost. A second signal kills.

        The command has ended with a status of its own: one that took an interrupt and went on, as a training that ends
        early, with that of its result.
        """
        self.status = None
        _handle(self._note)

    def _raise(self, number: int, frame: FrameType | None) -> None:
        del frame
        self.status = _STATUS[number]
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        sys.exit(self.status)

    def _note(self, number: int, frame: FrameType | None) -> None:
        del frame
        self.status = _STATUS[number]
        signal.signal(number, signal.SIG_DFL)


def _handle(handler: Callable[[int, FrameType | None], None]) -> None:
    for number in _STATUS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup and shells in the background ask for
            signal.signal(number, handler)
