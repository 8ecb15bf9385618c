"""The processes behind `serve`: one materialiser, some HTTP workers that share one listening socket, and this one,
which starts them again when they end."""

from __future__ import annotations

import logging
import shutil
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from pulsar_pipeline.errors import QueryError
from pulsar_pipeline.query.app import verifier
from pulsar_pipeline.query.supervisor import POLL_S, Supervisor
from pulsar_pipeline.settings import environment
from pulsar_pipeline.view.config import ServeConfig
from pulsar_pipeline.view.lock import FolderLock

BACKLOG = 2048
ANSWERS_WITHIN_S = 60.0

_log = logging.getLogger(__name__)


def serve(config: ServeConfig, *, host: str, port: int, workers: int, answering: Callable[[str], None]) -> None:
    """Serve until SIGTERM or Ctrl-C. Calls `answering(url)` once the workers answer (views may catch up still: see
    `/readyz`). Port 0 takes a free one.

    Raises QueryError when the port cannot be had, ViewUnavailable when the folder is being served already, SpecError
    and TokenError when the cluster's tokens could not be checked.
    """
    verifier(config)
    lock = FolderLock(config.run_folder / "serve.lock")
    listener = _listen(host, port)
    stopped = _stop_signals()
    supervisor = Supervisor(_environment(config))
    try:
        config_file = _write(config)
        common = [str(config_file), str(supervisor.lifeline)]
        supervisor.add("materialiser", ["pulsar_pipeline.view.process", *common])
        for number in range(1, workers + 1):
            arguments = ["pulsar_pipeline.query.process", *common, str(listener.fileno())]
            supervisor.add(f"HTTP worker {number}", arguments, [listener.fileno()])
        url = _url(host, listener)
        _wait_for_answer(url, supervisor, stopped)
        if not stopped():
            answering(url)
        while not stopped():
            supervisor.tend()
            time.sleep(POLL_S)
    finally:
        listener.close()
        supervisor.close()
        lock.close()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except (OSError, OverflowError) as error:
        raise QueryError(
            f"cannot listen on {host}:{port}: {getattr(error, 'strerror', None) or error}",
            mend="say another --port (0 takes a free one) or --host",
        ) from error
    listener.setblocking(False)
    return listener


def _url(host: str, listener: socket.socket) -> str:
    port = listener.getsockname()[1]
    reached = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{reached}]:{port}" if ":" in reached else f"http://{reached}:{port}"


def _stop_signals() -> Callable[[], bool]:
    received: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _frame: received.append(number))
    return lambda: bool(received)


def _environment(config: ServeConfig) -> dict[str, str]:
    """The children's: ours, and where the workers keep their counters (begun anew)."""
    shutil.rmtree(config.counters_folder, ignore_errors=True)
    config.counters_folder.mkdir(parents=True)
    return {**environment(), "PROMETHEUS_MULTIPROC_DIR": str(config.counters_folder)}


def _write(config: ServeConfig) -> Path:
    file = config.run_folder / "config.json"
    file.write_text(config.model_dump_json())
    return file


def _wait_for_answer(url: str, supervisor: Supervisor, stopped: Callable[[], bool]) -> None:
    deadline = time.monotonic() + ANSWERS_WITHIN_S
    with httpx.Client(trust_env=False, timeout=2) as client:
        while not stopped():
            try:
                if client.get(f"{url}/healthz").is_success:
                    return
            except httpx.TransportError:
                pass
            if time.monotonic() > deadline:
                raise QueryError(f"the HTTP workers do not answer at {url}", mend="their log above tells why")
            supervisor.tend()
            time.sleep(POLL_S)
