from __future__ import annotations

import inspect
from typing import Any

import pulsar
import pytest

from pulsar_pipeline.errors import DataError, InstanceError
from pulsar_pipeline.runtime import secrets
from pulsar_pipeline.runtime.processing.context import FunctionContext
from pulsar_pipeline.runtime.transport.event import InputPartition
from tests.unit.runtime.fakes import FakeLane, FakeMessage
from tests.unit.runtime.processing import context as make_context

ORIGIN = InputPartition(
    "readings", "persistent://acme/sensors/readings", 1, "persistent://acme/sensors/readings-partition-1"
)


@pytest.fixture
def lane() -> FakeLane:
    return FakeLane()


@pytest.fixture
def context(lane: FakeLane) -> FunctionContext:
    made = make_context()
    made.enter(ORIGIN, lane)
    return made


def test_the_whole_standard_interface_is_there_with_the_standard_parameters() -> None:
    for name, method in inspect.getmembers(pulsar.Context, inspect.isfunction):
        ours = getattr(FunctionContext, name)
        assert ours is not method, f"{name} is not implemented"
        assert list(inspect.signature(ours).parameters) == list(inspect.signature(method).parameters), name


def test_it_speaks_of_the_event_in_work(context: FunctionContext) -> None:
    context.message = FakeMessage(key="m7", event_time=5, props={"trace": "x"})
    assert context.get_message_key() == context.get_partition_key() == "m7"
    assert context.get_message_eventtime() == 5
    assert context.get_message_properties() == {"trace": "x"}
    assert context.get_current_message_topic_name() == ORIGIN.full_name
    assert context.get_message_id().ledger_id() == 1


def test_it_speaks_of_the_deployment(context: FunctionContext) -> None:
    assert (context.get_function_tenant(), context.get_function_namespace()) == ("acme", "predictions")
    assert (context.get_function_name(), context.get_function_id()) == ("failure-risk", "0a1b")
    assert (context.get_instance_id(), context.get_function_version()) == (1, "2")
    assert context.get_input_topics() == ["persistent://acme/sensors/readings"]
    assert context.get_output_topic() == "persistent://acme/predictions/failure-risk"
    assert context.get_user_config_value("model") == "forest"
    assert context.get_user_config_value("missing") is None
    assert context.get_secret("password") == "hunter2"
    assert context.get_secret("missing") is None
    assert context.get_pulsar_client() == "the client"


@pytest.mark.parametrize(("message", "payload"), [("text", b"text"), (b"bytes", b"bytes"), (42, b"42")])
def test_publish(context: FunctionContext, lane: FakeLane, message: Any, payload: bytes) -> None:
    context.publish(
        "persistent://acme/alerts/a",
        message,
        properties={"n": 1},
        message_conf={"partition_key": "k", "event_timestamp": 9, "ordering_key": None},
    )
    assert lane.published == [], "not before the event has succeeded"
    context.effects.apply(lane)
    (sent,) = lane.published
    assert (sent.topic, sent.payload) == ("persistent://acme/alerts/a", payload)
    assert sent.options == {"properties": {"n": "1"}, "partition_key": "k", "event_timestamp": 9}


def test_publish_where_one_may_not(context: FunctionContext, lane: FakeLane) -> None:
    def refuse(_message: Any) -> None:
        raise DataError("no such topic")

    lane.check = refuse  # type: ignore[method-assign]
    with pytest.raises(DataError, match="no such topic"):
        context.publish("persistent://acme/alerts/b", b"x")
    assert not context.effects.any


def test_publish_with_an_unknown_serde_is_told(context: FunctionContext) -> None:
    with pytest.raises(InstanceError, match=r"unknown serde 'my.OwnSerDe'"):
        context.publish("t", b"x", serde_class_name="my.OwnSerDe")


def test_state_and_counters(context: FunctionContext) -> None:
    context.put_state("model", "v1")
    context.put_state("raw", b"\x00\xff")
    assert (context.get_state("model"), context.get_state("raw")) == (b"v1", b"\x00\xff")
    context.del_state("model")
    assert context.get_state("model") is None
    context.incr_counter("seen", 3)
    context.incr_counter("seen", 2)
    assert (context.get_counter("seen"), context.get_counter("other")) == (5, 0)
    context.del_counter("seen")
    assert context.get_counter("seen") == 0


def test_metrics_are_taken_once_a_batch(context: FunctionContext) -> None:
    context.record_metric("auc", 1)
    context.record_metric("auc", 3.0)
    metric = context.take_metrics()["auc"]
    assert (metric.count, metric.total, metric.last) == (2, 4.0, 3.0)
    assert context.take_metrics() == {}


def test_what_setup_publishes_goes_out() -> None:
    made = make_context()
    made.publish("persistent://acme/alerts/a", b"up")
    made.prepared()
    (sent,) = made._lane._sink.sent  # type: ignore[attr-defined]
    assert sent.payload == b"up"


def test_secrets_from_the_environment() -> None:
    get = secrets.provider("secretsprovider.EnvironmentBasedSecretsProvider", {}, {"PASSWORD": "x"})
    assert (get("PASSWORD"), get("OTHER")) == ("x", None)


def test_an_unknown_secrets_provider_is_told() -> None:
    with pytest.raises(InstanceError, match=r"unknown secrets provider 'com.Vault'"):
        secrets.provider("com.Vault", {}, {})
