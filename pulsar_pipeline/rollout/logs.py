"""What the instances of a deployment log, read from its log topic."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from types import TracebackType
from typing import Any

import pulsar

from pulsar_pipeline.cluster.failures import client_failure

_WAIT_MS = 200


@dataclass(frozen=True, slots=True, order=True)
class LogLine:
    """One record, ordered by time."""

    time_ms: int
    instance: str
    level: str
    message: str
    exception: str = ""
    """Its trace, where it has one."""


def parse_line(payload: bytes, properties: dict[str, str], publish_ms: int) -> LogLine:
    """Our runtime sends JSON; the stock one text. Neither is refused."""
    text = payload.decode("utf-8", "replace")
    instance = properties.get("instance", properties.get("instance_id", ""))
    level = properties.get("level", properties.get("loglevel", "")).lower()
    try:
        record = json.loads(text)
    except ValueError:
        record = None
    if not isinstance(record, dict) or "event" not in record:
        return LogLine(publish_ms, instance, level, text.rstrip("\n"))
    return LogLine(publish_ms, instance, level, str(record["event"]), str(record.get("exception") or ""))


class LogTopicReader:
    """Readers on every partition of a log topic. Use as a context manager."""

    def __init__(self, client: pulsar.Client, topic: str, partitions: int, *, cluster: str) -> None:
        """Connects; raises ClusterError."""
        self._topic, self._where = topic, f"cluster {cluster}"
        self._readers: list[pulsar.Reader] = []
        try:
            for partition in range(partitions):
                reader = client.create_reader(f"{topic}-partition-{partition}", pulsar.MessageId.earliest)
                self._readers.append(reader)
        except pulsar.PulsarException as error:
            self.close()
            raise self._failure(error) from error

    def __enter__(self) -> LogTopicReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        for reader in self._readers:
            try:
                reader.close()
            except pulsar.PulsarException:
                continue  # nothing is lost with a reader
        self._readers.clear()

    def tail(self, lines: int, since_ms: int) -> list[LogLine]:
        """The last `lines` of all that was logged after `since_ms`, oldest first. Raises ClusterError."""
        try:
            ends = [deque(self._to_end(reader, since_ms), maxlen=lines) for reader in self._readers]
        except pulsar.PulsarException as error:
            raise self._failure(error) from error
        # Instances send their lines in batches, so that even one partition is not in the order of time.
        return sorted(chain(*ends), key=lambda line: line.time_ms)[-lines:]

    def follow(self, stop: Callable[[], bool]) -> Iterator[LogLine]:
        """What is logged from where `tail` ended, until `stop()`. Raises ClusterError."""
        while not stop():
            for reader in self._readers:
                try:
                    message = reader.read_next(timeout_millis=_WAIT_MS // max(1, len(self._readers)))
                except pulsar.Timeout:
                    continue
                except pulsar.PulsarException as error:
                    raise self._failure(error) from error
                yield _line(message)

    def _to_end(self, reader: pulsar.Reader, since_ms: int) -> Iterator[LogLine]:
        reader.seek(since_ms)
        while reader.has_message_available():
            line = _line(reader.read_next(timeout_millis=10_000))
            if line.time_ms >= since_ms:  # a batch is found by its first message
                yield line

    def _failure(self, error: pulsar.PulsarException) -> Exception:
        return client_failure(error, where=self._where, doing=f"cannot read {self._topic}")


def _line(message: Any) -> LogLine:
    return parse_line(message.data(), message.properties(), message.publish_timestamp())
