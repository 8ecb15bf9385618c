"""The base class: handlers by input, dispatch by topic, and the bytes way of the stock runtime."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import pulsar
import pytest

from pulsar_pipeline.errors import DataError, InstanceError, PackageError
from pulsar_pipeline.online.codecs import Codecs
from pulsar_pipeline.online.context import RESERVED_KEY, event_key, event_time_ms
from pulsar_pipeline.online.function import StreamFunction, check_handlers, on
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
