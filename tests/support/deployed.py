"""Tenants applied and functions deployed on real clusters, for integration tests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulsar

from pulsar_pipeline.apply.execute import execute
from pulsar_pipeline.clock import SystemClock
from pulsar_pipeline.cluster.admin import AdminCluster
from pulsar_pipeline.cluster.connect import open_client
from pulsar_pipeline.cluster.http import AdminHttp
from pulsar_pipeline.names import parse_topic
from pulsar_pipeline.package.build import BuiltPackage, build_package
from pulsar_pipeline.package.provided import runtime_distributions
from pulsar_pipeline.plan.make import make_plan
from pulsar_pipeline.rollout.deploy import Deployer
from pulsar_pipeline.rollout.status import FunctionStatus
from pulsar_pipeline.rollout.worker import FunctionsWorker
from pulsar_pipeline.schemas.codec import Decoder, Encoder
from pulsar_pipeline.schemas.schema import load_schema
from pulsar_pipeline.schemas.wire import wire_schema, writer_lookup
from pulsar_pipeline.spec.model import Platform, Tenant

FUNCTIONS = Path(__file__).parent / "functions"
"""Functions that exist for tests only."""

START_TIMEOUT_S = 180.0
READ_TIMEOUT_MS = 30_000


def apply_tenant(platform: Platform, tenant: Tenant) -> None:
    """Make the clusters what the tenant declares."""
    with ExitStack() as stack:
        clusters = {
            name: AdminCluster(stack.enter_context(AdminHttp(name, platform.clusters[name])))
            for name in tenant.clusters
        }
        outcome = execute(make_plan(platform, [tenant], clusters), clusters, lambda _step, _error: None)
    if outcome.error is not None:
        raise outcome.error


def build(function: str, out: Path) -> BuiltPackage:
    """A slim package of a test function."""
    return build_package(FUNCTIONS / function, out, slim=True, provided=runtime_distributions())


@dataclass(frozen=True)
class Home:
    """A tenant's home cluster: its worker and a connection."""

    tenant: Tenant
    worker: FunctionsWorker
    client: pulsar.Client
    deployer: Deployer

    def deploy(self, name: str, package: BuiltPackage, *, wait: bool = True) -> None:
        rollout = self.deployer.deploy(name, package.path, package.manifest, package.digest)
        if wait:
            self.deployer.wait(rollout, START_TIMEOUT_S, lambda _status: None)

    def status(self, name: str) -> FunctionStatus:
        return self.worker.status(self.tenant.tenant, self.tenant.deployments[name].namespace, name)

    def delete(self, name: str) -> None:
        self.worker.delete(self.tenant.tenant, self.tenant.deployments[name].namespace, name)

    def send(self, ref: str, records: Sequence[Mapping[str, Any]], **message: Any) -> None:
        """Records into partition `n mod partitions` by their place, so that tests know what goes where."""
        schema = load_schema(self.tenant.topics[ref].schema_file)
        encode = Encoder(schema)
        self.send_bytes(ref, [encode(record) for record in records], wire_schema(schema), **message)

    def send_bytes(self, ref: str, payloads: Sequence[bytes], schema: Any, **message: Any) -> None:
        name, partitions = self.tenant.topic_name(ref), self.tenant.topics[ref].partitions
        producers = [
            self.client.create_producer(name.partition(index), schema=schema, batching_max_publish_delay_ms=2)
            for index in range(partitions)
        ]
        for place, payload in enumerate(payloads):
            producers[place % partitions].send_async(payload, None, **message)
        for producer in producers:
            producer.flush()
            producer.close()


@contextmanager
def home(platform: Platform, tenant: Tenant) -> Iterator[Home]:
    """The tenant's home; connections are closed after."""
    cluster = platform.clusters[tenant.home]
    with AdminHttp(tenant.home, cluster) as http:
        worker, client = FunctionsWorker(http), open_client(cluster)
        try:
            yield Home(tenant, worker, client, Deployer(tenant, worker, AdminCluster(http), SystemClock()))
        finally:
            client.close()


def read_all(client: pulsar.Client, topic: str, partitions: int) -> list[pulsar.Message]:
    """What a topic holds now, partition after partition."""
    name, _ = parse_topic(topic)
    messages = []
    for index in range(partitions):
        reader = client.create_reader(name.partition(index), pulsar.MessageId.earliest)
        while reader.has_message_available():
            message = reader.read_next(READ_TIMEOUT_MS)
            if not message.has_null_value():  # a marker of the exactly-once protocol
                messages.append(message)
        reader.close()
    return messages


def decoder(client: pulsar.Client, topic: str) -> Decoder:
    """Decodes a topic's messages as they were written."""
    return Decoder(None, writer_lookup(client, topic))
