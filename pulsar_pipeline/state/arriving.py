"""A file's state into the logs of a deployment that does not run.

Each partition is claimed, so that an owner that still lives ends. What is there is replaced by one commit in parts,
which counts as a whole or not at all. The parts of all partitions are stored before the first of these commits is sent;
only an interruption between the commits leaves some partitions new and some old, and the same import again mends that.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import pulsar

from pulsar_pipeline.errors import StateLogError
from pulsar_pipeline.names import TopicName
from pulsar_pipeline.runtime.guarantees.partition_log import PartitionLog
from pulsar_pipeline.runtime.guarantees.pieces import entries_of
from pulsar_pipeline.state.archive import (
    ArchiveRecord,
    End,
    Entries,
    Header,
    Section,
    archive_key,
    read_archive,
)
from pulsar_pipeline.state.kinds import BOOKKEEPING, kind_of
from pulsar_pipeline.state.placement import Placement
from pulsar_pipeline.statelog.identities import ANEW
from pulsar_pipeline.statelog.keys import log_key
from pulsar_pipeline.statelog.packing import ROOM, entry_size
from pulsar_pipeline.statelog.records import Commit, Entry, Position

READ_BACK_S = 60.0


@dataclass(frozen=True)
class Archive:
    """A file that has been found whole."""

    path: Path
    key: bytes
    header: Header
    sections: Mapping[int, Section]
    end: End

    def records(self) -> Iterator[ArchiveRecord]:
        """Read it (again)."""
        with self.path.open("rb") as file:
            yield from read_archive(file, self.key, str(self.path))


@dataclass(frozen=True)
class Target:
    """Where the state goes. `deployment` is `TENANT/NAME`."""

    deployment: str
    cluster: str
    topic: TopicName
    partitions: int


@dataclass(frozen=True)
class How:
    """`state_only`: positions, outputs and lineages stay those of the target. `by_key`: keys go to the partition of
    their entity (see placement.py), with `separator`."""

    state_only: bool = False
    by_key: bool = False
    separator: str | None = None


def open_archive(path: Path, tenant_key: bytes) -> Archive:
    """Read the file once, to its end. Raises StateLogError for one that is not whole, or of another key."""
    key = archive_key(tenant_key)
    header: Header | None = None
    sections: dict[int, Section] = {}
    try:
        with path.open("rb") as file:
            for record in read_archive(file, key, str(path)):
                match record:
                    case Header():
                        header = record
                    case Section():
                        sections[record.partition] = record
                    case End():
                        end = record
    except OSError as error:
        mend = "give a file that `pulsar-pipeline functions state export` wrote"
        raise StateLogError(f"cannot read the file: {error.strerror}", where=str(path), mend=mend) from error
    if header is None or sorted(sections) != list(range(header.partitions)):
        raise StateLogError("it lacks partitions", where=str(path), mend="export the state again")
    return Archive(path, key, header, sections, end)


def check(archive: Archive, target: Target, how: How) -> None:
    """Raises StateLogError where the file does not fit the target this way."""
    header = archive.header
    if not how.state_only and (header.deployment, header.cluster) != (target.deployment, target.cluster):
        raise StateLogError(
            f"the file is of {header.deployment} in {header.cluster}: its positions mean nothing for "
            f"{target.deployment} in {target.cluster}",
            where=str(archive.path),
            mend="say --state-only to take the state without them",
        )
    if header.partitions > target.partitions and not how.state_only:
        raise StateLogError(
            f"the file has {header.partitions} partitions, {target.deployment} has fewer: {target.partitions}",
            where=str(archive.path),
            mend="say --state-only --by-key: what there is of positions has no place to go",
        )
    if header.partitions != target.partitions and not how.by_key:
        raise StateLogError(
            f"the file has {header.partitions} partitions, {target.deployment} has {target.partitions}",
            where=str(archive.path),
            mend="say --by-key to move every key to the partition of its messages",
        )


def positions_in(archive: Archive, how: How) -> dict[tuple[str, int], Position]:
    """(Input, partition) → the last event that the imported state has in it; empty with `state_only`."""
    if how.state_only:
        return {}
    commits = {partition: section.commit for partition, section in archive.sections.items() if section.commit}
    return {(name, at): position for at, commit in commits.items() for name, position in commit.positions.items()}


def import_state(
    client: pulsar.Client,
    archive: Archive,
    target: Target,
    how: How,
    tenant_key: bytes,
    who: str,
    progress: Callable[[str], None],
) -> int:
    """Put the state there; the number of state entries. Raises StateLogError, InstanceError."""
    check(archive, target, how)
    with ExitStack() as stack:
        parts = []
        for partition in range(target.partitions):
            progress(f"claiming partition {partition}")
            topic = target.topic.partition(partition)
            log = PartitionLog(client, topic, log_key(tenant_key, topic), None, who)
            stack.callback(log.close)
            log.claim()
            parts.append(_Arrival.of(log, partition, archive, how))
        count = 0
        for partition, entry in _placed(archive, target, how):
            parts[partition].add(entry)
            count += 1
        for arrival in parts:
            progress(f"storing partition {arrival.partition}")
            arrival.store()
        for arrival in parts:
            arrival.finish()
        for arrival in parts:
            progress(f"reading partition {arrival.partition} back")
            arrival.read_back()
        return count


def _placed(archive: Archive, target: Target, how: How) -> Iterator[tuple[int, Entry]]:
    """The entries of the file and where each belongs; without bookkeeping where that is to stay as it is."""
    placement = Placement(target.partitions, how.separator) if how.by_key else None
    partition = 0
    for record in archive.records():
        if isinstance(record, Section):
            partition = record.partition
        for entry in record.entries if isinstance(record, Entries) else ():
            if kind_of(entry.key) in BOOKKEEPING:
                if not how.state_only:
                    yield partition, entry
            elif placement is None:
                yield partition, entry
            elif (placed := placement.place(partition, entry)) is not None:
                yield placed
    if placement is not None:
        yield from placement.counters()


@dataclass
class _Arrival:
    """One partition that the state is put into."""

    log: PartitionLog
    partition: int
    commit: Commit
    _packed: list[Entry] = field(default_factory=list)
    _size: int = 0
    _parts: int = 0

    @classmethod
    def of(cls, log: PartitionLog, partition: int, archive: Archive, how: How) -> _Arrival:
        before = log.fold.commit
        section = None if how.state_only else archive.sections.get(partition)
        arrival = cls(log, partition, _commit(log, before, section))
        kept = BOOKKEEPING if section is None else frozenset()
        arrival._remove(key for key in log.take_state() if kind_of(key) not in kept)
        return arrival

    def add(self, entry: Entry) -> None:
        size = entry_size(entry)
        if self._size + size > ROOM:
            self._part()
        self._packed.append(entry)
        self._size += size

    def store(self) -> None:
        """All but the commit itself."""
        self.log.flush()
        self._raise_if_lost()

    def finish(self) -> None:
        self.log.append_last(self.commit, self._parts, tuple(self._packed))

    def read_back(self) -> None:
        deadline = time.monotonic() + READ_BACK_S
        while not self.log.has_commit(self.commit.number):
            self._raise_if_lost()
            if time.monotonic() > deadline:
                raise StateLogError("the import cannot be read back", where=self.log.topic, mend="import once more")

    def _remove(self, keys: Iterable[str]) -> None:
        for entry in entries_of(dict.fromkeys(keys)):
            self.add(entry)

    def _part(self) -> None:
        self.log.append_part(self.commit, self._parts, tuple(self._packed))
        self._parts += 1
        self._packed, self._size = [], 0

    def _raise_if_lost(self) -> None:
        if self.log.lost():
            raise StateLogError(
                f"an instance has taken partition {self.partition} meanwhile; its old state stands",
                where=self.log.topic,
                mend="stop the deployment, then import once more",
            )


def _commit(log: PartitionLog, before: Commit | None, section: Section | None) -> Commit:
    """The commit that replaces everything; in a partition that the file knows nothing of, or with `state_only`, it goes
    on where the one before stands."""
    number = 1 if before is None else before.number + 1
    told = before if section is None else section.commit
    fresh = Commit(log.epoch, log.incarnation, log.nonce, number, 0, {}, 0, "", None, (), None, int(time.time() * 1000))
    if told is None:
        return fresh
    identities = () if section is None else (ANEW, *told.identities)
    return replace(
        fresh,
        positions=told.positions,
        seq=told.seq,
        runs=told.runs,
        outputs_from=told.outputs_from,
        identities=identities,
    )
