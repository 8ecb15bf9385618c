"""The processes that are measured: an instance by the functions worker's command line, ours or another, and a loop
that does nothing but receive and send."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.speed.cases import FUNCTIONS, Case
from bench.speed.world import DEPLOYMENT, World
from pulsar_pipeline.names import subscription
from pulsar_pipeline.package.build import BuiltPackage
from pulsar_pipeline.rollout.functions_config import function_config
from pulsar_pipeline.runtime import main as runtime_main
from pulsar_pipeline.spec.model import Tenant

ROOT = Path(__file__).resolve().parents[2]
_PLAIN_IDENTITY = FUNCTIONS / "plain" / "plain_identity.py"
_BYTES_SERDE = "pulsar_pipeline.online.serde.BytesSerDe"
_STOP_TIMEOUT_S = 10.0

_LOGGING = """[loggers]
keys=root
[handlers]
keys=file
[formatters]
keys=plain
[logger_root]
level=INFO
handlers=file
[handler_file]
class=FileHandler
level=INFO
formatter=plain
args=(r"{file}",)
[formatter_plain]
format=%(asctime)s %(levelname)s %(message)s
"""


@dataclass(frozen=True)
class Job:
    """What an instance works on."""

    world: World
    tenant: Tenant
    case: Case
    package: BuiltPackage


@dataclass(frozen=True)
class Kind:
    """A sort of process to measure."""

    name: str
    script: Path
    python: Path
    ours: bool
    """Another one knows neither our guarantees nor where its token is."""


def ours() -> Kind:
    return Kind("ours", Path(runtime_main.__file__), Path(sys.executable), ours=True)


def client_loop() -> Kind:
    return Kind("client", ROOT / "bench" / "speed" / "client_loop.py", Path(sys.executable), ours=True)


@dataclass(frozen=True)
class Running:
    """A process that runs; `log` holds what it wrote to its standard streams."""

    process: subprocess.Popen[bytes]
    folder: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def check(self) -> None:
        """RuntimeError with the end of its logs if it has ended."""
        code = self.process.poll()
        if code is not None:
            raise RuntimeError(f"the instance ended with {code}:\n{self.told()}")

    def told(self, characters: int = 3000) -> str:
        """The end of what it logged."""
        logs = [path for path in self.folder.rglob("*") if path.is_file() and "log" in path.name]
        return "\n".join(f"{path.name}: …{path.read_text(errors='replace')[-characters:]}" for path in logs)


@contextmanager
def running(kind: Kind, job: Job, folder: Path) -> Iterator[Running]:
    """A process that works on the job within the block; it is stopped after, killed if need be."""
    folder.mkdir(parents=True)
    arguments = _loop_arguments(job) if kind.name == "client" else _worker_arguments(kind, job, folder)
    with (folder / "console.log").open("wb") as console:
        process = subprocess.Popen(
            [str(kind.python), str(kind.script), *arguments],
            env=_environment(job.world),
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=console,
            start_new_session=True,
        )
    try:
        yield Running(process, folder)
    finally:
        process.terminate()
        try:
            process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _environment(world: World) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("HOME", "PATH", "LANG") if name in os.environ}
    return kept | {
        "PYTHONPATH": str(ROOT),
        "PULSAR_PIPELINE_FUNCTION_TOKENS": str(world.function_tokens),
        "PULSAR_PIPELINE_CACHE": str(world.folder / "cache"),
    }


def _loop_arguments(job: Job) -> list[str]:
    tenant = job.tenant
    (source,) = tenant.deployments[DEPLOYMENT].inputs.values()
    sink = tenant.deployments[DEPLOYMENT].output or ""
    return [
        json.dumps(
            {
                "url": job.world.cluster.broker_url,
                "token": str(job.world.function_tokens / f"{tenant.tenant}.token"),
                "input": str(tenant.topic_name(source)),
                "output": str(tenant.topic_name(sink)),
                "partitions": tenant.topics[source].partitions,
                "subscription": subscription(DEPLOYMENT),
            }
        )
    ]


def _worker_arguments(kind: Kind, job: Job, folder: Path) -> list[str]:
    plain = not kind.ours and job.case.function == "identity"
    py = str(_PLAIN_IDENTITY if plain else job.package.path)
    logging = folder / "logging.ini"
    logging.write_text(_LOGGING.format(file=folder / "instance.log"))
    flags = {
        "py": py,
        "logging_directory": str(folder),
        "logging_file": DEPLOYMENT,
        "logging_config_file": str(logging),
        "instance_id": "0",
        "function_id": "bench",
        "function_version": "0",
        "function_details": f"'{json.dumps(_details(job, plain=plain))}'",
        "pulsar_serviceurl": job.world.cluster.broker_url,
        "max_buffered_tuples": "1024",
        "port": "0",
        "metrics_port": "0",
        "expected_healthcheck_interval": "-1",
        "secrets_provider": "secretsprovider.ClearTextSecretsProvider",
        "cluster_name": job.world.name,
    }
    if not kind.ours:
        flags["client_auth_plugin"] = "org.apache.pulsar.client.impl.auth.AuthenticationToken"
        flags["client_auth_params"] = f"file://{job.world.function_tokens / f'{job.tenant.tenant}.token'}"
    return [part for name, value in flags.items() for part in (f"--{name}", value)]


def _details(job: Job, *, plain: bool) -> dict[str, Any]:
    """JSON of Pulsar's `FunctionDetails`, as the functions worker makes it of a FunctionConfig."""
    config = function_config(job.tenant, DEPLOYMENT, job.package.manifest, job.package.digest)
    serde = {} if plain else {"serdeClassName": _BYTES_SERDE}
    return {
        "tenant": config["tenant"],
        "namespace": config["namespace"],
        "name": config["name"],
        "className": "plain_identity.PlainIdentity" if plain else config["className"],
        "userConfig": json.dumps(config["userConfig"]),
        "runtime": "PYTHON",
        "processingGuarantees": "ATLEAST_ONCE",
        "autoAck": True,
        "parallelism": 1,
        "retainOrdering": True,
        "source": {
            "subscriptionType": "FAILOVER",
            "subscriptionName": config["subName"],
            "subscriptionPosition": "EARLIEST",
            "inputSpecs": {topic: dict(serde) for topic in config["inputSpecs"]},
        },
        "sink": {"topic": config["output"], **serde},
    }
