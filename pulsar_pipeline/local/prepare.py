"""One cluster's folders and configuration, written anew before each start: they follow the product's version."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from pulsar_pipeline.local import config, launch
from pulsar_pipeline.local.config import Credentials
from pulsar_pipeline.local.layout import ClusterLayout
from pulsar_pipeline.local.ports import Ports

PYTHON_INSTANCE = Path(__file__).parent.parent / "runtime" / "main.py"
"""What the functions worker starts for each instance."""


def prepare(cluster: ClusterLayout, ports: Ports, credentials: Credentials, jars: Sequence[Path]) -> None:
    """Leaves everything that `jvm.start` needs; the data of earlier starts stays."""
    for folder in (
        *(cluster.conf / "functions-logging", cluster.temporary, cluster.instance_logs),
        *(cluster.worker / name for name in ("download", "connectors", "builtin", "nar", "extra")),
    ):
        folder.mkdir(parents=True, exist_ok=True)
    for name, text in _configuration(cluster, ports, credentials, jars).items():
        (cluster.conf / name).write_text(text)
    # What stands in the logs from now on belongs to this start.
    cluster.console.unlink(missing_ok=True)
    if cluster.log.exists():
        cluster.log.replace(cluster.log.with_suffix(".previous.log"))


def _configuration(
    cluster: ClusterLayout, ports: Ports, credentials: Credentials, jars: Sequence[Path]
) -> dict[str, str]:
    packaged = files(__package__).joinpath("conf")
    any_jar = next(jar for jar in jars if jar.name.startswith("pulsar-functions-runtime-"))
    worker = config.worker_settings(cluster, ports, credentials, python_instance=PYTHON_INSTANCE, any_jar=any_jar)
    return {
        "standalone.conf": config.render_properties(config.broker_settings(cluster, ports, credentials)),
        "functions_worker.yml": config.render_yaml(worker),
        "log4j2.properties": packaged.joinpath("log4j2.properties").read_text(),
        "functions-logging/logging_config.ini": packaged.joinpath("logging_config.ini").read_text(),
        cluster.arguments.name: launch.argument_file(launch.jvm_arguments(cluster, ports, jars)),
    }
