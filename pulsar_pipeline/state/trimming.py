"""What nobody needs again of a state log, let go of in a cluster where no owner does it: in a copy of another's."""

from __future__ import annotations

import pulsar

from pulsar_pipeline.names import STATE_SUBSCRIPTION
from pulsar_pipeline.statelog.keys import log_key
from pulsar_pipeline.statelog.records import Chunk
from pulsar_pipeline.statelog.scan import Scan
from pulsar_pipeline.statelog.topics import StateLogReader, find_span, read_span, trim


def trim_partition(client: pulsar.Client, topic: str, tenant_key: bytes) -> bool:
    """Acknowledge what is before the last complete checkpoint of a partition (its full name); False where there is
    nothing before it, or none. Reads all that there is of the log. Raises StateLogError."""
    key, scan = log_key(tenant_key, topic), Scan()
    span = find_span(client, topic, key)
    if span is None:
        return False
    before: dict[bytes, bytes] = {}
    last: bytes | None = None
    reader = StateLogReader(client, topic, key, None)
    try:
        for record, identity in read_span(reader, span):
            scan.feed(record, identity)
            if isinstance(record, Chunk) and record.index == 0 and last is not None:
                before[identity] = last
            last = identity
    finally:
        reader.close()
    behind = None if scan.checkpoint is None else before.get(scan.checkpoint)
    if behind is None:
        return False
    trim(client, topic, STATE_SUBSCRIPTION, behind)
    return True
