"""One measurement: a backlog is filled and drained by a fresh process, which then answers a steady stream."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import pulsar

from bench.speed import load, proc
from bench.speed.command_line import Job
from bench.speed.instances import Kind, Running, running
from bench.speed.report import Figures, percentile
from bench.speed.world import DEPLOYMENT, INPUT, OUTPUT, World
from pulsar_pipeline.names import TopicName, subscription
from pulsar_pipeline.spec.model import Tenant

_POLL_S = 0.1
_SETTLE_TIMEOUT_S = 60.0
"""So long without any progress is a failure."""
_WARM_UP_S = 1.0
"""Of the steady stream, while producers and consumers get to know each other: not counted."""


@dataclass(frozen=True)
class Load:
    """How many events."""

    messages: int
    per_s: float
    seconds: float

    @property
    def steady(self) -> int:
        return int(self.per_s * self.seconds)


@dataclass(frozen=True)
class Sample:
    """The process and its outputs at one time."""

    at_s: float
    outputs: int
    cpu_s: float
    rss_mb: float


def measure(kind: Kind, job: Job, work: Load) -> Figures:
    """Raises RuntimeError if the process ends, stands still, or loses outputs."""
    world, tenant = job.world, job.tenant
    load.fill(world.client, load.Stream.of(world.cluster, tenant, job.case, 0, work.messages, 0))
    with running(kind, job, world.folder / "instances" / tenant.tenant) as process:
        samples = drained(world, tenant, process, work.messages)
        rate = output_rate(world, tenant, work.messages)
        end = samples[-1]
        rss, peak = proc.memory_mb(process.pid)
        before = proc.cpu_s(process.pid)
        stream = load.Stream.of(world.cluster, tenant, job.case, work.messages, work.steady, work.per_s)
        latencies = load.latencies_ms(stream)[int(_WARM_UP_S * work.per_s) :] if work.steady else []
        steady_cpu_s = proc.cpu_s(process.pid) - before
    start = first_of(samples)
    return Figures(
        messages_per_s=rate,
        cpu_us_per_message=(end.cpu_s - start.cpu_s) / (end.outputs - start.outputs) * 1e6,
        p50_ms=percentile(latencies, 50),
        p99_ms=percentile(latencies, 99),
        rss_mb=rss,
        rss_peak_mb=peak,
        rss_growth_mb=rss - half_way(samples).rss_mb,
        steady_cpu_us_per_message=steady_cpu_s / work.steady * 1e6 if work.steady else 0.0,
    )


def first_of(samples: Sequence[Sample]) -> Sample:
    """Where the drain begins: the first sample with outputs, so that the process's start does not count; the one before
    where all went so fast that little is left to measure."""
    first = next(index for index, sample in enumerate(samples) if sample.outputs)
    if samples[first].outputs * 4 > samples[-1].outputs and first:
        first -= 1
    return samples[first]


def half_way(samples: Sequence[Sample]) -> Sample:
    """The first sample with at least half of the outputs."""
    return next(sample for sample in samples if sample.outputs * 2 >= samples[-1].outputs)


def drained(world: World, tenant: Tenant, process: Running, messages: int) -> list[Sample]:
    """Samples until all events are answered and acknowledged; what it takes to acknowledge counts."""
    samples: list[Sample] = []
    progress_s = time.monotonic()
    while not (samples and samples[-1].outputs >= messages and not _backlog(world, tenant)):
        process.check()
        # A process that ends or is a marker ahead must not count more outputs than there are events.
        outputs = min(messages, _outputs(world, tenant))
        samples.append(Sample(time.monotonic(), outputs, proc.cpu_s(process.pid), proc.memory_mb(process.pid)[0]))
        if len(samples) < 2 or samples[-2].outputs != outputs:
            progress_s = time.monotonic()
        if time.monotonic() - progress_s > _SETTLE_TIMEOUT_S:
            raise RuntimeError(f"{outputs} of {messages} outputs, and no more come:\n{process.told()}")
        time.sleep(_POLL_S)
    return samples


def output_rate(world: World, tenant: Tenant, messages: int) -> float:
    """Outputs a second, from the first one's publish time to the last one's."""
    topic, partitions = tenant.topic_name(OUTPUT), tenant.topics[OUTPUT].partitions
    first = min(
        _publish_ms(world.client, topic.partition(index), pulsar.MessageId.earliest) for index in range(partitions)
    )
    last = max(
        _publish_ms(world.client, topic.partition(index), pulsar.MessageId.latest) for index in range(partitions)
    )
    return messages / max(last - first, 1) * 1000


def _publish_ms(client: pulsar.Client, topic: str, where: pulsar.MessageId) -> int:
    reader = client.create_reader(topic, where, start_message_id_inclusive=True)
    reader.has_message_available()  # without it a reader of the latest waits for the one after
    message = reader.read_next(10_000)
    while message.has_null_value():  # a marker of the exactly-once protocol
        message = reader.read_next(10_000)
    reader.close()
    return int(message.publish_timestamp())


def _outputs(world: World, tenant: Tenant) -> int:
    return int(_stats(world, tenant.topic_name(OUTPUT))["msgInCounter"])


def _backlog(world: World, tenant: Tenant) -> int:
    found = _stats(world, tenant.topic_name(INPUT))["subscriptions"][subscription(DEPLOYMENT)]
    return int(found["msgBacklog"])


def _stats(world: World, topic: TopicName) -> dict[str, object]:
    path = f"/admin/v2/persistent/{topic.tenant}/{topic.namespace}/{topic.topic}/partitioned-stats"
    found = world.http.get(path, params={"perPartition": "false", "getPreciseBacklog": "true"})
    return dict(found)
