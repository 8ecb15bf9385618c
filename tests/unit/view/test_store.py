from __future__ import annotations

import json
import subprocess
import sys
from tempfile import TemporaryDirectory

import lmdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pulsar_pipeline.errors import ViewUnavailable
from pulsar_pipeline.statelog.lineage import ANYWHERE, Lineage
from pulsar_pipeline.view.layout import META_DB, META_KEY, PARTITIONS_DB, partition_key
from pulsar_pipeline.view.position import NOWHERE, Position
from pulsar_pipeline.view.reader import ViewReader
from pulsar_pipeline.view.store import Forget, Heartbeat, ViewWriter
from tests.support.clocks import FakeClock
from tests.support.views import PUBLISHED_MS, body, change

TOPIC = "persistent://acme/out/risk"


def open_writer(folder, **options):
    return ViewWriter(folder, cluster="west", topic=TOPIC, **options)


@pytest.fixture
def writer(tmp_path):
    writer = open_writer(tmp_path / "view")
    writer.set_partitions(1, 0)
    yield writer
    writer.close()


def read(writer, *entities):
    """What another process would read; the writer is closed first, for LMDB's sake."""
    writer.close()
    reader = ViewReader(writer.folder, "west", FakeClock())
    try:
        return [row and json.loads(row.body) for row in reader.get_many(entities)]
    finally:
        reader.close()


def ready(partition=0, at_ms=1):
    return Heartbeat(partition, at_ms, caught_up=True)


def test_the_latest_row_of_each_entity_is_kept(writer):
    writer.apply([change(0, 1, "a", {"n": 1}), change(0, 2, "b", {"n": 2}), change(0, 3, "a", {"n": 3}), ready()])
    assert read(writer, "a", "b", "c") == [body(3, "a", {"n": 3}), body(2, "b", {"n": 2}), None]


def test_rows_and_positions_outlive_the_process(writer):
    writer.apply([change(0, 1, "a", {"n": 1})])
    writer.close()
    again = open_writer(writer.folder)
    assert again.partition(0).state.position == Position(1, 1, -1)
    again.apply([change(0, 1, "a", {"n": "again"}), ready()])
    assert again.partition(0).applied == 1
    assert read(again, "a") == [body(1, "a", {"n": 1})]


def test_a_bad_message_moves_the_position_and_is_counted(writer):
    writer.apply([change(0, 1, "", {})])
    record = writer.partition(0)
    assert (record.state.position, record.skipped, record.applied) == (Position(1, 1, -1), 1, 0)


def stamped(entry, entity, stamp):
    return change(0, entry, entity, {"n": entry}, stamp=stamp)


def test_only_outputs_that_count_make_rows(writer):
    writer.apply(
        [
            stamped(0, "", "1.1:m:a"),
            stamped(1, "a", "1.1:1"),
            stamped(2, "b", "1.1:2"),
            stamped(3, "", "1.2:m:b"),
            stamped(4, "c", "1.1:3"),  # the former owner's, late
            stamped(5, "a", "1.2:2"),  # made again
            stamped(6, "c", "1.2:3"),
            ready(),
        ]
    )
    record = writer.partition(0)
    assert (record.applied, record.dropped, record.gaps, record.skipped) == (3, 2, 0, 0)
    assert (record.state.position, record.state.lineage) == (Position(1, 6, -1), Lineage(1, 2, 3))
    assert [row["prediction"]["n"] for row in read(writer, "a", "b", "c")] == [1, 2, 6]


def test_what_counts_is_known_across_a_restart(writer):
    writer.apply([stamped(0, "", "1.1:m:a"), stamped(1, "a", "1.1:1"), stamped(2, "", "1.2:m:b")])
    writer.close()
    again = open_writer(writer.folder)
    again.apply([stamped(3, "a", "1.1:2"), stamped(4, "b", "1.2:2"), ready()])
    assert again.partition(0).dropped == 1
    assert read(again, "a", "b") == [body(1, "a", {"n": 1}), body(4, "b", {"n": 4})]


def test_a_gap_is_counted_and_told_and_the_view_goes_on(writer, caplog):
    writer.apply([stamped(0, "", "1.1:m:a"), stamped(1, "a", "1.1:1"), stamped(2, "a", "1.1:4"), ready()])
    record = writer.partition(0)
    assert (record.gaps, record.applied, record.state.lineage) == (1, 2, Lineage(1, 1, 4))
    (told,) = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert all(text in told for text in (TOPIC, "partition 0", "1:1:-1", "1:2:-1", "seq=1", "seq=4"))
    assert read(writer, "a") == [body(2, "a", {"n": 2})]


def test_messages_without_a_stamp_have_their_position_only(writer):
    writer.apply([stamped(0, "", "1.1:m:a"), change(0, 1, "a", {"n": 1}), change(0, 2, "b", {"n": 2}), ready()])
    assert (writer.partition(0).applied, writer.partition(0).dropped) == (2, 0)


def test_a_store_of_the_format_before_goes_on_where_it_stands(writer):
    writer.apply([change(0, 1, "a", {"n": 1}), ready()])
    writer.close()
    with lmdb.open(str(writer.folder), max_dbs=3) as environment:
        meta, partitions = environment.open_db(META_DB), environment.open_db(PARTITIONS_DB)
        with environment.begin(write=True) as transaction:
            document = json.loads(transaction.get(META_KEY, db=meta))
            transaction.put(META_KEY, json.dumps({**document, "format": 1}).encode(), db=meta)
            transaction.put(partition_key(0), b"[1, 1, -1, 1700000000001, 1, true, true, 1, 0]", db=partitions)
    reader = ViewReader(writer.folder, "west", FakeClock())
    assert (reader.partitions(), reader.freshness().ready) == ({}, False)
    reader.close()
    again = open_writer(writer.folder)
    before = again.partition(0)
    assert (before.state.position, before.state.lineage, before.applied) == (Position(1, 1, -1), ANYWHERE, 1)
    again.apply([stamped(2, "b", "1.3:57"), stamped(3, "c", "1.3:57")])
    after = again.partition(0)
    assert (after.state.lineage, after.dropped, after.gaps) == (Lineage(1, 3, 57), 1, 0)
    assert read(again, "a", "b", "c") == [body(1, "a", {"n": 1}), body(2, "b", {"n": 2}), None]


def test_a_store_grows_and_a_reader_that_was_open_sees_it(tmp_path):
    folder = tmp_path / "view"
    writer = open_writer(folder, map_size=1 << 18)
    writer.set_partitions(1, 0)
    writer.apply([change(0, 0, "first", {}), ready()])
    # a reader in another process (LMDB opens an environment once per process) that was there before the growth
    script = (
        "import sys; from pathlib import Path; from pulsar_pipeline.clock import SystemClock;"
        "from pulsar_pipeline.view.reader import ViewReader;"
        "reader = ViewReader(Path(sys.argv[1]), 'west', SystemClock());"
        "print(reader.rows(), flush=True); sys.stdin.readline(); print(reader.rows(), reader.get('e499') is not None)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline().split() == ["1"]
        for start in range(0, 500, 50):
            writer.apply([change(0, 1 + n, f"e{n}", {"text": "x" * 3000}) for n in range(start, start + 50)])
        output, _ = process.communicate("go\n", timeout=30)
    writer.close()
    assert output.split() == ["501", "True"]


def test_an_entity_longer_than_a_key_may_be(writer):
    entities = ["x" * 600, "x" * 601, "ü" * 300, "a/b c%2F", "\x00"]
    writer.apply([*(change(0, n, entity, {"n": n}) for n, entity in enumerate(entities)), ready()])
    assert [row["entity"] for row in read(writer, *entities)] == entities


def test_a_topic_made_anew_is_read_from_its_start(writer):
    writer.set_partitions(2, 0)
    writer.apply([change(0, 50, "a", {"n": 1}), change(1, 60, "b", {"n": 2}), ready(0), ready(1)])
    writer.apply([Forget(0), change(0, 1, "c", {"n": 3})])
    assert writer.partition(0).state.position == Position(1, 1, -1)
    assert read(writer, "a", "b", "c") == [None, body(60, "b", {"n": 2}, 1), body(1, "c", {"n": 3})]


def test_a_view_is_ready_once_every_partition_was_caught_up_with(writer):
    writer.set_partitions(2, 0)
    writer.apply([ready(0)])
    assert not writer.meta.ready
    writer.apply([Heartbeat(1, 5, caught_up=False)])
    assert not writer.meta.ready
    writer.apply([ready(1)])
    assert writer.meta.ready
    writer.set_partitions(3, 77)
    assert writer.meta.ready
    assert (writer.partition(2).state.position, writer.partition(2).complete_until_ms) == (NOWHERE, 77)


def test_nothing_is_read_before_the_view_is_ready(writer):
    writer.apply([change(0, 1, "a", {})])
    with pytest.raises(ViewUnavailable):
        read(writer, "a")


def test_another_topic_begins_anew(writer):
    writer.apply([change(0, 1, "a", {}), ready()])
    writer.close()
    other = ViewWriter(writer.folder, cluster="west", topic="persistent://acme/out/other")
    assert (other.partition(0).state.position, other.meta.ready) == (NOWHERE, False)
    other.close()


def test_a_second_writer_is_refused_with_the_id_of_the_first(writer):
    with pytest.raises(ViewUnavailable) as refused:
        open_writer(writer.folder)
    import os

    assert str(os.getpid()) in refused.value.what
    assert "--folder" in refused.value.mend


def test_another_format_is_refused_and_left_alone(writer):
    writer.close()
    with lmdb.open(str(writer.folder), max_dbs=3) as environment:
        database = environment.open_db(META_DB)
        with environment.begin(write=True, db=database) as transaction:
            transaction.put(META_KEY, json.dumps({"format": 99}).encode())
    for _ in range(2):  # the lock is free again after a refusal
        with pytest.raises(ViewUnavailable) as refused:
            open_writer(writer.folder)
        assert "format" in refused.value.what
        assert "delete this folder" in refused.value.mend


def test_a_damaged_file_is_told(tmp_path):
    (tmp_path / "data.mdb").write_bytes(b"nonsense" * 4096)
    with pytest.raises(ViewUnavailable) as refused:
        open_writer(tmp_path)
    assert "delete this folder" in refused.value.mend


def test_a_heartbeat_never_takes_back_what_was_complete(writer):
    writer.apply([Heartbeat(0, 500, caught_up=True), Heartbeat(0, 400, caught_up=False)])
    record = writer.partition(0)
    assert (record.complete_until_ms, record.caught_up) == (500, False)


# A log per partition, read by tails that are killed at will: each crash loses what was not yet committed, and reading
# goes on from the stored position, with some messages delivered again. Whatever happens, the rows come out the same.
logs = st.lists(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 30)), max_size=12), min_size=1, max_size=3)
schedules = st.lists(st.tuples(st.integers(0, 2), st.integers(1, 5), st.booleans(), st.integers(0, 4)), max_size=25)


@settings(max_examples=60, deadline=None)
@given(logs, schedules)
def test_any_interleaving_with_any_crashes_gives_the_same_rows(partitions, schedule):
    messages = [
        [
            change(index, entry, entity, {"n": [index, entry]}, published_ms=PUBLISHED_MS + published)
            for entry, (entity, published) in enumerate(log)
        ]
        for index, log in enumerate(partitions)
    ]
    with TemporaryDirectory() as once, TemporaryDirectory() as fire:
        straight = rows_after(once, messages, [(index, len(log), False, 0) for index, log in enumerate(messages)])
        assert rows_after(fire, messages, schedule) == straight


def rows_after(folder, logs, schedule):
    from pathlib import Path

    writer = open_writer(Path(folder))
    writer.set_partitions(len(logs), 0)

    def position(partition):
        return writer.partition(partition).state.position.entry + 1

    for index, count, crash, again in schedule:
        partition = index % len(logs)
        start = max(0, position(partition) - again)
        if not crash:
            writer.apply(logs[partition][start : start + count + again])
        else:
            writer.close()
            writer = open_writer(Path(folder))
    for partition, log in enumerate(logs):
        writer.apply([*log[position(partition) :], ready(partition)])
    return read(writer, "a", "b", "c")
