"""What histories take place on: tenants whose deployments of the ledger are each one history's, and their events."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulsar

from pulsar_pipeline.cluster.connect import open_client
from pulsar_pipeline.cluster.state_keys import load_state_key, state_key_file
from pulsar_pipeline.names import parse_topic
from pulsar_pipeline.package.build import BuiltPackage
from pulsar_pipeline.rollout.functions_config import function_config
from pulsar_pipeline.rollout.instance_config import USER_CONFIG_KEY, InstanceConfig
from pulsar_pipeline.schemas.codec import Encoder
from pulsar_pipeline.schemas.schema import load_schema
from pulsar_pipeline.schemas.wire import wire_schema
from pulsar_pipeline.spec.model import Platform, Tenant
from pulsar_pipeline.statelog.records import Position
from tests.support.checker import Checker
from tests.support.clusters import Restartable
from tests.support.deployed import FUNCTIONS
from tests.support.instances import Launcher

PARTITIONS = 2
FUNCTION = FUNCTIONS / "ledger"
ACCOUNTS = 40
EVENT_TIMEOUT_S = 4
"""Shorter than pauses may be."""

UNREADABLE = 211
"""One event in so many cannot be decoded."""

KINDS = {"deposits": "deposit", "rules": "rule", "balances": "balance", "audit": "rule"}
"""Topics of a deployment, with their schemas."""


def ledger_tenant(name: str, histories: list[str]) -> Tenant:
    """A tenant with a deployment of the ledger for each history, each with topics of its own."""
    schemas = FUNCTION / "schemas"
    topics: dict[str, Any] = {}
    deployments: dict[str, Any] = {}
    for each in histories:
        for kind, schema in KINDS.items():
            topics[f"ledger/{each}-{kind}"] = {
                "partitions": PARTITIONS,
                "schema": str(schemas / f"{schema}.v1.avsc"),
                "key": "account",
            }
        deployments[each] = {
            "function": "ledger",
            "namespace": "ledger",
            "inputs": {"deposits": f"ledger/{each}-deposits", "rules": f"ledger/{each}-rules"},
            "output": f"ledger/{each}-balances",
            "event_timeout": EVENT_TIMEOUT_S,
            "retry": {"attempts": 2},
            "config": {"audit": f"persistent://{name}/ledger/{each}-audit"},
        }
    return Tenant.model_validate(
        {
            "tenant": name,
            "clusters": ["west"],
            "home": "west",
            "namespaces": {
                "ledger": {
                    "retention": {"time": "1h", "size": "1GB"},
                    "deduplication": True,
                    "schema": {"compatibility": "full_transitive", "enforce": False},  # `audit` holds text
                }
            },
            "topics": topics,
            "deployments": deployments,
        }
    )


class Feeder:
    """Sends events into every partition of both inputs, in a thread, at a rate in all."""

    def __init__(self, client: pulsar.Client, config: InstanceConfig, rng: random.Random, per_s: float) -> None:
        self._rng, self._pause = rng, 0.01
        self._each = max(1, round(per_s * self._pause))
        self._producers = {
            (name, number): _producer(client, binding.topic, number, name)
            for name, binding in config.inputs.items()
            for number in range(binding.partitions)
        }
        self._encoders = {name: Encoder(_schema(name)) for name in config.inputs}
        self.ends: dict[tuple[str, int], Position] = {}
        """The last event of each input's partition; complete after `finish`."""
        self.sent = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="feeder", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def burst(self, count: int) -> None:
        """So many at once, as fast as they can be sent. Not while events flow."""
        for _ in range(count):
            self._send()
        for producer in self._producers.values():
            producer.flush()

    def halt(self) -> None:
        """No more events; what was sent may still be on its way."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def finish(self) -> None:
        """Stop, and wait until all is stored."""
        self.halt()
        for (name, number), producer in self._producers.items():
            identity = producer.send(self._event(name), partition_key="last")
            self.ends[name, number] = Position(identity.ledger_id(), identity.entry_id(), identity.batch_index())
            producer.close()

    def _run(self) -> None:
        while not self._stop.wait(self._pause):
            for _ in range(self._each):
                self._send()

    def _send(self) -> None:
        name = "rules" if self._rng.random() < 0.1 else "deposits"
        producer = self._producers[name, self._rng.randrange(PARTITIONS)]
        event = self._event(name)
        payload = event[:-1] if self.sent % UNREADABLE == 0 else event
        producer.send_async(payload, None, partition_key=str(self.sent))

    def _event(self, name: str) -> bytes:
        self.sent += 1
        return self._encoders[name]({"account": f"a{self._rng.randrange(ACCOUNTS)}", "n": self.sent})


def _schema(name: str) -> Any:
    return load_schema(FUNCTION / "schemas" / f"{name.removesuffix('s')}.v1.avsc")


def _producer(client: pulsar.Client, topic: str, number: int, name: str) -> Any:
    return client.create_producer(
        parse_topic(topic)[0].partition(number),
        schema=wire_schema(_schema(name)),
        initial_sequence_id=1,
        batching_enabled=True,
        batching_max_publish_delay_ms=5,
        block_if_queue_full=True,
        send_timeout_millis=0,
    )


@dataclass(frozen=True)
class Ground:
    """What a history takes place on: an applied tenant and its cluster."""

    platform: Platform
    tenant: Tenant
    package: BuiltPackage
    function_tokens: Path
    folder: Path
    broker: Restartable | None = None
    """The cluster, where a history may end its broker."""

    @property
    def cluster(self) -> Any:
        return self.platform.clusters[self.tenant.home]

    def config(self, deployment: str) -> InstanceConfig:
        whole = function_config(self.tenant, deployment, self.package.manifest, self.package.digest)
        return InstanceConfig.model_validate(whole["userConfig"][USER_CONFIG_KEY])

    def launcher(self, deployment: str, **options: Any) -> Launcher:
        return Launcher(
            self.tenant, deployment, self.package, self.function_tokens, self.folder / deployment, **options
        )

    @contextmanager
    def checker(self, deployment: str) -> Iterator[tuple[pulsar.Client, Checker]]:
        client = open_client(self.cluster)
        key = load_state_key(state_key_file(self.function_tokens, self.tenant.tenant))
        audit = self.tenant.deployments[deployment].config["audit"]
        checker = Checker(client, self.config(deployment), key, FUNCTION, audit)
        try:
            yield client, checker
        finally:
            checker.close()
            client.close()
