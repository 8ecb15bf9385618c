"""How a cluster's JVM is called: its arguments and its environment. Pure; no I/O."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from pulsar_pipeline.local.layout import ClusterLayout
from pulsar_pipeline.local.ports import Ports

MAIN_CLASS = "org.apache.pulsar.PulsarStandaloneStarter"

_OPENS = (
    *(
        f"java.base/{package}"
        for package in (
            "sun.net",
            "java.lang",
            "java.io",
            "java.nio",
            "java.util.zip",
            "jdk.internal.platform",
            "jdk.internal.misc",
        )
    ),
    "java.management/sun.management",
)
_MEMORY = ("-Xms128m", "-Xmx512m", "-XX:MaxDirectMemorySize=512m", "-XX:MaxMetaspaceSize=256m")
_JVM = (
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:+ExitOnOutOfMemoryError",
    "-XX:-UsePerfData",
    "-Djava.net.preferIPv4Stack=true",
    "-Dio.netty.tryReflectionSetAccessible=true",
    "-Dio.netty.leakDetectionLevel=disabled",
    "-Dpulsar.allocator.exit_on_oom=true",
)


def jvm_arguments(cluster: ClusterLayout, ports: Ports, jars: Iterable[Path]) -> list[str]:
    """All arguments of `java`: options, class path, main class, its options."""
    opens = [argument for package in _OPENS for argument in ("--add-opens", f"{package}=ALL-UNNAMED")]
    properties = [
        f"-Djava.io.tmpdir={cluster.temporary}",
        f"-Dlog4j2.configurationFile={cluster.conf / 'log4j2.properties'}",
        f"-Dpulsar.log.file={cluster.log}",
    ]
    class_path = os.pathsep.join(str(jar) for jar in sorted(jars))
    starter = [
        *("--config", str(cluster.conf / "standalone.conf")),
        *("-fwc", str(cluster.conf / "functions_worker.yml")),
        *("--metadata-dir", str(cluster.data / "metadata")),
        *("--bookkeeper-dir", str(cluster.data / "bookkeeper")),
        *("--bookkeeper-port", str(ports.bookie)),
        "-nss",
    ]
    return [*_MEMORY, *_JVM, *opens, *properties, "-cp", class_path, MAIN_CLASS, *starter]


def argument_file(arguments: Sequence[str]) -> str:
    """The text of a Java `@file`: one quoted argument a line."""
    return "".join('"{}"\n'.format(text.replace("\\", "\\\\").replace('"', '\\"')) for text in arguments)


def environment(
    cluster: ClusterLayout,
    *,
    java: Path,
    python: Path,
    function_tokens: Path,
    cache: Path,
    home: Path,
    log_level: str,
) -> dict[str, str]:
    """The whole environment of the JVM and of the function instances it starts; nothing is inherited.

    The worker starts instances by the name `python3`, so our interpreter's folder stands first in PATH.
    """
    path = os.pathsep.join([str(python.parent), str(java.parent), os.defpath])
    return {
        "PATH": path,
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "PULSAR_HOME": str(cluster.root),
        "PULSAR_PIPELINE_FUNCTION_TOKENS": str(function_tokens),
        "PULSAR_PIPELINE_CACHE": str(cache),
        "PULSAR_PIPELINE_LOG_LEVEL": log_level,
    }
