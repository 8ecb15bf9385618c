"""The loop: receive a batch, process its events in order, hand it to the guarantee."""

from __future__ import annotations

from pulsar_pipeline.runtime.guarantee import Guarantee
from pulsar_pipeline.runtime.processor import Processor
from pulsar_pipeline.runtime.source import Source
from pulsar_pipeline.runtime.stats import Counts, Stats
from pulsar_pipeline.runtime.stop import StopSignal
from pulsar_pipeline.runtime.watchdog import InWork


def run(
    source: Source, processor: Processor, guarantee: Guarantee, stats: Stats, in_work: InWork, stop: StopSignal
) -> None:
    """Until `stop`. Returns with everything processed also committed; raises when something cannot be stored."""
    while not stop.is_set():
        messages = guarantee.admit(source.receive())
        if messages:
            counts = Counts()
            for message in messages:
                if guarantee.begin(message):
                    in_work.start(message)
                    processor.handle(message, counts)
            in_work.finish()
            stats.add(counts)
        guarantee.batch_done(messages)
    guarantee.drain()
