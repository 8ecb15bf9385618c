"""Rows → events ready to send: encoded, with key and event time. Every row is checked whole before it is sent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pulsar_pipeline.errors import DataError
from pulsar_pipeline.ingest.convert import Converter
from pulsar_pipeline.ingest.rows import BadRow, Format, Row
from pulsar_pipeline.schemas.codec import Encoder
from pulsar_pipeline.schemas.schema import Schema
from pulsar_pipeline.schemas.values import event_time_ms
from pulsar_pipeline.schemas.wire import MAX_PAYLOAD


@dataclass(frozen=True, slots=True)
class Event:
    """One message to send."""

    line: int
    payload: bytes
    key: str | None
    event_time_ms: int | None


class EventMaker:
    """Makes the events of one topic."""

    def __init__(self, schema: Schema, *, key: str | None, event_time: str | None) -> None:
        """`key` and `event_time` are the fields of the record that become the message's."""
        self._converter = Converter(schema.definition)
        self._encode = Encoder(schema)
        self._key = key
        self._event_time = event_time

    def check_columns(self, header: list[str]) -> None:
        """Raises DataError when a CSV's columns are not the schema's fields."""
        self._converter.check_columns(header)

    def events(self, rows: Iterable[Row | BadRow], format_: Format) -> Iterator[Event | BadRow]:
        """Each row's event, or why it is none."""
        convert = self._converter.from_cells if format_ is Format.CSV else self._converter.from_json
        for row in rows:
            if isinstance(row, BadRow):
                yield row
                continue
            try:
                event = self.event(convert(row.values), row.line)
            except DataError as error:
                yield BadRow(row.line, f"{error.where}: {error.what}" if error.where else error.what, row.values)
                continue
            yield event

    def event(self, record: Mapping[str, Any], line: int = 0) -> Event:
        """The event of a record (Avro values). Raises DataError naming the field."""
        payload = self._encode(record)
        if len(payload) > MAX_PAYLOAD:
            raise DataError(f"{len(payload)} bytes encoded; the most is {MAX_PAYLOAD}")
        return Event(line, payload, self._key_of(record), self._time_of(record))

    def _key_of(self, record: Mapping[str, Any]) -> str | None:
        if self._key is None:
            return None
        value = record.get(self._key)
        if value is None:
            raise DataError("the message's key, and it is null", where=f"field {self._key}")
        return str(value)

    def _time_of(self, record: Mapping[str, Any]) -> int | None:
        if self._event_time is None:
            return None
        time = event_time_ms(record, self._event_time)
        if time is not None and time <= 0:
            raise DataError("the event time is not after 1970-01-01", where=f"field {self._event_time}")
        return time
