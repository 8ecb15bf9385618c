"""Functions under test with no broker: for authors' own pytest.

    from pulsar_pipeline.testing import Event, check_recovery, run_function

    def test_a_hot_machine_is_at_risk():
        results = run_function("functions/predictive_maintenance", [
            Event("readings", {"machine_id": "m1", "temperature": 412.0}, key="m1", event_time_ms=1_700_000_000_000),
        ])
        assert not results.errors
        assert results.outputs[0].key == "m1"
        assert 0 <= results.outputs[0].record["risk"] <= 1

    def test_crashes_change_nothing():
        check_recovery("functions/predictive_maintenance", events)

Events go through Avro both ways, as they do on a cluster: a record that does not fit its schema is an error of that
event, and times come back as datetimes. A failing event stands in `results.errors`, and what it put into the state or
published is taken back; the others go on. An event that fails with a transient error is tried again, without waiting.
The same events in the same order give the same results.

A crash is test data: `Crash()` among the events ends the process there. The next one has a new function object (and
new modules, where the function was given as a folder), the state of the last commit, restored from the bytes that a
cluster would store, and the events behind that commit again; outputs that exist are not published twice.

The clock of timers is the tests' own: it stands at the latest event time so far, and `Wait(span)` among the events
moves it on. Timers whose time has come fire before the next event. Late events are in `results.late`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pulsar_pipeline.online.memory import MemoryContext, Published
from pulsar_pipeline.online.rehearsal import Event, EventError, Output, Wait
from pulsar_pipeline.testkit.recovery import check, first_difference
from pulsar_pipeline.testkit.run import Conditions, Crash, Run
from pulsar_pipeline.testkit.subject import opened
from pulsar_pipeline.testkit.world import Contradiction, Results

__all__ = [
    "Contradiction",
    "Crash",
    "Event",
    "EventError",
    "MemoryContext",
    "Output",
    "Published",
    "Results",
    "Wait",
    "assert_same_results",
    "check_recovery",
    "run_function",
]


def run_function(
    function: str | Path | type,
    events: Iterable[Event | Wait | Crash],
    config: Mapping[str, Any] | None = None,
    *,
    secrets: Mapping[str, str] | None = None,
    crashes: Iterable[int] = (),
    commit_every: int | None = None,
    batch: int = 1,
    partitions: int | None = None,
) -> Results:
    """Construct the function, set it up and give it the events in order.

    `function` is a folder (`functions/NAME`, or `src` of an unpacked package) or a class; a class with neither
    function.yaml nor manifest.json in its module's folder gets and returns records as they are. `config` is merged
    over the function's defaults.

    `crashes` are positions of events, from 0, right after which the process dies: the same as `Crash()` among the
    events. There is a commit every `commit_every` events and at the end; with crashes every event, without any none,
    if it is not given. Only a run with commits has `states`, and needs a state that can be stored.

    `batch` is the most events that a handler of micro-batches gets at once. With `partitions` the events are spread by
    their keys, as the product does; each partition has a state of its own, all are one instance's.

    Raises SpecError, SchemaError or PackageError when the function itself is wrong, InstanceError when its state
    cannot be stored, and whatever its constructor or `setup` raises.
    """
    given, died = _split(events)
    at = [*died, *crashes]
    if wrong := [place for place in at if place >= len(given)]:
        raise ValueError(f"no event {wrong[0]} to crash after: there are {len(given)}")
    if commit_every is None and at:
        commit_every = 1
    conditions = Conditions(config or {}, secrets or {}, commit_every, batch, partitions)
    with opened(function) as subject:
        return Run(subject, given, conditions, at).results()


def check_recovery(
    function: str | Path | type,
    events: Iterable[Event | Wait],
    config: Mapping[str, Any] | None = None,
    *,
    secrets: Mapping[str, str] | None = None,
    commit_every: int = 2,
    batch: int = 1,
    partitions: int | None = None,
    most: int = 50,
    seed: int = 0,
) -> Results:
    """Run without a crash, with one after each event (of many events `most` places, drawn by `seed`), and with all of
    these in one run; the results of the first.

    Raises AssertionError where outputs, published messages, errors or the state then differ, with the place, what was
    expected and found, and what usually causes it; else what `run_function` raises. It does not find what differs
    between two processes of one machine only: the order of a set of strings, for one.
    """
    conditions = Conditions(config or {}, secrets or {}, commit_every, batch, partitions)
    with opened(function) as subject:
        return check(subject, _split(events)[0], conditions, most, seed)


def assert_same_results(expected: Results, found: Results) -> None:
    """Of two runs: the same outputs, published messages, errors and states. Metrics are not compared, and states only
    where both have any. Objects of a function that was given as a folder cannot be compared here: they need its
    modules."""
    told = first_difference(expected, found)
    assert told is None, told


def _split(items: Iterable[Event | Wait | Crash]) -> tuple[list[Event | Wait], list[int]]:
    """The events, and the position of the event before each crash."""
    events: list[Event | Wait] = []
    crashes: list[int] = []
    for item in items:
        if isinstance(item, Crash):
            crashes.append(len(events) - 1)
        else:
            events.append(item)
    return events, crashes
