"""A large state on a real broker: in bounded memory, quickly enough, and whatever is killed in the middle."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pulsar
import pytest

from pulsar_pipeline.cluster.connect import open_client
from pulsar_pipeline.names import state_topic
from pulsar_pipeline.spec.model import Platform, Tenant
from tests.support.deployed import apply_tenant
from tests.support.instances import ROOT
from tests.support.log_owner import checkpointed, committed, owner
from tests.support.remove import remove_tenant
from tests.support.tenants import tenant, write_schema

pytestmark = pytest.mark.cluster

LARGE, SMALL = 40, 20_000
"""Values of a megabyte and a half, and of a hundred bytes."""

STATE_MB = (LARGE * 1_500_000 + SMALL * 100) / 1e6
MEMORY_MB = 120.0
"""That a process may need beyond the state and what is in it with no state."""

OPENED = """
import hashlib, json, resource, sys, time
from pathlib import Path
from pulsar_pipeline.cluster.connect import open_client
from pulsar_pipeline.spec.load import load_platform
from tests.integration.test_state_large import digest, large_state
from tests.support.log_owner import commit, committed, owner

client = open_client(load_platform(Path(sys.argv[1])).clusters["west"])
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
"""

WRITES_AND_IS_KILLED = f"""{OPENED}
log, _ = owner(client, sys.argv[2], "killed")
number = log.fold.number + 1
committed(log, number, large_state(2))
log.append_checkpoint(commit(log, number), large_state(2))
for _ in range(20):
    assert log.go_on()
log.flush()
print("in the middle", flush=True)
sys.stdin.read()
"""

RECOVERS = f"""{OPENED}
before, started = peak(), time.monotonic()
log, state = owner(client, sys.argv[2], "reader")
told = {{"seconds": time.monotonic() - started, "mb": peak() - before, "digest": digest(state), "keys": len(state)}}
print(json.dumps(told | {{"number": log.fold.number, "checkpoint": log.fold.checkpoint.hex()}}), flush=True)
"""


def large_state(version: int) -> dict[str, bytes]:
    """The same for the same version; nothing compresses it."""

    def value(name: str, size: int) -> bytes:
        return hashlib.shake_128(f"{version} {name}".encode()).digest(size)

    large = {f"o:models/{number}": value(f"large {number}", 1_500_000) for number in range(LARGE)}
    return large | {f"v:{number}": value(f"small {number}", 100) for number in range(SMALL)}


def digest(state: dict[str, bytes]) -> str:
    whole = hashlib.sha256()
    for key in sorted(state):
        whole.update(key.encode() + b"\0" + state[key])
    return whole.hexdigest()


@pytest.fixture(scope="module")
def spec(platform: Platform, tmp_path_factory: pytest.TempPathFactory, unique: str) -> Iterator[Tenant]:
    spec = tenant(write_schema(tmp_path_factory.mktemp("schemas")), f"large-{unique}", clusters=["west"])
    apply_tenant(platform, spec)
    yield spec
    remove_tenant(platform, spec.tenant)


@pytest.fixture
def client(platform: Platform) -> Iterator[pulsar.Client]:
    client = open_client(platform.clusters["west"])
    yield client
    client.close()


def script(text: str, platform_file: Path, topic: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", text, str(platform_file), topic],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def recovered(platform_file: Path, topic: str) -> dict[str, Any]:
    with script(RECOVERS, platform_file, topic) as process:
        out, _ = process.communicate()
    assert process.returncode == 0
    return dict(json.loads(out))


def test_a_kill_in_the_middle_of_a_checkpoint_leaves_the_one_before_and_the_commits(
    platform_file: Path, spec: Tenant, client: pulsar.Client
) -> None:
    topic = state_topic(spec.tenant, "risk").partition(0)
    log, state = owner(client, topic, "first")
    assert state == {}
    first = large_state(1)
    committed(log, 1, first)
    checkpointed(log, 1, first)
    committed(log, 2, {"v:extra": b"2"})
    checkpoint = log.fold.checkpoint
    log.close()
    with script(WRITES_AND_IS_KILLED, platform_file, topic) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "in the middle\n"
        process.kill()
    second = large_state(2) | {"v:extra": b"2"}
    found = recovered(platform_file, topic)
    assert (found["keys"], found["digest"], found["number"]) == (len(second), digest(second), 3)
    assert checkpoint is not None
    assert found["checkpoint"] == checkpoint.hex()
    assert found["mb"] < 2 * STATE_MB + MEMORY_MB, "the state of the checkpoint, that of the commit, and little else"

    log, state = owner(client, topic, "third")
    checkpointed(log, 3, state)
    committed(log, 4, {"v:extra": None})
    log.close()
    del second["v:extra"]
    found = recovered(platform_file, topic)
    assert (found["digest"], found["number"]) == (digest(second), 4)
    assert found["checkpoint"] != checkpoint.hex()
    assert found["mb"] < STATE_MB + MEMORY_MB
    assert found["seconds"] < 30, "some 0.7 s on a quiet machine"
