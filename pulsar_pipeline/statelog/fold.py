"""What the records of a state log come to, one after the other. Pure.

Who may write: the first claim of a term (epoch, incarnation) that is above all claims before it wins; from there on the
records of all other writers count for nobody, wherever in the log they stand. Commits count in the order of their
numbers, each with all its parts or not at all.

Where to begin: at the log's first record, or at the first chunk of a complete checkpoint (`topics.find_start`). A fold
that was begun elsewhere skips what it cannot place until a complete checkpoint anchors it; it must not be trusted with
a partition, for a claim that it has not seen may have made that checkpoint void (see scan.py for a log without a known
beginning).

A checkpoint is complete with its last chunk; until then the one before it stays in use. One that does not begin right
behind its base commit could not be read from its first chunk on, so it counts as stale.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum
from typing import assert_never

from pulsar_pipeline.errors import StateLogError
from pulsar_pipeline.statelog.identities import Identities
from pulsar_pipeline.statelog.records import Chunk, Claim, Commit, Entry, Part, Record, Writer


class Fed(Enum):
    """What a record was."""

    CLAIM_WON = "claim won"
    CLAIM_LOST = "claim lost"
    COMMIT = "commit"
    PART = "part"
    CHUNK = "chunk"
    CHECKPOINT = "checkpoint"
    """The last chunk of a complete checkpoint."""
    STALE = "stale"
    """It counts for nobody: its writer had lost the partition, or it was there already."""
    SKIPPED = "skipped"
    """Not to be placed: the fold is not anchored yet."""


@dataclass(slots=True)
class _Checkpoint:
    """A checkpoint of which chunks have been seen, but not yet all."""

    id: str
    base: Commit | None
    writer: str
    message_id: bytes
    seen: int = 0
    state: dict[str, bytes] = field(default_factory=dict)
    """Only while the fold is not anchored; and so are `later`, the writer's parts and commits among the chunks."""
    later: list[Part | Commit] = field(default_factory=list)


class Fold:
    """Feed it a log. Not for several threads at once."""

    def __init__(self) -> None:
        self.claim: Writer | None = None
        """The latest claim that won."""
        self.holder = ""
        """Who that is, in words for people; empty where nothing that was read tells."""
        self.state: dict[str, bytes] = {}
        self.commit: Commit | None = None
        """The last commit that counts, without its entries."""
        self.checkpoint: bytes | None = None
        """Message id of the first chunk of the last complete checkpoint."""
        self.identities = Identities()
        """How far the producers of the inputs' events are in the state."""
        self.anchored = False
        """Whether `state` and `commit` are the log's. They mean nothing before."""
        self._parts: list[Part] = []
        self._assembly: _Checkpoint | None = None
        self.keeps_state = True
        """Whether `state` is kept up to date."""

    @property
    def number(self) -> int:
        """Of the last commit; 0 before the first."""
        return self.commit.number if self.commit else 0

    def take_state(self) -> dict[str, bytes]:
        """The state, given away: what is fed from now on does not change it, and is not kept in memory."""
        state, self.state, self.keeps_state = self.state, {}, False
        return state

    def feed(self, record: Record, message_id: bytes) -> Fed:
        """Take the log's next record; `message_id`: its serialized id.

        Raises StateLogError where a commit, or a part of one, is missing that the latest claim's writer has written.
        """
        match record:
            case Claim():
                return self._feed_claim(record)
            case Chunk():
                return self._feed_chunk(record, message_id)
            case Part() | Commit():
                return self._feed_change(record)
            case _:
                assert_never(record)

    def _feed_claim(self, claim: Claim) -> Fed:
        first = self.claim is None
        if self.claim is not None and claim.by.term <= self.claim.term:
            return Fed.CLAIM_LOST
        if first and claim.incarnation == 1 and claim.checkpoint is None:
            self.anchored = True  # the log's first record: nothing was before it
        self.claim, self.holder = claim.by, claim.writer
        self._parts.clear()
        self._assembly = None
        return Fed.CLAIM_WON

    def _counts(self, by: Writer) -> bool:
        """Whether records of this writer count. While not anchored: only a winner writes anything but claims, so it
        shows who won what came before."""
        if not self.anchored and by != self.claim and (self.claim is None or by.term >= self.claim.term):
            self.claim, self.holder = by, ""
            self._assembly = None
        return by == self.claim

    def _feed_change(self, record: Part | Commit) -> Fed:
        if not self._counts(record.by):
            return Fed.STALE
        if not self.anchored:
            if self._assembly is not None:
                self._assembly.later.append(record)
            return Fed.SKIPPED
        if record.number <= self.number:
            return Fed.STALE
        if record.number != self.number + 1:
            raise _missing(f"commit {self.number + 1}", record)
        match record:
            case Part():
                return self._feed_part(record)
            case Commit():
                return self._feed_commit(record)
            case _:
                assert_never(record)

    def _feed_part(self, part: Part) -> Fed:
        if part.index < len(self._parts):
            return Fed.STALE
        if part.index != len(self._parts):
            raise _missing(f"part {len(self._parts)} of commit {part.number}", part)
        self._parts.append(part)
        return Fed.PART

    def _feed_commit(self, commit: Commit) -> Fed:
        if commit.parts != len(self._parts):
            raise _missing(f"part {len(self._parts)} of commit {commit.number}", commit)
        if self.keeps_state:
            for part in self._parts:
                _change(self.state, part.entries)
            _change(self.state, commit.entries)
        self._parts.clear()
        self.identities.merge(commit.identities)
        self.commit = replace(commit, entries=(), identities=())
        return Fed.COMMIT

    def _feed_chunk(self, chunk: Chunk, message_id: bytes) -> Fed:
        if not self._counts(chunk.by):
            return Fed.STALE
        assembly = self._assembly
        if chunk.index == 0 and (assembly is None or assembly.id != chunk.checkpoint_id):
            assembly = self._assembly = self._begun(chunk, message_id)
        if assembly is None or (assembly.id, assembly.seen) != (chunk.checkpoint_id, chunk.index):
            return Fed.STALE if self.anchored else Fed.SKIPPED
        assembly.seen += 1
        if not self.anchored:
            _change(assembly.state, chunk.entries)
        if assembly.seen != chunk.count:
            return Fed.CHUNK
        self._assembly = None
        self.checkpoint = assembly.message_id
        if not self.anchored:
            self._anchor(assembly)
        return Fed.CHECKPOINT

    def _begun(self, chunk: Chunk, message_id: bytes) -> _Checkpoint | None:
        number = chunk.base.number if chunk.base else 0
        if self.anchored and (number != self.number or self._parts):
            return None
        return _Checkpoint(chunk.checkpoint_id, chunk.base, chunk.writer, message_id)

    def _anchor(self, checkpoint: _Checkpoint) -> None:
        self.anchored = True
        self.holder = self.holder or checkpoint.writer
        self.commit = checkpoint.base and replace(checkpoint.base, identities=())
        self.identities = Identities(checkpoint.base.identities if checkpoint.base else ())
        if self.keeps_state:
            self.state = checkpoint.state
        for record in checkpoint.later:
            self._feed_change(record)


def _change(state: dict[str, bytes], entries: tuple[Entry, ...]) -> None:
    for key, value in entries:
        if value is None:
            state.pop(key, None)
        else:
            state[key] = value


def _missing(what: str, found: Part | Commit) -> StateLogError:
    return StateLogError(
        f"{what} is missing in the state log: {type(found).__name__.lower()} of commit {found.number} came instead",
        mend="the log has lost a message: restore it from another cluster or from an exported state",
    )
