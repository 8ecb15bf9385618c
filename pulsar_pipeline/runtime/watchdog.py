"""Sees a hung function, sets its event aside and ends the process, so that the worker starts a fresh one."""

from __future__ import annotations

import faulthandler
import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

_log = logging.getLogger(__name__)

_CHECKS = 4
"""Per timeout."""


class InWork:
    """The event the loop is at, and since when: two plain attributes, since they are set for every event."""

    __slots__ = ("message", "since")

    def __init__(self) -> None:
        self.message: Any = None
        self.since = 0.0

    def start(self, message: Any) -> None:
        self.since = time.monotonic()
        self.message = message

    def finish(self) -> None:
        self.message = None


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
        met, times = 0.0, 0
        while not self._closed.wait(self._timeout_s / _CHECKS):
            self._last_resort(3 * self._timeout_s)
            message, since = self._in_work.message, self._in_work.since
            met, times = since, times + 1 if since == met else 1
            if message is not None and times > _CHECKS and self._still_at(message, since):
                self._on_hang(message, self._stack())
                return

    def _still_at(self, message: Any, since: float) -> bool:
        return self._in_work.message is message and self._in_work.since == since

    def _stack(self) -> str:
        frame = sys._current_frames().get(self._loop_thread or 0)
        return "".join(traceback.format_stack(frame)) if frame else "(no stack)"
