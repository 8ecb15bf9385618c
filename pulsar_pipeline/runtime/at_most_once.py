"""At most once: inputs are acknowledged as they come, then processed; what is in work at a crash is lost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pulsar_pipeline.runtime.at_least_once import Send, last_of_partition
from pulsar_pipeline.runtime.event import InputPartition
from pulsar_pipeline.runtime.stamped_input import StampedInputs
from pulsar_pipeline.runtime.state import MemoryState, StateStore


class AtMostOnce:
    """Acknowledge, then process. State lives in memory."""

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

    def admit(self, messages: Sequence[Any]) -> list[Any]:
        if messages:
            self._acknowledge(last_of_partition(messages))
        return [message for message, _ in self._stamped.those_that_count(messages)]

    def begin(self, message: Any) -> bool:  # noqa: ARG002 - each event is as good as the other
        return True

    def emit(self, origin: InputPartition, payload: bytes, options: dict[str, Any]) -> None:
        self._send(self._output_partition(origin.partition), payload, **options)

    def state(self, partition: int) -> StateStore:  # noqa: ARG002 - one state for the whole instance
        return self._state

    def batch_done(self, processed: Sequence[Any]) -> None:
        """Nothing to wait for."""

    def drain(self) -> None:
        self._flush()

    def settle(self, message: Any) -> None:  # noqa: ARG002 - it is acknowledged already
        self._flush()
