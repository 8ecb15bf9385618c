"""Bring the local clusters up and down, and say how they are."""

from __future__ import annotations

import random
import shutil
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path

from pulsar_pipeline.errors import LocalError
from pulsar_pipeline.local import jvm, launch, platform_file, ports, secrets
from pulsar_pipeline.local.java import Java, find_java
from pulsar_pipeline.local.layout import ClusterLayout, Layout
from pulsar_pipeline.local.lock import exclusive
from pulsar_pipeline.local.logs import why_it_failed
from pulsar_pipeline.local.modules import VERSION, pulsar_modules
from pulsar_pipeline.local.ports import Ports
from pulsar_pipeline.local.preconditions import check_disk, check_folder, check_names
from pulsar_pipeline.local.prepare import prepare
from pulsar_pipeline.local.progress import Report
from pulsar_pipeline.local.ready import is_ready, wait_ready
from pulsar_pipeline.local.status import State, Status
from pulsar_pipeline.spec.model import Auth, Cluster

DEFAULT_NAMES = ("west", "east")
READY_TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True)
class Machine:
    """What of this machine the clusters use. All paths are absolute."""

    cache: Path
    java_home: Path | None = None
    log_level: str = "INFO"


class LocalClusters:
    """The clusters of one folder. What changes them holds the folder's lock, so that calls do not overlap."""

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
        check_names(names)
        check_folder(self.layout.root)
        self.layout.root.mkdir(parents=True, exist_ok=True)
        with self._locked():
            stopped = [self.layout.cluster(name) for name in names if not self._runs(name)]
            try:
                if stopped:
                    self._start(stopped)
                self._wait_ready(names, began=time.monotonic())
            except BaseException:
                self._stop(stopped)
                raise
            platform_file.write(self.layout, self._known_ports())
        return self.layout.platform

    def down(self) -> list[str]:
        """Stop all clusters of the folder; the names of those that ran. Their data stays."""
        if not self.layout.root.is_dir():
            return []
        with self._locked():
            return self._stop(self._all())

    def reset(self) -> None:
        """Stop all clusters and delete their data, logs and ports; keys and tokens stay."""
        if not self.layout.root.is_dir():
            return
        with self._locked():
            self._stop(self._all())
            if self.layout.clusters.exists():
                shutil.rmtree(self.layout.clusters)
            self.layout.platform.unlink(missing_ok=True)

    def status(self) -> list[Status]:
        """How the clusters of the folder are; asks each that runs."""
        return [self._status(cluster) for cluster in self._all()]

    def dead(self) -> LocalError | None:
        """Why one of the clusters ended by itself, None while all that were started run."""
        return next((_death(cluster) for cluster in self._all() if jvm.died(cluster)), None)

    def _all(self) -> list[ClusterLayout]:
        return [self.layout.cluster(name) for name in self.layout.existing()]

    def _known_ports(self) -> dict[str, Ports]:
        found = {cluster.name: ports.load(cluster.ports) for cluster in self._all()}
        return {name: own for name, own in found.items() if own is not None}

    def _locked(self) -> AbstractContextManager[None]:
        waiting = f"waiting: another command works on {self.layout.root}"
        return exclusive(self.layout.lock, waiting=waiting, report=self._report)

    def _runs(self, name: str) -> bool:
        cluster = self.layout.cluster(name)
        if jvm.running(cluster) is not None:
            return True
        if jvm.died(cluster):
            line, log = why_it_failed(cluster)
            self._report(f"{name} had died; starting it again. Its log ends with: {line} ({log})")
        return False

    def _start(self, stopped: Sequence[ClusterLayout]) -> None:
        check_disk(self.layout.root)
        java = find_java(self._machine.cache, java_home=self._machine.java_home, report=self._report)
        jars = pulsar_modules(self._machine.cache, java_home=None if java.on_path else java.home, report=self._report)
        credentials = secrets.ensure(self.layout)
        self._stop(stopped)  # function instances that outlived a killed JVM
        for cluster in stopped:
            prepare(cluster, self._choose_ports(cluster), credentials, jars)
        for cluster in stopped:
            process = jvm.start(cluster, java.executable, self._environment(cluster, java))
            self._report(f"starting {cluster.name}: Pulsar {VERSION} on Java {java.version}, pid {process.pid}")

    def _choose_ports(self, cluster: ClusterLayout) -> Ports:
        taken = {port for own in self._known_ports().values() for port in asdict(own).values()}
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

    def _environment(self, cluster: ClusterLayout, java: Java) -> dict[str, str]:
        return launch.environment(
            cluster,
            java=java.executable,
            python=Path(sys.executable),
            function_tokens=self.layout.function_tokens,
            cache=self._machine.cache,
            home=Path.home(),
            log_level=self._machine.log_level,
        )

    def _wait_ready(self, names: Sequence[str], *, began: float) -> None:
        known = self._known_ports()

        def check_alive(name: str) -> None:
            cluster = self.layout.cluster(name)
            if jvm.running(cluster) is None:
                raise _death(cluster)

        def tell(name: str) -> None:
            self._report(f"{name} is ready after {time.monotonic() - began:.1f} s")

        clusters = {name: self._address(known[name]) for name in names if name in known}
        late = wait_ready(clusters, READY_TIMEOUT_S, still_waiting=check_alive, is_up=tell)
        if late is not None:
            raise _not_ready(self.layout.cluster(late))

    def _address(self, own: Ports) -> Cluster:
        auth = Auth(token_file=self.layout.admin_token)
        return Cluster(admin_url=own.admin_url, broker_url=own.broker_url, auth=auth)

    def _stop(self, clusters: Sequence[ClusterLayout]) -> list[str]:
        with ThreadPoolExecutor(max_workers=max(1, len(clusters))) as pool:
            ran = list(pool.map(jvm.stop, clusters))
        return [cluster.name for cluster, did in zip(clusters, ran, strict=True) if did]

    def _status(self, cluster: ClusterLayout) -> Status:
        process, own = jvm.running(cluster), ports.load(cluster.ports)
        if process is None:
            state = State.DEAD if jvm.died(cluster) else State.STOPPED
        else:
            ready = own is not None and is_ready(cluster.name, self._address(own))
            state = State.RUNNING if ready else State.UNREADY
        return Status(
            cluster=cluster.name,
            state=state,
            pid=process.pid if process else None,
            admin_url=own.admin_url if own else None,
            broker_url=own.broker_url if own else None,
            log=str(cluster.log),
        )


def _death(cluster: ClusterLayout) -> LocalError:
    line, log = why_it_failed(cluster)
    return LocalError(f"Pulsar ended by itself: {line}", where=f"cluster {cluster.name}", mend=f"see {log}")


def _not_ready(cluster: ClusterLayout) -> LocalError:
    line, log = why_it_failed(cluster)
    return LocalError(
        f"Pulsar runs but is not ready after {READY_TIMEOUT_S:.0f} s; its log says: {line}",
        where=f"cluster {cluster.name}",
        mend=f"see {log}; stop it with `pulsar-pipeline local down`",
    )
