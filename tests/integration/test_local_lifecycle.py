"""One local cluster through its life, and through what may go wrong in it. The tests build on each other, in order."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pulsar
import pytest

from pulsar_pipeline.cluster.connect import open_client
from pulsar_pipeline.errors import LocalError
from pulsar_pipeline.local import jvm, ports
from pulsar_pipeline.local.clusters import LocalClusters
from pulsar_pipeline.local.status import State
from pulsar_pipeline.spec.load import load_platform
from tests.support.clusters import local_clusters
from tests.support.wait import wait_until

pytestmark = pytest.mark.cluster

NAME = "solo"
TOPIC = "persistent://public/default/kept"


@pytest.fixture(scope="module")
def clusters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalClusters]:
    """A cluster of its own, up at first; the tests may do anything to it."""
    clusters = local_clusters(tmp_path_factory.mktemp("solo"))
    clusters.up([NAME])
    try:
        yield clusters
    finally:
        clusters.down()


def state(clusters: LocalClusters) -> State:
    (status,) = clusters.status()
    return status.state


def processes_of(clusters: LocalClusters) -> list[int]:
    return [process.pid for process in jvm.leftovers(clusters.layout.cluster(NAME))]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_cluster_that_is_up_is_running_and_its_secrets_are_private(clusters: LocalClusters) -> None:
    layout = clusters.layout
    assert state(clusters) is State.RUNNING
    assert [mode(layout.secrets), mode(layout.function_tokens)] == [0o700, 0o700]
    assert [mode(layout.token_key), mode(layout.admin_token)] == [0o600, 0o600]
    platform = load_platform(layout.platform)
    assert list(platform.clusters) == [NAME]
    assert platform.clusters[NAME].auth is not None


def test_up_twice_starts_nothing(clusters: LocalClusters) -> None:
    before = processes_of(clusters)
    clusters.up()
    assert processes_of(clusters) == before
    assert len(before) == 1


def test_a_killed_cluster_is_told_and_mended_with_its_data_on_other_ports_if_need_be(
    clusters: LocalClusters, capsys: pytest.CaptureFixture[str]
) -> None:
    send(clusters, b"before the crash")
    layout = clusters.layout.cluster(NAME)
    (pid,) = processes_of(clusters)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not processes_of(clusters), 5, "the JVM is gone")
    assert state(clusters) is State.DEAD
    own = ports.load(layout.ports)
    assert own is not None

    with socket.create_server((ports.HOST, own.bookie)), pytest.raises(LocalError, match=f"port {own.bookie}"):
        clusters.up()
    assert processes_of(clusters) == []

    with socket.create_server((ports.HOST, own.admin)):
        clusters.up()
    told = capsys.readouterr().out
    assert "solo had died" in told
    assert f"port {own.admin} is taken" in told
    assert state(clusters) is State.RUNNING
    assert receive(clusters) == b"before the crash"


def test_down_leaves_no_process_and_keeps_the_data(clusters: LocalClusters) -> None:
    assert clusters.down() == [NAME]
    assert processes_of(clusters) == []
    assert state(clusters) is State.STOPPED
    assert clusters.down() == []


def test_foreground_takes_a_half_started_cluster_over_and_leaves_no_process_at_ctrl_c(clusters: LocalClusters) -> None:
    with in_foreground(clusters) as first:
        wait_until(lambda: processes_of(clusters), 30, "the JVM is started")
        first.kill()
    assert state(clusters) is State.UNREADY
    (half_started,) = processes_of(clusters)

    with in_foreground(clusters) as second:
        assert second.stdout is not None
        assert second.stdout.readline().strip() == str(clusters.layout.platform)  # printed once all is up
        assert processes_of(clusters) == [half_started]
        assert receive(clusters) == b"before the crash"
        second.send_signal(signal.SIGINT)
        assert second.wait(180) == 0
    assert processes_of(clusters) == []
    assert state(clusters) is State.STOPPED


def test_ctrl_c_while_starting_leaves_no_process(clusters: LocalClusters) -> None:
    with in_foreground(clusters) as process:
        wait_until(lambda: processes_of(clusters), 30, "the JVM is started")
        process.send_signal(signal.SIGINT)
        assert process.wait(180) == 130
    assert processes_of(clusters) == []


def test_a_jvm_that_ends_early_is_told_with_the_reason_and_the_log(clusters: LocalClusters) -> None:
    clusters.reset()
    assert clusters.status() == []
    blocked = clusters.layout.cluster(NAME).data / "metadata"
    blocked.parent.mkdir(parents=True)
    blocked.write_text("where Pulsar wants a folder")
    with pytest.raises(LocalError, match="metadata") as caught:
        clusters.up([NAME])
    assert caught.value.where == f"cluster {NAME}"
    assert str(clusters.layout.cluster(NAME).log) in (caught.value.mend or "")
    assert processes_of(clusters) == []


def send(clusters: LocalClusters, payload: bytes) -> None:
    client = open_client(load_platform(clusters.layout.platform).clusters[NAME])
    try:
        client.create_reader(TOPIC, pulsar.MessageId.earliest)  # holds the topic's ledgers
        client.create_producer(TOPIC).send(payload)
    finally:
        client.close()


def receive(clusters: LocalClusters) -> bytes:
    client = open_client(load_platform(clusters.layout.platform).clusters[NAME])
    try:
        return client.create_reader(TOPIC, pulsar.MessageId.earliest).read_next(timeout_millis=60_000).data()
    finally:
        client.close()


def in_foreground(clusters: LocalClusters) -> subprocess.Popen[str]:
    program = Path(sys.executable).parent / "pulsar-pipeline"
    folder = str(clusters.layout.root)
    command = [program, "local", "up", "--foreground", "--clusters", NAME, "--folder", folder]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
