"""Query services in the background, one per cluster, that outlive the command that started them."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pulsar_pipeline.errors import LocalError
from pulsar_pipeline.local import processes
from pulsar_pipeline.local.ports import is_free

_START_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 20.0
"""Longer than `serve` gives its own processes."""
_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class Service:
    """A running `pulsar-pipeline serve`. `started` tells its process from a later one with the same id."""

    cluster: str
    url: str
    pid: int
    started: str


class Services:
    """The services recorded in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def start(self, command: Sequence[str], cluster: str, preferred_port: int) -> Service:
        """Run `command --cluster C --port P …` detached and wait until it answers; one that runs already is kept.

        Raises LocalError with the log's last line when it ends early or does not answer.
        """
        running = self.find(cluster)
        if running is not None:
            return running
        self._folder.mkdir(parents=True, exist_ok=True)
        log = self._folder / f"{cluster}.log"
        port = preferred_port if is_free(preferred_port) else 0
        try:
            process, url = self._start(command, cluster, port, log)
        except LocalError:
            if port == 0 or is_free(port):
                raise
            process, url = self._start(command, cluster, 0, log)  # something else was quicker to take it
        found = processes.find(process.pid)
        if found is None:
            raise LocalError(f"the query service of {cluster} ended at once", where=str(log))
        service = Service(cluster, url, process.pid, found.started)
        self._record(cluster).write_text(json.dumps(asdict(service)))
        return service

    def _start(self, command: Sequence[str], cluster: str, port: int, log: Path) -> tuple[subprocess.Popen[bytes], str]:
        """The process, and the URL at which it answers."""
        ready = self._folder / f"{cluster}.url"
        ready.unlink(missing_ok=True)
        options = ["--cluster", cluster, "--port", str(port), "--ready-file", str(ready)]
        with log.open("ab") as output:
            process = subprocess.Popen(
                [*command, *options], stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
        return process, _wait_ready(process, ready, log)

    def find(self, cluster: str) -> Service | None:
        """The running service of a cluster, if any."""
        try:
            service = Service(**json.loads(self._record(cluster).read_text()))
        except (OSError, ValueError, TypeError):
            return None
        found = processes.find(service.pid)
        return service if found is not None and found.started == service.started else None

    def stop(self) -> list[str]:
        """End every service; gives the clusters whose service ran."""
        stopped = []
        for record in sorted(self._folder.glob("*.json")):
            service = self.find(record.stem)
            if service is not None:
                _end(service)
                stopped.append(service.cluster)
            record.unlink(missing_ok=True)
        return stopped

    def _record(self, cluster: str) -> Path:
        return self._folder / f"{cluster}.json"


def _wait_ready(process: subprocess.Popen[bytes], ready: Path, log: Path) -> str:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < deadline:
        if ready.exists():
            return ready.read_text().strip()
        if process.poll() is not None:
            raise LocalError(f"the query service does not start: {_last_line(log)}", where=str(log))
        time.sleep(_POLL_S)
    processes.signal_one(process.pid, signal.SIGTERM)
    raise LocalError(f"the query service does not answer within {_START_TIMEOUT_S:g} s", where=str(log))


def _end(service: Service) -> None:
    processes.signal_one(service.pid, signal.SIGTERM)
    deadline = time.monotonic() + _STOP_TIMEOUT_S
    while (found := processes.find(service.pid)) is not None and found.started == service.started:
        if time.monotonic() > deadline:
            processes.signal_group(service.pid, signal.SIGKILL)  # it leads a group of its own
            return
        time.sleep(_POLL_S)


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"
