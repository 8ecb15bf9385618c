"""One event through the function: decode, process, encode, publish; or, when it cannot be taken, the dead letters."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pulsar_pipeline.errors import DataError
from pulsar_pipeline.runtime.context import FunctionContext
from pulsar_pipeline.runtime.dead_letters import DeadLetters, Reason
from pulsar_pipeline.runtime.decoding import Decode
from pulsar_pipeline.runtime.event import InputPartition
from pulsar_pipeline.runtime.failures import describe
from pulsar_pipeline.runtime.guarantee import Guarantee
from pulsar_pipeline.runtime.stats import Counts, Stats
from pulsar_pipeline.schemas.wire import version_of

_log = logging.getLogger(__name__)


class Function(Protocol):
    """What every function offers: `pulsar.Function`."""

    def process(self, input: Any, context: Any) -> Any: ...


@dataclass(frozen=True)
class Output:
    """How a function's answers become messages."""

    encode: Callable[[Any], bytes]
    key_field: str | None
    """Field of the answer that becomes the message key; the input's key when None."""


class Processor:
    """Takes events one by one in the loop's thread. Nothing an event does stops the stream."""

    def __init__(
        self,
        function: Function,
        context: FunctionContext,
        partitions: Mapping[str, InputPartition],
        decoders: Mapping[str, Decode],
        output: Output | None,
        guarantee: Guarantee,
        dead_letters: DeadLetters,
        stats: Stats,
    ) -> None:
        self._process = function.process
        self._context = context
        self._routes = {name: (origin, decoders[name]) for name, origin in partitions.items()}
        self._output = output
        self._guarantee = guarantee
        self._dead_letters = dead_letters
        self._stats = stats

    def origin_of(self, message: Any) -> InputPartition:
        """The owned partition a message came from."""
        return self._routes[message.topic_name()][0]

    def handle(self, message: Any, counts: Counts) -> None:
        """One event, start to end; `counts` takes in what came of it. Publishing is queued, not waited for."""
        origin, decode = self._routes[message.topic_name()]
        counts.received += 1
        try:
            record = decode(message.data(), version_of(message))
        except DataError as error:
            self._set_aside(message, origin, Reason.UNDECODABLE, str(error), counts)
            return
        self._context.begin(message, origin, self._guarantee.state(origin.partition))
        started = time.perf_counter()
        try:
            answer = self._process(record, self._context)
            output = None if answer is None else self._encoded(answer, message)
        except DataError as error:
            self._set_aside(message, origin, Reason.INVALID, str(error), counts)
        except Exception as error:  # noqa: BLE001 - whatever the author's code raises belongs to this event alone
            _log.warning("the function failed on %s", origin.full_name, exc_info=error)
            self._set_aside(message, origin, Reason.FAILED, describe(error), counts)
        else:
            self._emit(output, message, origin, counts)
        counts.latency_ms += (time.perf_counter() - started) * 1e3

    def _emit(
        self, output: tuple[bytes, dict[str, Any]] | None, message: Any, origin: InputPartition, counts: Counts
    ) -> None:
        """What the client raises here is no fault of the event's: it ends the instance."""
        try:
            if output is not None:
                self._guarantee.emit(origin, *output)
        except DataError as error:
            self._set_aside(message, origin, Reason.INVALID, str(error), counts)
        else:
            counts.processed += 1

    def _encoded(self, answer: Any, message: Any) -> tuple[bytes, dict[str, Any]]:
        """Payload and message options of an answer. Raises DataError."""
        output = self._output
        if output is None:
            raise DataError("the function answered, but the deployment has no output")
        payload = output.encode(answer)
        key = str(answer[output.key_field]) if output.key_field else message.partition_key()
        options: dict[str, Any] = {"partition_key": key} if key else {}
        if event_time := message.event_timestamp():
            options["event_timestamp"] = event_time
        return payload, options

    def _set_aside(self, message: Any, origin: InputPartition, reason: Reason, text: str, counts: Counts) -> None:
        counts.user_exceptions += 1
        self._stats.user_failure(f"{reason}: {text}")
        self._dead_letters.send(message, origin, reason, text)
