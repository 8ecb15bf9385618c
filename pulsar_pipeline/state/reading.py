"""One partition of a deployment's state, as its log has it now. It claims nothing, so instances may run meanwhile."""

from __future__ import annotations

import pulsar

from pulsar_pipeline.errors import StateLogError
from pulsar_pipeline.statelog.fold import Fold
from pulsar_pipeline.statelog.keys import log_key
from pulsar_pipeline.statelog.topics import StateLogReader, find_span, read_span


def read_partition(client: pulsar.Client, topic: str, tenant_key: bytes) -> Fold:
    """What the log of a partition (its full name) comes to; an empty fold for an empty log. Raises StateLogError."""
    key, fold = log_key(tenant_key, topic), Fold()
    span = find_span(client, topic, key)
    if span is None:
        return fold
    reader = StateLogReader(client, topic, key, span.start)
    try:
        for record, identity in read_span(reader, span):
            fold.feed(record, identity)
    finally:
        reader.close()
    if not fold.anchored:
        raise StateLogError("the state log has lost its beginning and holds no checkpoint", where=topic)
    return fold
