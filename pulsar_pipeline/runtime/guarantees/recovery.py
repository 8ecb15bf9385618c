"""An owner's start: what the state log and the output's tail say has happened, so that it happens once."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import pulsar

from pulsar_pipeline.errors import InstanceError
from pulsar_pipeline.runtime.guarantees.order import Sequencer
from pulsar_pipeline.runtime.guarantees.owner import Owner
from pulsar_pipeline.runtime.guarantees.partition_log import PartitionLog
from pulsar_pipeline.runtime.guarantees.partition_state import PartitionState
from pulsar_pipeline.runtime.transport.event import message_id, position_at, position_of
from pulsar_pipeline.statelog.identities import Identities
from pulsar_pipeline.statelog.lineage import Lineage, Verdict, judge
from pulsar_pipeline.statelog.records import Commit, Position
from pulsar_pipeline.statelog.runs import Runs, expand
from pulsar_pipeline.statelog.stamp import PROPERTY, Marker, Stamp, marker_text, parse

_TAIL_TIMEOUT_MS = 30_000

_log = logging.getLogger(__name__)


def recover(
    client: pulsar.Client,
    log: PartitionLog,
    partition: int,
    numbers: Mapping[str, int],
    output: str | None,
    schema: Any,
) -> Owner:
    """The owner of `partition`, whose log is claimed. `output` is the full name of the output's partition, `schema`
    what its producers attach.

    Raises InstanceError when the output contradicts the log.
    """
    commit = log.fold.commit
    positions = {} if commit is None else dict(commit.positions)
    outputs_from = None if commit is None or commit.outputs_from is None else _position(commit.outputs_from)
    seq = 0 if commit is None else commit.seq
    tail = [] if output is None else _tail(client, log, partition, output, schema, commit, outputs_from)
    runs = "" if commit is None else commit.runs
    recorded = [number for stamp in tail for number in expand(stamp.runs)][len(list(expand(runs))) :]
    _log.info(
        "partition %s: incarnation %s, commit %s, seq %s, %s outputs beyond it",
        partition,
        log.incarnation,
        0 if commit is None else commit.number,
        seq,
        len(tail),
    )
    return Owner(
        partition=partition,
        epoch=log.epoch,
        incarnation=log.incarnation,
        nonce=log.nonce,
        number=0 if commit is None else commit.number,
        state=PartitionState(log.take_state()),
        positions=positions,
        seq=seq,
        tail_seq=tail[-1].seq if tail else seq,
        sequencer=Sequencer(numbers, positions, recorded),
        outputs_from=outputs_from,
        identities=Identities(log.fold.identities),
        runs=Runs(runs),
    )


def _tail(
    client: pulsar.Client,
    log: PartitionLog,
    partition: int,
    output: str,
    schema: Any,
    commit: Commit | None,
    start: Position | None,
) -> list[Stamp]:
    """The stamps of the outputs that exist beyond the commit, up to a marker of our own."""
    _mark(client, log, output, schema)
    reader = client.create_reader(
        output,
        pulsar.MessageId.earliest if start is None else message_id(partition, start),
        start_message_id_inclusive=True,
    )
    lineage: Lineage | None = None
    tail: list[Stamp] = []
    try:
        while True:
            message = reader.read_next(_TAIL_TIMEOUT_MS)
            text = message.properties().get(PROPERTY)
            if text is None:
                continue  # somebody else's; plans refuse other writers, but a raw producer may have come by
            stamp = parse(text)
            if lineage is None:
                # The first message may be of an older incarnation than the commit: one made while outputs were still
                # being made again goes on pointing at where those begin.
                lineage = Lineage(
                    stamp.epoch, stamp.incarnation - isinstance(stamp, Marker), commit.seq if commit else 0
                )
            verdict, lineage = judge(lineage, stamp)
            if isinstance(stamp, Marker) and stamp.nonce == log.nonce:
                return _checked(tail, verdict, output, log)
            if verdict is Verdict.GAP:
                raise InstanceError(f"outputs are missing before {text} at {position_of(message)}", where=output)
            if verdict is Verdict.TAKE and isinstance(stamp, Stamp):
                tail.append(stamp)
    except pulsar.Timeout as error:
        raise InstanceError("the outputs cannot be read back", where=output) from error
    finally:
        reader.close()


def _checked(tail: list[Stamp], verdict: Verdict, output: str, log: PartitionLog) -> list[Stamp]:
    if verdict is not Verdict.MARKER:
        if log.lost():  # paused between claim and marker, say
            raise InstanceError("another instance has claimed the partition meanwhile", where=log.topic)
        raise InstanceError(
            "the output holds incarnations that the state log knows nothing of: was the log deleted?",
            where=output,
            mend="give the deployment a new name, or a new output topic",
        )
    return tail


def _mark(client: pulsar.Client, log: PartitionLog, output: str, schema: Any) -> None:
    """Open our incarnation in the output: whatever an older one sends after this counts for nobody."""
    options = {} if schema is None else {"schema": schema}
    producer = client.create_producer(output, initial_sequence_id=1, batching_enabled=False, **options)
    try:
        producer.send(None, properties={PROPERTY: marker_text(log.epoch, log.incarnation, log.nonce)})
    finally:
        producer.close()


def _position(serialized: bytes) -> Position:
    return position_at(pulsar.MessageId.deserialize(serialized))
