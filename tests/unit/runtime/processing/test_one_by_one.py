from __future__ import annotations

from typing import Any, ClassVar

import pulsar
import pytest

from pulsar_pipeline.errors import ClusterError, DataError, TransientError
from pulsar_pipeline.online.answers import Answer
from pulsar_pipeline.runtime.processing.processor import Halted
from tests.unit.runtime.fakes import FakeMessage, FakeMessageId
from tests.unit.runtime.processing import READINGS, Bench


class Doubler:
    """Answers with twice the number; refuses 13, fails on 0, is silent on 1, gives two outputs for 100."""

    def process(self, record: int, context: Any) -> Any:
        if record == 13:
            raise DataError("an unlucky number", where="field n")
        if record == 1:
            return None
        if record == 100:
            return [{"id": 1, "double": 1}, Answer({"id": 2, "double": 2}, key="own", event_time_ms=7)]
        if record == 101:
            return [{"id": 1, "double": 1}, {"id": 2}]
        return {"id": record, "double": 2 * (record // (1 if record else 0))}


def test_an_answer_is_published_with_key_and_event_time() -> None:
    bench = Bench(Doubler())
    counts = bench.take(FakeMessage(b"21", event_time=1234))
    (sent,) = bench.lane.outputs
    assert (sent.payload, sent.key, sent.event_time_ms) == (b"42", "21", 1234)
    assert (counts.received, counts.processed, counts.user_exceptions) == (1, 1, 0)
    assert bench.lane.told == [1]


def test_without_a_key_field_the_inputs_key_goes_on() -> None:
    bench = Bench(Doubler(), key_field=None)
    bench.take(FakeMessage(b"21", key="m7"))
    assert bench.lane.outputs[0].key == "m7"


def test_no_answer_publishes_nothing() -> None:
    bench = Bench(Doubler())
    assert bench.take(b"1").processed == 1
    assert bench.lane.outputs == []


def test_several_outputs_with_keys_and_times_of_their_own() -> None:
    bench = Bench(Doubler())
    bench.take(FakeMessage(b"100", event_time=5))
    assert [(s.payload, s.key, s.event_time_ms) for s in bench.lane.outputs] == [(b"1", "1", 5), (b"2", "own", 7)]


def test_one_unfit_output_and_none_is_published() -> None:
    bench = Bench(Doubler())
    bench.take(b"101")
    assert bench.lane.outputs == []
    assert bench.reasons == ["invalid"]


@pytest.mark.parametrize(
    ("payload", "reason", "error"),
    [
        (b"\x00broken", "undecodable", "not a number"),
        (b"13", "invalid", "field n: an unlucky number"),
        (b"0", "failed", "ZeroDivisionError: integer division or modulo by zero (test_one_by_one.py:"),
    ],
)
def test_a_bad_event_is_set_aside_with_its_bytes_and_the_others_go_on(payload: bytes, reason: str, error: str) -> None:
    bench = Bench(Doubler())
    bad = FakeMessage(payload, props={"trace": "abc"}, event_time=99, identity=FakeMessageId(7, 8, 9))
    counts = bench.take(b"2", bad, b"3")

    assert bench.payloads == [b"4", b"6"]
    (letter,) = bench.lane.published
    assert letter.topic == "persistent://acme/predictions/risk-dead-letters-partition-0"
    assert letter.payload == payload
    assert letter.options["partition_key"] == "m1"
    assert letter.options["event_timestamp"] == 99
    properties = letter.options["properties"]
    assert properties["reason"] == reason
    assert error in properties["error"]
    assert properties["source_position"] == "7:8:9"
    assert properties["source_topic"] == READINGS.full_name
    assert properties["source_schema_version"] == "3"
    assert properties["trace"] == "abc"
    assert (counts.received, counts.processed, counts.user_exceptions) == (3, 2, 1)
    (failure,) = bench.stats.snapshot().user_failures
    assert failure.text.startswith(reason)
    assert bench.ended


def test_an_answer_without_an_output_is_the_functions_fault() -> None:
    bench = Bench(Doubler(), output=False)
    assert bench.take(b"2").user_exceptions == 1
    assert "has no output" in bench.lane.published[0].options["properties"]["error"]


def test_an_output_that_no_broker_takes_is_the_functions_fault() -> None:
    class Large:
        def process(self, record: int, context: Any) -> dict[str, str]:
            return {"id": "x", "double": "x" * 5_230_000}

    bench = Bench(Large())
    bench.take(b"2")
    assert bench.lane.outputs == []
    assert "over the limit" in bench.lane.published[0].options["properties"]["error"]


def test_a_long_error_is_cut() -> None:
    bench = Bench(Doubler())
    bench.take(b"x" * 10_000)
    assert len(bench.lane.published[0].options["properties"]["error"]) == 2000


def test_what_cannot_be_sent_ends_the_instance_and_is_no_dead_letter() -> None:
    def broken(*_: Any) -> None:
        raise pulsar.PulsarException("fenced")

    bench = Bench(Doubler())
    bench.lane.emit = broken  # type: ignore[method-assign]
    with pytest.raises(pulsar.PulsarException):
        bench.take(b"2")
    assert bench.lane.published == []
    assert bench.lane.told == []


def test_a_schema_that_cannot_be_looked_up_is_not_the_events_fault() -> None:
    def away(payload: bytes, version: int) -> int:
        raise ClusterError("no answer")

    bench = Bench(Doubler())
    bench.way._steps._decoders = {READINGS.full_name: away}  # type: ignore[attr-defined]
    with pytest.raises(ClusterError):
        bench.take(b"2")
    assert bench.lane.published == []


# ── what a failing event wanted to change ────────────────────────────────────────────────────────


class Changes:
    """Puts, counts and publishes, then fails if the number is negative."""

    def process(self, record: int, context: Any) -> None:
        before = context.get_state("last")
        context.put_state("last", str(record))
        context.incr_counter("seen", 1)
        assert context.get_state("last") == str(record).encode(), "an event sees what it changed"
        context.publish("persistent://acme/alerts/a", f"{before!r} then {record}", message_conf={"partition_key": "k"})
        if record < 0:
            raise ValueError("negative")
        if record == 9:
            context.del_state("last")
            context.del_counter("seen")


def test_what_an_event_changes_counts_if_it_succeeds() -> None:
    bench = Bench(Changes())
    bench.take(b"1", b"-2", b"3")
    assert (bench.lane.state.get("last"), bench.lane.state.counter("seen")) == (b"3", 2)
    alerts = [each for each in bench.lane.published if each.topic == "persistent://acme/alerts/a"]
    assert [each.payload for each in alerts] == [b"None then 1", b"b'1' then 3"]
    (letter,) = [each for each in bench.lane.published if "dead-letters" in each.topic]
    assert letter.options["properties"]["reason"] == "failed"
    bench.take(b"9")
    assert (bench.lane.state.get("last"), bench.lane.state.counter("seen")) == (None, 0)


def test_what_is_published_to_the_output_by_hand_is_an_output() -> None:
    class ByHand:
        def process(self, record: int, context: Any) -> None:
            conf = {"partition_key": "k", "event_timestamp": 5}
            context.publish(context.get_output_topic(), b"by hand", message_conf=conf)

    bench = Bench(ByHand())
    bench.take(b"1")
    (sent,) = bench.lane.outputs
    assert (sent.payload, sent.key, sent.event_time_ms) == (b"by hand", "k", 5)
    assert bench.lane.published == []


# ── retries ──────────────────────────────────────────────────────────────────────────────────────


class Away:
    """The service it asks is away for the first calls of an event."""

    transient: ClassVar[tuple[type[BaseException], ...]] = (ConnectionError,)

    def __init__(self, failures: int, error: Exception) -> None:
        self.failures, self.error, self.calls = failures, error, 0

    def process(self, record: int, context: Any) -> dict[str, int]:
        context.incr_counter("calls", 1)
        self.calls += 1
        if self.calls <= self.failures:
            raise self.error
        return {"id": record, "double": 2 * record}


@pytest.mark.parametrize("error", [TransientError("the service is away"), ConnectionError("the service is away")])
def test_an_event_is_tried_again_after_an_error_that_passes(error: Exception) -> None:
    function = Away(2, error)
    bench = Bench(function, attempts=3)
    counts = bench.take(b"5", b"6")
    assert bench.payloads == [b"10", b"12"]
    assert function.calls == 4
    assert bench.lane.state.counter("calls") == 2, "the attempts that failed changed nothing"
    assert (counts.processed, counts.user_exceptions) == (2, 0)
    assert bench.guarantee.commits == 2, "what was done before does not wait with it"


def test_it_is_set_aside_when_the_error_does_not_pass() -> None:
    bench = Bench(Away(3, TransientError("the service is away")), attempts=3)
    bench.take(b"5", b"6")
    assert bench.payloads == [b"12"]
    assert bench.reasons == ["failed"]


def test_other_errors_are_not_tried_again() -> None:
    function = Away(1, ValueError("wrong"))
    bench = Bench(function)
    bench.take(b"5")
    assert function.calls == 1
    assert bench.reasons == ["failed"]


def test_a_stop_ends_the_waiting_and_the_event_comes_again() -> None:
    bench = Bench(Away(9, TransientError("the service is away")))
    function = bench.way._function  # type: ignore[attr-defined]
    function.process = _stopping(bench, function.process)
    counts = bench.take(b"1", b"5")
    assert not bench.ended
    assert bench.lane.told[-1] == 0
    assert (counts.received, bench.lane.published) == (0, [])


def _stopping(bench: Bench, process: Any) -> Any:
    def call(record: int, context: Any) -> Any:
        bench.stop.set("a test")
        return process(record, context)

    return call


def test_on_error_stop_keeps_the_event_for_later() -> None:
    bench = Bench(Doubler(), on_error="stop")
    with pytest.raises(Halted, match=r"failed: ZeroDivisionError.*readings-partition-0 1:0:0"):
        bench.take(b"2", b"0", b"3")
    assert bench.payloads == [b"4"]
    assert bench.lane.told == [1]
    assert bench.lane.published == []


# ── commits in the midst ─────────────────────────────────────────────────────────────────────────


def test_a_commit_does_not_wait_for_the_end_of_a_turn_nor_does_a_stop() -> None:
    bench = Bench(Doubler())

    class Stopping(Doubler):
        def process(self, record: int, context: Any) -> Any:
            if record == 3:
                bench.guarantee.due_at = 0.0
                bench.stop.set("a test")
            return super().process(record, context)

    bench.way._function = Stopping()  # type: ignore[attr-defined]
    counts = bench.take(b"2", b"3", b"4")
    assert bench.payloads == [b"4", b"6"]
    assert bench.lane.told == [2, 2]
    assert (bench.guarantee.commits, bench.ended, counts.received) == (1, False, 2)


def test_events_to_be_passed_over_are_noted_and_count() -> None:
    bench, notes = Bench(Doubler()), []
    bench.take(b"2", b"3", skip=True, note=lambda: notes.append(1))
    assert (bench.payloads, len(notes), bench.lane.told) == ([], 2, [2])


def test_the_watchdog_sees_the_function_only() -> None:
    bench, seen = Bench(Doubler()), []
    emit = bench.lane.emit
    bench.lane.emit = lambda *sent: (seen.append(bench.in_work.message), emit(*sent))  # type: ignore[method-assign, assignment]
    bench.take(b"2")
    assert seen == [None], "a send that waits for the broker is no hang"
