"""How busy this machine is, told by a thread that wants to run every few milliseconds."""

from __future__ import annotations

import threading
import time
from collections import deque
from types import TracebackType

_EVERY_S = 0.01
_KEPT = 30_000


class Stalls:
    """Within the block it is measured how late the thread gets its turn, so that limits of time can allow for that."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, float]] = deque(maxlen=_KEPT)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="stalls", daemon=True)

    def __enter__(self) -> Stalls:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def longest(self, since: float, until: float) -> float:
        """Seconds by which a turn was late in that time, by the monotonic clock."""
        return max((late for at, late in list(self._seen) if since <= at <= until), default=0.0)

    def _run(self) -> None:
        due = time.monotonic() + _EVERY_S
        while not self._stop.wait(_EVERY_S):
            now = time.monotonic()
            self._seen.append((now, max(0.0, now - due)))
            due = now + _EVERY_S
