from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from pulsar_pipeline.errors import ClusterError, DataError
from pulsar_pipeline.statelog.stamp import Marker, Stamp
from pulsar_pipeline.view.position import Position
from pulsar_pipeline.view.row import OutputMessage, change_of, iso


def message(key="m-1", payload=b"x", event_time_ms=1_700_000_000_123, stamp=""):
    return OutputMessage(2, Position(7, 8, 9), key, payload, 0, event_time_ms, 1_700_000_000_456, stamp)


def test_a_message_becomes_the_json_that_is_answered():
    record = {"risk": 0.25, "at": datetime(2024, 1, 2, tzinfo=UTC), "cost": Decimal("1.50"), "raw": b"\x00"}
    change = change_of(message(), "west", lambda payload, version: record)
    assert (change.partition, change.position, change.publish_time_ms) == (2, Position(7, 8, 9), 1_700_000_000_456)
    assert change.problem is None
    assert change.row.entity == "m-1"
    assert change.row.token == "v1.west.2.7.8.9"
    assert json.loads(change.row.body) == {
        "entity": "m-1",
        "prediction": {"risk": 0.25, "at": "2024-01-02T00:00:00Z", "cost": "1.50", "raw": "AA=="},
        "event_time": "2023-11-14T22:13:20.123Z",
        "published_time": "2023-11-14T22:13:20.456Z",
        "position": "v1.west.2.7.8.9",
    }


def test_no_event_time_is_null():
    change = change_of(message(event_time_ms=0), "west", lambda payload, version: {})
    assert json.loads(change.row.body)["event_time"] is None


def test_what_json_lacks_is_null():
    change = change_of(message(), "west", lambda payload, version: {"risk": float("nan"), "all": [float("inf")]})
    assert json.loads(change.row.body)["prediction"] == {"risk": None, "all": [None]}


def test_an_undecodable_message_moves_the_position_only():
    def decode(payload, version):
        raise DataError("truncated")

    change = change_of(message(), "west", decode)
    assert (change.row, change.problem, change.position) == (None, "truncated", Position(7, 8, 9))


def test_a_message_without_key_moves_the_position_only():
    change = change_of(message(key=""), "west", lambda payload, version: {})
    assert change.row is None
    assert "key" in change.problem


def test_a_broker_that_cannot_be_asked_is_not_the_messages_fault():
    def decode(payload, version):
        raise ClusterError("no answer")

    with pytest.raises(ClusterError):
        change_of(message(), "west", decode)


def test_a_stamp_goes_with_the_change_whether_or_not_there_is_a_row():
    def damaged(payload, version):
        raise DataError("truncated")

    assert change_of(message(), "west", lambda payload, version: {}).stamp is None
    taken = change_of(message(stamp="1.3:57:a2"), "west", lambda payload, version: {})
    assert (taken.stamp, taken.problem) == (Stamp(1, 3, 57, "a2"), None)
    for bad in (
        change_of(message(stamp="1.3:57"), "west", damaged),
        change_of(message("", stamp="1.3:57"), "west", dict),
    ):
        assert (bad.stamp, bad.row) == (Stamp(1, 3, 57), None)
        assert bad.problem


def test_a_marker_is_no_row_and_no_problem():
    change = change_of(message("", b"", stamp="1.3:m:9f0c"), "west", lambda payload, version: {})
    assert (change.row, change.problem, change.stamp) == (None, None, Marker(1, 3, "9f0c"))


def test_a_message_with_somebody_elses_stamp_moves_the_position_only():
    change = change_of(message(stamp="v1"), "west", lambda payload, version: {})
    assert (change.row, change.stamp, change.position) == (None, None, Position(7, 8, 9))
    assert "stamp" in change.problem


@pytest.mark.parametrize(
    ("time_ms", "text"),
    [(0, "1970-01-01T00:00:00.000Z"), (-1, "1969-12-31T23:59:59.999Z"), (2**62, "9999-12-31T23:59:59.999Z")],
)
def test_times(time_ms, text):
    assert iso(time_ms) == text
