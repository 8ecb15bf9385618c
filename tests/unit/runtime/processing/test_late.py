"""Late events as messages of the late topic."""

from __future__ import annotations

import json
from typing import Any

import pulsar
import pytest

from pulsar_pipeline.errors import DataError
from pulsar_pipeline.runtime.processing.late import LateTopic, inputs_of_late
from pulsar_pipeline.runtime.transport.event import InputPartition
from pulsar_pipeline.schemas.codec import Decoder
from pulsar_pipeline.schemas.schema import Schema, schema_from_text
from tests.support.avro import record
from tests.unit.runtime.fakes import FakeLane, FakeMessage
from tests.unit.runtime.processing import context

LATE = "persistent://acme/in/late"
CLICKS = InputPartition("clicks", "persistent://acme/in/clicks", 3, "persistent://acme/in/clicks-partition-3")


def schema(name: str, *fields: tuple[str, Any]) -> Schema:
    return schema_from_text(json.dumps(record(*fields, name=name)), name)


CLICK = schema("Click", ("page", "string"), ("n", "long"))
RULE = schema("Rule", ("page", "string"))


class Registry:
    """The topic's schemas, by version."""

    def __init__(self, *schemas: Schema) -> None:
        self._schemas = schemas
        self.asked = 0

    @property
    def _client(self) -> Registry:
        return self

    def get_schema_info(self, topic: str, version: int) -> Any:
        assert topic == LATE
        self.asked += 1
        if version >= len(self._schemas):
            raise pulsar.TopicNotFound("no such version")
        return pulsar.schema.AvroSchema(None, schema_definition=json.loads(self._schemas[version].text))._schema_info


def test_a_late_event_goes_to_the_partition_of_its_input_with_key_and_time() -> None:
    topic = LateTopic(LATE, {"clicks": CLICK})
    message = topic.message({"page": "a", "n": 7}, CLICKS, FakeMessage(key="a", event_time=1_234))
    assert message.topic == f"{LATE}-partition-3"
    assert message.options == {"partition_key": "a", "event_timestamp": 1_234}
    assert Decoder(CLICK, lambda _version: CLICK)(message.payload, 0) == {"page": "a", "n": 7}


def test_an_event_without_key_and_time_keeps_having_none() -> None:
    message = LateTopic(LATE, {"clicks": CLICK}).message({"page": "a", "n": 7}, CLICKS, FakeMessage(key=""))
    assert message.options == {}


def test_an_event_of_an_input_with_another_schema_is_refused() -> None:
    with pytest.raises(DataError, match="does not take events of input 'clicks'") as caught:
        LateTopic(LATE, {"rules": RULE}).message({"page": "a"}, CLICKS, FakeMessage())
    assert "rules" in (caught.value.mend or "")


def test_a_record_that_is_not_one_of_the_input_is_refused() -> None:
    with pytest.raises(DataError, match="n"):
        LateTopic(LATE, {"clicks": CLICK}).message({"page": "a"}, CLICKS, FakeMessage())


def test_the_broker_is_asked_only_where_inputs_differ() -> None:
    registry: Any = Registry()
    assert inputs_of_late(registry, LATE, {"clicks": CLICK, "more": CLICK}) == {"clicks": CLICK, "more": CLICK}
    assert registry.asked == 0


def test_the_inputs_of_a_late_topic_are_those_whose_schema_it_has() -> None:
    registry: Any = Registry(RULE, CLICK)
    other = schema("Other", ("x", "long"))
    assert set(inputs_of_late(registry, LATE, {"clicks": CLICK, "others": other})) == {"clicks"}
    assert inputs_of_late(registry, LATE, {"others": other, "thirds": schema("T", ("y", "long"))}) == {}


def test_late_events_wait_for_the_success_of_their_event() -> None:
    made, lane = context(), FakeLane()
    made.late = LateTopic(LATE, {"clicks": CLICK})
    made.enter(CLICKS, lane)
    made.message = FakeMessage()
    made.send_late({"page": "a", "n": 7})
    made.effects.clear()
    assert lane.published == []
    made.send_late({"page": "b", "n": 7})
    made.effects.apply(lane)
    assert [message.topic for message in lane.published] == [f"{LATE}-partition-3"]


def test_without_a_late_topic_nothing_is_sent() -> None:
    made, lane = context(), FakeLane()
    made.enter(CLICKS, lane)
    made.message = FakeMessage()
    made.send_late({"page": "a"})
    made.effects.apply(lane)
    assert lane.published == []
