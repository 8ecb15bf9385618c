from __future__ import annotations

from pathlib import Path

import pytest

from pulsar_pipeline.errors import StateLogError
from pulsar_pipeline.ingest.partition import Partitioner
from pulsar_pipeline.names import TopicName, state_topic
from pulsar_pipeline.state.archive import ArchiveWriter, Header, Section, archive_key
from pulsar_pipeline.state.arriving import Archive, How, Target, _placed, check, open_archive, positions_in
from pulsar_pipeline.statelog.records import Entry, Position, Writer
from tests.support.statelog import KEY, commit

STATES = (
    (Entry("v:a", b"\x00a0"), Entry("c:a", b"\x002"), Entry("l:readings", b"\x001.1.9"), Entry("b:1", b"\x00letter")),
    (Entry("v:b", b"\x00b1"), Entry("c:a", b"\x003"), Entry("l:readings", b"\x001.1.7")),
)


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    path = tmp_path / "risk.state"
    with path.open("wb") as file:
        writer = ArchiveWriter(file, archive_key(KEY), Header("acme/risk", "west", len(STATES), 0))
        for partition, entries in enumerate(STATES):
            writer.section(Section(partition, commit(Writer(1, 1, "n"), partition + 1)))
            writer.entries(entries)
        writer.end()
    return open_archive(path, KEY)


def target(partitions: int = 2, deployment: str = "acme/risk", cluster: str = "west") -> Target:
    return Target(deployment, cluster, TopicName("acme", "_state", "risk-state"), partitions)


def placed(archive: Archive, partitions: int, how: How) -> list[tuple[int, Entry]]:
    return list(_placed(archive, target(partitions), how))


def test_a_state_goes_back_as_it_was(archive: Archive) -> None:
    everything = [(partition, entry) for partition, entries in enumerate(STATES) for entry in entries]
    assert placed(archive, 2, How()) == everything
    assert positions_in(archive, How()) == {("events", 0): Position(1, 1, -1), ("events", 1): Position(1, 2, -1)}


def test_without_positions_what_belongs_to_them_stays_behind(archive: Archive) -> None:
    how = How(state_only=True)
    assert [entry.key for _, entry in placed(archive, 2, how)] == ["v:a", "c:a", "v:b", "c:a"]
    assert positions_in(archive, how) == {}


def test_by_key_what_belongs_to_positions_stays_where_it_is(archive: Archive) -> None:
    of = Partitioner(5)
    assert sorted(placed(archive, 5, How(by_key=True))) == sorted(
        [
            *((0, entry) for entry in STATES[0][2:]),
            (1, STATES[1][2]),
            (of("a"), STATES[0][0]),
            (of("b"), STATES[1][0]),
            (of("a"), Entry("c:a", b"\x005")),
        ]
    )


@pytest.mark.parametrize(
    ("where", "how", "mend"),
    [
        (target(deployment="acme/other"), How(), "--state-only"),
        (target(cluster="east"), How(), "--state-only"),
        (target(3), How(), "--by-key"),
        (target(1), How(by_key=True), "--state-only --by-key"),
    ],
    ids=["another deployment", "another cluster", "more partitions", "fewer partitions"],
)
def test_what_does_not_fit_is_told_with_what_to_say(archive: Archive, where: Target, how: How, mend: str) -> None:
    with pytest.raises(StateLogError) as refused:
        check(archive, where, how)
    assert refused.value.mend is not None
    assert mend in refused.value.mend
    check(archive, where, How(state_only=True, by_key=True))


def test_a_file_without_one_of_its_partitions_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "risk.state"
    with path.open("wb") as file:
        writer = ArchiveWriter(file, archive_key(KEY), Header("acme/risk", "west", 2, 0))
        writer.section(Section(1, None))
        writer.end()
    with pytest.raises(StateLogError, match="lacks partitions"):
        open_archive(path, KEY)
    assert str(state_topic("acme", "risk")) == str(target().topic)
