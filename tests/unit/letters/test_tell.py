from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace

from pulsar_pipeline.errors import DataError
from pulsar_pipeline.letters.tell import document, hex_lines, mend, summary
from pulsar_pipeline.runtime.transport.dead_letters import Reason
from pulsar_pipeline.schemas.codec import Encoder
from pulsar_pipeline.schemas.schema import Schema, schema_from_text
from tests.unit.letters.test_choice import letter

SCHEMA = schema_from_text(
    json.dumps({"type": "record", "name": "Event", "fields": [{"name": "n", "type": "long"}]}), "test"
)


def writers(topic: str) -> Callable[[int], Schema]:
    def of(version: int) -> Schema:
        if version != 0:
            raise DataError(f"the topic has no schema version {version}", where=topic)
        return SCHEMA

    return of


def test_the_event_is_told_as_it_was_written() -> None:
    told = document(replace(letter(4), payload=Encoder(SCHEMA)({"n": 7}), key="k"), "acme/risk", writers)
    assert (told["event"], told["unread"]) == ({"n": 7}, None)
    assert (told["position"], told["topic"], told["partition"]) == ("0:1:4", "persistent://acme/in/events", 0)
    assert json.loads(json.dumps(told)) == told


def test_bytes_that_cannot_be_read_are_told_with_why() -> None:
    broken = replace(letter(4), payload=b"\xff")
    told = document(broken, "acme/risk", writers)
    assert told["event"] is None
    assert "field n" in told["unread"]
    assert base64.b64decode(told["payload_base64"]) == b"\xff"
    assert "no schema version 3" in document(replace(broken, schema_version=3), "acme/risk", writers)["unread"]
    assert "without a schema" in document(replace(broken, schema_version=None), "acme/risk", writers)["unread"]


def test_every_reason_has_a_mend_with_the_command() -> None:
    for reason in Reason:
        text = mend(letter(4, reason=reason.value), "acme/risk")
        assert "acme/risk 0:1:4" in text
        assert "no instance of this product" not in text
    assert "no instance of this product" in mend(letter(4, reason=""), "acme/risk")


def test_a_foreign_message_can_be_told() -> None:
    told = summary(replace(letter(4), source_topic="", set_aside_ms=0))
    assert (told["topic"], told["partition"], told["set_aside_at"]) == ("", None, None)


def test_bytes_for_people() -> None:
    assert hex_lines(b"AB\x00") == [f"0000  {'41 42 00':<47}  AB."]
    lines = hex_lines(bytes(300))
    assert len(lines) == 17
    assert lines[-1] == "… 300 bytes in all"
