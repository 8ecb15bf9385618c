"""A deployment's FunctionConfig → the command line that a functions worker would start an instance with. Pure.

No secret is on it: an instance reads its token and key from files.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from pulsar_pipeline.rollout.functions_config import FunctionConfig
from pulsar_pipeline.spec.model import Cluster

_NOBODY_ASKS = -1
"""Health checks: there is no worker that makes any."""

_ANY_PORT = 0


@dataclass(frozen=True)
class Launch:
    """What all instances of a deployment have in common."""

    config: FunctionConfig
    package: Path
    cluster_name: str
    cluster: Cluster
    parallelism: int
    log_folder: Path
    """For the client library's own log."""
    metrics_port: int | None = None
    """Of instance 0; the others count up. None: no metrics."""

    def arguments(self, instance: int) -> list[str]:
        """Of one instance."""
        tls = self.cluster.tls
        values: dict[str, str | int] = {
            "py": str(self.package),
            "function_details": json.dumps(self._details()),
            "instance_id": instance,
            "function_id": f"{self.config['tenant']}-{self.config['name']}",
            "function_version": "run",
            "pulsar_serviceurl": self.cluster.broker_url,
            "port": _ANY_PORT,
            "metrics_port": 0 if self.metrics_port is None else self.metrics_port + instance,
            "expected_healthcheck_interval": _NOBODY_ASKS,
            "cluster_name": self.cluster_name,
            "logging_directory": str(self.log_folder),
            "logging_file": self.config["name"],
            "use_tls": str(self.cluster.broker_url.startswith("pulsar+ssl:")).lower(),
            "hostname_verification_enabled": str(tls.verify_hostname).lower(),
        }
        if tls.trust_certs_file is not None:
            values["tls_trust_cert_path"] = str(tls.trust_certs_file)
        return [part for name, value in values.items() for part in (f"--{name}", str(value))]

    def _details(self) -> dict[str, object]:
        """Pulsar's `FunctionDetails`, as JSON."""
        config = self.config
        details: dict[str, object] = {key: config[key] for key in ("tenant", "namespace", "name", "className")}
        details |= {
            "userConfig": json.dumps(config["userConfig"]),
            "parallelism": self.parallelism,
            "autoAck": True,
            "source": {"inputSpecs": config["inputSpecs"], "subscriptionName": config["subName"]},
        }
        if "output" in config:
            details["sink"] = {"topic": config["output"]}
        if "logTopic" in config:
            details["logTopic"] = config["logTopic"]
        return details
