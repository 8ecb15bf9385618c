"""The command line with which a functions worker starts a Python instance, and what the bare loop is told."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.speed.cases import FUNCTIONS, Case
from bench.speed.world import DEPLOYMENT, World
from pulsar_pipeline.names import subscription
from pulsar_pipeline.package.build import BuiltPackage
from pulsar_pipeline.rollout.functions_config import function_config
from pulsar_pipeline.spec.model import Tenant

_PLAIN_IDENTITY = FUNCTIONS / "plain" / "plain_identity.py"
_BYTES_SERDE = "pulsar_pipeline.online.serde.BytesSerDe"

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


def loop_arguments(job: Job) -> list[str]:
    """For client_loop.py."""
    tenant = job.tenant
    (source,) = tenant.deployments[DEPLOYMENT].inputs.values()
    told = {
        "url": job.world.cluster.broker_url,
        "token": str(job.world.function_tokens / f"{tenant.tenant}.token"),
        "input": str(tenant.topic_name(source)),
        "output": str(tenant.topic_name(tenant.deployments[DEPLOYMENT].output or "")),
        "partitions": tenant.topics[source].partitions,
        "subscription": subscription(DEPLOYMENT),
    }
    return [json.dumps(told)]


def worker_arguments(job: Job, folder: Path, *, ours: bool) -> list[str]:
    """For an instance, ours or another, that keeps its logs in `folder`.

    Another one finds no token by itself, and runs the identity as a plain `pulsar.Function`, as its users would.
    """
    plain = not ours and job.case.function == "identity"
    logging = folder / "logging.ini"
    logging.write_text(_LOGGING.format(file=folder / "instance.log"))
    flags = {
        "py": str(_PLAIN_IDENTITY if plain else job.package.path),
        "logging_directory": str(folder),
        "logging_file": DEPLOYMENT,
        "logging_config_file": str(logging),
        "instance_id": "0",
        "function_id": "bench",
        "function_version": "0",
        "function_details": f"'{json.dumps(function_details(job, ours=ours, plain=plain))}'",
        "pulsar_serviceurl": job.world.cluster.broker_url,
        "max_buffered_tuples": "1024",
        "port": "0",
        "metrics_port": "0",
        "expected_healthcheck_interval": "-1",
        "secrets_provider": "secretsprovider.ClearTextSecretsProvider",
        "cluster_name": job.world.name,
    }
    if not ours:
        flags["client_auth_plugin"] = "org.apache.pulsar.client.impl.auth.AuthenticationToken"
        flags["client_auth_params"] = f"file://{job.world.function_tokens / f'{job.tenant.tenant}.token'}"
    return [part for name, value in flags.items() for part in (f"--{name}", value)]


def function_details(job: Job, *, ours: bool, plain: bool) -> dict[str, Any]:
    """JSON of Pulsar's `FunctionDetails`, as the functions worker makes it of a FunctionConfig.

    Our instance does not ask for the serde of the inputs; another one needs it where the function decodes for itself,
    and is as fast as it can be where the function acknowledges for itself, too.
    """
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
        "autoAck": ours or plain,
        "parallelism": 1,
        "retainOrdering": True,
        "source": {
            "subscriptionType": "FAILOVER",
            "subscriptionName": config["subName"],
            "subscriptionPosition": "EARLIEST",
            "inputSpecs": dict.fromkeys(config["inputSpecs"], serde),
        },
        "sink": {"topic": config["output"]},
    }
