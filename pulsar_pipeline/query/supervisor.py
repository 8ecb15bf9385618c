"""Keeps child processes running: starts again whatever ends, and ends all of them together."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

POLL_S = 0.1
STOP_S = 10.0
"""What children get to end in good order before they are killed."""

STEADY_S = 10.0
"""A child that ran this long is started again at once; one that ends sooner waits, each time longer."""

_DELAYS_S = (0.0, 0.5, 1.0, 2.0, 5.0)

_log = logging.getLogger(__name__)


@dataclass
class Child:
    """A module to run as `python -m`, and the process that runs it now."""

    name: str
    arguments: Sequence[str]
    pass_fds: Sequence[int]
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    start_at: float = 0.0
    quick_ends: int = field(default=0)


class Supervisor:
    """Children hold the reading end of a pipe (`lifeline`), whose other end is here alone: when this process goes,
    by kill -9 too, they notice and end. They are in process groups of their own, so that Ctrl-C reaches only this one.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = dict(environment)
        self._children: list[Child] = []
        self.lifeline, self._own_end = os.pipe()

    def add(self, name: str, arguments: Sequence[str], pass_fds: Sequence[int] = ()) -> None:
        """One more child, started at once."""
        child = Child(name, arguments, (self.lifeline, *pass_fds))
        self._children.append(child)
        self._start(child)

    def tend(self) -> None:
        """Start again what has ended; call it every POLL_S seconds."""
        for child in self._children:
            if child.process is not None and child.process.poll() is not None:
                self._note_end(child, child.process.returncode)
            if child.process is None and time.monotonic() >= child.start_at:
                self._start(child)

    def close(self) -> None:
        """End all children; those that do not end within STOP_S are killed."""
        running = [child.process for child in self._children if child.process is not None]
        for process in running:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_S
        for process in running:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        os.close(self._own_end)
        os.close(self.lifeline)

    def _start(self, child: Child) -> None:
        child.process = subprocess.Popen(
            [sys.executable, "-m", *child.arguments],
            pass_fds=child.pass_fds,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            process_group=0,
        )
        child.started_at = time.monotonic()

    def _note_end(self, child: Child, code: int) -> None:
        now = time.monotonic()
        child.quick_ends = 0 if now - child.started_at >= STEADY_S else child.quick_ends + 1
        delay = _DELAYS_S[min(child.quick_ends, len(_DELAYS_S) - 1)]
        child.process, child.start_at = None, now + delay
        cause = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        _log.warning("%s ended (%s); starting it again%s", child.name, cause, f" in {delay} s" if delay else "")
