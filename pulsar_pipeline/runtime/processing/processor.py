"""From an event to what comes of it: the steps that all ways of processing share.

The ways are `one_by_one` (a call of `process` for each event), `micro_batch` (`process_many`) and `concurrent`
(`async def process`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pulsar_pipeline.errors import DataError, TransientError
from pulsar_pipeline.online.answers import Answer, Record, answers_of, key_of
from pulsar_pipeline.online.timers import Timer
from pulsar_pipeline.runtime.failures import describe
from pulsar_pipeline.runtime.processing.turn import Turn
from pulsar_pipeline.runtime.supervision.stats import Counts, Stats
from pulsar_pipeline.runtime.transport.dead_letters import DeadLetters, Reason
from pulsar_pipeline.runtime.transport.decoding import Decode
from pulsar_pipeline.runtime.transport.outgoing import check_size
from pulsar_pipeline.spec.model import OnError, Retry

_log = logging.getLogger(__name__)

Ready = tuple[bytes, str | None, int | None]
"""An output as it is sent: payload, message key, event time in milliseconds."""


_FIRST_WAIT_S = 0.1


class Processor(Protocol):
    """A way of processing. Nothing that an event does stops the stream, unless the deployment wants it so."""

    def take(self, turns: Sequence[Turn], counts: Counts) -> bool:
        """Process the turns' events, and tell their lanes; `counts` takes in what came of them.

        False when the instance was stopped before the end. Raises Halted, and what publishing raised.
        """

    def close(self) -> None:
        """There will be no more events."""


class Halted(Exception):
    """An event failed, and the deployment's `on_error` is `stop`."""


class Stopped(Exception):
    """The instance was told to stop while an event waited to be tried again; the event counts as not begun."""


@dataclass(frozen=True)
class Output:
    """How a function's answers become messages."""

    encode: Callable[[Any], bytes]
    key_field: str | None
    """Field of the answer that becomes the message key; the input's key when None."""


@dataclass(frozen=True)
class Tolerance:
    """What happens to an event that fails."""

    retry: Retry
    on_error: OnError
    transient: tuple[type[BaseException], ...] = ()
    """Errors, beside TransientError, after which an event is tried again."""


class Steps:
    """The steps of an event's way. Used by the loop's thread."""

    def __init__(
        self,
        decoders: Mapping[str, Decode],
        output: Output | None,
        tolerance: Tolerance,
        dead_letters: DeadLetters,
        stats: Stats,
    ) -> None:
        self._decoders = decoders
        self._encode = _no_output if output is None else output.encode
        self._key_field = output.key_field if output else None
        self._tolerance = tolerance
        self._transient: tuple[type[BaseException], ...] = (TransientError, *tolerance.transient)
        self._dead_letters = dead_letters
        self._stats = stats

    def decoder(self, turn: Turn) -> Decode:
        return self._decoders[turn.origin.full_name]

    def ready(self, returned: Any, message: Any) -> Sequence[Ready]:
        """The outputs of what the function returned. Raises DataError."""
        if type(returned) is not dict:
            return [self._one(answer, message) for answer in answers_of(returned)]
        payload = self._encode(returned)
        key = str(returned[self._key_field]) if self._key_field else message.partition_key()
        check_size(payload, key)
        return ((payload, key, message.event_timestamp()),)

    def _one(self, answer: Record | Answer, message: Any) -> Ready:
        if not isinstance(answer, Answer):
            return self.ready(answer, message)[0]
        payload = self._encode(answer.record)
        key = key_of(answer, self._key_field, message.partition_key())
        check_size(payload, key)
        return payload, key, message.event_timestamp() if answer.event_time_ms is None else answer.event_time_ms

    def is_transient(self, error: BaseException) -> bool:
        return isinstance(error, self._transient)

    def waits(self) -> Iterator[float]:
        """Seconds before each further attempt at an event."""
        retry = self._tolerance.retry
        for attempt in range(retry.attempts - 1):
            yield min(_FIRST_WAIT_S * 2**attempt, retry.longest_wait)

    def undecodable(self, turn: Turn, message: Any, error: DataError, counts: Counts) -> None:
        self._set_aside(turn, message, Reason.UNDECODABLE, str(error), counts)

    def failed(self, turn: Turn, message: Any, error: BaseException, counts: Counts) -> None:
        """The event has failed for good. Raises Halted where that ends the stream."""
        if isinstance(error, DataError):
            self._set_aside(turn, message, Reason.INVALID, str(error), counts)
            return
        _log.warning("the function failed on %s", turn.origin.full_name, exc_info=error)
        self._set_aside(turn, message, Reason.FAILED, describe(error), counts)

    def timer_failed(self, timer: Timer, error: BaseException, counts: Counts) -> None:
        """There is no event to set aside: the timer is gone. Raises Halted where that ends the stream."""
        text = f"timer {timer.name}: {error if isinstance(error, DataError) else describe(error)}"
        _log.warning("on_timer failed: %s", text, exc_info=error)
        counts.user_exceptions += 1
        self._stats.user_failure(f"{Reason.FAILED}: {text}")
        if self._tolerance.on_error == "stop":
            raise Halted(f"{Reason.FAILED}: {text}")

    def hung(self, turn: Turn, message: Any, timeout_s: float, counts: Counts) -> None:
        self._set_aside(turn, message, Reason.HUNG, f"no answer within {timeout_s:g} s", counts)

    def _set_aside(self, turn: Turn, message: Any, reason: Reason, text: str, counts: Counts) -> None:
        counts.user_exceptions += 1
        self._stats.user_failure(f"{reason}: {text}")
        if self._tolerance.on_error == "stop":
            raise Halted(f"{reason}: {text}, at {self._dead_letters.place(message, turn.origin)}")
        turn.lane.publish(self._dead_letters.letter(message, turn.origin, reason, text))


def _no_output(_answer: Any) -> bytes:
    raise DataError("the function answered, but the deployment has no output")
