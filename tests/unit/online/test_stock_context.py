"""A plain context, as Pulsar's own Python instance gives it, made one that a function can rely on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pulsar
import pytest

from pulsar_pipeline.errors import ClusterError
from pulsar_pipeline.online.context import RESERVED_KEY
from pulsar_pipeline.online.models import Models
from pulsar_pipeline.online.stock import OutputMessage, StockContext
from pulsar_pipeline.online.windows import TumblingWindows
from pulsar_pipeline.schemas.schema import schema_from_text

OUTPUT = "persistent://t/n/out"
SCHEMA = schema_from_text('{"type": "record", "name": "R", "fields": []}', "here")


class Broker:
    """A client whose messages are stored when `answer` is called, or at once."""

    def __init__(self, partitions: int = 2, *, at_once: pulsar.Result | None = pulsar.Result.Ok) -> None:
        self.partitions = partitions
        self.sent: list[tuple[str, bytes, dict[str, Any]]] = []
        self.producers: dict[str, dict[str, Any]] = {}
        self._at_once = at_once
        self._waiting: list[Callable[[Any, Any], None]] = []

    def get_topic_partitions(self, topic: str) -> list[str]:
        return [f"{topic}-partition-{number}" for number in range(self.partitions)] or [topic]

    def create_producer(self, topic: str, **options: Any) -> Any:
        self.producers[topic] = options

        def send_async(payload: bytes, callback: Callable[[Any, Any], None], **message: Any) -> None:
            self.sent.append((topic, payload, message))
            self._waiting.append(callback)
            if self._at_once is not None:
                self.answer(self._at_once)

        return SimpleNamespace(send_async=send_async)

    def answer(self, result: pulsar.Result = pulsar.Result.Ok) -> None:
        waiting, self._waiting = self._waiting, []
        for callback in waiting:
            callback(result, None)


class NullStateContext:
    """The stock one: what is put is lost."""

    def put(self, key: str, value: Any) -> None: ...

    def get_value(self, key: str) -> None: ...


class Stock(pulsar.Context):  # type: ignore[misc]
    """What our code sees of the stock ContextImpl; it knows neither its client's name nor its output topic."""

    def __init__(
        self, broker: Broker, *, auto_ack: bool = True, guarantee: int = 0, config: dict[str, Any] | None = None
    ) -> None:
        details = SimpleNamespace(autoAck=auto_ack, processingGuarantees=guarantee, sink=SimpleNamespace(topic=OUTPUT))
        self.instance_config = SimpleNamespace(function_details=details)
        self.pulsar_client = broker
        self.state_context: Any = NullStateContext()
        self.user_config: Any = config or []
        self.topic = "persistent://t/n/in-partition-1"
        self.acknowledged: list[tuple[Any, str]] = []
        self.published: list[tuple[str, Any, dict[str, Any]]] = []

    def get_message_id(self) -> str:
        return "id"

    def get_current_message_topic_name(self) -> str:
        return self.topic

    def get_user_config_value(self, key: str) -> Any:
        return dict(self.user_config).get(key)

    def get_output_topic(self) -> str:
        return self.instance_config.function_details.output  # type: ignore[no-any-return]  # an AttributeError

    def ack(self, msgid: Any, topic: str) -> None:
        self.acknowledged.append((msgid, topic))

    def publish(self, topic_name: str, message: Any, **options: Any) -> None:
        self.published.append((topic_name, message, options))
        options["callback"](pulsar.Result.Ok, None)

    def put_state(self, key: str, value: Any) -> Any:
        return self.state_context.put(key, value)

    def get_state(self, key: str) -> Any:
        return self.state_context.get_value(key)

    def incr_counter(self, key: str, amount: int) -> Any:
        return self.state_context.incr(key, amount)

    def get_counter(self, key: str) -> Any:
        return self.state_context.get_amount(key)

    def del_counter(self, key: str) -> Any:
        return self.state_context.delete(key)


ONE = OutputMessage(b"1", "k", 7)
TWO = OutputMessage(b"2", None, None)


def test_outputs_go_with_their_schema_to_the_partition_of_the_event() -> None:
    broker = Broker()
    context = StockContext(Stock(broker), SCHEMA)
    with context.event():
        context.answer([ONE, TWO])
    topic = f"{OUTPUT}-partition-1"
    assert broker.sent == [(topic, b"1", {"partition_key": "k", "event_timestamp": 7}), (topic, b"2", {})]
    assert broker.producers[topic]["schema"].schema_info().schema() == SCHEMA.text
    assert not broker.producers[topic]["batching_enabled"]


@pytest.mark.parametrize(("topic", "partitions"), [("persistent://t/n/in-partition-5", 2), ("persistent://t/n/in", 2)])
def test_outputs_of_other_partitions_go_to_the_topic(topic: str, partitions: int) -> None:
    stock = Stock(Broker(partitions))
    stock.topic = topic
    context = StockContext(stock, None)
    with context.event():
        context.answer([ONE])
    assert stock.pulsar_client.sent[0][0] == OUTPUT
    assert "schema" not in stock.pulsar_client.producers[OUTPUT]


def test_the_output_of_the_deployment_is_asked_for_first() -> None:
    stock = Stock(Broker(0), config={RESERVED_KEY: {"output": {"topic": "persistent://t/n/other"}}})
    assert StockContext(stock, None).get_output_topic() == "persistent://t/n/other"


def test_an_event_is_done_when_all_is_stored() -> None:
    stock = Stock(Broker(at_once=None))
    context = StockContext(stock, SCHEMA)
    done = threading.Event()

    def process() -> None:
        with context.event():
            context.answer([ONE, TWO])
        done.set()

    worker = threading.Thread(target=process)
    worker.start()
    while len(stock.pulsar_client.sent) < 2:
        assert worker.is_alive()
    assert not done.is_set()
    stock.pulsar_client.answer()
    worker.join(5)
    assert done.is_set()
    assert stock.acknowledged == []


def test_what_is_not_stored_fails_the_event() -> None:
    context = StockContext(Stock(Broker(at_once=pulsar.Result.Timeout)), SCHEMA)
    with pytest.raises(ClusterError, match=r"not published: Result\.Timeout"), context.event():
        context.answer([ONE])


@pytest.mark.parametrize("how", [{"auto_ack": False}, {"guarantee": 3}])
def test_where_nobody_else_does_the_event_is_acknowledged_once_all_is_stored(how: dict[str, Any]) -> None:
    stock = Stock(Broker(at_once=None), **how)
    context = StockContext(stock, SCHEMA)
    with context.event():
        context.answer([ONE])
    assert stock.pulsar_client.producers[f"{OUTPUT}-partition-1"]["batching_enabled"]
    stock.topic = "persistent://t/n/in-partition-0"
    with context.event():
        context.answer([TWO])
    assert stock.acknowledged == []
    stock.pulsar_client.answer()
    assert stock.acknowledged == [("id", "persistent://t/n/in-partition-1"), ("id", "persistent://t/n/in-partition-0")]
    with context.event():
        context.answer([ONE])
    stock.pulsar_client.answer(pulsar.Result.Timeout)
    assert len(stock.acknowledged) == 2
    with context.event():
        context.answer([])
    assert len(stock.acknowledged) == 3


def test_a_failing_event_is_neither_waited_for_nor_acknowledged() -> None:
    stock = Stock(Broker(at_once=None), auto_ack=False)
    context = StockContext(stock, SCHEMA)
    with pytest.raises(ValueError, match="unlucky"), context.event():
        context.answer([ONE])
        raise ValueError("unlucky")
    stock.pulsar_client.answer()
    assert stock.acknowledged == []


def test_what_the_function_publishes_is_part_of_its_event() -> None:
    heard: list[Any] = []
    stock = Stock(Broker())
    context = StockContext(stock, None)
    with context.event():
        context.publish("t/n/a", b"x", callback=lambda result, _id: heard.append(result), message_conf={"a": 1})
    [(topic, message, options)] = stock.published
    assert (topic, message, options["message_conf"]) == ("t/n/a", b"x", {"a": 1})
    assert heard == [pulsar.Result.Ok]


def test_state_is_in_memory_where_there_is_no_store() -> None:
    stock = Stock(Broker())
    context = StockContext(stock, None)
    context.put_state("a", "text")
    context.incr_counter("c", 2)
    assert (context.get_state("a"), context.get_counter("c"), context.get_counter("d")) == (b"text", 2, 0)
    stock.topic = "persistent://t/n/in-partition-0"
    assert (context.get_state("a"), context.get_counter("c")) == (None, 0)
    stock.topic = "persistent://t/n/labels-partition-1"
    context.del_state("a")
    context.del_counter("c")
    assert (context.get_state("a"), context.get_counter("c")) == (None, 0)


class Table:
    """A store that keeps."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}
        self.put, self.get_value, self.get_amount = self.kept.__setitem__, self.kept.get, self.kept.get

    def incr(self, key: str, amount: int) -> None:
        self.kept[key] = self.kept.get(key, 0) + amount

    def delete(self, key: str) -> None:
        self.kept.pop(key, None)


def test_a_store_is_used_where_there_is_one() -> None:
    stock = Stock(Broker())
    stock.state_context = table = Table()
    context = StockContext(stock, None)
    context.put_state("a", b"1")
    context.incr_counter("c", 2)
    assert table.kept == {"a": b"1", "c": 2}
    assert (context.get_state("a"), context.get_counter("c"), context.get_counter("none")) == (b"1", 2, 0)
    context.del_state("a")
    context.del_counter("c")
    assert table.kept == {}


@pytest.mark.parametrize(
    "failure", [AttributeError("'NoneType' object has no attribute 'get_value'"), NotImplementedError()]
)
def test_a_store_that_raises_is_none(failure: Exception, caplog: pytest.LogCaptureFixture) -> None:
    class Raising(Stock):
        def get_state(self, key: str) -> Any:
            raise failure

    stock = Raising(Broker())
    stock.state_context = object()
    context = StockContext(stock, None)
    context.put_state("a", b"1")
    assert context.get_state("a") == b"1"
    assert "state is kept in memory" in caplog.text


def test_a_context_without_any_of_it_will_do() -> None:
    class Bare:
        def get_current_message_topic_name(self) -> str:
            return "t/n/in"

    context = StockContext(Bare(), None)
    context.put_state("a", b"1")
    assert context.get_state("a") == b"1"
    with context.event():
        context.answer([])


def test_objects_can_be_forgotten() -> None:
    context = StockContext(Stock(Broker()), None)
    context.get_state_object("windows/1", list).append(1)
    context.del_state_object("windows/1")
    context.del_state_object("windows/1")
    assert context.get_state_object("windows/1", list) == []


def test_models_are_apart_for_each_partition() -> None:
    stock = Stock(Broker())
    models = Models(StockContext(stock, None), lambda key: [key])
    models["m"].append(1)
    stock.topic = "persistent://t/n/in-partition-0"
    assert models["m"] == ["m"]
    stock.topic = "persistent://t/n/labels-partition-1"
    assert models["m"] == ["m", 1]


def test_windows_are_apart_for_each_partition_and_leave_nothing_behind() -> None:
    stock = Stock(Broker())
    context = StockContext(stock, None)
    windows = TumblingWindows(context, int, lambda n, _: n + 1, size=timedelta(minutes=1))
    windows.add("m", {}, context, at=1)
    stock.topic = "persistent://t/n/in-partition-0"
    windows.add("m", {}, context, at=70_000)
    stock.topic = "persistent://t/n/in-partition-1"
    (closed,) = windows.add("m", {}, context, at=60_000)
    assert (closed.start_ms, closed.value) == (0, 1)
    assert list(context._states[1]._objects) == ["windows/agenda", "windows/page/0", "windows/60000-120000/m"]
