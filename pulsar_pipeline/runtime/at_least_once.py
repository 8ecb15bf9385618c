"""At least once: outputs are stored, then inputs acknowledged, in a thread beside the loop. State lives in memory."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any

from pulsar_pipeline.runtime.stamped_input import StampedInputs
from pulsar_pipeline.runtime.unlogged import Send, Unlogged, last_of_partition

_IN_FLIGHT = 4
"""Batches processed but not yet stored; the loop waits beyond that."""


class AtLeastOnce(Unlogged):
    """Flush, then acknowledge. `flush` and `acknowledge` are called from this object's thread."""

    def __init__(
        self,
        send: Send,
        flush: Callable[[], None],
        acknowledge: Callable[[Sequence[Any]], None],
        output_partition: Callable[[int], str],
        stamped: StampedInputs,
    ) -> None:
        super().__init__(send, flush, acknowledge, output_partition, stamped)
        self._work: queue.Queue[Sequence[Any]] = queue.Queue(maxsize=_IN_FLIGHT)
        self._error: BaseException | None = None
        threading.Thread(target=self._run, name="commit", daemon=True).start()

    def admit(self, messages: Sequence[Any]) -> list[Any]:
        return self._those_that_count(messages)

    def batch_done(self, processed: Sequence[Any]) -> None:
        self._raise_error()
        if processed:
            self._work.put(last_of_partition(processed))

    def drain(self) -> None:
        self._work.join()
        self._raise_error()

    def settle(self, message: Any) -> None:
        self.drain()
        self._flush()
        self._acknowledge([message])

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
