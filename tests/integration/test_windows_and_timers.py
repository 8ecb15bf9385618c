"""Event-time windows, late events and timers under exactly-once, with an instance killed while they are at work."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulsar
import pytest

from pulsar_pipeline.cluster.connect import open_client
from pulsar_pipeline.cluster.http import AdminHttp
from pulsar_pipeline.names import parse_topic
from pulsar_pipeline.runtime.guarantees.keep import EXIT_FENCED
from pulsar_pipeline.runtime.hang import EXIT_HUNG
from pulsar_pipeline.schemas.codec import Decoder, Encoder
from pulsar_pipeline.schemas.schema import Schema, load_schema
from pulsar_pipeline.schemas.wire import version_of, wire_schema, writer_lookup
from pulsar_pipeline.spec.model import Platform, Tenant
from pulsar_pipeline.statelog.lineage import ANYWHERE, Verdict, judge
from pulsar_pipeline.statelog.stamp import PROPERTY, parse
from pulsar_pipeline.testing import Event, run_function
from tests.support.checker import read_partition
from tests.support.clusters import Tokens
from tests.support.deployed import FUNCTIONS, apply_tenant, build
from tests.support.instances import Instance, Launcher, ended
from tests.support.remove import remove_tenant
from tests.support.unload import unload
from tests.support.wait import wait_until

pytestmark = pytest.mark.cluster

PARTITIONS = 2
PAGES = [f"page-{number}" for number in range(6)]
START_MS = 1_700_000_000_000


def spec(name: str) -> dict[str, Any]:
    minutes, alarms = FUNCTIONS / "minutes" / "schemas", FUNCTIONS / "alarms" / "schemas"
    files = {
        "in/clicks": minutes / "click.v1.avsc",
        "in/late": minutes / "click.v1.avsc",
        "out/spans": minutes / "span.v1.avsc",
        "in/orders": alarms / "order.v1.avsc",
        "out/alarms": alarms / "alarm.v1.avsc",
    }
    return {
        "tenant": name,
        "clusters": ["west"],
        "home": "west",
        "namespaces": {space: {"retention": {"time": "1h", "size": "1GB"}} for space in ("in", "out")},
        "topics": {ref: {"partitions": PARTITIONS, "schema": str(file)} for ref, file in files.items()},
        "deployments": {
            "minutes": {
                "function": "minutes",
                "namespace": "out",
                "inputs": {"clicks": "in/clicks"},
                "output": "out/spans",
                "late": "in/late",
            },
            "alarms": {
                "function": "alarms",
                "namespace": "out",
                "inputs": {"orders": "in/orders"},
                "output": "out/alarms",
                "event_timeout": "3s",
            },
        },
    }


@dataclass(frozen=True)
class Ground:
    """The tenant, and how to start and feed what runs in it."""

    tenant: Tenant
    client: pulsar.Client
    broker_url: str
    function_tokens: Path
    folder: Path

    def launcher(self, name: str) -> Launcher:
        package = build(name, self.folder)
        return Launcher(self.tenant, name, package, self.function_tokens, self.folder / name)

    def start(self, launcher: Launcher) -> Instance:
        instance = launcher.start(0, 1, self.broker_url)
        instance.wait_ready()
        return instance

    def topic(self, ref: str, partition: int) -> str:
        return self.tenant.topic_name(ref).partition(partition)

    def schema(self, ref: str) -> Schema:
        return load_schema(self.tenant.topics[ref].schema_file)

    def read(self, ref: str, partition: int) -> list[dict[str, Any]]:
        """The records of a partition, of an exactly-once output those that count."""
        topic = self.topic(ref, partition)
        decode = Decoder(None, writer_lookup(self.client, str(parse_topic(topic)[0])))
        lineage, records = ANYWHERE, []
        for message in read_partition(self.client, topic):
            if (text := message.properties().get(PROPERTY)) is not None:
                verdict, lineage = judge(lineage, parse(text))
                assert verdict is not Verdict.GAP, text
                if verdict is not Verdict.TAKE:
                    continue
            records.append(decode(message.data(), version_of(message)) | {"_key": message.partition_key()})
        return records


@pytest.fixture(scope="module")
def ground(
    platform: Platform, tokens: Tokens, unique: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ground]:
    tenant = Tenant.model_validate(spec(f"windows-{unique}"))
    apply_tenant(platform, tenant)
    token = tokens.give_to_functions(tenant.tenant)
    cluster = platform.clusters["west"]
    with closing(open_client(cluster)) as client:
        yield Ground(tenant, client, cluster.broker_url, token.parent, tmp_path_factory.mktemp("windows"))
    remove_tenant(platform, tenant.tenant)


class Feed:
    """Sends records to the partitions of an input."""

    def __init__(self, ground: Ground, ref: str) -> None:
        schema = ground.schema(ref)
        self._encode = Encoder(schema)
        self._producers = [
            ground.client.create_producer(
                ground.topic(ref, partition), schema=wire_schema(schema), batching_max_publish_delay_ms=5
            )
            for partition in range(PARTITIONS)
        ]

    def send(self, partition: int, record: dict[str, Any], key: str) -> None:
        self._producers[partition].send_async(self._encode(record), None, partition_key=key)

    def flush(self) -> None:
        for producer in self._producers:
            producer.flush()


def clicks(rng: random.Random, count: int, first: int) -> list[dict[str, Any]]:
    """A second's worth is 25 clicks; most come up to half a second late, some later."""
    found = []
    for n in range(first, first + count):
        behind = rng.randrange(2_500) if rng.random() < 0.05 else rng.randrange(500)
        found.append({"page": rng.choice(PAGES), "at": START_MS + 40 * n - behind, "n": n})
    return found


def test_windows_are_those_of_a_run_without_crashes(ground: Ground) -> None:
    rng = random.Random(4)
    sent: list[list[dict[str, Any]]] = [[] for _ in range(PARTITIONS)]
    feed, launcher, instances = Feed(ground, "in/clicks"), ground.launcher("minutes"), []

    def some(wanted: int) -> Callable[[], bool]:
        return lambda: len(raw(ground)) >= wanted * 3 // 4

    with ended(instances):
        for _ in range(4):
            instances.append(ground.start(launcher))
            for _ in range(5):
                for partition, clicked in enumerate(sent):
                    more = clicks(rng, 150, len(clicked))
                    for click in more:
                        feed.send(partition, click, click["page"])
                    clicked.extend(more)
                feed.flush()
                wait_until(some(sum(len(reference(clicked)[0]) for clicked in sent)), 60, "some windows are told")
            instances[-1].kill()
        for partition, clicked in enumerate(sent):
            clicked.append({"page": "last", "at": START_MS + 10_000_000, "n": -1})
            feed.send(partition, clicked[-1], "last")
        feed.flush()
        instances.append(ground.start(launcher))
        for partition, clicked in enumerate(sent):
            check(ground, partition, *reference(clicked))
        instances[-1].stop()
        assert instances[-1].wait_ended() == 0


def check(ground: Ground, partition: int, spans: list[dict[str, Any]], late: list[dict[str, Any]]) -> None:
    """Waits for all windows and late events of a partition, and compares them."""

    def complete() -> bool:
        told, apart = ground.read("out/spans", partition), ground.read("in/late", partition)
        return len(told) >= len(spans) and len(apart) >= len(late)

    wait_until(complete, 60, "every window is told")
    assert ground.read("out/spans", partition) == spans
    assert [each["n"] for each in ground.read("in/late", partition)] == [each["n"] for each in late]
    assert len(spans) > 100
    assert len(late) > 10


def reference(clicked: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The windows and the late events of a partition, from a run of the function with no broker."""
    results = run_function(FUNCTIONS / "minutes", [Event("clicks", click, key=click["page"]) for click in clicked])
    assert not results.errors
    return [output.record | {"_key": output.key} for output in results.outputs], results.late


def raw(ground: Ground) -> list[pulsar.Message]:
    found = [read_partition(ground.client, ground.topic("out/spans", partition)) for partition in range(PARTITIONS)]
    return [message for messages in found for message in messages if not message.has_null_value()]


class Orders:
    """Orders of alarms, and which of these must go off."""

    def __init__(self, ground: Ground, seed: int) -> None:
        self._ground, self._rng = ground, random.Random(seed)
        self._feed = Feed(ground, "in/orders")
        self._before = [len(self.alarms(partition)) for partition in range(PARTITIONS)]
        self._prefix = f"order-{seed}"
        self.names: list[set[str]] = [set() for _ in range(PARTITIONS)]

    def order(self, count: int, longest_ms: int) -> None:
        """In each partition so many alarms, some of them moved, some cancelled."""
        for _ in range(count):
            for partition, names in enumerate(self.names):
                name = f"{self._prefix}-{partition}-{len(names)}"
                if self._rng.random() < 0.1:
                    self._feed.send(partition, {"id": f"{name}-not", "in_ms": 600_000}, name)
                    self._feed.send(partition, {"id": f"{name}-not", "in_ms": None}, name)
                if self._rng.random() < 0.1:
                    self._feed.send(partition, {"id": name, "in_ms": 600_000}, name)
                self._feed.send(partition, {"id": name, "in_ms": self._rng.randrange(longest_ms)}, name)
                names.add(name)
        self._feed.flush()

    def alarms(self, partition: int) -> list[dict[str, Any]]:
        return self._ground.read("out/alarms", partition)

    def wait_for(self, share: float, what: str) -> None:
        """Until this share of the alarms has gone off."""

        def enough() -> bool:
            found = sum(len(self.alarms(partition)) for partition in range(PARTITIONS)) - sum(self._before)
            return found >= share * sum(map(len, self.names))

        wait_until(enough, 60, what)

    def check(self) -> None:
        """Each alarm went off once, in its own partition, and not too soon."""
        for partition, names in enumerate(self.names):
            everything = self.alarms(partition)
            assert [alarm["count"] for alarm in everything] == list(range(1, len(everything) + 1))
            found = everything[self._before[partition] :]
            assert len(found) == len(names)
            assert {alarm["id"] for alarm in found} == names
            assert all(alarm["fired"] >= alarm["at"] for alarm in found)


def test_each_timer_fires_once(ground: Ground) -> None:
    orders, launcher, instances = Orders(ground, 5), ground.launcher("alarms"), []
    with ended(instances):
        instances.append(ground.start(launcher))
        orders.order(100, 4_000)
        orders.wait_for(0.3, "alarms go off while no orders come")
        instances[-1].kill()
        orders.order(100, 3_000)
        instances.append(ground.start(launcher))
        orders.wait_for(0.6, "alarms go off, the ones from before the crash too")
        orders.order(50, 1_000)
        instances[-1].kill()
        instances.append(ground.start(launcher))
        orders.wait_for(1, "every alarm has gone off")
        orders.check()
        instances[-1].stop()
        assert instances[-1].wait_ended() == 0


def test_timers_of_a_paused_instance_fire_once(ground: Ground, platform: Platform) -> None:
    """It is replaced while they are due, and goes on where it stood when it is resumed."""
    orders, launcher, instances = Orders(ground, 6), ground.launcher("alarms"), []
    with ended(instances), AdminHttp("west", platform.clusters["west"]) as http:
        instances.append(ground.start(launcher))
        orders.order(150, 3_000)
        orders.wait_for(0.2, "alarms go off")
        instances[0].pause()
        unload(http, [ground.topic("in/orders", partition) for partition in range(PARTITIONS)])
        instances.append(ground.start(launcher))
        orders.wait_for(0.9, "the other's alarms go off")
        instances[0].resume()
        assert instances[0].wait_ended() == EXIT_FENCED
        orders.order(20, 500)
        orders.wait_for(1, "every alarm has gone off")
        orders.check()
        instances[-1].stop()
        assert instances[-1].wait_ended() == 0


def test_a_timer_that_hangs_is_set_aside(ground: Ground) -> None:
    orders, launcher, instances = Orders(ground, 7), ground.launcher("alarms"), []
    with ended(instances):
        instances.append(ground.start(launcher))
        Feed(ground, "in/orders").send(0, {"id": "hang", "in_ms": 0}, "hang")
        assert instances[0].wait_ended() == EXIT_HUNG
        instances.append(ground.start(launcher))
        orders.order(5, 100)
        orders.wait_for(1, "the others go off")
        orders.check()
        letters = ground.tenant.topic_name("out/alarms-dead-letters").partition(0)
        (letter,) = read_partition(ground.client, letters)
        assert letter.properties()["reason"] == "hung"
        assert letter.properties()["timer"].endswith(" hang")
        instances[-1].stop()
        assert instances[-1].wait_ended() == 0
