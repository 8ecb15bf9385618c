"""Crashes as test data, and what `check_recovery` finds."""

from __future__ import annotations

import itertools
import random
import threading
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pulsar_pipeline.errors import DataError, InstanceError, TransientError
from pulsar_pipeline.ingest.partition import java_string_hash
from pulsar_pipeline.online.answers import Answer
from pulsar_pipeline.online.function import StreamFunction, on, on_many
from pulsar_pipeline.online.models import Models
from pulsar_pipeline.testing import Crash, Event, assert_same_results, check_recovery, run_function
from tests.support.tiny_functions import write_function


class Mean:
    """A model."""

    def __init__(self) -> None:
        self.count, self.total = 0, 0.0

    def learn(self, value: float) -> float:
        self.count += 1
        self.total += value
        return self.total / self.count


class Means(StreamFunction):
    """Uses every kind of state, answers with none to three outputs, publishes, and refuses."""

    made: ClassVar[int] = 0

    def setup(self, context: Any) -> None:
        type(self).made += 1
        self.means = Models(context, lambda _key: Mean())

    @on("readings")
    def learn(self, event: dict[str, Any], context: Any) -> list[Any]:
        context.incr_counter("events", 1)
        context.put_state("last", event["id"])
        context.publish("persistent://t/n/alerts", f"{event['id']}: {context.get_counter('events')}")
        context.record_metric("value", event["value"])
        if event["value"] < 0:
            raise DataError("below nothing")
        mean = {"id": event["id"], "mean": self.means[event["id"]].learn(event["value"])}
        return [mean, Answer(mean, key="copy", event_time_ms=7), mean][: int(event["value"]) % 4]


def readings(*values: float, ids: str = "ab") -> list[Event]:
    return [Event("readings", {"id": id_, "value": value}, id_) for id_, value in zip(itertools.cycle(ids), values)]


VALUES = (1, 2, -1, 3, 0, 5, -2, 6, 7)


# ── crashes ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("commit_every", [1, 2, 4, 100])
@pytest.mark.parametrize("crashes", [[0], [3], [8], [-1], [3, 3, 4], list(range(9))], ids=str)
def test_what_counts_is_the_same_with_crashes(commit_every: int, crashes: list[int]) -> None:
    calm = run_function(Means, readings(*VALUES), commit_every=commit_every)
    wild = run_function(Means, readings(*VALUES), commit_every=commit_every, crashes=crashes)
    assert_same_results(calm, wild)
    assert len(calm.outputs) == 12
    assert [error.event for error in wild.errors] == [2, 6]
    assert wild.metrics == calm.metrics
    assert wild.contradictions == []


@settings(max_examples=60)
@given(st.lists(st.integers(-1, 8), max_size=6), st.integers(1, 10), st.sampled_from([None, 1, 3]))
def test_no_crashes_change_anything(crashes: list[int], commit_every: int, partitions: int | None) -> None:
    calm = run_function(Means, readings(*VALUES), commit_every=100, partitions=partitions)
    wild = run_function(Means, readings(*VALUES), commit_every=commit_every, crashes=crashes, partitions=partitions)
    assert_same_results(calm, wild)
    assert wild.contradictions == []


def test_a_crash_among_the_events_is_one_after_the_event_before() -> None:
    events = readings(*VALUES)
    Means.made = 0
    one = run_function(Means, [Crash(), *events[:4], Crash(), Crash(), *events[4:]])
    assert Means.made == 4
    assert_same_results(one, run_function(Means, events, crashes=[-1, 3, 3]))
    with pytest.raises(ValueError, match="no event 9 to crash after"):
        run_function(Means, events, crashes=[9])


def test_a_failing_event_leaves_nothing_behind() -> None:
    results = run_function(Means, readings(1, -1), commit_every=10)
    assert [published.payload for published in results.published] == ["a: 1"]
    assert (results.state["c:events"], results.state["v:last"]) == (b"1", b"a")
    assert [str(error) for error in results.errors] == ["event 1 invalid: DataError: below nothing"]
    calm = run_function(Means, readings(-1), commit_every=10)
    assert calm.state == {}


def test_without_commits_nothing_is_stored() -> None:
    assert run_function(Means, readings(1)).states == [{}]


def test_partitions_have_states_of_their_own() -> None:
    events = readings(*range(8), ids="abcd")
    results = run_function(Means, events, commit_every=3, partitions=3)
    chosen = {id_: java_string_hash(id_) % 3 for id_ in "abcd"}
    assert {(output.record["id"], output.partition) for output in results.outputs} <= set(chosen.items())
    assert [int(state.get("c:events", b"0")) for state in results.states] == [
        2 * list(chosen.values()).count(partition) for partition in range(3)
    ]
    check_recovery(Means, events, partitions=3)


# ── what is found ─────────────────────────────────────────────────────────────────────────────


def test_a_function_that_keeps_its_state_passes() -> None:
    results = check_recovery(Means, readings(*VALUES))
    assert len(results.outputs) == 12
    assert results.state["c:events"] == b"7"


class Forgetful(Means):
    def setup(self, context: Any) -> None:
        super().setup(context)
        self.seen = 0

    def learn(self, event: dict[str, Any], context: Any) -> Any:
        self.seen += 1
        return {"id": event["id"], "mean": self.seen}


def test_state_in_attributes_is_found_and_named() -> None:
    with pytest.raises(AssertionError) as caught:
        check_recovery(Forgetful, readings(1, 2, 3, 4))
    assert str(caught.value) == (
        "Forgetful comes to something else with a crash after event 2 (a commit every 2 events)\n"
        "  published before the crash: {'id': 'a', 'mean': 3} with key 'a' of event 2, "
        "made again: {'id': 'a', 'mean': 1} with key 'a' of event 2 (field ['mean']: expected 3, found 1)\n"
        "  self.seen changes with the events and is not part of the state: "
        "keep it in Models, put_state or counters"
    )


class Global(Means):
    seen: ClassVar[list[float]] = []

    def learn(self, event: dict[str, Any], context: Any) -> Any:
        if event["value"] == 0:
            self.seen.clear()
        self.seen.append(event["value"])
        return {"id": event["id"], "mean": sum(self.seen)}


def test_state_in_a_class_is_found() -> None:
    with pytest.raises(AssertionError, match="usually something is kept outside the state"):
        check_recovery(Global, readings(0, 1, 2, 3))


def test_state_in_a_module_is_found_in_a_folder(tmp_path: Path) -> None:
    code = """\
from pulsar_pipeline.online.function import StreamFunction, on

SEEN = []


class Echo(StreamFunction):
    @on("readings")
    def echo(self, event, context):
        SEEN.append(event["value"])
        return {**event, "value": sum(SEEN)}
"""
    with pytest.raises(AssertionError, match="a global"):
        check_recovery(write_function(tmp_path, code=code), readings(1, 2, 3))


class Kept(Means):
    """Takes its model once."""

    def setup(self, context: Any) -> None:
        super().setup(context)
        self.mean: Mean | None = None

    def learn(self, event: dict[str, Any], context: Any) -> Any:
        if self.mean is None:
            self.mean = self.means["all"]
        return {"id": event["id"], "mean": self.mean.learn(event["value"])}


def test_a_model_kept_in_an_attribute_is_found() -> None:
    with pytest.raises(AssertionError, match=r"self\.mean changes with the events"):
        check_recovery(Kept, readings(1, 2, 3, 4, 5))


class Lucky(Means):
    def learn(self, event: dict[str, Any], context: Any) -> Any:
        return {"id": event["id"], "mean": random.random()}


def test_chance_is_found() -> None:
    with pytest.raises(AssertionError, match="otherwise to the same events without any crash: random numbers"):
        check_recovery(Lucky, readings(1, 2))


class Locked:
    def __init__(self) -> None:
        self.lock = threading.Lock()


class Unstorable(Means):
    def learn(self, event: dict[str, Any], context: Any) -> Any:
        assert self.means["ok"]
        assert Models(context, lambda _key: Locked(), name="locks")[event["id"]]


def test_a_model_that_cannot_be_pickled_is_named() -> None:
    with pytest.raises(AssertionError, match=r"Unstorable cannot go on after a crash: locks/a cannot be stored: TypeE"):
        check_recovery(Unstorable, readings(1))
    with pytest.raises(InstanceError, match="locks/a cannot be stored"):
        run_function(Unstorable, readings(1), commit_every=1)
    assert run_function(Unstorable, readings(1)).errors == []


class Silent(Means):
    """Its outputs are equal, its state is not."""

    def setup(self, context: Any) -> None:
        super().setup(context)
        self.seen = 0

    def learn(self, event: dict[str, Any], context: Any) -> Any:
        self.seen += 1
        self.means["all"].learn(self.seen)
        context.put_state("seen", str(self.seen))


def test_a_difference_in_the_state_alone_is_found() -> None:
    with pytest.raises(AssertionError, match=r"object 'models/all'.total: expected 3\.0, found 2\.0"):
        check_recovery(Silent, readings(1, 2), commit_every=1)


class Fewer(Means):
    def setup(self, context: Any) -> None:
        super().setup(context)
        self.started = context.get_counter("events") > 0

    def learn(self, event: dict[str, Any], context: Any) -> Any:
        context.incr_counter("events", 1)
        return None if self.started else {"id": event["id"], "mean": 1}


def test_an_output_that_is_not_made_again_is_found() -> None:
    with pytest.raises(AssertionError, match=r"published before the crash and not made again: \{'id': 'b'"):
        check_recovery(Fewer, readings(1, 2), commit_every=1)


def test_of_many_events_some_are_drawn() -> None:
    Means.made = 0
    check_recovery(Means, readings(*range(100)), most=3, commit_every=10)
    assert Means.made == 2 + 3 * 2 + 4


def test_same_results_tells_the_difference() -> None:
    with pytest.raises(AssertionError, match="output 0: expected"):
        assert_same_results(run_function(Means, readings(2)), run_function(Means, readings(1)))
    with pytest.raises(AssertionError, match=r"output 1: expected \{'id': 'b', 'mean': 1.0\} .*, found none"):
        assert_same_results(run_function(Means, readings(1, 1)), run_function(Means, readings(1, 0)))
    with pytest.raises(AssertionError, match="error 0: expected none, found event 0 invalid"):
        assert_same_results(run_function(Means, readings(0)), run_function(Means, readings(-1)))


class Pointing(Means):
    def learn(self, event: dict[str, Any], context: Any) -> Any:
        raise ValueError(f"cannot take {self!r}")


def test_where_an_object_lies_is_no_difference() -> None:
    assert len(check_recovery(Pointing, readings(1, 2)).errors) == 2


# ── transient errors ──────────────────────────────────────────────────────────────────────────


class Away(StreamFunction):
    transient = (ConnectionError,)
    tries: ClassVar[int] = 0

    @on("readings")
    def handle(self, event: dict[str, Any], context: Any) -> dict[str, Any]:
        type(self).tries += 1
        context.incr_counter("tries", 1)
        if self.tries < event["value"]:
            raise ConnectionError("away") if event["id"] == "a" else TransientError("away")
        return {"tries": context.get_counter("tries")}


@pytest.mark.parametrize("id_", ["a", "b"])
def test_a_transient_error_is_tried_again(id_: str) -> None:
    Away.tries = 0
    assert [output.record for output in run_function(Away, readings(5, ids=id_)).outputs] == [{"tries": 1}]
    Away.tries = 0
    [error] = run_function(Away, readings(6, ids=id_)).errors
    assert (error.reason, Away.tries) == ("failed", 5)


# ── micro-batches and coroutines ──────────────────────────────────────────────────────────────


class Batches(StreamFunction):
    sizes: ClassVar[list[int]] = []

    def setup(self, context: Any) -> None:
        self.means = Models(context, lambda _key: Mean())

    @on_many("readings", "others")
    def learn(self, events: list[dict[str, Any]], context: Any) -> list[Any]:
        self.sizes.append(len(events))
        answers = []
        for event, key, at in zip(events, context.get_message_keys(), context.get_message_eventtimes(), strict=True):
            if event["value"] < 0:
                raise DataError("below nothing")
            context.incr_counter("events", 1)
            answers.append({"key": key, "at": at, "mean": self.means[key].learn(event["value"])})
        return answers


def test_events_come_in_micro_batches_of_one_input() -> None:
    events = [Event("others" if n == 3 else "readings", {"value": n}, str(n % 2), n) for n in range(8)]
    Batches.sizes.clear()
    results = run_function(Batches, events, batch=3)
    assert Batches.sizes == [3, 1, 3, 1]
    assert [output.record["at"] for output in results.outputs] == list(range(8))
    Batches.sizes.clear()
    assert_same_results(results, run_function(Batches, events))
    assert Batches.sizes == [1] * 8
    Batches.sizes.clear()
    run_function(Batches, events, batch=3, commit_every=2, partitions=2)
    assert max(Batches.sizes) <= 2


def test_a_batch_with_a_bad_event_is_taken_one_by_one() -> None:
    events = [Event("readings", {"value": value}, "k") for value in (1, -1, 3)]
    Batches.sizes.clear()
    results = run_function(Batches, events, batch=3, commit_every=10)
    assert Batches.sizes == [3, 1, 1, 1]
    assert [(output.event, output.key) for output in results.outputs] == [(0, "k"), (2, "k")]
    assert [error.event for error in results.errors] == [1]
    assert results.state["c:events"] == b"2"


@pytest.mark.parametrize("batch", [1, 2, 3, 8])
def test_micro_batches_recover(batch: int) -> None:
    events = [Event("readings", {"value": n}, str(n % 3), n) for n in range(8)]
    assert len(check_recovery(Batches, events, batch=batch, commit_every=4).outputs) == 8


class Asking(StreamFunction):
    @on("readings")
    async def ask(self, event: dict[str, Any], context: Any) -> Any:
        context.incr_counter("asked", 1)
        if event["value"] < 0:
            raise DataError("below nothing")
        return [{"asked": context.get_counter("asked")}, {"again": True}]


def test_coroutines_are_run_to_their_end() -> None:
    results = check_recovery(Asking, readings(1, -1, 2))
    assert [output.record for output in results.outputs] == [
        {"asked": 1},
        {"again": True},
        {"asked": 2},
        {"again": True},
    ]
    assert [error.event for error in results.errors] == [1]
