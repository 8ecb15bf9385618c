from __future__ import annotations

import json
from typing import Any

import pytest

from pulsar_pipeline.errors import DataError
from pulsar_pipeline.ingest.events import Event, EventMaker
from pulsar_pipeline.ingest.rows import BadRow, Format, Row
from pulsar_pipeline.schemas.schema import schema_from_text
from pulsar_pipeline.schemas.wire import MAX_PAYLOAD

SCHEMA = schema_from_text(
    json.dumps(
        {
            "type": "record",
            "name": "Reading",
            "fields": [
                {"name": "machine", "type": ["null", "string"]},
                {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
                {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["L", "H"]}},
            ],
        }
    ),
    "test",
)
GOOD = {"machine": "m-1", "at": "2026-01-02T03:04:05Z", "kind": "L"}


def made(*rows: Row | BadRow, format_: Format = Format.CSV) -> list[Event | BadRow]:
    return list(EventMaker(SCHEMA, key="machine", event_time="at").events(rows, format_))


def bad(**changes: str) -> str:
    (found,) = made(Row(7, GOOD | changes))
    assert isinstance(found, BadRow)
    assert found.line == 7
    assert found.raw == GOOD | changes
    return found.reason


def test_key_and_event_time_come_from_the_record() -> None:
    (event,) = made(Row(2, GOOD))
    assert isinstance(event, Event)
    assert (event.line, event.key, event.event_time_ms) == (2, "m-1", 1_767_323_045_000)


def test_the_same_from_json() -> None:
    csv, text = made(Row(2, GOOD)), made(Row(2, GOOD), format_=Format.JSONL)
    assert csv == text


def test_bad_rows_keep_their_place_among_the_others() -> None:
    unread = BadRow(3, "not JSON", "{")
    found = made(Row(2, GOOD), unread, Row(4, GOOD | {"kind": "X"}), Row(5, GOOD))
    assert [type(item) for item in found] == [Event, BadRow, BadRow, Event]
    assert found[1] is unread


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"kind": "X"}, "field kind: expected one of H, L"),
        ({"at": "then"}, "field at: expected an ISO 8601 time"),
        ({"machine": ""}, "field machine: the message's key, and it is null"),
        ({"at": "1969-01-01T00:00:00Z"}, "field at: the event time is not after 1970"),
    ],
)
def test_the_reason_names_the_field(changes: dict[str, str], reason: str) -> None:
    assert bad(**changes).startswith(reason)


def test_an_event_too_large_for_a_bookie_is_refused() -> None:
    maker = EventMaker(SCHEMA, key=None, event_time=None)
    record: dict[str, Any] = {"machine": "x" * MAX_PAYLOAD, "at": 1, "kind": "L"}
    with pytest.raises(DataError, match="the most is"):
        maker.event(record)
