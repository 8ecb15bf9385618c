"""Whether a function comes to the same after a crash, wherever it strikes."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping, Sequence

from pulsar_pipeline.errors import InstanceError
from pulsar_pipeline.online.rehearsal import Event, EventError, Output, Wait
from pulsar_pipeline.testkit.difference import difference, stored_difference
from pulsar_pipeline.testkit.run import START, Conditions, Run
from pulsar_pipeline.testkit.subject import Subject
from pulsar_pipeline.testkit.world import Contradiction, Results, same_output

_CHANCE = (
    "it answers otherwise to the same events without any crash: random numbers without a seed from the config, the "
    "clock, or the order of a set"
)
_KINDS = {"v": "state", "c": "counter", "o": "object", "t": "timer"}


def check(subject: Subject, events: Sequence[Event | Wait], conditions: Conditions, most: int, seed: int) -> Results:
    """Without a crash, with one after each event (`most` of them, drawn by `seed`), and with all of them in one run.
    Raises AssertionError at the first difference."""
    changed: set[str] = set()
    try:
        expected = Run(subject, events, conditions).results(changed)
    except InstanceError as error:
        raise AssertionError(f"{subject.name} cannot go on after a crash: {error}") from error
    if told := first_difference(expected, Run(subject, events, conditions).results()):
        raise AssertionError(f"{subject.name} cannot be recovered: {_CHANCE}\n  {told}")
    points = list(range(START, len(events)))
    if len(points) > most:
        points = sorted(random.Random(seed).sample(points, most))
    for crashes in [*([point] for point in points), points]:
        if told := first_difference(expected, Run(subject, events, conditions, crashes).results()):
            raise AssertionError(_report(subject, conditions, crashes, told, changed))
    return expected


def first_difference(expected: Results, found: Results) -> str | None:
    """Between all that others see of two runs and what they left in the state; not their metrics."""
    return next(_differences(expected, found), None)


def _differences(expected: Results, found: Results) -> Iterator[str]:
    for contradiction in found.contradictions:
        yield _contradiction(contradiction)
    yield from _of_lists("error", [*map(_error, expected.errors)], [*map(_error, found.errors)])
    for number, (one, other) in enumerate(zip(expected.outputs, found.outputs, strict=False)):
        if one.event != other.event or not same_output(one, other):
            yield f"output {number}: expected {_output(one)}, found {_output(other)}{_at(one, other)}"
    yield from _of_lists("output", [*map(_output, expected.outputs)], [*map(_output, found.outputs)], counts=True)
    yield from _of_lists("published message", expected.published, found.published)
    yield from _of_lists("late event", expected.late, found.late)
    yield from _of_states(expected.states, found.states)


def _of_lists(what: str, expected: Sequence[object], found: Sequence[object], *, counts: bool = False) -> Iterator[str]:
    """The first that differs; with `counts` only what one has more than the other."""
    for number in range(max(len(expected), len(found))):
        one = expected[number] if number < len(expected) else None
        other = found[number] if number < len(found) else None
        if (one is None or other is None) if counts else difference(one, other):
            yield f"{what} {number}: expected {one or 'none'}, found {other or 'none'}"


def _of_states(expected: Sequence[Mapping[str, bytes]], found: Sequence[Mapping[str, bytes]]) -> Iterator[str]:
    for partition, (one, other) in enumerate(zip(expected, found, strict=False)):
        where = f" of partition {partition}" if len(expected) > 1 else ""
        for key in sorted(one.keys() | other.keys()):
            kind, _, name = key.partition(":")
            place = f"{_KINDS.get(kind, kind)} {name!r}{where}"
            if key not in one or key not in other:
                yield f"{place}: {'not ' if key not in one else ''}expected"
            elif kind == "o":
                if told := stored_difference(one[key], other[key], place):
                    yield told
            elif one[key] != other[key]:
                yield f"{place}: expected {one[key]!r}, found {other[key]!r}"


def _contradiction(contradiction: Contradiction) -> str:
    published, again = contradiction.published, contradiction.again
    if again is None:
        return f"published before the crash and not made again: {_output(published)}"
    return f"published before the crash: {_output(published)}, made again: {_output(again)}{_at(published, again)}"


def _at(one: Output, other: Output) -> str:
    place = difference(one.record, other.record, "field ")
    return f" ({place})" if place else ""


def _output(output: Output) -> str:
    return f"{output.record} with key {output.key!r} of event {output.event}"


def _error(error: EventError) -> str:
    return re.sub(r"\bat 0x[0-9a-f]+", "at …", str(error))  # where an object lies is chance


def _report(subject: Subject, conditions: Conditions, crashes: Sequence[int], told: str, changed: set[str]) -> str:
    if len(crashes) > 1:
        where = "crashes after every event"
    else:
        where = "a crash before the first event" if crashes[0] == START else f"a crash after event {crashes[0]}"
    return (
        f"{subject.name} comes to something else with {where} (a commit every {conditions.commit_every} events)\n"
        f"  {told}\n"
        f"  {_cause(conditions, changed)}"
    )


def _cause(conditions: Conditions, changed: set[str]) -> str:
    if changed:
        names = ", ".join(f"self.{name}" for name in sorted(changed))
        return f"{names} changes with the events and is not part of the state: keep it in Models, put_state or counters"
    batches = ", or answers depend on where a micro-batch ends" if conditions.batch > 1 else ""
    return (
        "usually something is kept outside the state (a global, an attribute of a class, an object taken from Models "
        f"once and used later){batches}"
    )
