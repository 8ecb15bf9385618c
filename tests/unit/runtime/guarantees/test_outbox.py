from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulsar_pipeline.errors import DataError
from pulsar_pipeline.runtime.guarantees.outbox import Outbox
from pulsar_pipeline.runtime.guarantees.partition_state import PartitionState
from pulsar_pipeline.runtime.transport.outgoing import MAX_MESSAGE, Outgoing, check, from_bytes, to_bytes


def message(text: str) -> Outgoing:
    return Outgoing("persistent://a/b/alerts", text.encode(), {"partition_key": text})


def committed(state: PartitionState) -> PartitionState:
    """What a new owner finds after a commit."""
    state.snapshot()
    return PartitionState(state.everything())


def test_a_message_waits_in_the_state_until_it_is_stored() -> None:
    state = PartitionState({})
    outbox = Outbox(state)
    assert not outbox.waits
    outbox.add(message("one"))
    outbox.add(message("two"))
    assert outbox.waits
    assert outbox.take() == [(1, message("one")), (2, message("two"))]
    assert not outbox.waits, "they are on their way"
    assert sorted(key for key, _ in state.kept("b:")) == ["1", "2", "name", "next"]
    outbox.stored(2)
    assert outbox.waits, "a commit has to forget them"
    assert outbox.take() == []
    assert sorted(key for key, _ in state.kept("b:")) == ["name", "next"]


def test_a_new_owner_sends_what_may_not_have_been_stored_under_the_same_name_and_numbers() -> None:
    state = PartitionState({})
    first = Outbox(state)
    for text in ("one", "two", "three"):
        first.add(message(text))
    first.take()
    first.stored(1)
    first.take()

    second = Outbox(committed(state))
    assert second.name == first.name
    assert second.waits
    second.add(message("four"))
    assert second.take() == [(2, message("two")), (3, message("three")), (4, message("four"))]


def test_a_state_without_a_name_is_numbered_anew() -> None:
    state = PartitionState({})
    first = Outbox(state)
    first.add(message("one"))
    first.take()
    imported = {key: value for key, value in committed(state)._values.items() if key not in ("b:name", "b:next")}
    second = Outbox(PartitionState(imported))
    assert second.name != first.name
    assert second.take() == [(1, message("one"))]


def test_a_state_that_never_sent_anything_holds_nothing_of_it() -> None:
    state = PartitionState({})
    Outbox(state).take()
    assert state.snapshot() == {}


options = st.fixed_dictionaries(
    {},
    optional={
        "partition_key": st.text(),
        "event_timestamp": st.integers(0, 2**53),
        "properties": st.dictionaries(st.text(), st.text()),
        "disable_replication": st.booleans(),
    },
)


@given(topic=st.text(), payload=st.binary(), options=options)
def test_messages_survive_as_bytes(topic: str, payload: bytes, options: dict[str, Any]) -> None:
    outgoing = Outgoing(topic, payload, options)
    assert from_bytes(to_bytes(outgoing)) == outgoing


@pytest.mark.parametrize(
    ("outgoing", "told"),
    [
        (Outgoing("t", b"x", {"sequence_id": 7}), "sequence_id"),
        (Outgoing("t", b"x" * (MAX_MESSAGE + 1)), "over the limit"),
        (Outgoing("t", b"x", {"properties": {"a": b"bytes"}}), "cannot be kept"),
    ],
)
def test_what_could_not_be_sent_later_is_refused(outgoing: Outgoing, told: str) -> None:
    with pytest.raises(DataError, match=told):
        check(outgoing)
