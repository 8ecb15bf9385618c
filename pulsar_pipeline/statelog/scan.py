"""Where the last checkpoint that counts begins, in a log without its beginning that says nothing usable of it. Pure.

That is the case where the log was trimmed and what its last record points at belongs to another cluster. A writer whose
claim has not been seen has won it before reading began (only a winner writes anything but claims), so it has made void
what writers of older claims have written since; its records show that, at the latest with the checkpoint looked for.
"""

from __future__ import annotations

from pulsar_pipeline.statelog.records import Chunk, Claim, Record, Writer


class Scan:
    """Feed it all records there are. It keeps no state, so it needs no memory to speak of."""

    def __init__(self) -> None:
        self.checkpoint: bytes | None = None
        """Message id of the first chunk of the last complete checkpoint that counts."""
        self._claim: Writer | None = None
        self._open: tuple[str, int, bytes] | None = None
        """A checkpoint that is not complete yet: its id, how many chunks there were, where it begins."""

    def feed(self, record: Record, message_id: bytes) -> None:
        """Take the next record; `message_id`: its serialized id."""
        if isinstance(record, Claim):
            if self._claim is None or record.by.term > self._claim.term:
                self._claim, self._open = record.by, None
            return
        if record.by != self._claim:
            if self._claim is not None and record.by.term < self._claim.term:
                return
            self._claim, self._open, self.checkpoint = record.by, None, None
        if isinstance(record, Chunk):
            self._feed_chunk(record, message_id)

    def _feed_chunk(self, chunk: Chunk, message_id: bytes) -> None:
        if chunk.index == 0 and (self._open is None or self._open[0] != chunk.checkpoint_id):
            self._open = (chunk.checkpoint_id, 0, message_id)
        if self._open is None or self._open[:2] != (chunk.checkpoint_id, chunk.index):
            return
        name, seen, start = self._open
        self._open = (name, seen + 1, start)
        if seen + 1 == chunk.count:
            self.checkpoint, self._open = start, None
