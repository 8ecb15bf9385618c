"""When a batch counts as done: the seam between the loop and the guarantee.

At least once: outputs and dead letters are stored first, then the inputs are acknowledged. This happens in a thread
beside the loop, so that the next batch is processed while the last one is being stored.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any, Protocol

_IN_FLIGHT = 4
"""Batches processed but not yet stored; the loop waits beyond that."""


class Committer(Protocol):
    """Called by the loop's thread after each batch."""

    def submit(self, last_of_partition: Sequence[Any]) -> None:
        """Everything up to these messages is processed. May block for back-pressure; raises what storing raised."""

    def drain(self) -> None:
        """Return once all submitted work is stored and acknowledged; raises what storing raised."""


class AtLeastOnce:
    """Flush, then acknowledge. `flush` and `acknowledge` are called from this object's thread."""

    def __init__(self, flush: Callable[[], None], acknowledge: Callable[[Sequence[Any]], None]) -> None:
        self._flush = flush
        self._acknowledge = acknowledge
        self._work: queue.Queue[Sequence[Any]] = queue.Queue(maxsize=_IN_FLIGHT)
        self._error: BaseException | None = None
        threading.Thread(target=self._run, name="commit", daemon=True).start()

    def submit(self, last_of_partition: Sequence[Any]) -> None:
        self._raise_error()
        self._work.put(last_of_partition)

    def drain(self) -> None:
        self._work.join()
        self._raise_error()

    def _run(self) -> None:
        while True:
            messages = self._work.get()
            try:
                if self._error is None:  # after a failure nothing may be acknowledged any more
                    self._flush()
                    self._acknowledge(messages)
            except Exception as error:  # noqa: BLE001 - handed to the loop's thread, which raises it
                self._error = error
            finally:
                self._work.task_done()

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error
