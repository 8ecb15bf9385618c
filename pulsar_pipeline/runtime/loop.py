"""The loop: receive, process what is due, keep what came of it."""

from __future__ import annotations

from pulsar_pipeline.runtime.processing.context import FunctionContext
from pulsar_pipeline.runtime.processing.guarantee import Guarantee
from pulsar_pipeline.runtime.processing.processor import Halted, Processor
from pulsar_pipeline.runtime.stop import StopSignal
from pulsar_pipeline.runtime.supervision.stats import Counts, Stats
from pulsar_pipeline.runtime.transport.sink import Sink
from pulsar_pipeline.runtime.transport.source import Source


def run(
    source: Source,
    processor: Processor,
    guarantee: Guarantee,
    context: FunctionContext,
    sink: Sink,
    stats: Stats,
    stop: StopSignal,
) -> None:
    """Until `stop`. Returns with everything processed also committed; raises when something cannot be stored, and
    Halted, with everything before the event at fault committed."""
    try:
        while not stop.is_set():
            turns = guarantee.admit(source.receive(guarantee.until_timer_ms()))
            if turns:
                counts = Counts()
                try:
                    processor.take(turns, counts)
                finally:
                    stats.add(counts)
                    stats.add_metrics(context.take_metrics())
            guarantee.batch_done()
            sink.keep_bounded()
            if source.too_long:
                guarantee.drain()
                source.shorten()
    except Halted:
        guarantee.drain()
        raise
    guarantee.drain()
