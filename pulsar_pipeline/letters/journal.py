"""What a replay notes down before it sends, so that the next one knows what an interrupted one has sent.

The note stands with the dead-letter topic's subscription, in the broker: for each input partition that the replay sends
to, where that ended before. From there on the copies tell by their properties what they are replays of.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from urllib.parse import quote

import pulsar

from pulsar_pipeline.cluster.failures import client_failure
from pulsar_pipeline.cluster.http import AdminHttp
from pulsar_pipeline.errors import ClusterError, ClusterNotFound
from pulsar_pipeline.letters.letter import REPLAY_FOR, REPLAY_OF
from pulsar_pipeline.names import DEAD_LETTERS_SUBSCRIPTION, TopicName, parse_topic

_PREFIX = "replay "
_PATIENCE_MS = 15_000

Place = tuple[int, int]
"""Ledger and entry."""


class Journal:
    """Of one partition of a dead-letter topic."""

    def __init__(self, http: AdminHttp, topic: TopicName, partition: int) -> None:
        subscription = f"subscription/{quote(DEAD_LETTERS_SUBSCRIPTION)}/properties"
        self._http = http
        self._path = f"/admin/v2/persistent/{topic.path}-partition-{partition}/{subscription}"
        self._ends: dict[str, str] | None = None

    def open_replays(self) -> dict[str, Place]:
        """Input partitions that a replay was sending to when it was interrupted → where they ended before."""
        return {name: _place(text) for name, text in self._noted().items()}

    def begin(self, input_partition: str) -> None:
        """Call before the first event is sent there. An older note, of a replay that was interrupted, stays."""
        noted = self._noted()
        if input_partition in noted:
            return
        noted[input_partition] = _text(last_place(self._http, input_partition))
        self._store(noted)

    def done(self) -> None:
        """All that was sent is acknowledged."""
        if self._noted():
            self._store({})

    def _noted(self) -> dict[str, str]:
        if self._ends is None:
            found: Mapping[str, str] = self._http.get(self._path) or {}
            self._ends = {name.removeprefix(_PREFIX): text for name, text in found.items() if name.startswith(_PREFIX)}
        return self._ends

    def _store(self, noted: dict[str, str]) -> None:
        self._http.put(self._path, json={f"{_PREFIX}{name}": text for name, text in noted.items()})
        self._ends = noted


def last_place(http: AdminHttp, partition: str) -> Place:
    """Where a partition ends. Raises ClusterError."""
    path = partition.removeprefix("persistent://")
    try:
        found = http.get(f"/admin/v2/persistent/{path}/lastMessageId")
    except ClusterNotFound as error:
        raise ClusterNotFound(f"there is no {path}", where=error.where) from error
    return int(found["ledgerId"]), int(found["entryId"])


def replayed_since(
    client: pulsar.Client, http: AdminHttp, input_partition: str, start: Place, deployment: str
) -> set[tuple[str, str]]:
    """Identities of the events whose replays for a deployment stand behind `start`. Raises ClusterError."""
    end = last_place(http, input_partition)
    if end <= start:
        return set()
    try:
        return set(_replays(client, input_partition, start, end, deployment))
    except pulsar.PulsarException as error:
        doing = f"cannot read {input_partition}"
        raise client_failure(error, where=f"cluster {http.name}", doing=doing) from error


def _replays(
    client: pulsar.Client, partition: str, start: Place, end: Place, deployment: str
) -> Iterator[tuple[str, str]]:
    reader = client.create_reader(partition, _message_id(partition, start))
    try:
        while reader.has_message_available():
            message = reader.read_next(_PATIENCE_MS)
            identity = message.message_id()
            if (identity.ledger_id(), identity.entry_id()) > end:
                return
            properties = message.properties()
            if properties.get(REPLAY_FOR) == deployment and REPLAY_OF in properties:
                yield partition, properties[REPLAY_OF]
    finally:
        reader.close()


def _message_id(partition: str, place: Place) -> pulsar.MessageId:
    if place[1] < 0:
        return pulsar.MessageId.earliest
    _, number = parse_topic(partition)
    return pulsar.MessageId(-1 if number is None else number, *place, -1)


def _text(place: Place) -> str:
    return f"{place[0]}:{place[1]}"


def _place(text: str) -> Place:
    ledger, _, entry = text.partition(":")
    try:
        return int(ledger), int(entry)
    except ValueError as error:
        raise ClusterError(f"not a note of a replay: {text!r}") from error
