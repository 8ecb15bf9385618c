"""A deployment's state into a file, partition after partition: one at a time is in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import BinaryIO

import pulsar

from pulsar_pipeline.names import TopicName
from pulsar_pipeline.runtime.guarantees.pieces import live
from pulsar_pipeline.state.archive import ArchiveWriter, End, Header, Section, archive_key
from pulsar_pipeline.state.reading import read_partition
from pulsar_pipeline.statelog.fold import Fold
from pulsar_pipeline.statelog.packing import pack
from pulsar_pipeline.statelog.records import Commit


def export_state(
    client: pulsar.Client,
    topic: TopicName,
    tenant_key: bytes,
    header: Header,
    file: BinaryIO,
    progress: Callable[[int], None],
) -> End:
    """Write the state that the logs of `topic` come to; `progress` hears of each partition. Raises StateLogError.

    The deployment may run: each partition is then as of a commit of its own.
    """
    writer = ArchiveWriter(file, archive_key(tenant_key), header)
    for partition in range(header.partitions):
        progress(partition)
        fold = read_partition(client, topic.partition(partition), tenant_key)
        writer.section(Section(partition, _whole_commit(fold)))
        for entries in pack(live(fold.state)):
            writer.entries(entries)
    return writer.end()


def _whole_commit(fold: Fold) -> Commit | None:
    return fold.commit and replace(fold.commit, identities=tuple(fold.identities), checkpoint=None)
