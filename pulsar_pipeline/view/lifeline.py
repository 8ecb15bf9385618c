"""Ends a child process when its parent is gone, however it went: the kernel closes the parent's end of a pipe."""

from __future__ import annotations

import os
import signal
import threading

GRACE_S = 5.0
"""What a child gets to end in good order."""


def hold_on(fd: int) -> None:
    """`fd` is the reading end of a pipe that nobody writes to. At its end this process gets SIGTERM, and after GRACE_S
    seconds is ended without further ado."""
    threading.Thread(target=_watch, args=(fd,), name="lifeline", daemon=True).start()


def _watch(fd: int) -> None:
    while os.read(fd, 1):
        pass
    threading.Timer(GRACE_S, os._exit, (1,)).start()
    os.kill(os.getpid(), signal.SIGTERM)
