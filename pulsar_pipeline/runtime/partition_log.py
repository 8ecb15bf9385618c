"""One partition of the state log in the hands of its owner: claimed, appended to, and read back."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace

import pulsar

from pulsar_pipeline.errors import InstanceError
from pulsar_pipeline.runtime.pieces import entries_of, join
from pulsar_pipeline.statelog.fold import Fed, Fold
from pulsar_pipeline.statelog.packing import pack
from pulsar_pipeline.statelog.records import Chunk, Claim, Commit, Part, Record
from pulsar_pipeline.statelog.sealed import seal
from pulsar_pipeline.statelog.topics import StateLogReader, StateLogWriter, find_start

_READ_MS = 100
_CHECKPOINT_BYTES = 16_000_000
_CHECKPOINT_FACTOR = 4
"""A checkpoint is due when the log since the last one is this many times as long as the state."""
_CLAIM_TIMEOUT_MS = 30_000


class PartitionLog:
    """Reads and writes from one thread at a time: the starting thread first, the committer's from then on."""

    def __init__(self, client: pulsar.Client, topic: str, key: bytes, epoch: int, who: str) -> None:
        """`topic` is the partition's full name; `key` signs its records; `who` names this instance for people.

        Connects; reading begins with `claim`. Raises InstanceError, StateLogError.
        """
        self.topic = topic
        self._key = key
        self.epoch = epoch
        self._who = who
        self.nonce = os.urandom(8).hex()
        self.fold = Fold()
        self._since_checkpoint = 0
        self._checkpoint_bytes = 0
        self._writer = StateLogWriter(client, topic, f"{who}#{self.nonce}")
        self._start = find_start(client, topic, key)
        self._reader = StateLogReader(client, topic, key, self._start)

    def claim(self) -> None:
        """Take the partition: from here on only this object's commits count. Raises InstanceError.

        Where the log ends is known only by a record of one's own, so the first claim is usually lost: it is the mark
        up to which the log is read.
        """
        while True:
            before = self.fold.claim
            if before is not None and before.epoch > self.epoch:
                raise InstanceError(
                    f"the partition belongs to epoch {before.epoch}; this instance is of epoch {self.epoch}",
                    where=self.topic,
                    mend="deploy again in the tenant's present home",
                )
            number = before.incarnation + 1 if before is not None and before.epoch == self.epoch else 1
            mine = Claim(self.epoch, number, self.nonce, self._who, self.fold.checkpoint or self._start)
            self._append(mine)
            self._writer.flush()
            if self._won(mine):
                break
        if not self.fold.anchored:
            raise InstanceError("the state log has lost its beginning and holds no checkpoint", where=self.topic)

    @property
    def incarnation(self) -> int:
        """The number this object claimed with."""
        if self.fold.claim is None:
            raise InstanceError("the partition is not claimed yet", where=self.topic)
        return self.fold.claim.incarnation

    def append_commit(self, commit: Commit, changed: Mapping[str, bytes | None]) -> None:
        """Queue a commit with what changed, in parts where that does not fit one message."""
        *parts, last = list(pack(entries_of(changed))) or [()]
        for index, entries in enumerate(parts):
            self._append(Part(commit.epoch, commit.incarnation, commit.nonce, commit.number, index, entries))
        self._append(replace(commit, parts=len(parts), entries=last, checkpoint=self.fold.checkpoint))

    def checkpoint_is_due(self) -> bool:
        """Enough has been appended since the last checkpoint that reading it again would cost more than a new one."""
        return self._since_checkpoint > max(_CHECKPOINT_BYTES, _CHECKPOINT_FACTOR * self._checkpoint_bytes)

    def append_checkpoint(self, base: Commit, state: Mapping[str, bytes]) -> None:
        """Queue the whole state as of the commit `base`; it counts once all of it is in the log."""
        chunks = list(pack(entries_of(state))) or [()]
        self._checkpoint_bytes, self._since_checkpoint = 0, 0
        name = f"{base.incarnation}.{base.number}"
        for index, entries in enumerate(chunks):
            self._append(
                Chunk(
                    epoch=base.epoch,
                    incarnation=base.incarnation,
                    nonce=base.nonce,
                    checkpoint_id=name,
                    index=index,
                    count=len(chunks),
                    base=replace(base, entries=(), checkpoint=None) if index == 0 else None,
                    entries=entries,
                    checkpoint=self.fold.checkpoint,
                )
            )
        self._checkpoint_bytes, self._since_checkpoint = self._since_checkpoint, 0

    def has_commit(self, number: int) -> bool:
        """Read on a little; True once this commit has been read back."""
        self._read(_READ_MS)
        commit = self.fold.commit
        return commit is not None and commit.nonce == self.nonce and commit.number >= number

    def lost(self) -> bool:
        """Read what there is; True when another instance has claimed the partition."""
        while self._read(1):
            pass
        return self.fold.claim is None or self.fold.claim.nonce != self.nonce

    def close(self) -> None:
        self._reader.close()
        self._writer.close()

    def take_state(self) -> dict[str, bytes]:
        """The state as of the last commit; it is the caller's from now on."""
        return join(self.fold.take_state())

    def _won(self, mine: Claim) -> bool:
        while True:
            read = self._reader.read(_CLAIM_TIMEOUT_MS)
            if read is None:
                raise InstanceError("the claim cannot be read back", where=self.topic)
            record, identity = read
            fed = self.fold.feed(record, identity)
            self._since_checkpoint = 0 if fed is Fed.CHECKPOINT else self._since_checkpoint + _size(record)
            if isinstance(record, Claim) and record.nonce == mine.nonce and record.incarnation == mine.incarnation:
                return fed is Fed.CLAIM_WON

    def _read(self, timeout_ms: int) -> bool:
        read = self._reader.read(timeout_ms)
        if read is None:
            return False
        self.fold.feed(*read)
        return True

    def _append(self, record: Record) -> None:
        sealed = seal(record, self._key)
        self._since_checkpoint += len(sealed)
        self._writer.append(sealed)


def _size(record: Record) -> int:
    """About how many bytes of state a record carries."""
    return 0 if isinstance(record, Claim) else sum(len(entry.value or b"") for entry in record.entries)
