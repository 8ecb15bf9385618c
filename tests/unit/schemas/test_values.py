"""JSON-able values and event times."""

from __future__ import annotations

import datetime
import decimal
import json
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulsar_pipeline.errors import DataError
from pulsar_pipeline.schemas.values import event_time_ms, jsonable
from tests.support.avro import definitions, values

AT = datetime.datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=datetime.UTC)
CET = datetime.timezone(datetime.timedelta(hours=1))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (AT, "2026-01-02T03:04:05.678901Z"),
        (AT.astimezone(CET), "2026-01-02T03:04:05.678901Z"),
        (AT.replace(tzinfo=None), "2026-01-02T03:04:05.678901"),
        (AT.date(), "2026-01-02"),
        (datetime.time(1, 2), "01:02:00"),
        (b"\x00\xff", "AP8="),
        (decimal.Decimal("1.20"), "1.20"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (float("nan"), None),
        (float("inf"), None),
        (1.5, 1.5),
        (True, True),
        ({"a": [{"b": b"x"}], "c": (1, None)}, {"a": [{"b": "eA=="}], "c": [1, None]}),
    ],
)
def test_jsonable(value, expected):
    assert jsonable(value) == expected


def test_a_value_of_another_kind_is_refused():
    with pytest.raises(DataError, match="object has no JSON form"):
        jsonable({"a": object()})


@given(st.data())
def test_every_record_has_a_json_form(data):
    value = data.draw(values(data.draw(definitions())))
    json.dumps(jsonable(value), allow_nan=False)
    assert set(jsonable(value)) == set(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (AT, 1767323045678),
        (AT.astimezone(CET), 1767323045678),
        (AT.replace(tzinfo=None), 1767323045678),
        ("2026-01-02T03:04:05.678Z", 1767323045678),
        ("2026-01-02T04:04:05.678+01:00", 1767323045678),
        (1767323045678, 1767323045678),
        (None, None),
    ],
)
def test_event_times(value, expected):
    assert event_time_ms({"at": value}, "at") == expected


def test_no_field_no_event_time():
    assert event_time_ms({}, "at") is None


@pytest.mark.parametrize("value", ["yesterday", 1.5, True, b"1"])
def test_what_is_no_time_is_refused(value):
    with pytest.raises(DataError, match="field at: not an event time"):
        event_time_ms({"at": value}, "at")
