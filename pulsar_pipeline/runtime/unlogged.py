"""What the guarantees without a state log have in common: outputs are sent as they are, state lives in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pulsar_pipeline.runtime.event import InputPartition
from pulsar_pipeline.runtime.stamped_input import StampedInputs
from pulsar_pipeline.runtime.state import MemoryState, StateStore

Send = Callable[..., None]


class Unlogged:
    """Base of `AtLeastOnce` and `AtMostOnce`, which say when events are acknowledged."""

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

    def begin(self, message: Any) -> bool:  # noqa: ARG002 - each event is as good as the other
        return True

    def emit(self, origin: InputPartition, payload: bytes, options: dict[str, Any]) -> None:
        self._send(self._output_partition(origin.partition), payload, **options)

    def state(self, partition: int) -> StateStore:  # noqa: ARG002 - one state for the whole instance
        return self._state

    def _those_that_count(self, messages: Sequence[Any]) -> list[Any]:
        return [message for message, _ in self._stamped.those_that_count(messages)]


def last_of_partition(messages: Sequence[Any]) -> list[Any]:
    """Of each partition's messages the last."""
    return list({message.topic_name(): message for message in messages}.values())
