"""How long a killed instance is missed: from `kill -9` to the first output of the one that takes its place.

    .venv/bin/python bench/takeover.py [--kills 5] [--platform .local/platform.yaml]

Deployed through the functions worker, under exactly-once, while 200 events a second come in; the worker's liveness
check, every 3 s on local clusters, is the larger part. The figures go to bench/out/takeover.json.
"""

# ruff: noqa: T201 - a benchmark's answer is what it prints

from __future__ import annotations

import argparse
import json
import os
import secrets
import signal
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import pulsar  # noqa: E402

from bench.speed.cases import CASES  # noqa: E402 - the repository's folder is not on a script's path
from bench.speed.report import machine  # noqa: E402
from bench.speed.world import DEPLOYMENT, INPUT, OUTPUT, World, build_packages, tenant_of, world  # noqa: E402
from pulsar_pipeline.clock import SystemClock  # noqa: E402
from pulsar_pipeline.cluster.admin import AdminCluster  # noqa: E402
from pulsar_pipeline.rollout.deploy import Deployer  # noqa: E402
from pulsar_pipeline.rollout.worker import FunctionsWorker  # noqa: E402
from pulsar_pipeline.schemas.schema import load_schema  # noqa: E402
from pulsar_pipeline.schemas.wire import wire_schema  # noqa: E402
from pulsar_pipeline.spec.model import Tenant  # noqa: E402

OUT = ROOT / "bench" / "out" / "takeover.json"
CASE = CASES["identity_100b"]
PER_S = 200.0
PATIENCE_S = 60.0


class Outputs:
    """Whose incarnation the outputs are of, as they come."""

    def __init__(self, world: World, topic: str) -> None:
        self._reader = world.client.create_reader(f"{topic}-partition-0", pulsar.MessageId.latest)
        self._seen: dict[str, float] = {}
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def wait_for_another(self, than: str | None) -> tuple[str, float]:
        """An incarnation, and when its first output came; RuntimeError if there is none in time."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            for incarnation, at in reversed(list(self._seen.items())):
                if incarnation != than:
                    return incarnation, at
                break
            time.sleep(0.005)
        raise RuntimeError(f"no output of another instance within {PATIENCE_S:g} s")

    def close(self) -> None:
        self._closed.set()
        self._thread.join()
        self._reader.close()

    def _run(self) -> None:
        while not self._closed.is_set():
            try:
                message = self._reader.read_next(200)
            except pulsar.Timeout:
                continue
            stamp = message.properties()["pp"].split(":")
            if stamp[1] != "m":
                self._seen.setdefault(stamp[0], time.monotonic())


@contextmanager
def events(world: World, topic: str) -> Iterator[None]:
    """Events come in within the block."""
    stop = threading.Event()

    def send() -> None:
        payload = CASE.payloads()
        producer = world.client.create_producer(
            f"{topic}-partition-0", schema=wire_schema(load_schema(CASE.input_schema)), initial_sequence_id=1
        )
        number = 0
        while not stop.wait(1 / PER_S):
            producer.send_async(payload(number).data, None)
            number += 1
        producer.flush()
        producer.close()

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def instance_of(tenant: str) -> int:
    """The process that runs the tenant's only instance."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and folder.joinpath("cmdline").exists():
            try:
                command = folder.joinpath("cmdline").read_bytes()
            except OSError:
                continue
            if f'"tenant":"{tenant}"'.encode() in command and b"--instance_id" in command:
                return int(folder.name)
    raise RuntimeError(f"no instance of {tenant} runs")


def takeovers(world: World, tenant: Tenant, kills: int) -> list[float]:
    """Seconds, one for each kill."""
    output, found = str(tenant.topic_name(OUTPUT)), []
    outputs = Outputs(world, output)
    try:
        with events(world, str(tenant.topic_name(INPUT))):
            incarnation, _ = outputs.wait_for_another(None)
            for _ in range(kills):
                killed = time.monotonic()
                os.kill(instance_of(tenant.tenant), signal.SIGKILL)
                incarnation, at = outputs.wait_for_another(incarnation)
                found.append(at - killed)
                print(f"  {at - killed:.2f} s", flush=True)
    finally:
        outputs.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--platform", type=Path, help="file of local clusters that run; else one is started")
    choice, told = parser.parse_args(), machine()
    with world(choice.platform, print) as here:
        package = build_packages(here.folder, [CASE.function])[CASE.function]
        tenant = tenant_of(f"takeover-{secrets.token_hex(3)}", here.name, CASE, "exactly_once", 1)
        with here.tenant(tenant):
            worker = FunctionsWorker(here.http)
            deployer = Deployer(tenant, worker, AdminCluster(here.http), SystemClock())
            rollout = deployer.deploy(DEPLOYMENT, package.path, package.manifest, package.digest)
            try:
                deployer.wait(rollout, PATIENCE_S, lambda _status: None)
                seconds = takeovers(here, tenant, choice.kills)
            finally:
                worker.delete(tenant.tenant, tenant.deployments[DEPLOYMENT].namespace, DEPLOYMENT)
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps({"machine": told, "kill_to_output_s": seconds}, indent=2) + "\n")
    print(f"kill -9 to the first output: median {statistics.median(seconds):.2f} s, most {max(seconds):.2f} s")
    print(f"written to {OUT.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
