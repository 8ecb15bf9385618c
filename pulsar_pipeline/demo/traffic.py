"""Live traffic: a JSON-lines file of events for several topics, sent in its order at a steady rate."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulsar

from pulsar_pipeline.clock import Clock
from pulsar_pipeline.ingest.events import EventMaker
from pulsar_pipeline.ingest.pace import Pace
from pulsar_pipeline.ingest.send import TopicSender
from pulsar_pipeline.schemas.schema import load_schema
from pulsar_pipeline.spec.model import Deployment, Tenant


@dataclass(frozen=True)
class Sent:
    """What was sent: when each event of the timed input left, by its identity (seconds of `time.time`)."""

    events: int
    seconds: float
    left_at: Mapping[Any, float]


def send(
    client: pulsar.Client,
    tenant: Tenant,
    deployment: Deployment,
    file: Path,
    *,
    timed: tuple[str, str],
    rate: float,
    clock: Clock,
    progress: Callable[[int], None],
) -> Sent:
    """Send `{"input": NAME, "event": {…}}` lines to the deployment's inputs, `rate` events a second.

    `timed` is (input, field): events of that input are remembered by that field. Raises ClusterError, DataError.
    """
    started, left_at, count = clock.monotonic(), {}, 0
    pace = Pace(rate, clock)
    with ExitStack() as stack:
        lanes = {name: _lane(stack, client, tenant, ref) for name, ref in deployment.inputs.items()}
        for name, record in _lines(file):
            make, sender = lanes[name]
            event = make.event(record)
            pace.wait()
            if name == timed[0]:
                left_at[record[timed[1]]] = time.time()
            sender.send(event, at_once=True)
            count += 1
            progress(count)
        for _, sender in lanes.values():
            sender.confirm()
    return Sent(count, clock.monotonic() - started, left_at)


def _lane(stack: ExitStack, client: pulsar.Client, tenant: Tenant, ref: str) -> tuple[EventMaker, TopicSender]:
    topic, schema = tenant.topics[ref], load_schema(tenant.topics[ref].schema_file)
    sender = TopicSender(client, str(tenant.topic_name(ref)), topic.partitions, schema, cluster=tenant.home)
    return EventMaker(schema, key=topic.key, event_time=topic.event_time), stack.enter_context(sender)


def _lines(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    with file.open() as lines:
        for line in lines:
            item = json.loads(line)
            yield item["input"], item["event"]
