"""Whether what came of a partition's events is what a serial run of the function makes of them.

Each event once, each input's order kept, outputs equal one by one by the rule that views use, messages for another
topic and dead letters there once and in order without any rule, state equal byte by byte.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulsar

from pulsar_pipeline.errors import DataError, StateLogError
from pulsar_pipeline.names import parse_topic
from pulsar_pipeline.rollout.instance_config import InstanceConfig
from pulsar_pipeline.runtime.guarantees.order import input_numbers
from pulsar_pipeline.runtime.guarantees.outbox import SPACE
from pulsar_pipeline.runtime.guarantees.pieces import join
from pulsar_pipeline.runtime.transport.event import position_of
from pulsar_pipeline.schemas.codec import Decoder
from pulsar_pipeline.schemas.wire import version_of, writer_lookup
from pulsar_pipeline.statelog.fold import Fed, Fold
from pulsar_pipeline.statelog.keys import log_key
from pulsar_pipeline.statelog.lineage import Lineage, Verdict, judge
from pulsar_pipeline.statelog.records import Claim, Position
from pulsar_pipeline.statelog.runs import expand
from pulsar_pipeline.statelog.stamp import PROPERTY, Stamp, parse
from pulsar_pipeline.statelog.topics import StateLogReader
from pulsar_pipeline.testing import Event
from tests.support.serial import Balance, Told, serial_run

READ_TIMEOUT_MS = 30_000
QUIET_MS = 200
"""Without a record for so long, a log that nobody writes to any more has been read."""


class Wrong(AssertionError):
    """The promise was broken; the text says where and how."""


class LogWatch:
    """Reads a partition's state log as it grows."""

    def __init__(self, client: pulsar.Client, topic: str, key: bytes) -> None:
        self.fold = Fold()
        self.fed: Counter[Fed] = Counter()
        self.owner_pid = 0
        """Of the process whose claim is the latest that won."""
        self.commits: Counter[int] = Counter()
        """By process."""
        self._reader = StateLogReader(client, topic, log_key(key, topic), None)

    def look(self, timeout_ms: int = 1) -> None:
        """Take in what has come. Raises Wrong where the log contradicts itself."""
        while (read := self._reader.read(timeout_ms)) is not None:
            record, identity = read
            try:
                fed = self.fold.feed(record, identity)
            except StateLogError as error:
                raise Wrong(f"the state log is broken: {error}") from error
            self.fed[fed] += 1
            if isinstance(record, Claim) and fed is Fed.CLAIM_WON:
                self.owner_pid = int(record.writer.rpartition(":")[2])
            if fed is Fed.COMMIT:
                self.commits[self.owner_pid] += 1

    @property
    def in_outbox(self) -> list[str]:
        """What waits to be delivered, or to be forgotten."""
        return [key for key in self.fold.state if key.startswith(SPACE) and key[len(SPACE)].isdigit()]

    @property
    def positions(self) -> dict[str, Position]:
        commit = self.fold.commit
        return {} if commit is None else dict(commit.positions)

    def close(self) -> None:
        self._reader.close()


@dataclass(frozen=True)
class Outputs:
    """What counts of an output partition, in order."""

    stamps: list[Stamp]
    balances: list[Balance]
    verdicts: Counter[Verdict]


@dataclass(frozen=True)
class Verified:
    """A partition found right."""

    events: int
    verdicts: Counter[Verdict]
    fed: Counter[Fed]
    told: int
    """Messages for another topic."""
    failed: int
    """Dead letters."""


@dataclass(frozen=True)
class Letter:
    """A dead letter."""

    reason: str
    source: str
    """Topic's partition and position."""
    payload: bytes


@dataclass(frozen=True)
class Given(Event):
    """An input event, with its bytes."""

    payload: bytes = b""


class Checker:
    """The partitions of one deployment."""

    def __init__(self, client: pulsar.Client, config: InstanceConfig, key: bytes, function: Path, audit: str) -> None:
        """`function` is the folder of its source; `key` the tenant's state key; `audit` the topic it publishes to."""
        assert config.output is not None
        assert config.state_topic is not None
        self._client, self._config, self._function, self._output = client, config, function, config.output.topic
        self._audit = audit
        state, _ = parse_topic(config.state_topic)
        self._partitions = config.output.partitions
        self.logs = [LogWatch(client, state.partition(number), key) for number in range(self._partitions)]
        self._decode_output = Decoder(None, writer_lookup(client, self._output))
        self._decoders = {
            name: Decoder(None, writer_lookup(client, binding.topic)) for name, binding in config.inputs.items()
        }

    def look(self) -> None:
        for log in self.logs:
            log.look()

    def wait_done(self, ends: dict[tuple[str, int], Position], timeout_s: float) -> None:
        """Until commits have reached the last event of each (input, partition)."""

        def behind() -> list[str]:
            self.look()
            return [
                f"{name}-{number}: {self.logs[number].positions.get(name)} of {end}"
                for (name, number), end in ends.items()
                if self.logs[number].positions.get(name, Position(-1, -1, -1)) < end
            ] + [f"in outbox {number}: {waiting}" for number, log in enumerate(self.logs) if (waiting := log.in_outbox)]

        last: list[str] = []
        deadline = time.monotonic() + timeout_s
        while last := behind():
            if time.monotonic() > deadline:
                raise Wrong(f"not all was processed within {timeout_s} s: {'; '.join(last)}")
            time.sleep(0.05)

    def verify(self) -> list[Verified]:
        """Once nothing is written any more. Raises Wrong."""
        told = self._told()
        if strange := told.keys() - {str(number) for number in range(self._partitions)}:
            raise Wrong(f"published by {strange}")
        return [self._verify(number, told.get(str(number), [])) for number in range(self._partitions)]

    def close(self) -> None:
        for log in self.logs:
            log.close()

    def _verify(self, number: int, told: list[list[Told]]) -> Verified:
        log = self.logs[number]
        log.look(QUIET_MS)
        commit = log.fold.commit
        outputs = self._outputs(number)
        where = f"partition {number}"
        if commit is None:
            raise Wrong(f"{where}: nothing was committed")
        if len(outputs.stamps) != commit.seq:
            raise Wrong(f"{where}: {len(outputs.stamps)} outputs count, the last commit tells of {commit.seq}")
        events = self._in_order([stamp.runs for stamp in outputs.stamps] + [commit.runs], number)
        reference = serial_run(self._function, [event for event, _ in events])
        _same_list(f"{where}: outputs", reference.outputs, outputs.balances)
        letters = [Letter(reason, events[at][1], events[at][0].payload) for at, reason in reference.failed]
        _same_list(f"{where}: dead letters", letters, self._letters(number))
        _once_in_order(f"{where}: published", reference.told, told)
        _same_state(where, reference.state, functions_own(join(log.fold.state)))
        return Verified(len(events), outputs.verdicts, log.fed, len(reference.told), len(letters))

    def _told(self) -> dict[str, list[list[Told]]]:
        """What was published, by the partition whose owner did: in each partition of the topic, in order."""
        found: dict[str, list[list[Told]]] = {}
        for at, partition in enumerate(self._client.get_topic_partitions(self._audit)):
            for message in read_partition(self._client, partition):
                owner = message.producer_name().rpartition("#")[0].rpartition("/")[2]
                lists = found.setdefault(owner, [])
                lists.extend([] for _ in range(at + 1 - len(lists)))
                lists[at].append(
                    Told(
                        message.data(), message.partition_key() or None, message.event_timestamp(), message.properties()
                    )
                )
        return found

    def _letters(self, number: int) -> list[Letter]:
        topic, _ = parse_topic(self._config.dead_letter_topic)
        return [
            Letter(told["reason"], f"{told['source_topic']} {told['source_position']}", message.data())
            for message in read_partition(self._client, topic.partition(number))
            if (told := message.properties())
        ]

    def _in_order(self, runs: list[str], number: int) -> list[tuple[Given, str]]:
        """The input events in the order of their processing; each has to be in it once."""
        inputs = {name: self._input(name, number) for name in self._config.inputs}
        names = list(input_numbers(self._config.inputs))
        if len(names) == 1:
            return inputs[names[0]]
        order = [names[index] for text in runs for index in expand(text)]
        processed, sent = Counter(order), Counter({name: len(events) for name, events in inputs.items()})
        if processed != sent:
            raise Wrong(f"partition {number}: by the runs {dict(processed)} were processed, of {dict(sent)} sent")
        each = {name: iter(events) for name, events in inputs.items()}
        return [next(each[name]) for name in order]

    def _input(self, name: str, number: int) -> list[tuple[Given, str]]:
        """Each event, and where it stands."""
        partition = parse_topic(self._config.inputs[name].topic)[0].partition(number)
        return [
            (self._given(name, message), f"{partition} {position_of(message)}")
            for message in read_partition(self._client, partition)
        ]

    def _given(self, name: str, message: pulsar.Message) -> Given:
        payload = message.data()
        try:
            record: dict[str, Any] | bytes = self._decoders[name](payload, version_of(message))
        except DataError:
            record = payload
        return Given(name, record, message.partition_key(), message.event_timestamp() or None, payload=payload)

    def _outputs(self, number: int) -> Outputs:
        topic, _ = parse_topic(self._output)
        outputs = Outputs([], [], Counter())
        lineage = Lineage()
        for message in read_partition(self._client, topic.partition(number)):
            stamp = parse(message.properties()[PROPERTY])
            before = lineage
            verdict, lineage = judge(lineage, stamp)
            outputs.verdicts[verdict] += 1
            if verdict is Verdict.GAP:
                raise Wrong(f"partition {number}: a gap in the outputs, {stamp} after {before}")
            if verdict is Verdict.TAKE and isinstance(stamp, Stamp):
                outputs.stamps.append(stamp)
                record = self._decode_output(message.data(), version_of(message))
                outputs.balances.append(Balance(record, message.partition_key(), message.event_timestamp()))
        return outputs


def read_partition(client: pulsar.Client, topic: str) -> list[pulsar.Message]:
    """All that a partition holds that nobody writes to."""
    reader = client.create_reader(topic, pulsar.MessageId.earliest)
    messages = []
    try:
        while reader.has_message_available():
            messages.append(reader.read_next(READ_TIMEOUT_MS))
    finally:
        reader.close()
    return messages


def _same_list(what: str, expected: list[Any], found: list[Any]) -> None:
    for place, (one, other) in enumerate(zip(expected, found, strict=False)):
        if one != other:
            raise Wrong(f"{what} differ first at {place} (seq {place + 1}): {one} expected, {other} found")
    if len(expected) != len(found):
        raise Wrong(f"{what}: {len(expected)} expected, {len(found)} found")


def _once_in_order(what: str, expected: list[Told], found: list[list[Told]]) -> None:
    """Each of the expected messages is in one of the lists, once, and each list is in the order of the expected."""
    place = {each.payload: at for at, each in enumerate(expected)}
    seen: Counter[bytes] = Counter()
    for partition, messages in enumerate(found):
        last = -1
        for message in messages:
            at = place.get(message.payload)
            if at is None or expected[at] != message:
                raise Wrong(f"{what}: {message} in partition {partition} was never to be")
            seen[message.payload] += 1
            if at <= last:
                raise Wrong(f"{what}: {message} in partition {partition} comes after {expected[last]}")
            last = at
    if missing := [each for each in expected if not seen[each.payload]]:
        raise Wrong(f"{what}: {len(missing)} of {len(expected)} are missing, first {missing[0]}")
    if doubled := [payload for payload, count in seen.items() if count > 1]:
        raise Wrong(f"{what}: {len(doubled)} came more than once, first {doubled[0]!r}")


def functions_own(state: dict[str, bytes]) -> dict[str, bytes]:
    """The state without the platform's outbox, which tells of deliveries."""
    return {key: value for key, value in state.items() if not key.startswith(SPACE)}


def _same_state(where: str, expected: dict[str, bytes], found: dict[str, bytes]) -> None:
    different = sorted(key for key in expected.keys() | found.keys() if expected.get(key) != found.get(key))
    if different:
        told = "; ".join(f"{key}: {expected.get(key)!r} expected, {found.get(key)!r} found" for key in different[:3])
        raise Wrong(f"{where}: state differs in {len(different)} of {len(expected)} keys: {told}")
