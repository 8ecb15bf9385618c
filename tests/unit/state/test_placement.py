from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulsar_pipeline.errors import StateLogError
from pulsar_pipeline.ingest.partition import Partitioner
from pulsar_pipeline.runtime.guarantees import pieces
from pulsar_pipeline.runtime.guarantees.pieces import entries_of, live, take
from pulsar_pipeline.state.placement import Placement
from pulsar_pipeline.statelog.records import Entry

NAMES = st.text(st.characters(exclude_characters="\x00", codec="utf-8"), min_size=1, max_size=5)
KEYS = st.builds(lambda kind, name: kind + name, st.sampled_from(["v:", "c:", "o:models/"]), NAMES)


def stored(state):
    return {entry.key: entry.value for entry in entries_of(state)}


def moved(states, partitions, separator=None):
    """Source states by partition → the states after the move."""
    placement = Placement(partitions, separator)
    targets = [{} for _ in range(partitions)]
    for source, state in enumerate(states):
        for entry in live(stored(state)):
            placed = placement.place(source, entry)
            if placed is not None:
                targets[placed[0]][placed[1].key] = placed[1].value
    for partition, entry in placement.counters():
        targets[partition][entry.key] = entry.value
    return [take(target) for target in targets]


def value_of(key):
    return b"%d" % len(key) if key.startswith("c:") else pickle.dumps(key * 9)


@given(st.sets(KEYS, max_size=20), st.integers(1, 5), st.integers(1, 5))
def test_every_key_is_where_its_messages_go_and_nothing_is_lost(keys, before, after):
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(pieces, "PIECE", 7)
        states = [{} for _ in range(before)]
        for key in keys:
            states[Partitioner(before)(Placement(before).entity(key))][key] = value_of(key)
        targets = moved(states, after)
    assert {key: value for target in targets for key, value in target.items()} == {key: value_of(key) for key in keys}
    for partition, target in enumerate(targets):
        assert {Partitioner(after)(Placement(after).entity(key)) for key in target} <= {partition}
    assert moved(targets, before) == states, "and back"


@pytest.mark.parametrize(
    ("key", "separator", "entity"),
    [
        ("o:models/M1", None, "M1"),
        ("o:models/a/b", None, "a/b"),
        ("o:alone", None, "alone"),
        ("v:M1", None, "M1"),
        ("v:last/M1", None, "last/M1"),
        ("v:last/M1", "/", "M1"),
        ("c:seen/M1", "/", "M1"),
        ("c:total", "/", "total"),
    ],
)
def test_the_entity_of_a_key(key, separator, entity):
    assert Placement(4, separator).entity(key) == entity


def test_counters_of_one_name_add_up():
    first, second = moved([{"c:total": b"3"}, {"c:total": b"-5"}], 2)
    assert first | second == {"c:total": b"-2"}


def test_a_value_in_two_partitions_is_refused_by_name():
    with pytest.raises(StateLogError, match=r"'rate' is in partitions 0 and 1") as refused:
        moved([{"v:rate": b"1"}, {"v:rate": b"1"}], 3)
    assert refused.value.mend


@pytest.mark.parametrize("entry", [Entry("t:tick", b"\x00x"), Entry("x:other", b"\x00x")], ids=["timer", "other"])
def test_what_is_not_of_one_key_stays(entry):
    with pytest.raises(StateLogError, match="cannot be moved by key"):
        Placement(2).place(0, entry)


def test_windows_stay():
    listed = b"\x00" + b"cpulsar_pipeline.online.agenda\nAgenda\n)R."
    with pytest.raises(StateLogError, match="cannot be moved by key"):
        Placement(2).place(0, Entry("o:sums/agenda", listed))
