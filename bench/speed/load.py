"""Events in, outputs out: the backlog, the steady stream, and who listens. The stream's two ends are processes of
their own, so that neither waits for the other's interpreter."""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import pulsar

from bench.speed.cases import CASES, Case, partition_of
from bench.speed.world import INPUT, OUTPUT
from pulsar_pipeline.cluster.connect import open_client
from pulsar_pipeline.schemas.schema import load_schema
from pulsar_pipeline.schemas.wire import wire_schema
from pulsar_pipeline.spec.model import Cluster, Tenant

READY_TIMEOUT_S = 30.0
SILENCE_MS = 60_000
"""So long without an output, and no more is waited for."""


@dataclass(frozen=True)
class Stream:
    """Where, what and how many. Plain values only: it goes to another process."""

    cluster: Cluster
    input: str
    output: str
    partitions: int
    case: str
    first: int
    count: int
    per_s: float

    @classmethod
    def of(cls, cluster: Cluster, tenant: Tenant, case: Case, first: int, count: int, per_s: float) -> Stream:
        places = str(tenant.topic_name(INPUT)), str(tenant.topic_name(OUTPUT)), tenant.topics[INPUT].partitions
        return cls(cluster, *places, case.name, first, count, per_s)


def fill(client: pulsar.Client, stream: Stream) -> None:
    """Send the events as fast as they go."""
    _send(client, stream, batch=1000, delay_ms=10)


def latencies_ms(stream: Stream) -> list[float]:
    """Send the events at their rate, one by one; from the call that sends one to the receipt of its output.

    In the order of the events; RuntimeError if an output is missing or doubled.
    """
    with _child(_listen, stream) as listener:
        _await(listener, "ready")
        with _child(_publish, stream) as publisher:
            received: dict[int, int] = _await(listener, "received", stream.count / stream.per_s + 2 * SILENCE_MS / 1000)
            sent: list[int] = _await(publisher, "sent")
    missing = [number for number in range(stream.first, stream.first + stream.count) if number not in received]
    if missing:
        raise RuntimeError(f"{len(missing)} of {stream.count} outputs did not come, the first is {missing[0]}")
    return [(received[stream.first + place] - at) / 1e6 for place, at in enumerate(sent)]


def _send(client: pulsar.Client, stream: Stream, *, batch: int, delay_ms: int) -> list[int]:
    """The times at which each was handed over, ns."""
    case = CASES[stream.case]
    schema = wire_schema(load_schema(case.input_schema))
    producers = [
        client.create_producer(
            f"{stream.input}-partition-{index}",
            schema=schema,
            batching_enabled=True,
            batching_max_messages=batch,
            batching_max_publish_delay_ms=delay_ms,
            max_pending_messages=10 * batch,
            block_if_queue_full=True,
        )
        for index in range(stream.partitions)
    ]
    payload_of, times, started = case.payloads(), [], time.perf_counter()
    for place in range(stream.count):
        payload = payload_of(stream.first + place)
        options: dict[str, Any] = {}
        if payload.key is not None:
            options = {"partition_key": payload.key, "event_timestamp": payload.event_time_ms}
        if stream.per_s:
            time.sleep(max(0.0, started + place / stream.per_s - time.perf_counter()))
        times.append(time.time_ns())
        producers[partition_of(stream.first + place, stream.partitions)].send_async(payload.data, None, **options)
    for producer in producers:
        producer.flush()
        producer.close()
    return times


def _publish(stream: Stream, to_parent: Connection) -> None:
    client = open_client(stream.cluster)
    to_parent.send(("sent", _send(client, stream, batch=1000, delay_ms=1)))
    client.close()


def _listen(stream: Stream, to_parent: Connection) -> None:
    """One receive an output and not a batch at a time: a batch would be waited for."""
    client = open_client(stream.cluster)
    consumer = client.subscribe(
        [f"{stream.output}-partition-{index}" for index in range(stream.partitions)],
        "bench",
        initial_position=pulsar.InitialPosition.Latest,
        receiver_queue_size=10_000,
    )
    to_parent.send(("ready", None))
    came: list[tuple[int, bytes]] = []
    while len(came) < stream.count:
        try:
            message = consumer.receive(SILENCE_MS)
        except pulsar.Timeout:
            break
        if not message.has_null_value():  # a marker of the exactly-once protocol
            came.append((time.time_ns(), message.data()))
    number_of = CASES[stream.case].numbers()
    to_parent.send(("received", {number_of(data): at for at, data in came}))
    client.close()


@contextmanager
def _child(target: Any, stream: Stream) -> Iterator[Connection]:
    """A process that runs `target` with the stream and a pipe to here; none outlives the block."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_quietly, args=(target, stream, there), daemon=True)
    process.start()
    there.close()
    try:
        yield here
        process.join(READY_TIMEOUT_S)
    finally:
        process.kill()
        process.join()
        here.close()


def _quietly(target: Any, stream: Stream, to_parent: Connection) -> None:
    """Ctrl-C is the parent's to handle."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    target(stream, to_parent)


def _await(pipe: Connection, what: str, timeout_s: float = READY_TIMEOUT_S) -> Any:
    if not pipe.poll(timeout_s):
        raise RuntimeError(f"not within {timeout_s:.0f} s: {what}")
    try:
        name, value = pipe.recv()
    except EOFError as error:
        raise RuntimeError(f"the process ended before it had {what}") from error
    if name != what:
        raise RuntimeError(f"{name}, and not {what}")
    return value
