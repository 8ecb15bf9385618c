"""At most once: inputs are acknowledged as they come, then processed; what is in work at a crash is lost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf
from typing import Any, ClassVar

from pulsar_pipeline.runtime.guarantees.unlogged import DirectTurns, last_of_partition
from pulsar_pipeline.runtime.processing.turn import Turn


class AtMostOnce:
    """Acknowledge, then process."""

    gives_back: ClassVar[bool] = False

    def __init__(
        self, turns: DirectTurns, flush: Callable[[], None], acknowledge: Callable[[Sequence[Any]], None]
    ) -> None:
        self._turns = turns
        self._flush = flush
        self._acknowledge = acknowledge
        self.due_at = inf

    def admit(self, messages: Sequence[Any]) -> list[Turn]:
        if messages:
            self._acknowledge(last_of_partition(messages))
        return self._turns.of(messages)

    def until_timer_ms(self) -> int | None:
        return self._turns.until_timer_ms()

    def commit(self) -> None:
        """Nothing to keep."""

    def batch_done(self) -> None:
        """Nothing to wait for."""

    def drain(self) -> None:
        self._flush()

    def settle(self, message: Any) -> None:  # noqa: ARG002 - it is acknowledged already
        self._flush()
