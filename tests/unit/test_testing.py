"""The kit that runs functions without a broker."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import Any

import pulsar
import pytest

from pulsar_pipeline.errors import DataError, PackageError, SpecError
from pulsar_pipeline.online.function import StreamFunction, on
from pulsar_pipeline.testing import Event, MemoryContext, run_function
from tests.support.tiny_functions import ECHO, write_function

TIME = 1_700_000_000_000


def reading(id_: str, value: Any, **more: Any) -> Event:
    return Event("readings", {"id": id_, "value": value}, **more)


def test_outputs_come_through_avro_with_key_and_time(tmp_path: Path) -> None:
    results = run_function(write_function(tmp_path), [reading("a", 1, key="k", event_time_ms=TIME), reading("b", 2)])
    assert [(o.record, o.key, o.event_time_ms, o.event) for o in results.outputs] == [
        ({"id": "a", "value": 2.0}, "a", TIME, 0),
        ({"id": "b", "value": 3.0}, "b", None, 1),
    ]
    assert isinstance(results.outputs[0].record["value"], float)
    assert results.metrics == {"value": 2.0}
    assert results.metric_values == {"value": [1.0, 2.0]}
    assert (results.errors, results.published) == ([], [])


def test_the_config_is_laid_over_the_defaults(tmp_path: Path) -> None:
    results = run_function(write_function(tmp_path), [reading("a", 1)], {"add": 5})
    assert results.outputs[0].record["value"] == 6.0


def test_a_bad_event_is_set_aside_and_the_others_go_on(tmp_path: Path) -> None:
    code = ECHO.replace("return {", "if event['value'] == 13: raise ValueError('unlucky')\n        return {")
    events = [reading("a", 1), reading("b", "text"), reading("c", 13), Event("readings", b"\x02"), reading("d", 2)]
    results = run_function(write_function(tmp_path, code=code), events)
    assert [output.key for output in results.outputs] == ["a", "d"]
    assert [(error.event, error.reason) for error in results.errors] == [
        (1, "invalid"),
        (2, "failed"),
        (3, "undecodable"),
    ]
    assert isinstance(results.errors[0].error, DataError)
    assert str(results.errors[1]) == "event 2 failed: ValueError: unlucky"


def test_an_event_that_the_function_refuses_is_invalid(tmp_path: Path) -> None:
    refusal = "from pulsar_pipeline.errors import DataError; raise DataError('no such day')"
    code = ECHO.replace("return {", f"{refusal}\n        return {{")
    [error] = run_function(write_function(tmp_path, code=code), [reading("a", 1)]).errors
    assert str(error) == "event 0 invalid: DataError: no such day"


def test_an_output_that_does_not_fit_is_invalid_too(tmp_path: Path) -> None:
    code = ECHO.replace("{**event, ", "{")
    [error] = run_function(write_function(tmp_path, code=code), [reading("a", 1)]).errors
    assert error.reason == "invalid"
    assert "id" in str(error)


def test_an_event_of_no_input_is_invalid(tmp_path: Path) -> None:
    [error] = run_function(write_function(tmp_path), [Event("labels", {"id": "a"})]).errors
    assert (error.reason, "'labels'" in str(error)) == ("invalid", True)


def test_equal_events_give_equal_results(tmp_path: Path) -> None:
    folder, events = write_function(tmp_path), [reading(str(n), n) for n in range(50)]
    assert run_function(folder, events) == run_function(folder, events)


def test_what_is_published_and_kept_is_seen() -> None:
    class Chatty(StreamFunction):
        @on("words")
        def hear(self, event: dict[str, Any], context: Any) -> None:
            context.incr_counter("heard", 1)
            context.put_state("last", event["word"])
            context.publish("persistent://t/n/alerts", event["word"], properties={"secret": context.get_secret("s")})
            context.record_metric("heard", context.get_counter("heard"))

    results = run_function(Chatty, [Event("words", {"word": "a"}), Event("words", {"word": "b"})], secrets={"s": "x"})
    assert [(p.topic, p.payload, p.properties) for p in results.published] == [
        ("persistent://t/n/alerts", "a", {"secret": "x"}),
        ("persistent://t/n/alerts", "b", {"secret": "x"}),
    ]
    assert results.metrics == {"heard": 2.0}
    assert results.outputs == []


def test_two_functions_with_modules_of_one_name_do_not_meet(tmp_path: Path) -> None:
    one = write_function(
        tmp_path / "x",
        code="from helper import ADD\n" + ECHO.replace("self.add = ", "self.add = ADD + "),
        files={"helper.py": "ADD = 100"},
    )
    two = write_function(
        tmp_path / "y",
        code="from helper import ADD\n" + ECHO.replace("self.add = ", "self.add = ADD + "),
        files={"helper.py": "ADD = 200"},
    )
    before = set(sys.modules)
    values = [run_function(folder, [reading("a", 0)]).outputs[0].record["value"] for folder in (one, two, one)]
    assert values == [101.0, 201.0, 101.0]
    assert not {"function", "helper"} & (set(sys.modules) - before)
    assert str(one) not in sys.path


def test_a_plain_pulsar_function_runs_too() -> None:
    class Plain(pulsar.Function):
        def process(self, input: Any, context: Any) -> Any:
            return {"topic": context.get_current_message_topic_name()}

    [output] = run_function(Plain, [Event("words", {"word": "a"}, key="k")]).outputs
    assert (output.record, output.key) == ({"topic": "persistent://public/default/words"}, "k")


def test_a_function_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(SpecError):
        run_function(tmp_path / "nothing", [])
    folder = write_function(tmp_path, code=ECHO.replace('@on("readings")', '@on("labels")'))
    with pytest.raises(PackageError, match="no handler for input readings"):
        run_function(folder, [])
    with pytest.raises(PackageError, match="no class Echo"):
        run_function(write_function(tmp_path, "empty", code=""), [])
    (tmp_path / "bare").mkdir()
    with pytest.raises(PackageError, match=r"neither function\.yaml nor manifest\.json"):
        run_function(tmp_path / "bare", [])


def test_what_setup_raises_comes_out(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="subtract"):
        run_function(write_function(tmp_path, code=ECHO.replace('["add"]', '["subtract"]')), [])


def test_the_context_has_the_whole_interface() -> None:
    own = vars(MemoryContext)
    for name, method in inspect.getmembers(pulsar.Context, inspect.isfunction):
        assert name in own, name
        wanted = list(inspect.signature(method).parameters)
        assert list(inspect.signature(own[name]).parameters) == wanted, name
    context = MemoryContext(name="f", inputs=("a",), config={"k": 1})
    assert context.get_user_config_value("k") == 1
    assert context.get_user_config_value("none") is None
    assert context.get_input_topics() == ["persistent://public/default/a"]
    context.ack(context.get_message_id(), "t")
    assert [topic for _, topic in context.acked] == ["t"]
    context.incr_counter("x", 2)
    assert context.get_counter("x") == 2
    context.del_counter("x")
    assert context.get_counter("x") == 0
    context.put_state("x", "text")
    assert context.get_state("x") == b"text"
    context.del_state("x")
    assert context.get_state("x") is None
    assert context.get_state_object("x", list) is context.get_state_object("x", list)
    assert (context.get_message_keys(), context.get_message_eventtimes()) == ([""], [0])
    with pytest.raises(DataError):
        context.record_metric("m", "text")  # type: ignore[arg-type]
