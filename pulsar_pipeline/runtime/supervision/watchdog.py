"""Sees a hung function, sets its event aside and ends the process, so that the worker starts a fresh one."""

from __future__ import annotations

import faulthandler
import logging
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_log = logging.getLogger(__name__)

_CHECKS = 4
"""Per timeout."""


class InWork:
    """The event the function is at; None between events. A plain attribute, since it is set for every event."""

    __slots__ = ("message",)

    def __init__(self) -> None:
        self.message: Any = None

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """The function waits for the broker by way of us: however long that takes, it does not hang."""
        message, self.message = self.message, None
        try:
            yield
        finally:
            self.message = message


class Watchdog:
    """A thread that checks four times per timeout.

    When an event takes longer than `timeout_s`, `on_hang(message, stack)` is called, which must end the process. Time
    is counted in checks that met the same event, for a clock goes on while the process is paused. A
    function that holds the interpreter lock would also hold this thread, so a timer below the interpreter ends the
    process after three times the timeout.
    """

    def __init__(
        self,
        in_work: InWork,
        timeout_s: float,
        on_hang: Callable[[Any, str], None],
        last_resort: Callable[[float], None] = lambda seconds: faulthandler.dump_traceback_later(seconds, exit=True),
    ) -> None:
        self._in_work = in_work
        self._timeout_s = timeout_s
        self._on_hang = on_hang
        self._last_resort = last_resort
        self._closed = threading.Event()
        self._loop_thread = threading.main_thread().ident

    def start(self) -> None:
        threading.Thread(target=self._run, name="watchdog", daemon=True).start()

    def close(self) -> None:
        """The loop has ended: nothing can hang any more."""
        self._closed.set()
        faulthandler.cancel_dump_traceback_later()

    def _run(self) -> None:
        met, times = None, 0
        while not self._closed.wait(self._timeout_s / _CHECKS):
            self._last_resort(3 * self._timeout_s)
            message = self._in_work.message
            times = times + 1 if message is met else 1
            met = message
            if message is not None and times > _CHECKS and self._in_work.message is message:
                self._on_hang(message, self._stack())
                return

    def _stack(self) -> str:
        frame = sys._current_frames().get(self._loop_thread or 0)
        return "".join(traceback.format_stack(frame)) if frame else "(no stack)"
