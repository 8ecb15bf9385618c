"""From a deployment's `guarantee` to the part that keeps it, its partitions recovered."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pulsar

from pulsar_pipeline.cluster.state_keys import load_state_key, state_key_file
from pulsar_pipeline.errors import InstanceError, TokenError
from pulsar_pipeline.names import parse_topic
from pulsar_pipeline.runtime.arguments import Arguments
from pulsar_pipeline.runtime.at_least_once import AtLeastOnce
from pulsar_pipeline.runtime.at_most_once import AtMostOnce
from pulsar_pipeline.runtime.committer import Committer
from pulsar_pipeline.runtime.dead_letters import hung_before
from pulsar_pipeline.runtime.event import InputPartition
from pulsar_pipeline.runtime.exactly_once import ExactlyOnce
from pulsar_pipeline.runtime.guarantee import Guarantee
from pulsar_pipeline.runtime.order import input_numbers
from pulsar_pipeline.runtime.partition_log import PartitionLog
from pulsar_pipeline.runtime.recovery import recover
from pulsar_pipeline.runtime.sink import Sink
from pulsar_pipeline.runtime.source import Source
from pulsar_pipeline.runtime.stamped_input import StampedInputs
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
) -> Guarantee:
    """The guarantee of a deployment, ready for the loop. Raises InstanceError, StateLogError."""
    config = arguments.config
    output = parse_topic(config.output.topic)[0].partition if config.output else _no_output
    stamped = StampedInputs({owned.full_name: owned for owned in partitions}, lambda _partition: ANYWHERE)
    match config.guarantee:
        case "at_most_once":
            return AtMostOnce(sink.send, sink.flush, source.acknowledge, output, stamped)
        case "at_least_once":
            return AtLeastOnce(sink.send, sink.flush, source.acknowledge, output, stamped)
        case "exactly_once":
            return _exactly_once(client, arguments, partitions, sink, source, output, output_schema, keys)
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


def _exactly_once(
    client: pulsar.Client,
    arguments: Arguments,
    partitions: Sequence[InputPartition],
    sink: Sink,
    source: Source,
    output: Callable[[int], str],
    output_schema: Any,
    keys: Path | None,
) -> Guarantee:
    config = arguments.config
    if config.state_topic is None:
        raise InstanceError("the deployment has no state topic", mend="deploy again with this version")
    key = state_key(arguments, keys)
    state_topic, _ = parse_topic(config.state_topic)
    numbers = input_numbers(config.inputs)
    who = f"{arguments.details.fully_qualified_name}/{arguments.instance_id}@{socket.gethostname()}:{os.getpid()}"
    logs, owners = {}, {}
    for partition in sorted({owned.partition for owned in partitions}):
        topic = state_topic.partition(partition)
        log = PartitionLog(client, topic, log_key(key, topic), config.epoch, who)
        log.claim()
        name = output(partition) if config.output else None
        owners[partition] = recover(client, log, partition, numbers, name, output_schema)
        logs[partition] = log
    return ExactlyOnce(
        owners,
        {owned.full_name: owned for owned in partitions},
        numbers if config.output else {},  # without outputs nobody sees in which order inputs were taken
        sink.send,
        output if config.output else _nowhere,
        Committer(logs, sink.flush, source.acknowledge, _fenced),
        hung_before(client, config.dead_letter_topic, owners),
    )


def _fenced() -> None:
    _log.critical("another instance has taken this one's partitions over; this one ends")
    logging.shutdown()
    os._exit(EXIT_FENCED)


def _no_output(_partition: int) -> str:
    raise InstanceError("the deployment has no output")


def _nowhere(_partition: int) -> str:
    return ""
