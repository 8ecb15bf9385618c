"""Which way of processing a function wants: by what it offers."""

from __future__ import annotations

from typing import Any, Protocol

from pulsar_pipeline.online.function import is_async
from pulsar_pipeline.rollout.instance_config import InstanceConfig
from pulsar_pipeline.runtime.processing.concurrent import Concurrent
from pulsar_pipeline.runtime.processing.context import FunctionContext
from pulsar_pipeline.runtime.processing.firing import WithTimers
from pulsar_pipeline.runtime.processing.guarantee import Guarantee
from pulsar_pipeline.runtime.processing.micro_batch import MicroBatches
from pulsar_pipeline.runtime.processing.one_by_one import OneByOne
from pulsar_pipeline.runtime.processing.processor import Processor, Steps
from pulsar_pipeline.runtime.stop import StopSignal
from pulsar_pipeline.runtime.supervision.watchdog import InWork


class Function(Protocol):
    """What every function offers: `pulsar.Function`. It may offer `process_many(records, context)` too, and
    `on_timer(name, at_ms, context)`."""

    def process(self, input: Any, context: Any) -> Any: ...


def way_of(
    function: Function,
    context: FunctionContext,
    steps: Steps,
    guarantee: Guarantee,
    in_work: InWork,
    stop: StopSignal,
    config: InstanceConfig,
) -> Processor:
    """The function's way, its timers included where it defines `on_timer`."""
    inner = _way_of_events(function, context, steps, guarantee, in_work, stop, config)
    if not has_timers(function):
        return inner
    return WithTimers(inner, function.on_timer, context, steps, guarantee, in_work, stop)  # type: ignore[attr-defined]


def has_timers(function: Function) -> bool:
    """Whether timers of the function can fire."""
    return hasattr(function, "on_timer")


def _way_of_events(
    function: Function,
    context: FunctionContext,
    steps: Steps,
    guarantee: Guarantee,
    in_work: InWork,
    stop: StopSignal,
    config: InstanceConfig,
) -> Processor:
    if is_async(function):
        return Concurrent(function, context, steps, in_work, config.concurrency, config.event_timeout_s)
    alone = OneByOne(function, context, steps, guarantee, in_work, stop)
    if hasattr(function, "process_many"):
        return MicroBatches(function, context, steps, guarantee, in_work, alone)
    return alone
