"""From a deployment's `guarantee` to the part that keeps it, its partitions recovered."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pulsar

from pulsar_pipeline.cluster.state_keys import load_state_key, state_key_file
from pulsar_pipeline.errors import InstanceError, TokenError
from pulsar_pipeline.names import parse_topic
from pulsar_pipeline.online.state import MemoryState
from pulsar_pipeline.rollout.instance_config import InstanceConfig
from pulsar_pipeline.runtime.arguments import Arguments
from pulsar_pipeline.runtime.guarantees.admission import Admission
from pulsar_pipeline.runtime.guarantees.at_least_once import AtLeastOnce
from pulsar_pipeline.runtime.guarantees.at_most_once import AtMostOnce
from pulsar_pipeline.runtime.guarantees.committer import Committer
from pulsar_pipeline.runtime.guarantees.direct_lane import DirectLane
from pulsar_pipeline.runtime.guarantees.exactly_once import ExactlyOnce
from pulsar_pipeline.runtime.guarantees.order import input_numbers
from pulsar_pipeline.runtime.guarantees.owner_lane import OwnerLane
from pulsar_pipeline.runtime.guarantees.partition_log import PartitionLog
from pulsar_pipeline.runtime.guarantees.recovery import recover
from pulsar_pipeline.runtime.guarantees.stamped_input import StampedInputs
from pulsar_pipeline.runtime.guarantees.unlogged import DirectTurns
from pulsar_pipeline.runtime.processing.guarantee import Guarantee
from pulsar_pipeline.runtime.transport.dead_letters import hung_before
from pulsar_pipeline.runtime.transport.event import InputPartition
from pulsar_pipeline.runtime.transport.outlet import Outlet
from pulsar_pipeline.runtime.transport.sink import Sink
from pulsar_pipeline.runtime.transport.source import Source
from pulsar_pipeline.statelog.keys import log_key
from pulsar_pipeline.statelog.lineage import ANYWHERE

EXIT_FENCED = 76
"""Another instance has taken over; the worker may start a fresh one, which waits for its partitions."""

_log = logging.getLogger(__name__)


def keep(
    client: pulsar.Client,
    arguments: Arguments,
    partitions: Sequence[InputPartition],
    sink: Sink,
    source: Source,
    output_schema: Any,
    keys: Path | None,
    timers: Callable[[], int] | None,
) -> Guarantee:
    """The guarantee of a deployment, ready for the loop. `timers` is the clock of timers, in milliseconds; None for a
    function that has none. Raises InstanceError, StateLogError."""
    config = arguments.config
    match config.guarantee:
        case "at_most_once":
            return AtMostOnce(_direct(config, partitions, sink, timers), sink.flush, source.acknowledge)
        case "at_least_once":
            return AtLeastOnce(_direct(config, partitions, sink, timers), sink.flush, source.acknowledge)
        case "exactly_once":
            return _exactly_once(client, arguments, partitions, sink, source, output_schema, keys, timers)
        case other:
            raise InstanceError(f"unknown guarantee {other!r}", mend="deploy again with this version")


def state_key(arguments: Arguments, keys: Path | None) -> bytes:
    """What the tenant's state is signed with; `keys` is the folder that has it. Raises InstanceError."""
    if keys is None:
        raise InstanceError(
            "there is no folder of keys to sign the state with",
            mend="set PULSAR_PIPELINE_FUNCTION_TOKENS for the functions worker",
        )
    try:
        return load_state_key(state_key_file(keys, arguments.details.tenant))
    except TokenError as error:
        raise InstanceError(error.what, where=error.where, mend=error.mend) from error


def _direct(
    config: InstanceConfig, partitions: Sequence[InputPartition], sink: Sink, timers: Callable[[], int] | None
) -> DirectTurns:
    by_name = {owned.full_name: owned for owned in partitions}
    numbers = sorted({owned.partition for owned in partitions})
    lanes = {number: DirectLane(_outlet(config, number, sink), sink, MemoryState()) for number in numbers}
    return DirectTurns(lanes, by_name, StampedInputs(by_name, lambda _partition: ANYWHERE), timers)


def _exactly_once(
    client: pulsar.Client,
    arguments: Arguments,
    partitions: Sequence[InputPartition],
    sink: Sink,
    source: Source,
    output_schema: Any,
    keys: Path | None,
    timers: Callable[[], int] | None,
) -> Guarantee:
    config = arguments.config
    if config.state_topic is None:
        raise InstanceError("the deployment has no state topic", mend="deploy again with this version")
    key = state_key(arguments, keys)
    state_topic, _ = parse_topic(config.state_topic)
    numbers = input_numbers(config.inputs)
    function = arguments.details.fully_qualified_name
    who = f"{function}/{arguments.instance_id}@{socket.gethostname()}:{os.getpid()}"
    logs, lanes = {}, {}
    for partition in sorted({owned.partition for owned in partitions}):
        topic = state_topic.partition(partition)
        log = PartitionLog(client, topic, log_key(key, topic), config.epoch, who)
        log.claim()
        output = _output_partition(config, partition)
        owner = recover(client, log, partition, numbers, output, output_schema)
        lanes[partition] = OwnerLane(
            owner, _outlet(config, partition, sink), f"{function}/{partition}", client, sink.schema_of
        )
        logs[partition] = log
    by_name = {owned.full_name: owned for owned in partitions}
    # Without outputs nobody sees in which order inputs and timers were taken, and one input alone has no order.
    noted = numbers if config.output and (len(numbers) > 1 or timers is not None) else {}
    hung = hung_before(client, config.dead_letter_topic, lanes)
    for partition, number in hung.timers.items():
        lanes[partition].hung_timer = number
    return ExactlyOnce(
        lanes,
        Admission(lanes, by_name, noted, hung.events, timers),
        Committer(logs, sink.flush, source.acknowledge, _fenced, lambda: _deliver(lanes.values())),
    )


def _deliver(lanes: Iterable[OwnerLane]) -> bool:
    pending = [lane.deliver() for lane in lanes]
    return any(pending)


def _output_partition(config: InstanceConfig, partition: int) -> str | None:
    return parse_topic(config.output.topic)[0].partition(partition) if config.output else None


def _outlet(config: InstanceConfig, partition: int, sink: Sink) -> Outlet | None:
    output = _output_partition(config, partition)
    return None if output is None else sink.outlet(output)


def _fenced() -> None:
    _log.critical("another instance has taken this one's partitions over; this one ends")
    logging.shutdown()
    os._exit(EXIT_FENCED)
