"""Stay with the local clusters until somebody ends it; then leave no process behind."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from pulsar_pipeline.local.clusters import LocalClusters

_LOOK_EVERY_S = 1.0
_ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run(clusters: LocalClusters, names: Sequence[str], *, when_up: Callable[[], None]) -> None:
    """Bring the clusters up and block until SIGINT, SIGTERM or SIGHUP; they are stopped before this returns.

    `when_up` is called once they can be worked with. Main thread only. Raises LocalError if a cluster cannot start or
    dies, KeyboardInterrupt if ended while starting.
    """
    with _endings_interrupt():
        clusters.up(names)
        try:
            when_up()
            while (dead := clusters.dead()) is None:
                time.sleep(_LOOK_EVERY_S)
        except KeyboardInterrupt:
            dead = None
        finally:
            with _deaf():
                clusters.down()
    if dead is not None:
        raise dead


@contextmanager
def _endings_interrupt() -> Iterator[None]:
    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in _ENDINGS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _deaf() -> Iterator[None]:
    """An impatient second Ctrl-C does not leave half of it running."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in _ENDINGS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
