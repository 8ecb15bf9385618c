"""What happens when the function hangs: keep what is done, set the event aside, end the process."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from typing import Any

from pulsar_pipeline.runtime.processing.firing import TimerEvent
from pulsar_pipeline.runtime.processing.guarantee import Guarantee
from pulsar_pipeline.runtime.supervision.health import Health
from pulsar_pipeline.runtime.transport.dead_letters import DeadLetters, Reason
from pulsar_pipeline.runtime.transport.event import InputPartition
from pulsar_pipeline.runtime.transport.sink import Sink
from pulsar_pipeline.runtime.transport.source import Source

EXIT_HUNG = 75
"""The worker starts a fresh instance, as after any other end."""

_log = logging.getLogger(__name__)


def end_hung_instance(
    timeout_s: float,
    health: Health,
    guarantee: Guarantee,
    partitions: Mapping[str, InputPartition],
    dead_letters: DeadLetters,
    sink: Sink,
    source: Source,
) -> Callable[[Any, str], None]:
    """The watchdog's `on_hang`. Runs beside the loop's thread, which is stuck in the function and touches nothing."""

    def end(message: Any, stack: str) -> None:
        text = f"no answer within {timeout_s:g} s"
        _log.critical("the function hangs: %s\n%s", text, stack)
        health.not_running(f"the function hangs: {text}")
        # Straight to its topic: the event's partition may be half changed, so no commit may come any more.
        if isinstance(message, TimerEvent):
            sink.send(dead_letters.timer_letter(message.timer, message.partition, Reason.HUNG, text))
            sink.flush()
        else:
            sink.send(dead_letters.letter(message, partitions[message.topic_name()], Reason.HUNG, text))
            sink.flush()
            guarantee.settle(message)
        source.close()  # sends what it acknowledged
        logging.shutdown()
        os._exit(EXIT_HUNG)

    return end
