"""`functions run`: instances without a functions worker, as processes of a terminal or of a container."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from pulsar_pipeline.errors import ExitCode
from pulsar_pipeline.local import processes
from pulsar_pipeline.package.build import BuiltPackage, build_package
from pulsar_pipeline.package.provided import runtime_distributions
from pulsar_pipeline.schemas.wire import version_of
from pulsar_pipeline.spec.load import load_tenant
from pulsar_pipeline.spec.model import Platform
from tests.support.cli import run
from tests.support.clusters import Tokens
from tests.support.deployed import FUNCTIONS, Home, apply_tenant, build, decoder, home, read_all
from tests.support.instances import ROOT
from tests.support.remove import remove_tenant
from tests.support.tiny_functions import write_function
from tests.support.wait import wait_until
from tests.support.workspace import free_ports

pytestmark = pytest.mark.cluster

PARTITIONS = 2
SCHEMAS = FUNCTIONS / "counter" / "schemas"

CODE = """\
from pulsar_pipeline.online.function import StreamFunction, on


class Echo(StreamFunction):
    @on("events")
    def count(self, event, context):
        context.incr_counter("events", 1)
        return {"id": event["id"], "n": event["n"], "doubled": context.get_counter("events")}
"""
DEFINITION = """\
name: counting
description: Counts the events of each partition.
class: function.Echo
inputs:
  events: {schema: schemas/event.v1.avsc}
output: {schema: schemas/result.v1.avsc, key: id}
sample: sample/events.jsonl
"""
DEPLOYMENTS = {"many": {"parallelism": 2}, "single": {}, "aside": {}, "taken": {"function": "counter"}}


def spec(name: str) -> dict[str, Any]:
    lenient = {
        "schema": {"compatibility": "always_compatible", "enforce": False},
        "retention": {"time": "1h", "size": "1GB"},
    }
    event, result = str(SCHEMAS / "event.v1.avsc"), str(SCHEMAS / "result.v1.avsc")
    topics = {f"in/{case}": {"partitions": PARTITIONS, "schema": event, "key": "id"} for case in DEPLOYMENTS}
    topics |= {f"out/{case}": {"partitions": PARTITIONS, "schema": result, "key": "id"} for case in DEPLOYMENTS}
    return {
        "tenant": name,
        "clusters": ["west"],
        "home": "west",
        "namespaces": {"in": lenient, "out": lenient},
        "topics": topics,
        "deployments": {
            case: {
                "function": "counting",
                "namespace": "out",
                "inputs": {"events": f"in/{case}"},
                "output": f"out/{case}",
            }
            | options
            for case, options in DEPLOYMENTS.items()
        },
    }


class Runs:
    """Starts `functions run` for deployments of a tenant, in processes of their own."""

    def __init__(self, at_home: Home, folder: Path, platform_file: Path, package: BuiltPackage) -> None:
        self.home, self.tenant = at_home, at_home.tenant
        self.files = ("--platform", str(platform_file), "--tenants", str(folder), "--package", str(package.path))
        self._logs = folder

    @contextmanager
    def start(self, case: str, *options: str) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
        """The process and what it prints; killed at the end with all its children, if it lives still."""
        log = self._logs / f"{case}{len(list(self._logs.glob('*.log')))}.log"
        arguments = ["functions", "run", f"{self.tenant.tenant}/{case}", *self.files, *options]
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [sys.executable, "-m", "pulsar_pipeline.cli", *arguments],
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
            )
        try:
            yield process, log
        finally:
            process.kill()
            process.wait()
            for child in self.processes(case):
                processes.signal_one(child, signal.SIGKILL)  # which may be ending by itself

    def processes(self, case: str) -> list[int]:
        """Of a case's instances, however they were started."""
        lines = subprocess.run(["ps", "axww", "-o", "pid,args"], capture_output=True, text=True, check=True).stdout
        mine = (f'"tenant": "{self.tenant.tenant}"', f'"name": "{case}"', "runtime.foreground")
        return [int(line.split()[0]) for line in lines.splitlines() if all(part in line for part in mine)]

    def send(self, case: str, first: int, last: int) -> None:
        self.home.send(f"in/{case}", [{"id": f"k{n}", "n": n} for n in range(first, last + 1)])

    def counts(self, case: str) -> dict[int, list[int]]:
        """Partition → what the function had counted at each of its outputs."""
        topic = str(self.tenant.topic_name(f"out/{case}"))
        decode = decoder(self.home.client, topic)
        found = defaultdict(list)
        for message in read_all(self.home.client, topic, PARTITIONS):
            record = decode(message.data(), version_of(message))
            found[message.message_id().partition()].append(record["doubled"])
        return dict(found)

    def wait_counted(self, case: str, events: int) -> None:
        """Every event once, in its partition's order, in the state and in the output."""
        each = events // PARTITIONS
        wait_until(lambda: sum(map(len, self.counts(case).values())) >= events, 30, f"{events} results")
        assert self.counts(case) == {partition: list(range(1, each + 1)) for partition in range(PARTITIONS)}


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> BuiltPackage:
    folder = tmp_path_factory.mktemp("counting")
    files = {
        "function.yaml": DEFINITION,
        "schemas/event.v1.avsc": (SCHEMAS / "event.v1.avsc").read_text(),
        "schemas/result.v1.avsc": (SCHEMAS / "result.v1.avsc").read_text(),
        "sample/events.jsonl": '{"input": "events", "event": {"id": "a", "n": 9}}\n',
    }
    source = write_function(folder, "counting", code=CODE, files=files)
    return build_package(source, folder / "out", slim=True, provided=runtime_distributions())


@pytest.fixture(scope="module")
def runs(
    platform: Platform,
    platform_file: Path,
    tokens: Tokens,
    unique: str,
    package: BuiltPackage,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Runs]:
    folder, name = tmp_path_factory.mktemp("tenants"), f"runs-{unique}"
    (folder / "tenant.yaml").write_text(yaml.safe_dump(spec(name)))
    tenant = load_tenant(folder / "tenant.yaml")
    apply_tenant(platform, tenant)
    tokens.give_to_functions(name)
    with home(platform, tenant) as at_home:
        yield Runs(at_home, folder, platform_file, package)
        for case in at_home.worker.functions(name, "out"):
            at_home.delete(case)
    remove_tenant(platform, name)


def test_instances_learn_and_predict_survive_a_kill_and_leave_nothing_behind(runs: Runs) -> None:
    (port,) = map(int, free_ports(1))
    with runs.start("many", "--metrics-port", str(port)) as (process, log):
        runs.send("many", 1, 100)
        runs.wait_counted("many", 100)
        wait_until(lambda: b"pulsar_function_received_total" in scraped(port), 30, "metrics")

        before = runs.processes("many")
        assert len(before) == 2
        os.kill(before[0], signal.SIGKILL)
        runs.send("many", 101, 200)
        runs.wait_counted("many", 200)
        assert set(runs.processes("many")) != set(before)
        text = log.read_text()
        assert re.search(r"run: instance \d ended \(SIGKILL\); starting it again", text)
        assert re.search(r"\dZ INFO instance 1: running with .*in/many-partition-1", text)

        runs.send("many", 201, 300)
        process.send_signal(signal.SIGINT)
        assert process.wait(90) == ExitCode.OK
        assert "many: ended" in log.read_text()
        assert runs.processes("many") == []
    with runs.start("many", "--parallelism", "1"):
        runs.wait_counted("many", 300)


def scraped(port: int) -> bytes:
    """Nothing while nobody listens there yet."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
            return bytes(answer.read())
    except OSError:
        return b""


def test_one_instance_is_this_very_process_and_goes_on_exactly_once_after_a_kill(runs: Runs) -> None:
    with runs.start("single", "--instance", "0") as (process, _):
        runs.send("single", 1, 50)
        runs.wait_counted("single", 50)
        assert runs.processes("single") == [process.pid], "it is the process that was started"
        runs.send("single", 51, 100)
        process.kill()
        process.wait()
        runs.send("single", 101, 150)
    with runs.start("single", "--instance", "0") as (process, log):
        runs.wait_counted("single", 150)
        process.send_signal(signal.SIGTERM)
        assert process.wait(90) == ExitCode.OK
        assert "stopped: signal 15" in log.read_text()
    with runs.start("single", "--instance", "0"):
        runs.send("single", 151, 160)
        runs.wait_counted("single", 160)


def test_a_second_one_waits_for_the_partitions_and_says_so(runs: Runs) -> None:
    with runs.start("aside", "--instance", "0") as (first, _):
        runs.send("aside", 1, 10)
        runs.wait_counted("aside", 10)
        with runs.start("aside", "--instance", "0") as (_, log):
            wait_until(lambda: "waiting for its partitions" in log.read_text(), 30, "it says what it waits for")
            first.kill()
            runs.send("aside", 11, 20)
            runs.wait_counted("aside", 20)


def test_what_the_functions_worker_runs_is_refused_and_others_run_beside_it(
    runs: Runs, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    runs.home.deploy("taken", build("counter", tmp_path / "out"))
    refused = run(capsys, "functions", "run", f"{runs.tenant.tenant}/taken", *runs.files)
    assert refused.code == ExitCode.ERROR
    assert "the functions worker of west runs it" in refused.err
    with runs.start("aside", "--instance", "0"):
        runs.send("aside", 21, 30)
        runs.send("taken", 1, 10)
        runs.wait_counted("aside", 30)
        wait_until(lambda: sum(map(len, runs.counts("taken").values())) == 10, 30, "the worker's own results")


def test_what_is_missing_is_told_before_anything_runs(
    runs: Runs, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def refused(case: str, *options: Any) -> str:
        ran = run(capsys, "functions", "run", f"{runs.tenant.tenant}/{case}", *runs.files, *options)
        assert ran.code == ExitCode.ERROR
        return ran.err

    name = runs.tenant.tenant
    assert f"token create --role {name}-functions" in refused("many", "--function-tokens", tmp_path)
    (tmp_path / f"{name}.token").write_text("anything")
    assert "cannot read the state key" in refused("many", "--function-tokens", tmp_path)
    assert "3 instances cannot share 2 partitions" in refused("many", "--parallelism", 3)
    assert "there is no instance 2 of 2" in refused("many", "--instance", 2)
    assert "declares no deployment 'nobody'" in refused("nobody")
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert "is taken" in refused("many", "--metrics-port", server.getsockname()[1])
