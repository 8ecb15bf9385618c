"""At least once: outputs are stored, then inputs acknowledged, in a thread beside the loop. State lives in memory."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any

from pulsar_pipeline.runtime.event import InputPartition
from pulsar_pipeline.runtime.stamped_input import StampedInputs
from pulsar_pipeline.runtime.state import MemoryState, StateStore

_IN_FLIGHT = 4
"""Batches processed but not yet stored; the loop waits beyond that."""

Send = Callable[..., None]


class AtLeastOnce:
    """Flush, then acknowledge. `flush` and `acknowledge` are called from this object's thread."""

    def __init__(
        self,
        send: Send,
        flush: Callable[[], None],
        acknowledge: Callable[[Sequence[Any]], None],
        output_partition: Callable[[int], str],
        stamped: StampedInputs,
    ) -> None:
        self._send = send
        self._flush = flush
        self._acknowledge = acknowledge
        self._output_partition = output_partition
        self._stamped = stamped
        self._state = MemoryState()
        self._work: queue.Queue[Sequence[Any]] = queue.Queue(maxsize=_IN_FLIGHT)
        self._error: BaseException | None = None
        threading.Thread(target=self._run, name="commit", daemon=True).start()

    def admit(self, messages: Sequence[Any]) -> list[Any]:
        return [message for message, _ in self._stamped.those_that_count(messages)]

    def begin(self, message: Any) -> bool:  # noqa: ARG002 - each event is as good as the other
        return True

    def emit(self, origin: InputPartition, payload: bytes, options: dict[str, Any]) -> None:
        self._send(self._output_partition(origin.partition), payload, **options)

    def state(self, partition: int) -> StateStore:  # noqa: ARG002 - one state for the whole instance
        return self._state

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


def last_of_partition(messages: Sequence[Any]) -> list[Any]:
    """Of each partition's messages the last."""
    return list({message.topic_name(): message for message in messages}.values())
