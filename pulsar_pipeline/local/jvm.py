"""One cluster's processes: start the JVM, know it again later, stop it with everything it started."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path

from pulsar_pipeline.local import processes
from pulsar_pipeline.local.layout import ClusterLayout
from pulsar_pipeline.local.processes import Process

_POLL_S = 0.1
_GRACE_S = 20.0
"""How long Pulsar may take to close its ledgers after SIGTERM."""
_INSTANCE_GRACE_S = 5.0

_ORDINARY = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE)
"""Signals that mean to the JVM what they mean by default, whatever they mean to us."""


def start(cluster: ClusterLayout, java: Path, environment: Mapping[str, str]) -> Process:
    """Start the JVM in a session of its own, so that a Ctrl-C at the terminal is ours to handle. Does not wait.

    Not by `subprocess`: the JVM is meant to outlive the object that would stand for it.
    """
    cluster.pid.unlink(missing_ok=True)
    pid = os.posix_spawn(
        "/bin/sh",
        ["sh", "-c", 'cd "$1" && shift && exec "$@"', "sh", str(cluster.root), str(java), f"@{cluster.arguments}"],
        dict(environment),
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, cluster.console, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
        setsigdef=_ORDINARY,
    )
    process = processes.find(pid) or Process(pid, pid, "gone", "")
    cluster.pid.write_text(json.dumps({"pid": process.pid, "started": process.started}) + "\n")
    return process


def running(cluster: ClusterLayout) -> Process | None:
    """The cluster's JVM, if it runs: the one of the pid file, or one whose pid file was lost."""
    recorded = _recorded(cluster)
    if recorded is not None:
        processes.reap(recorded[0])
        process = processes.find(recorded[0])
        if process is not None and process.started == recorded[1]:
            return process
    return next((process for process in processes.everything() if _is_jvm(process, cluster)), None)


def leftovers(cluster: ClusterLayout) -> list[Process]:
    """What runs of the cluster: JVM and function instances."""
    return [p for p in processes.everything() if _is_jvm(p, cluster) or _is_instance(p, cluster)]


def died(cluster: ClusterLayout) -> bool:
    """True if the JVM was started and ended without `stop`."""
    return cluster.pid.exists() and running(cluster) is None


def stop(cluster: ClusterLayout) -> bool:
    """Stop the JVM and all it started, kindly first; blocks until all are gone. False if nothing ran."""
    jvm, rest = running(cluster), leftovers(cluster)
    if jvm is not None:
        processes.signal_one(jvm.pid, signal.SIGTERM)
        _wait_gone([jvm], _GRACE_S)
        rest = [*rest, *(p for p in processes.everything() if p.group == jvm.group)]
    _end(_still(rest), signal.SIGTERM, _INSTANCE_GRACE_S)
    _end(_still(rest), signal.SIGKILL, _GRACE_S)
    if jvm is not None:
        processes.reap(jvm.pid)
    cluster.pid.unlink(missing_ok=True)
    return jvm is not None or bool(rest)


def _end(victims: list[Process], number: int, wait_s: float) -> None:
    for process in victims:
        processes.signal_one(process.pid, number)
    _wait_gone(victims, wait_s)


def _wait_gone(victims: list[Process], wait_s: float) -> None:
    deadline = time.monotonic() + wait_s
    while _still(victims) and time.monotonic() < deadline:
        time.sleep(_POLL_S)


def _still(victims: list[Process]) -> list[Process]:
    found = ((victim, processes.find(victim.pid)) for victim in victims)
    return [victim for victim, now in found if now is not None and now.started == victim.started]


def _recorded(cluster: ClusterLayout) -> tuple[int, str] | None:
    try:
        document = json.loads(cluster.pid.read_text())
        return int(document["pid"]), str(document["started"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def _is_jvm(process: Process, cluster: ClusterLayout) -> bool:
    return f"@{cluster.arguments}" in process.command


def _is_instance(process: Process, cluster: ClusterLayout) -> bool:
    return f"--logging_directory {cluster.instance_logs}" in process.command
