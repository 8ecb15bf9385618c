"""At least once: outputs are stored, then inputs acknowledged, in a thread beside the loop. State lives in memory."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from pulsar_pipeline.runtime.guarantees.unlogged import DirectTurns
from pulsar_pipeline.runtime.processing.turn import Turn

COMMIT_EVERY_S = 0.2

_IN_FLIGHT = 4
"""Commits on their way; the loop waits beyond that."""


class AtLeastOnce:
    """Flush, then acknowledge. `flush` and `acknowledge` are called from this object's thread."""

    gives_back: ClassVar[bool] = True

    def __init__(
        self, turns: DirectTurns, flush: Callable[[], None], acknowledge: Callable[[Sequence[Any]], None]
    ) -> None:
        self._turns = turns
        self._flush = flush
        self._acknowledge = acknowledge
        self._work: queue.Queue[Sequence[Any]] = queue.Queue(maxsize=_IN_FLIGHT)
        self._error: BaseException | None = None
        self.due_at = time.monotonic() + COMMIT_EVERY_S
        threading.Thread(target=self._run, name="commit", daemon=True).start()

    def admit(self, messages: Sequence[Any]) -> list[Turn]:
        return self._turns.of(messages)

    def until_timer_ms(self) -> int | None:
        return self._turns.until_timer_ms()

    def commit(self) -> None:
        self._raise_error()
        if done := [message for lane in self._turns.lanes.values() for message in lane.take_done()]:
            self._work.put(done)
        self.due_at = time.monotonic() + COMMIT_EVERY_S

    def batch_done(self) -> None:
        self._raise_error()
        if time.monotonic() >= self.due_at:
            self.commit()

    def drain(self) -> None:
        self.commit()
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
