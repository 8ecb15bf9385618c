"""Processes and ports of the machine, as the local clusters use them; no Pulsar needed."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pulsar_pipeline.local import jvm, ports, processes
from pulsar_pipeline.local.layout import ClusterLayout, Layout
from tests.support.wait import wait_until

SLEEPER = "#!/bin/sh\nexec sleep 60\n"


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[ClusterLayout]:
    """A cluster whose `java` is whatever a test makes it."""
    cluster = Layout(tmp_path).cluster("west")
    cluster.logs.mkdir(parents=True)
    yield cluster
    jvm.stop(cluster)


def fake_java(folder: Path, script: str) -> Path:
    """A `java` that is a Python script, so that its command line keeps the `@file` a JVM has."""
    program = folder / "java"
    program.write_text(f"#!{sys.executable}\n{script}\n")
    program.chmod(0o755)
    return program


def test_a_process_is_found_with_its_group_and_command() -> None:
    with subprocess.Popen(["sleep", "61"], start_new_session=True) as child:
        found = wait_until(lambda: named(child.pid, "sleep 61"), 5, "the command is running")
        assert (found.pid, found.group) == (child.pid, child.pid)
        assert found in list(processes.everything())
        child.kill()
        child.wait()
    assert processes.find(child.pid) is None


def named(pid: int, command: str) -> processes.Process | None:
    found = processes.find(pid)
    return found if found and found.command == command else None


def test_a_zombie_is_no_process() -> None:
    child = subprocess.Popen(["true"])
    wait_until(lambda: processes.find(child.pid) is None, 5, "the child has ended")
    assert child.wait() == 0


def test_processes_are_found_where_there_is_no_proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_PROC", tmp_path)
    own = processes.find(os.getpid())
    assert own is not None
    assert own.group == os.getpgrp()
    assert "pytest" in own.command
    assert own.started


def test_signals_to_what_is_gone_are_no_error() -> None:
    child = subprocess.Popen(["true"])
    child.wait()
    processes.signal_one(child.pid, signal.SIGTERM)
    assert processes.find(child.pid) is None


def test_a_started_jvm_is_known_again_and_stopped(cluster: ClusterLayout, tmp_path: Path) -> None:
    java = fake_java(tmp_path, "import time; time.sleep(60)")
    started = jvm.start(cluster, java, {"PATH": "/bin:/usr/bin"})
    assert jvm.running(cluster) is not None
    assert not jvm.died(cluster)
    assert jvm.stop(cluster)
    assert processes.find(started.pid) is None
    assert not cluster.pid.exists()
    assert not jvm.stop(cluster)


def test_a_jvm_whose_pid_file_was_lost_is_known_by_its_arguments(cluster: ClusterLayout, tmp_path: Path) -> None:
    started = jvm.start(cluster, fake_java(tmp_path, "import time; time.sleep(60)"), {"PATH": "/bin:/usr/bin"})
    cluster.pid.unlink()
    found = wait_until(lambda: jvm.running(cluster), 5, "it is seen")  # while it starts it has no command line
    assert found.pid == started.pid


def test_a_pid_that_was_given_out_again_is_not_ours(cluster: ClusterLayout) -> None:
    with subprocess.Popen(["sleep", "61"]) as stranger:
        cluster.pid.write_text(json.dumps({"pid": stranger.pid, "started": "another boot:1"}))
        assert jvm.running(cluster) is None
        assert jvm.died(cluster)
        assert not jvm.stop(cluster)
        assert stranger.poll() is None
        stranger.kill()


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"pid": "x", "started": 1}'])
def test_a_damaged_pid_file_names_nobody(cluster: ClusterLayout, text: str) -> None:
    cluster.pid.write_text(text)
    assert jvm.running(cluster) is None


def test_a_jvm_that_ended_by_itself_has_died(cluster: ClusterLayout, tmp_path: Path) -> None:
    jvm.start(cluster, fake_java(tmp_path, "print('Error: no memory')"), {"PATH": "/bin:/usr/bin"})
    wait_until(lambda: jvm.died(cluster), 10, "the JVM has ended")
    assert cluster.console.read_text() == "Error: no memory\n"


def test_stop_ends_a_stubborn_jvm_and_the_instances_it_started(
    cluster: ClusterLayout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jvm, "_GRACE_S", 0.3)
    monkeypatch.setattr(jvm, "_INSTANCE_GRACE_S", 0.3)
    ready = tmp_path / "ready"
    script = (
        "import pathlib, signal, subprocess, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"subprocess.Popen(['sleep', '60'])\npathlib.Path({str(ready)!r}).touch()\ntime.sleep(60)"
    )
    started = jvm.start(cluster, fake_java(tmp_path, script), {"PATH": "/bin:/usr/bin"})
    wait_until(ready.exists, 10, "the JVM ignores SIGTERM")
    assert jvm.stop(cluster)
    rest = [process for process in processes.everything() if process.group == started.pid]
    wait_until(lambda: not any(processes.find(process.pid) for process in rest), 5, "what was killed is gone")


def test_instances_that_outlived_their_jvm_are_stopped(cluster: ClusterLayout) -> None:
    command = [sys.executable, "-c", "import time; time.sleep(60)", "--logging_directory", f"{cluster.instance_logs}"]
    with subprocess.Popen(command) as orphan:
        wait_until(lambda: jvm.leftovers(cluster), 5, "the instance is seen")
        assert jvm.stop(cluster)
        assert orphan.wait(10) == -signal.SIGTERM


def test_a_port_with_a_listener_is_not_free() -> None:
    with socket.create_server((ports.HOST, 0)) as server:
        port = server.getsockname()[1]
        assert not ports.is_free(port)
    assert ports.is_free(port)
