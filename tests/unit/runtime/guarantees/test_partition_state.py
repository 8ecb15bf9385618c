from __future__ import annotations

import pytest

from pulsar_pipeline.errors import DataError
from pulsar_pipeline.online.timers import Timer
from pulsar_pipeline.runtime.guarantees.partition_state import PartitionState


def test_a_snapshot_holds_what_changed_since_the_last_one() -> None:
    state = PartitionState({})
    state.put("a", b"1")
    state.increment("n", 2)
    assert state.snapshot() == {"v:a": b"1", "c:n": b"2"}
    assert state.snapshot() == {}
    state.put("a", b"2")
    state.delete("a")
    state.delete_counter("n")
    state.delete("never there")
    assert state.snapshot() == {"v:a": None, "c:n": None}
    assert state.everything() == {}


def test_live_objects_are_made_once_and_saved_when_used() -> None:
    state = PartitionState({})
    model = state.object("m", list)
    model.append(1)
    assert state.object("m", list) is model
    saved = state.snapshot()
    assert list(saved) == ["o:m"]
    assert state.snapshot() == {}, "nobody has used it since"

    restored = PartitionState({key: value for key, value in saved.items() if value is not None})
    assert restored.object("m", list) == [1]
    assert restored.get("m") is None
    assert restored.counter("m") == 0


def test_counters() -> None:
    state = PartitionState({"c:n": b"40"})
    state.increment("n", 2)
    assert (state.counter("n"), state.counter("other")) == (42, 0)


@pytest.mark.parametrize("key", ["a\0b", "\ud800", "k" * 10_001])
def test_keys_that_the_log_cannot_hold_are_refused(key: str) -> None:
    state = PartitionState({})
    for store in (lambda: state.put(key, b"1"), lambda: state.increment(key, 1), lambda: state.object(key, list)):
        with pytest.raises(DataError, match="state key"):
            store()
    assert state.snapshot() == {}


def test_a_live_object_that_is_forgotten_is_gone_from_the_state() -> None:
    state = PartitionState({"o:old": b"x"})
    state.object("m", list).append(1)
    state.snapshot()
    state.object("m", list)
    state.delete_object("m")
    state.delete_object("old")
    state.delete_object("never there")
    assert state.object("m", list) == []
    state.delete_object("m")
    assert state.snapshot() == {"o:m": None, "o:old": None}
    assert state.everything() == {}


def test_timers_are_part_of_the_state() -> None:
    state = PartitionState({})
    state.timers.set("a", 5)
    state.timers.set("b/ü", 7)
    state.timers.set("a", 9)
    state.timers.set("gone", 1)
    state.timers.delete("gone")
    saved = state.snapshot()
    assert saved == {"t:a": b"9.3", "t:b/ü": b"7.2", "t:gone": None, "n:timer": b"5"}
    restored = PartitionState({key: value for key, value in saved.items() if value is not None})
    assert restored.timers.first() == Timer(7, "b/ü", 2)
    restored.timers.set("c", 1)
    assert restored.timers.get("c") == Timer(1, "c", 5)
    assert restored.snapshot() == {"t:c": b"1.5", "n:timer": b"6"}
