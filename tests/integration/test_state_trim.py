"""What is before a state log's last checkpoint goes away, and nothing else does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pulsar
import pytest

from pulsar_pipeline.cluster.connect import open_client
from pulsar_pipeline.cluster.http import AdminHttp
from pulsar_pipeline.names import STATE_SUBSCRIPTION, state_topic
from pulsar_pipeline.spec.model import Platform, Tenant
from pulsar_pipeline.state.reading import read_partition
from pulsar_pipeline.state.trimming import trim_partition
from pulsar_pipeline.statelog.fold import Fold
from pulsar_pipeline.statelog.keys import log_key
from pulsar_pipeline.statelog.topics import StateLogReader, find_span, read_span
from tests.support.deployed import apply_tenant
from tests.support.log_owner import KEY, WAIT_S, checkpointed, commit, committed, owner
from tests.support.remove import remove_tenant
from tests.support.tenants import tenant, write_schema
from tests.support.wait import wait_until

pytestmark = pytest.mark.cluster

DEDUPLICATION_ENTRIES = 1_000
"""A broker moves its own cursor after so many messages."""


@pytest.fixture(scope="module")
def spec(platform: Platform, tmp_path_factory: pytest.TempPathFactory, unique: str) -> Iterator[Tenant]:
    spec = tenant(write_schema(tmp_path_factory.mktemp("schemas")), f"trim-{unique}")
    apply_tenant(platform, spec)
    yield spec
    remove_tenant(platform, spec.tenant)


@pytest.fixture
def client(platform: Platform) -> Iterator[pulsar.Client]:
    client = open_client(platform.clusters["west"])
    yield client
    client.close()


class Stored:
    """What a broker has of a topic."""

    def __init__(self, admin: AdminHttp, topic: str) -> None:
        self._admin, self._path = admin, f"/admin/v2/{topic.replace('://', '/')}"

    def stats(self) -> Any:
        return self._admin.get(f"{self._path}/internalStats")

    def ledgers(self) -> list[int]:
        return [ledger["ledgerId"] for ledger in self.stats()["ledgers"]]

    def acknowledged(self) -> str:
        return str(self.stats()["cursors"][STATE_SUBSCRIPTION]["markDeletePosition"])

    def roll_over(self) -> None:
        """Its next messages go to a new ledger."""
        self._admin.put(f"{self._path}/unload")

    def trim(self) -> None:
        self._admin.post(f"{self._path}/trim")


def test_a_log_is_trimmed_behind_its_last_checkpoint_and_recovers(
    platform: Platform, spec: Tenant, client: pulsar.Client
) -> None:
    topic = state_topic(spec.tenant, "risk").partition(1)
    with AdminHttp("west", platform.clusters["west"]) as admin:
        stored = Stored(admin, topic)
        log, state = owner(client, topic, "first")
        assert state == {}
        committed(log, 1, {"v:a": b"1", "v:b": bytes(3_000_000)})
        stored.roll_over()
        committed(log, 2, {"v:a": b"2"})
        before = stored.ledgers()
        assert len(before) > 1
        checkpointed(log, 2, {"v:a": b"2", "v:b": bytes(3_000_000)})
        acknowledged = stored.acknowledged()
        committed(log, 3, {"v:c": b"3"})  # the first that tells of the checkpoint
        wait_until(lambda: stored.acknowledged() != acknowledged, WAIT_S, "the cursor moves")
        stored.roll_over()
        for number in range(4, 4 + DEDUPLICATION_ENTRIES):  # its cursor, too, keeps the messages behind it
            log.append_commit(commit(log, number), {"v:d": b"%d" % number})
        last = 4 + DEDUPLICATION_ENTRIES
        committed(log, last, {"v:d": b"4"})

        def trimmed() -> bool:
            stored.trim()
            return before[0] not in stored.ledgers()

        wait_until(trimmed, WAIT_S, f"ledger {before[0]} is gone")
        log.close()
        again, state = owner(client, topic, "second")
        assert state == {"v:a": b"2", "v:b": bytes(3_000_000), "v:c": b"3", "v:d": b"4"}
        assert (again.fold.number, again.incarnation) == (last, 2)
        again.close()


def test_what_no_checkpoint_stands_for_stays_and_so_does_the_other_clusters_copy(
    platform: Platform, spec: Tenant, client: pulsar.Client
) -> None:
    topic = state_topic(spec.tenant, "risk").partition(2)
    log, _ = owner(client, topic, "first")
    committed(log, 1, {"v:a": b"1"})
    for cluster in ("west", "east"):
        with AdminHttp(cluster, platform.clusters[cluster]) as admin:
            stored = Stored(admin, topic)
            stored.roll_over()
            if cluster == "west":
                committed(log, 2, {"v:b": b"2"})
                stored.roll_over()
            stored.trim()
    checkpointed(log, 2, {"v:a": b"1", "v:b": b"2"})
    committed(log, 3, {"v:c": b"3"})
    log.close()
    assert there(client, topic, 3) == {"v:a": b"\0" + b"1", "v:b": b"\0" + b"2", "v:c": b"\0" + b"3"}
    east = open_client(platform.clusters["east"])
    try:
        state = {"v:a": b"\0" + b"1", "v:b": b"\0" + b"2", "v:c": b"\0" + b"3"}
        assert there(east, topic, 3) == state
        _a_copy_is_trimmed_by_command(platform, east, topic)
        assert read_partition(east, topic, KEY).state == state
    finally:
        east.close()


def _a_copy_is_trimmed_by_command(platform: Platform, east: pulsar.Client, topic: str) -> None:
    with AdminHttp("east", platform.clusters["east"]) as admin:
        stored = Stored(admin, topic)
        acknowledged = stored.acknowledged()
        assert trim_partition(east, topic, KEY)
        wait_until(lambda: stored.acknowledged() != acknowledged, WAIT_S, "the copy's cursor moves")
        stored.roll_over()


def there(client: pulsar.Client, topic: str, number: int) -> dict[str, bytes]:
    """What a cluster's copy comes to, read from its first record on, once commit `number` is in it."""

    def copied() -> Fold | None:
        key = log_key(KEY, topic)
        span = find_span(client, topic, key)
        if span is None:
            return None
        fold, reader = Fold(), StateLogReader(client, topic, key, None)
        for record, identity in read_span(reader, span):
            fold.feed(record, identity)
        reader.close()
        return fold if fold.number == number else None

    return wait_until(copied, WAIT_S, f"commit {number} is in the copy").state
