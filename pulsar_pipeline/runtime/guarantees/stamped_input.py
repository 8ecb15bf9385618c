"""Inputs that another exactly-once deployment wrote: which of their messages count, by the rule that views use."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pulsar_pipeline.runtime.transport.event import InputPartition, position_of
from pulsar_pipeline.statelog.lineage import Lineage, Verdict, judge
from pulsar_pipeline.statelog.stamp import PROPERTY, parse

_log = logging.getLogger(__name__)


class StampedInputs:
    """Drops markers and outputs that were made twice or too late. Messages without a stamp count as they are.

    `lineage_of` tells where a partition stood at the last commit.
    """

    def __init__(
        self, partitions: Mapping[str, InputPartition], lineage_of: Callable[[InputPartition], Lineage]
    ) -> None:
        self._lineages = {name: lineage_of(partition) for name, partition in partitions.items() if partition.stamped}

    def those_that_count(self, messages: Sequence[Any]) -> list[tuple[Any, Lineage | None]]:
        """Each message that counts, with how far its partition has come by then (None: it carries no stamps)."""
        if not self._lineages:
            return [(message, None) for message in messages]
        return [kept for message in messages if (kept := self._judged(message)) is not None]

    def _judged(self, message: Any) -> tuple[Any, Lineage | None] | None:
        name = message.topic_name()
        lineage = self._lineages.get(name)
        text = message.properties().get(PROPERTY) if lineage is not None else None
        if lineage is None or text is None:
            return message, None
        verdict, after = judge(lineage, parse(text))
        self._lineages[name] = after
        if verdict is Verdict.GAP:
            _log.error("messages are missing before %s at %s of %s", text, position_of(message), name)
        return (message, after) if verdict in (Verdict.TAKE, Verdict.GAP) else None
