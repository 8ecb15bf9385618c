"""At most once: inputs are acknowledged as they come, then processed; what is in work at a crash is lost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pulsar_pipeline.runtime.unlogged import Unlogged, last_of_partition


class AtMostOnce(Unlogged):
    """Acknowledge, then process."""

    def admit(self, messages: Sequence[Any]) -> list[Any]:
        if messages:
            self._acknowledge(last_of_partition(messages))
        return self._those_that_count(messages)

    def batch_done(self, processed: Sequence[Any]) -> None:
        """Nothing to wait for."""

    def drain(self) -> None:
        self._flush()

    def settle(self, message: Any) -> None:  # noqa: ARG002 - it is acknowledged already
        self._flush()
