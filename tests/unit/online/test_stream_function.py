"""The base class: handlers by input, dispatch by topic, and the bytes way of the stock runtime."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import pulsar
import pytest

from pulsar_pipeline.errors import DataError, InstanceError, PackageError
from pulsar_pipeline.online.answers import Answer
from pulsar_pipeline.online.codecs import Codecs
from pulsar_pipeline.online.context import RESERVED_KEY, event_key, event_time_ms
from pulsar_pipeline.online.coroutines import CoroutineRunner
from pulsar_pipeline.online.function import StreamFunction, check_handlers, is_async, on, on_many
from pulsar_pipeline.online.memory import Current, MemoryContext
from pulsar_pipeline.online.serde import BytesSerDe
from pulsar_pipeline.package.manifest import Manifest
from pulsar_pipeline.rollout.instance_config import USER_CONFIG_KEY
from tests.support.tiny_functions import write_function


class Two(StreamFunction):
    def setup(self, context: Any) -> None:
        self.seen: list[tuple[str, Any]] = []

    @on("readings")
    def reading(self, event: dict[str, Any], context: Any) -> dict[str, Any]:
        self.seen.append(("readings", event))
        return {"twice": event["n"] * 2}

    @on("labels")
    def label(self, event: dict[str, Any], context: Any) -> None:
        self.seen.append(("labels", event))


def at(topic: str, **config: Any) -> MemoryContext:
    context = MemoryContext(config=config)
    context.current = Current(topic, 0, "m1", 1_700_000_000_000)
    return context


@pytest.mark.parametrize(
    "topic",
    [
        "persistent://acme/factory/readings",
        "persistent://acme/factory/readings-partition-3",
        "acme/factory/readings-partition-12",
        "acme/factory/readings",
    ],
)
def test_every_shape_of_a_topic_name_finds_the_handler(topic: str) -> None:
    function = Two()
    assert function.process({"n": 2}, at(topic)) == {"twice": 4}
    assert function.seen == [("readings", {"n": 2})]


def test_bindings_of_the_deployment_name_the_inputs() -> None:
    bindings = {
        "readings": {"topic": "persistent://acme/factory/sensor-data", "partitions": 4},
        "labels": {"topic": "persistent://acme/factory/readings", "partitions": 4},
    }
    function = Two()
    context = at("persistent://acme/factory/readings-partition-0", **{RESERVED_KEY: {"inputs": bindings}})
    assert function.process({"n": 1}, context) is None
    context.current.topic = "persistent://acme/factory/sensor-data-partition-1"
    assert function.process({"n": 1}, context) == {"twice": 2}
    assert [name for name, _ in function.seen] == ["labels", "readings"]


def test_the_reserved_key_is_the_one_that_rollout_writes() -> None:
    assert RESERVED_KEY == USER_CONFIG_KEY


@pytest.mark.parametrize(
    ("topic", "config"),
    [
        ("persistent://acme/factory/other", {}),
        ("persistent://acme/factory/readings", {RESERVED_KEY: {"inputs": {"labels": {"topic": "a/b/c"}}}}),
        ("nonsense", {}),
    ],
)
def test_an_unknown_topic_is_told(topic: str, config: dict[str, Any]) -> None:
    with pytest.raises(InstanceError) as caught:
        Two().process({"n": 1}, at(topic, **config))
    assert topic in str(caught.value)


def test_setup_runs_once_and_a_failing_one_runs_again() -> None:
    class Flaky(Two):
        calls = 0

        def setup(self, context: Any) -> None:
            super().setup(context)
            Flaky.calls += 1
            if Flaky.calls == 1:
                raise RuntimeError("not yet")

    function, context = Flaky(), at("a/b/readings")
    with pytest.raises(RuntimeError, match="not yet"):
        function.prepare(context)
    function.prepare(context)
    function.process({"n": 1}, context)
    context.current.topic = "a/b/labels"
    function.process({"n": 1}, context)
    assert Flaky.calls == 2


def test_a_constructor_need_not_call_the_base_class() -> None:
    class Own(Two):
        def __init__(self) -> None:
            self.own = True

    assert Own().process({"n": 3}, at("a/b/readings")) == {"twice": 6}


def test_a_subclass_inherits_and_overrides_handlers() -> None:
    class Thrice(Two):
        def reading(self, event: dict[str, Any], context: Any) -> dict[str, Any]:
            return {"thrice": event["n"] * 3}

    assert Thrice().process({"n": 1}, at("a/b/readings")) == {"thrice": 3}
    assert dict(Thrice.handlers) == {"readings": "reading", "labels": "label"}


def test_two_handlers_for_an_input_are_refused() -> None:
    with pytest.raises(PackageError, match="two handlers for input 'readings'"):
        type(
            "Double",
            (StreamFunction,),
            {"one": on("readings")(lambda *_: None), "two": on("readings")(lambda *_: None)},
        )


def test_one_method_may_handle_several_inputs() -> None:
    class Any_(StreamFunction):
        @on("a", "b")
        def both(self, event: dict[str, Any], context: Any) -> None: ...

    assert dict(Any_.handlers) == {"a": "both", "b": "both"}


@pytest.mark.parametrize(
    ("inputs", "what"),
    [
        ({"readings", "labels", "prices"}, "no handler for input prices"),
        ({"readings"}, "a handler for labels"),
    ],
)
def test_handlers_and_inputs_have_to_agree(inputs: set[str], what: str) -> None:
    with pytest.raises(PackageError, match=what):
        check_handlers(Two, inputs)


def test_a_class_without_handlers_is_refused() -> None:
    class Nothing(StreamFunction): ...

    with pytest.raises(PackageError, match="handles no input"):
        Nothing()


def test_key_and_time_of_an_event() -> None:
    context = at("a/b/readings")
    assert (event_key(context), event_time_ms(context)) == ("m1", 1_700_000_000_000)
    context.current = Current("a/b/readings", 1)
    assert (event_key(context), event_time_ms(context)) == (None, None)


# ── micro-batches and coroutines ──────────────────────────────────────────────────────────────


class Many(StreamFunction):
    @on_many("readings", "labels")
    def both(self, events: list[dict[str, Any]], context: Any) -> Any:
        keys, times = context.get_message_keys(), context.get_message_eventtimes()
        if events[0].get("answers") is not None:
            return events[0]["answers"]
        return [{**event, "key": key, "at": at} for event, key, at in zip(events, keys, times, strict=True)]


def test_a_class_with_micro_batches_has_process_many() -> None:
    context = at("t/n/readings")
    context.begin(Current("t/n/readings", 0, "m1", 1), [Current("", 0, "m1", 1), Current("", 1, "m2", 2)])
    assert Many().process_many([{"n": 1}, {"n": 2}], context) == [  # type: ignore[attr-defined]
        {"n": 1, "key": "m1", "at": 1},
        {"n": 2, "key": "m2", "at": 2},
    ]
    assert not hasattr(Two, "process_many")
    assert not hasattr(Two(), "process_many")


def test_an_event_alone_is_a_micro_batch_of_one() -> None:
    context = at("t/n/labels")
    assert Many().process({"n": 1}, context) == {"n": 1, "key": "m1", "at": 1_700_000_000_000}


@pytest.mark.parametrize(
    ("answers", "told"),
    [([], "both gave 0 answers to 2 events"), ({"a": 1}, "both gave dict to 2 events"), ([{}] * 3, "3 answers")],
)
def test_a_micro_batch_has_an_answer_for_each_event(answers: Any, told: str) -> None:
    with pytest.raises(DataError, match=told):
        Many().process_many([{"answers": answers}, {}], at("t/n/labels"))  # type: ignore[attr-defined]
    with pytest.raises(DataError, match="to 1 events"):
        Many().process({"answers": answers}, at("t/n/labels"))


def test_none_answers_a_whole_micro_batch() -> None:
    class Learns(StreamFunction):
        @on_many("labels")
        def learn(self, events: list[dict[str, Any]], context: Any) -> None: ...

    assert Learns().process_many([{}, {}], at("t/n/labels")) == [None, None]  # type: ignore[attr-defined]
    assert Learns().process({}, at("t/n/labels")) is None


def test_an_override_of_a_micro_batch_handler_needs_no_mark() -> None:
    class Less(Many):
        def both(self, events: list[dict[str, Any]], context: Any) -> Any:
            return [{"n": event["n"]} for event in events]

    check_handlers(Less, {"readings", "labels"})
    assert Less().process({"n": 3}, at("t/n/labels")) == {"n": 3}


class Asks(StreamFunction):
    @on("readings")
    async def ask(self, event: dict[str, Any], context: Any) -> dict[str, Any]:
        return {"id": event["id"], "value": event["value"] + 1}


def test_an_async_handler_gives_a_coroutine() -> None:
    runner = CoroutineRunner()
    assert runner.finished(Asks().process({"id": "a", "value": 1}, at("t/n/readings"))) == {"id": "a", "value": 2}
    assert runner.finished({"not": "awaitable"}) == {"not": "awaitable"}
    runner.close()
    runner.close()


def test_async_functions_are_known() -> None:
    class Plain(pulsar.Function):
        async def process(self, input: Any, context: Any) -> Any: ...

    assert [is_async(function) for function in (Asks(), Plain(), Two(), Many())] == [True, True, False, False]


class MixedBatch(Two):
    @on_many("labels")
    def labels_together(self, events: list[dict[str, Any]], context: Any) -> None: ...


class MixedAsync(Two):
    @on("labels")
    async def label_later(self, event: dict[str, Any], context: Any) -> None: ...


@pytest.mark.parametrize(
    ("mixed", "told"),
    [
        (MixedBatch, "handlers of different kinds: labels_together is micro-batch, reading is plain"),
        (MixedAsync, "handlers of different kinds: label_later is async, reading is plain"),
    ],
)
def test_handlers_are_of_one_kind(mixed: type[StreamFunction], told: str) -> None:
    with pytest.raises(PackageError, match=told):
        mixed()


def test_an_async_micro_batch_is_refused() -> None:
    class Both(StreamFunction):
        @on_many("labels")
        async def later(self, events: list[dict[str, Any]], context: Any) -> None: ...

    with pytest.raises(PackageError, match="later is async and takes micro-batches"):
        Both()


# ── under the stock runtime ───────────────────────────────────────────────────────────────────


@pytest.fixture
def packaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Codecs]:
    """A function as it lies in an unpacked package, and its codecs."""
    folder = write_function(tmp_path, "packaged")
    (folder / "function.py").rename(folder / "packaged_echo.py")
    manifest = Manifest(
        "packaged", "packaged_echo.Echo", {"readings": "reading.v1.avsc"}, "reading.v1.avsc", "id", {"add": 1}, "0"
    )
    (folder / "manifest.json").write_text(manifest.to_json())
    monkeypatch.syspath_prepend(str(folder))
    yield importlib.import_module("packaged_echo").Echo, Codecs.of_package(folder, manifest)
    del sys.modules["packaged_echo"]


def test_bytes_are_decoded_and_the_output_published_with_key_and_time(packaged: tuple[Any, Codecs]) -> None:
    function, codecs = packaged[0](), packaged[1]
    context = at("persistent://t/n/readings-partition-0")
    payload = codecs.encode_event("readings", {"id": "x", "value": 4.0})
    assert function.process(payload, context) is None
    [message] = context.published
    assert message.topic == context.get_output_topic()
    assert codecs.decode_output(message.payload) == {"id": "x", "value": 5.0}
    assert message.conf == {"partition_key": "x", "event_timestamp": 1_700_000_000_000}


def test_several_answers_are_published_with_keys_and_times_of_their_own(packaged: tuple[Any, Codecs]) -> None:
    class Split(packaged[0]):  # type: ignore[misc]
        __module__ = "packaged_echo"

        def echo(self, event: dict[str, Any], context: Any) -> Any:
            context.publish("t/n/alerts", b"!")
            return [event, Answer(event, key="own", event_time_ms=5), Answer({**event, "id": "y"})]

    function, codecs = Split(), packaged[1]
    context = at("t/n/readings")
    function.process(codecs.encode_event("readings", {"id": "x", "value": 4.0}), context)
    alert, *outputs = context.published
    assert (alert.topic, alert.payload) == ("t/n/alerts", b"!")
    assert [message.conf for message in outputs] == [
        {"partition_key": "x", "event_timestamp": 1_700_000_000_000},
        {"partition_key": "own", "event_timestamp": 5},
        {"partition_key": "y", "event_timestamp": 1_700_000_000_000},
    ]


def test_none_of_several_answers_is_published_where_one_does_not_fit(packaged: tuple[Any, Codecs]) -> None:
    class Split(packaged[0]):  # type: ignore[misc]
        __module__ = "packaged_echo"

        def echo(self, event: dict[str, Any], context: Any) -> Any:
            return [event, {"id": "no value"}]

    function, codecs = Split(), packaged[1]
    context = at("t/n/readings")
    with pytest.raises(DataError, match="value"):
        function.process(codecs.encode_event("readings", {"id": "x", "value": 4.0}), context)
    assert context.published == []


@pytest.mark.parametrize("base", [Asks, Many])
def test_bytes_reach_every_kind_of_handler(packaged: tuple[Any, Codecs], base: type[StreamFunction]) -> None:
    module = sys.modules["packaged_echo"]
    if base is Asks:
        members: dict[str, Any] = {"ask": Asks.ask}
    else:

        def together(self: Any, events: list[dict[str, Any]], context: Any) -> Any:
            [event], [key] = events, context.get_message_keys()
            return [{"id": key, "value": event["value"] + 1}]

        members = {"together": on_many("readings")(together)}
    function = type("Kind", (StreamFunction,), {**members, "__module__": module.__name__})()
    context = at("t/n/readings")
    function.process(packaged[1].encode_event("readings", {"id": "m1", "value": 1.0}), context)
    assert packaged[1].decode_output(context.published[0].payload) == {"id": "m1", "value": 2.0}


def test_the_config_is_laid_over_the_packages_defaults(packaged: tuple[Any, Codecs]) -> None:
    function = packaged[0]()
    context = at("t/n/readings", add=10, **{RESERVED_KEY: {}})
    assert function.config(context) == {"add": 10}
    assert function.process({"id": "x", "value": 1.0}, context) == {"id": "x", "value": 11.0}


def test_text_that_was_bytes_is_taken_back_and_a_number_refused(packaged: tuple[Any, Codecs]) -> None:
    function, codecs = packaged[0](), packaged[1]
    context = at("t/n/readings")
    payload = codecs.encode_event("readings", {"id": "x", "value": 0.0})
    mangled = pulsar.IdentitySerDe().deserialize(payload)
    assert isinstance(mangled, str)
    function.process(mangled, context)
    assert codecs.decode_output(context.published[0].payload) == {"id": "x", "value": 1.0}
    with pytest.raises(DataError, match="its bytes are lost"):
        function.process(12, context)
    serde = BytesSerDe()
    assert serde.deserialize(serde.serialize(b"12")) == b"12"


def test_truncated_bytes_are_an_error(packaged: tuple[Any, Codecs]) -> None:
    function, codecs = packaged[0](), packaged[1]
    payload = codecs.encode_event("readings", {"id": "x", "value": 0.1})
    with pytest.raises(DataError):
        function.process(payload[:-1], at("t/n/readings"))


def test_bytes_without_a_package_are_an_error() -> None:
    with pytest.raises(InstanceError, match="no manifest"):
        Two().process(b"\x02a", at("a/b/readings"))


def test_a_missing_handler_shows_at_construction(packaged: tuple[Any, Codecs]) -> None:
    module = sys.modules["packaged_echo"]
    wrong = type("Wrong", (StreamFunction,), {"h": on("labels")(lambda *_: None), "__module__": module.__name__})
    with pytest.raises(PackageError, match="no handler for input readings"):
        wrong()
