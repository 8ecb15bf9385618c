"""Instances of a deployment as real processes, started as a functions worker does, for tests that misuse them."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from pulsar_pipeline.package.build import BuiltPackage
from pulsar_pipeline.rollout.functions_config import function_config
from pulsar_pipeline.runtime import main as runtime_main
from pulsar_pipeline.spec.model import Tenant
from tests.support.wait import wait_until
from tests.unit.runtime.worker_arguments import argv

ROOT = Path(__file__).resolve().parents[2]
MAIN = Path(runtime_main.__file__)

READY_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 60.0

_RUNNING = '"running with '
_numbers = itertools.count(1)


@dataclass
class Instance:
    """One process. `log` is the instance's own log file, `console` what it wrote to its standard streams."""

    instance_id: int
    process: subprocess.Popen[bytes]
    log: Path
    console: Path
    started: float = field(default_factory=time.monotonic)
    ended: float | None = None
    """When it ended, seen at once, by the monotonic clock."""

    def __post_init__(self) -> None:
        threading.Thread(target=self._watch, name=f"end of {self.pid}", daemon=True).start()

    def _watch(self) -> None:
        with suppress(ChildProcessError):  # somebody has asked for its code already
            os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        self.ended = time.monotonic()

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def code(self) -> int | None:
        """Its exit code; None while it lives, negative for a signal."""
        return self.process.poll()

    def kill(self) -> None:
        """`kill -9`, and wait for the end."""
        self.process.kill()
        self.process.wait()

    def pause(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """As a functions worker does; does not wait."""
        self.process.send_signal(signal.SIGTERM)

    def wait_ended(self, timeout_s: float = STOP_TIMEOUT_S) -> int:
        return self.process.wait(timeout_s)

    def ready(self) -> bool:
        """It holds its partitions and takes events."""
        return _RUNNING in self.told()

    def wait_ready(self, timeout_s: float = READY_TIMEOUT_S) -> None:
        wait_until(lambda: self.ready() or self.code is not None, timeout_s, f"instance {self.instance_id} runs")
        assert self.code is None, f"instance {self.instance_id} ended with {self.code}:\n{self.told()}"

    def told(self) -> str:
        """Its log so far, and what it wrote to its standard streams."""
        return "".join(path.read_text(errors="replace") for path in (self.log, self.console) if path.exists())


@dataclass(frozen=True)
class Launcher:
    """Starts instances of one deployment. `service_url` may be a proxy's."""

    tenant: Tenant
    deployment: str
    package: BuiltPackage
    function_tokens: Path
    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    entry: Path = MAIN
    """The script that is started; another than the product's own may patch it first."""

    def start(self, instance_id: int, parallelism: int, service_url: str) -> Instance:
        """Does not wait; nothing keeps two from having the same id."""
        folder = self.folder / f"{next(_numbers)}-{instance_id}"
        folder.mkdir(parents=True)
        console = folder / "console"
        config = function_config(self.tenant, self.deployment, self.package.manifest, self.package.digest)
        details = {key: config[key] for key in ("tenant", "namespace", "name", "className")} | {
            "userConfig": json.dumps(config["userConfig"]),
            "parallelism": parallelism,
        }
        arguments = argv(
            details,
            py=str(self.package.path),
            instance_id=str(instance_id),
            pulsar_serviceurl=service_url,
            logging_directory=str(folder),
            logging_file=self.deployment,
            port="0",
            metrics_port="0",
            expected_healthcheck_interval="-1",
        )
        with console.open("wb") as stream:
            process = subprocess.Popen(
                [sys.executable, str(self.entry), *arguments],
                env=self._environment(folder),
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
            )
        log = folder / self.tenant.tenant / details["namespace"] / self.deployment
        return Instance(instance_id, process, log / f"{self.deployment}-{instance_id}.log", console)

    def _environment(self, folder: Path) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("HOME", "PATH", "LANG") if name in os.environ}
        return kept | {
            "PYTHONPATH": str(ROOT),
            "PULSAR_PIPELINE_FUNCTION_TOKENS": str(self.function_tokens),
            "PULSAR_PIPELINE_CACHE": str(self.folder / "cache"),
            **self.environment,
        }


@contextmanager
def ended(instances: list[Instance]) -> Iterator[None]:
    """Whatever happens inside, none of these outlives it; a paused one is killed all the same."""
    try:
        yield
    finally:
        for instance in instances:
            if instance.code is None:
                instance.kill()
