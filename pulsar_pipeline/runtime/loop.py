"""The loop: receive a batch, process its events in order, hand it to the committer."""

from __future__ import annotations

from typing import Any

from pulsar_pipeline.runtime.commit import Committer
from pulsar_pipeline.runtime.processor import Processor
from pulsar_pipeline.runtime.source import Source
from pulsar_pipeline.runtime.stats import Counts, Stats
from pulsar_pipeline.runtime.stop import StopSignal
from pulsar_pipeline.runtime.watchdog import InWork


def run(
    source: Source, processor: Processor, committer: Committer, stats: Stats, in_work: InWork, stop: StopSignal
) -> None:
    """Until `stop`. Returns with everything processed also committed; raises when something cannot be stored."""
    while not stop.is_set():
        messages = source.receive()
        if not messages:
            continue
        counts = Counts()
        for message in messages:
            in_work.start(message)
            processor.handle(message, counts)
        in_work.finish()
        stats.add(counts)
        committer.submit(_last_of_partition(messages))
    committer.drain()


def _last_of_partition(messages: list[Any]) -> list[Any]:
    return list({message.topic_name(): message for message in messages}.values())
