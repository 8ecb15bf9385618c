"""`pulsar-pipeline serve` as a user runs it, and a tenant whose output topic tests write to themselves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pulsar
import yaml

from pulsar_pipeline.schemas.codec import Encoder
from pulsar_pipeline.schemas.schema import load_schema
from pulsar_pipeline.schemas.wire import wire_schema
from pulsar_pipeline.spec.load import load_tenant
from pulsar_pipeline.spec.model import Tenant
from tests.support.wait import wait_until

_RUN = "from pulsar_pipeline.cli.main import run; run()"

OUTPUT = "models/risk"
PARTITIONS = 3
_SCHEMA = {
    "type": "record",
    "name": "Risk",
    "fields": [{"name": "machine", "type": "string"}, {"name": "n", "type": "long"}],
}


def write_tenant(folder: Path, name: str) -> Tenant:
    """A tenant with the view `risk` of `models/risk`, its file and its schema in `folder`."""
    (folder / "risk.v1.avsc").write_text(json.dumps(_SCHEMA))
    topic = {"partitions": PARTITIONS, "schema": "risk.v1.avsc", "key": "machine"}
    document = {
        "tenant": name,
        "clusters": ["west", "east"],
        "home": "west",
        "namespaces": {"models": {"retention": {"time": "1d", "size": "1GB"}}},
        "topics": {"models/readings": topic, OUTPUT: topic},
        "deployments": {
            "risk": {
                "function": "risk",
                "namespace": "models",
                "inputs": {"readings": "models/readings"},
                "output": OUTPUT,
            }
        },
        "views": {"risk": {"deployment": "risk"}},
        "api": {"roles": [f"{name}-app"]},
    }
    file = folder / f"{name}.yaml"
    file.write_text(yaml.safe_dump(document))
    return load_tenant(file)


class OutputTopic:
    """Writes to the output topic in one cluster, in the place of the function."""

    def __init__(self, client: pulsar.Client, tenant: Tenant) -> None:
        self.client, self._topic = client, tenant.topic_name(OUTPUT)
        schema = load_schema(tenant.topics[OUTPUT].schema_file)
        self._encode, self._schema = Encoder(schema), wire_schema(schema)
        self._producers: dict[int, Any] = {}

    def send(
        self, records: Iterable[Mapping[str, Any]], *, partition: int | None = None, event_time_ms: int = 1
    ) -> None:
        """Records by `machine`, in the partition of its number where none is told; returns once they are stored."""
        for record in records:
            payload = self._encode(record)
            self.send_bytes(payload, record["machine"], partition=partition, event_time_ms=event_time_ms)
        self.flush()

    def send_bytes(self, payload: bytes, key: str, *, partition: int | None = None, event_time_ms: int = 1) -> None:
        place = int(key.rpartition("-")[2]) % PARTITIONS if partition is None else partition
        self._producer(place).send_async(payload, None, partition_key=key, event_timestamp=event_time_ms)

    def flush(self) -> None:
        for producer in self._producers.values():
            producer.flush()

    def _producer(self, partition: int) -> Any:
        if partition not in self._producers:
            self._producers[partition] = self.client.create_producer(
                self._topic.partition(partition),
                schema=self._schema,
                batching_max_publish_delay_ms=5,
                block_if_queue_full=True,
            )
        return self._producers[partition]


class Served:
    """A running `serve`."""

    def __init__(self, process: subprocess.Popen[bytes], url: str, headers: Mapping[str, str], tenant: str) -> None:
        self.process, self.url = process, url
        self._base = f"{url}/v1/tenants/{tenant}/models/risk"
        self._http = httpx.Client(headers=headers, trust_env=False, timeout=60)

    def close(self) -> None:
        self._http.close()

    def get(self, path: str, *, token: str | None = None) -> httpx.Response:
        """With the tenant's own token unless told otherwise."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}" if token else ""}
        return self._http.get(f"{self.url}{path}", headers=headers)

    def ready(self) -> bool:
        try:
            return self.get("/readyz").is_success
        except httpx.TransportError:
            return False

    def prediction(self, entity: str) -> dict[str, Any] | None:
        response = self._http.get(f"{self._base}/predictions/{entity}")
        return response.json() if response.is_success else None

    def predictions(self, entities: Iterable[str]) -> dict[str, dict[str, Any]]:
        answer = self._http.post(f"{self._base}/predictions:batchGet", json={"entities": list(entities)})
        return {each["entity"]: each for each in answer.raise_for_status().json()["found"]}

    def total(self, metric: str) -> float:
        """A metric over all partitions."""
        lines = [line for line in self.get("/metrics").text.splitlines() if line.startswith(metric + "{")]
        return sum(float(line.rpartition(" ")[2]) for line in lines)

    def children(self) -> dict[int, str]:
        """Process id → module, of the processes below this one."""
        return children_of(self.process.pid)

    def materialiser(self) -> int:
        return next(pid for pid, module in self.children().items() if module.endswith("view.process"))


def children_of(pid: int) -> dict[int, str]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return {int(child): module_of(int(child)) for child in text.split()}


def module_of(pid: int) -> str:
    """The module that a process of ours runs; empty once it has ended."""
    try:
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return next((argument for argument in arguments if argument.startswith("pulsar_pipeline.")), "")


def _wait_ended(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        process.kill()
        raise


def command(platform_file: Path, tenants: Path, cluster: str, folder: Path, *more: str) -> list[str]:
    return [
        *(sys.executable, "-c", _RUN, "serve", "--cluster", cluster, "--folder", str(folder)),
        *("--platform", str(platform_file), "--tenants", str(tenants), *more),
    ]


@contextmanager
def serving(
    platform_file: Path, tenants: Path, cluster: str, folder: Path, token: str, tenant: str, *more: str
) -> Iterator[Served]:
    """`serve` on a free port, until the end of the block."""
    url_file = folder / f"{cluster}.url"
    folder.mkdir(parents=True, exist_ok=True)
    url_file.unlink(missing_ok=True)
    arguments = command(platform_file, tenants, cluster, folder, "--port", "0", "--ready-file", str(url_file), *more)
    with (
        (folder / f"{cluster}.log").open("ab") as log,
        subprocess.Popen(arguments, stdout=log, stderr=log, start_new_session=True) as process,
    ):
        try:
            wait_until(lambda: url_file.exists() or process.poll() is not None, 60, "serve answers")
            assert process.poll() is None, (folder / f"{cluster}.log").read_text()
            served = Served(process, url_file.read_text().strip(), {"Authorization": f"Bearer {token}"}, tenant)
            yield served
            served.close()
        finally:
            if process.poll() is None:
                os.kill(process.pid, signal.SIGTERM)
                _wait_ended(process)
