"""Bring the local clusters up and down, and say how they are."""

from __future__ import annotations

import random
import re
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from enum import StrEnum
from importlib.resources import files
from pathlib import Path

from pulsar_pipeline.cluster.http import AdminHttp
from pulsar_pipeline.errors import LocalError
from pulsar_pipeline.local import config, jvm, launch, platform_file, ports, ready, secrets
from pulsar_pipeline.local.java import Java, find_java
from pulsar_pipeline.local.layout import ClusterLayout, Layout
from pulsar_pipeline.local.lock import exclusive
from pulsar_pipeline.local.logs import why_it_failed
from pulsar_pipeline.local.modules import VERSION, pulsar_modules
from pulsar_pipeline.local.ports import Ports
from pulsar_pipeline.local.progress import Report
from pulsar_pipeline.names import is_name
from pulsar_pipeline.spec.model import Auth, Cluster

DEFAULT_NAMES = ("west", "east")
NEEDED_DISK_BYTES = 1 << 30
READY_TIMEOUT_S = 120.0
_POLL_S = 0.2
_UNFIT = re.compile(r"[^\w./@:+,=~-]")
"""What may not stand in a URL as it is; Pulsar builds URLs from paths."""


class State(StrEnum):
    """How a cluster is."""

    RUNNING = "running"
    UNREADY = "unready"
    """Its JVM runs but does not answer as it should: it is starting, or it hangs."""
    DEAD = "dead"
    """It was started and ended without being stopped."""
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Status:
    """One cluster, as it is now."""

    cluster: str
    state: State
    pid: int | None
    admin_url: str | None
    broker_url: str | None
    log: str


@dataclass(frozen=True, slots=True)
class Machine:
    """What of this machine the clusters use. All paths are absolute."""

    cache: Path
    java_home: Path | None = None
    log_level: str = "INFO"


class LocalClusters:
    """The clusters of one folder. Every method but `status` holds the folder's lock: calls do not overlap."""

    def __init__(self, folder: Path, machine: Machine, report: Report) -> None:
        self.layout = Layout.of(folder)
        self._machine = machine
        self._report = report

    def up(self, names: Sequence[str] = ()) -> Path:
        """Start the clusters that do not run, wait until all can be worked with; answers the platform file's path.

        Without names: those of the folder, or `west` and `east` in a new one. Raises LocalError; then, and when
        interrupted, what this call started is stopped again.
        """
        names = tuple(names) or self.layout.existing() or DEFAULT_NAMES
        _check_names(names)
        _check_folder(self.layout.root)
        self.layout.root.mkdir(parents=True, exist_ok=True)
        with self._locked():
            stopped = [self.layout.cluster(name) for name in names if not self._runs(name)]
            if stopped:
                self._start(stopped)
            self._wait_ready([self.layout.cluster(name) for name in names], started=stopped)
            self._write_platform()
        return self.layout.platform

    def down(self) -> list[str]:
        """Stop all clusters of the folder; the names of those that ran. Their data stays."""
        if not self.layout.root.is_dir():
            return []
        with self._locked():
            return self._stop([self.layout.cluster(name) for name in self.layout.existing()])

    def reset(self) -> None:
        """Stop all clusters and delete their data, logs and ports; keys and tokens stay."""
        self.down()
        if self.layout.clusters.exists():
            with self._locked():
                shutil.rmtree(self.layout.clusters)
                self.layout.platform.unlink(missing_ok=True)

    def status(self) -> list[Status]:
        """How the clusters of the folder are; asks each that runs."""
        return [self._status(self.layout.cluster(name)) for name in self.layout.existing()]

    def dead(self) -> LocalError | None:
        """Why one of the clusters ended by itself, None while all that were started run."""
        died = next((c for c in map(self.layout.cluster, self.layout.existing()) if jvm.died(c)), None)
        if died is None:
            return None
        line, log = why_it_failed(died)
        return LocalError(f"Pulsar died: {line}", where=f"cluster {died.name}", mend=f"see {log}")

    def _locked(self) -> ExitStack:
        stack = ExitStack()
        waiting = f"waiting: another command works on {self.layout.root}"
        stack.enter_context(exclusive(self.layout.lock, waiting=waiting, report=self._report))
        return stack

    def _runs(self, name: str) -> bool:
        cluster = self.layout.cluster(name)
        if jvm.running(cluster) is not None:
            return True
        if jvm.died(cluster):
            line, log = why_it_failed(cluster)
            self._report(f"{name} had died; starting it again. Its log ends with: {line} ({log})")
        return False

    def _start(self, stopped: Sequence[ClusterLayout]) -> None:
        _check_disk(self.layout.root)
        java = find_java(self._machine.cache, java_home=self._machine.java_home, report=self._report)
        jars = pulsar_modules(self._machine.cache, java_home=None if java.on_path else java.home, report=self._report)
        credentials = secrets.ensure(self.layout)
        for cluster in stopped:
            jvm.stop(cluster)  # function instances that outlived a killed JVM
        chosen = {cluster.name: self._ports(cluster) for cluster in stopped}
        started: list[ClusterLayout] = []
        try:
            for cluster in stopped:
                _prepare(cluster, chosen[cluster.name], credentials, jars)
                started.append(cluster)
                process = jvm.start(cluster, java.executable, self._environment(cluster, java))
                self._report(f"starting {cluster.name}: Pulsar {VERSION} on Java {java.version}, pid {process.pid}")
        except BaseException:
            self._stop(started)
            raise

    def _ports(self, cluster: ClusterLayout) -> Ports:
        taken = {port for name in self.layout.existing() for port in self._ports_of(name)}
        picker = random.SystemRandom()
        own = ports.load(cluster.ports)
        if own is None:
            own = ports.choose(taken, picker=picker)
        else:
            own, moved = ports.mend(cluster.name, own, taken, picker=picker)
            for role, (old, new) in moved.items():
                self._report(
                    f"{cluster.name}: port {old} is taken by another process; the {role} port is {new} from now on "
                    "(`pulsar-pipeline apply` tells the other clusters)"
                )
        cluster.root.mkdir(parents=True, exist_ok=True)
        ports.save(cluster.ports, own)
        return own

    def _ports_of(self, name: str) -> tuple[int, ...]:
        own = ports.load(self.layout.cluster(name).ports)
        return tuple(asdict(own).values()) if own else ()

    def _environment(self, cluster: ClusterLayout, java: Java) -> Mapping[str, str]:
        return launch.environment(
            cluster,
            java=java.executable,
            python=Path(sys.executable),
            function_tokens=self.layout.function_tokens,
            cache=self._machine.cache,
            home=Path.home(),
            log_level=self._machine.log_level,
        )

    def _wait_ready(self, clusters: Sequence[ClusterLayout], *, started: Sequence[ClusterLayout]) -> None:
        began = time.monotonic()
        waiting = list(clusters)
        try:
            while waiting:
                for cluster in list(waiting):
                    if self._is_ready(cluster):
                        waiting.remove(cluster)
                        if cluster in started:
                            self._report(f"{cluster.name} is ready after {time.monotonic() - began:.1f} s")
                    else:
                        _check_alive(cluster)
                if waiting and time.monotonic() - began > READY_TIMEOUT_S:
                    raise _not_ready(waiting[0])
                time.sleep(_POLL_S if waiting else 0)
        except BaseException:
            self._stop(started)
            raise

    def _is_ready(self, cluster: ClusterLayout) -> bool:
        own = ports.load(cluster.ports)
        if own is None:
            return False
        address = Cluster(
            admin_url=own.admin_url, broker_url=own.broker_url, auth=Auth(token_file=self.layout.admin_token)
        )
        with AdminHttp(cluster.name, address, timeout_s=10) as http:
            return ready.is_ready(http)

    def _stop(self, clusters: Sequence[ClusterLayout]) -> list[str]:
        with ThreadPoolExecutor(max_workers=max(1, len(clusters))) as pool:
            ran = list(pool.map(jvm.stop, clusters))
        return [cluster.name for cluster, did in zip(clusters, ran, strict=True) if did]

    def _write_platform(self) -> None:
        known = {name: ports.load(self.layout.cluster(name).ports) for name in self.layout.existing()}
        platform_file.write(self.layout, {name: own for name, own in known.items() if own is not None})

    def _status(self, cluster: ClusterLayout) -> Status:
        process, own = jvm.running(cluster), ports.load(cluster.ports)
        if process is None:
            state = State.DEAD if jvm.died(cluster) else State.STOPPED
        else:
            state = State.RUNNING if self._is_ready(cluster) else State.UNREADY
        return Status(
            cluster=cluster.name,
            state=state,
            pid=process.pid if process else None,
            admin_url=own.admin_url if own else None,
            broker_url=own.broker_url if own else None,
            log=str(cluster.log),
        )


def _check_names(names: Sequence[str]) -> None:
    wrong = next((name for name in names if not is_name(name)), None)
    if wrong is not None:
        raise LocalError(f"not a name for a cluster: {wrong!r}", mend="use small letters, digits, - and _")
    if len(set(names)) != len(names):
        raise LocalError("a cluster is named twice")


def _check_folder(folder: Path) -> None:
    if _UNFIT.search(str(folder)):
        raise LocalError(
            "Pulsar cannot store its data under a path with blanks or special characters",
            where=str(folder),
            mend="put the clusters elsewhere with --folder",
        )


def _check_disk(folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < NEEDED_DISK_BYTES:
        raise LocalError(
            f"only {free >> 20} MB of disk are free; the clusters need {NEEDED_DISK_BYTES >> 20} MB to start",
            where=str(folder),
            mend="free some, or put the clusters elsewhere with --folder",
        )


def _prepare(cluster: ClusterLayout, own: Ports, credentials: config.Credentials, jars: Sequence[Path]) -> None:
    """Write the cluster's configuration anew: it follows the product's version."""
    package = files(__package__).joinpath("conf")
    instance = Path(__file__).parent.parent / "runtime" / "main.py"
    any_jar = next(jar for jar in jars if jar.name.startswith("pulsar-functions-runtime-"))
    for folder in (cluster.conf / "functions-logging", cluster.temporary, cluster.worker, cluster.instance_logs):
        folder.mkdir(parents=True, exist_ok=True)
    for name in ("download", "connectors", "builtin", "nar", "extra"):
        (cluster.worker / name).mkdir(exist_ok=True)
    worker = config.worker_settings(cluster, own, credentials, python_instance=instance, any_jar=any_jar)
    written = {
        "standalone.conf": config.render_properties(config.broker_settings(cluster, own, credentials)),
        "functions_worker.yml": config.render_yaml(worker),
        "log4j2.properties": package.joinpath("log4j2.properties").read_text(),
        "functions-logging/logging_config.ini": package.joinpath("logging_config.ini").read_text(),
        cluster.arguments.name: launch.argument_file(launch.jvm_arguments(cluster, own, jars)),
    }
    for name, text in written.items():
        (cluster.conf / name).write_text(text)
    cluster.console.unlink(missing_ok=True)
    if cluster.log.exists():  # so that whatever stands in the log belongs to this start
        cluster.log.replace(cluster.log.with_suffix(".previous.log"))


def _check_alive(cluster: ClusterLayout) -> None:
    if jvm.running(cluster) is None:
        line, log = why_it_failed(cluster)
        raise LocalError(f"Pulsar ended while starting: {line}", where=f"cluster {cluster.name}", mend=f"see {log}")


def _not_ready(cluster: ClusterLayout) -> LocalError:
    line, log = why_it_failed(cluster)
    return LocalError(
        f"Pulsar runs but is not ready after {READY_TIMEOUT_S:.0f} s; its log says: {line}",
        where=f"cluster {cluster.name}",
        mend=f"see {log}; stop it with `pulsar-pipeline local down`",
    )
