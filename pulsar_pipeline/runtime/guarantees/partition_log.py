"""One partition of the state log in the hands of its owner: claimed, appended to, read back, and trimmed."""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

import pulsar

from pulsar_pipeline.errors import InstanceError, StateLogError
from pulsar_pipeline.names import STATE_SUBSCRIPTION
from pulsar_pipeline.runtime.guarantees.pieces import entries_of, take
from pulsar_pipeline.statelog.fold import Fed, Fold
from pulsar_pipeline.statelog.identities import Identities
from pulsar_pipeline.statelog.packing import pack
from pulsar_pipeline.statelog.records import Chunk, Claim, Commit, Entry, Part, Record
from pulsar_pipeline.statelog.sealed import mac_of, seal
from pulsar_pipeline.statelog.topics import Sealed, StateLogReader, StateLogWriter, find_start, hold, trim

_READ_MS = 100
_CHECKPOINT_BYTES = 16_000_000
_CHECKPOINT_FACTOR = 1
"""A checkpoint is due when the log since the last one is this many times as long as that one: a start reads little more
than twice the state, and what is written is at most doubled."""
_CLAIM_TIMEOUT_MS = 30_000

_log = logging.getLogger(__name__)


class PartitionLog:
    """Reads and writes from one thread at a time: the starting thread first, the committer's from then on."""

    def __init__(self, client: pulsar.Client, topic: str, key: bytes, epoch: int | None, who: str) -> None:
        """`topic` is the partition's full name; `key` signs its records; `who` names this instance for people. Without
        an `epoch` it is that of the owner before.

        Connects; reading begins with `claim`. Raises InstanceError, StateLogError.
        """
        self.topic = topic
        self._client = client
        self._key = key
        self.epoch = epoch or 1
        self._any_epoch = epoch is None
        self._who = who
        self.nonce = os.urandom(8).hex()
        self.fold = Fold()
        self._identities = Identities()
        """With what has been appended, where the fold has what was read back."""
        self._since_checkpoint = 0
        self._checkpoint_bytes = 0
        self._unfinished: Iterator[Chunk] | None = None
        self._own: deque[tuple[bytes, Record]] = deque()
        """Appended and not read back yet: HMAC, and the record without its entries, which nobody needs again."""
        self._last: bytes | None = None
        self._before: tuple[bytes, bytes] | None = None
        """A checkpoint's first chunk, and the record before it."""
        hold(client, topic, STATE_SUBSCRIPTION)
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
            if before is not None and self._any_epoch:
                self.epoch = before.epoch
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
        self._own.clear()
        self._identities = Identities(self.fold.identities)

    @property
    def incarnation(self) -> int:
        """The number this object claimed with."""
        if self.fold.claim is None:
            raise InstanceError("the partition is not claimed yet", where=self.topic)
        return self.fold.claim.incarnation

    def append_commit(self, commit: Commit, changed: Mapping[str, bytes | None]) -> None:
        """Queue a commit with what changed, in parts where that does not fit one message."""
        self.append_entries(commit, entries_of(changed))

    def append_entries(self, commit: Commit, entries: Iterable[Entry]) -> None:
        """As `append_commit`, with entries as the log has them; they are asked for as they are sent."""
        parts, last = 0, None
        for packed in pack(entries):
            if last is not None:
                self.append_part(commit, parts, last)
                parts += 1
            last = packed
        self.append_last(commit, parts, last or ())

    def append_part(self, commit: Commit, index: int, entries: tuple[Entry, ...]) -> None:
        """Queue a piece of a commit that is yet to come: nothing counts before `append_last`."""
        self._append(Part(commit.epoch, commit.incarnation, commit.nonce, commit.number, index, entries))

    def append_last(self, commit: Commit, parts: int, entries: tuple[Entry, ...]) -> None:
        """Queue the commit itself, behind its parts."""
        self._identities.merge(commit.identities)
        self._append(replace(commit, parts=parts, entries=entries, checkpoint=self.fold.checkpoint))

    def flush(self) -> None:
        """Wait until all that was queued is stored. Raises StateLogError."""
        self._writer.flush()

    def checkpoint_is_due(self) -> bool:
        """Enough has been appended since the last checkpoint that reading it again would cost more than a new one."""
        limit = max(_CHECKPOINT_BYTES, _CHECKPOINT_FACTOR * self._checkpoint_bytes)
        return self._unfinished is None and self._since_checkpoint > limit

    def append_checkpoint(self, base: Commit, state: Mapping[str, bytes]) -> None:
        """Begin to queue the whole state as of the commit `base`, which was appended last. `go_on` queues the rest; it
        counts once all of it is in the log. Commits may come between; `state` must stay as it is."""
        self._checkpoint_bytes = self._since_checkpoint = 0
        self._unfinished = self._chunks(base, state)
        self.go_on()

    def go_on(self) -> bool:
        """Queue the next piece of a checkpoint that was begun; False where there is none left."""
        chunk = None if self._unfinished is None else next(self._unfinished, None)
        if chunk is None:
            self._unfinished = None
            return False
        self._checkpoint_bytes += self._append(chunk)
        if chunk.count:  # the last one
            self._unfinished = None
            self._since_checkpoint -= self._checkpoint_bytes
        return True

    @property
    def unfinished(self) -> bool:
        """Whether a checkpoint has been begun that `go_on` has to finish."""
        return self._unfinished is not None

    def _chunks(self, base: Commit, state: Mapping[str, bytes]) -> Iterator[Chunk]:
        first = replace(base, entries=(), checkpoint=None, identities=tuple(self._identities))
        name, index = f"{base.incarnation}.{base.number}", 0
        packed = pack(entries_of(state))
        entries = next(packed, ())
        while True:
            following = next(packed, None)
            yield Chunk(
                epoch=base.epoch,
                incarnation=base.incarnation,
                nonce=base.nonce,
                checkpoint_id=name,
                index=index,
                count=index + 1 if following is None else 0,
                base=first if index == 0 else None,
                entries=entries,
                checkpoint=self.fold.checkpoint,
                writer=self._who if index == 0 else "",
            )
            if following is None:
                return
            entries, index = following, index + 1

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
        return take(self.fold.take_state())

    def _won(self, mine: Claim) -> bool:
        while True:
            sealed = self._reader.read_sealed(_CLAIM_TIMEOUT_MS)
            if sealed is None:
                raise InstanceError("the claim cannot be read back", where=self.topic)
            record = self._reader.unseal(sealed)
            fed = self.fold.feed(record, sealed.identity)
            self._weigh(record, fed, len(sealed.data))
            if isinstance(record, Claim) and record.nonce == mine.nonce and record.incarnation == mine.incarnation:
                return fed is Fed.CLAIM_WON

    def _weigh(self, record: Record, fed: Fed, size: int) -> None:
        """How long the log is since the last checkpoint, and how long that one is."""
        if isinstance(record, Chunk) and fed in (Fed.CHUNK, Fed.CHECKPOINT):
            self._checkpoint_bytes = size if record.index == 0 else self._checkpoint_bytes + size
        self._since_checkpoint = 0 if fed is Fed.CHECKPOINT else self._since_checkpoint + size

    def _read(self, timeout_ms: int) -> bool:
        sealed = self._reader.read_sealed(timeout_ms)
        if sealed is None:
            return False
        record = self._known(sealed) or self._reader.unseal(sealed)
        fed = self.fold.feed(record, sealed.identity)
        self._trim(record, fed, sealed.identity)
        return True

    def _known(self, sealed: Sealed) -> Record | None:
        """The record, without its entries, if it is the next of those that this object has appended."""
        if not self._own or self._own[0][0] != mac_of(sealed.data):
            return None
        _, record = self._own.popleft()
        if self.fold.keeps_state:
            return None
        self._reader.authenticate(sealed)
        return record

    def _trim(self, record: Record, fed: Fed, identity: bytes) -> None:
        """Let go of what is before a checkpoint, once a commit that points to it can be found."""
        if isinstance(record, Chunk) and record.index == 0 and fed is not Fed.STALE and self._last is not None:
            self._before = identity, self._last
        self._last = identity
        if fed is not Fed.COMMIT or not isinstance(record, Commit) or self._before is None:
            return
        first, before = self._before
        if record.checkpoint == first and record.nonce == self.nonce:
            self._before = None
            try:
                trim(self._client, self.topic, STATE_SUBSCRIPTION, before)
            except StateLogError as error:
                _log.warning("what is before the last checkpoint stays on disk for now: %s", error)

    def _append(self, record: Record) -> int:
        sealed = seal(record, self._key)
        self._since_checkpoint += len(sealed)
        self._own.append((mac_of(sealed), _without_entries(record)))
        self._writer.append(sealed)
        return len(sealed)


def _without_entries(record: Record) -> Record:
    return record if isinstance(record, Claim) or not record.entries else replace(record, entries=())
