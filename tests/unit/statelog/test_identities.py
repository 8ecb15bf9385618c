from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from pulsar_pipeline.statelog.identities import ANEW, Identities, Replay, Seen
from pulsar_pipeline.statelog.records import Identity

PRODUCERS = st.sampled_from(["a", "b", "c", "d", "e"])


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[str, int]]:
    """Messages (producer, publish time) as an input has them; a producer's times never fall."""
    now: Counter[str] = Counter()
    messages = []
    for producer in draw(st.lists(PRODUCERS, max_size=40)):
        now[producer] += draw(st.integers(0, 2))
        messages.append((producer, now[producer]))
    return messages


@st.composite
def interleavings(draw: st.DrawFn) -> tuple[list[tuple[str, int]], list[tuple[str, int]]]:
    """The same messages as two clusters have them: each producer's in its order."""
    here = draw(histories())
    queues: dict[str, list[tuple[str, int]]] = {}
    for message in here:
        queues.setdefault(message[0], []).append(message)
    there = [queues[producer].pop(0) for producer, _ in draw(st.permutations(here))]
    return here, there


@given(interleavings(), st.integers(0, 40))
def test_another_cluster_knows_exactly_what_was_processed(clusters, processed):
    here, there = clusters
    window = Identities()
    for producer, publish_ms in here[:processed]:
        window.take("readings", producer, publish_ms)
    replay = Replay(window)
    seen = [message for message in there if replay.judge("readings", *message) is Seen.YES]
    assert Counter(seen) == Counter(here[:processed])
    since = window.since_ms("readings")
    if here[:processed]:
        missed = Counter(here) - Counter(here[:processed])
        late = {producer for producer, _ in here[:processed]}
        assert all(publish_ms >= since for producer, publish_ms in missed if producer in late)


@given(histories(), st.integers(1, 6), st.integers(1, 4))
def test_commits_tell_the_whole_window(messages, every, most):
    window, told = Identities(most=most), Identities(most=most)
    for number, (producer, publish_ms) in enumerate(messages):
        window.take("readings", producer, publish_ms)
        if number % every == 0:
            told.merge(window.changes())
    told.merge(window.changes())
    assert list(told) == list(window) == list(Identities(window, most=most))
    assert window.changes() == ()


@given(histories(), st.integers(1, 3))
def test_what_fell_out_of_the_window_is_never_taken_for_new(messages, most):
    window = Identities(most=most)
    for producer, publish_ms in messages:
        window.take("readings", producer, publish_ms)
    replay = Replay(window)
    assert all(replay.judge("readings", *message) is not Seen.NO for message in messages)


def test_a_batch_is_taken_at_once_and_inputs_stand_apart():
    window = Identities()
    window.take("readings", "a", 5, 20)
    window.take("readings", "a", 5, 2)
    window.take("labels", "a", 9)
    assert list(window) == [Identity("readings", "a", 5, 22), Identity("labels", "a", 9, 1)]
    assert (window.since_ms("readings"), window.since_ms("labels"), window.since_ms("none")) == (5, 9, None)
    replay = Replay(window)
    assert [replay.judge("readings", "a", 5) for _ in range(23)] == [Seen.YES] * 22 + [Seen.NO]
    assert replay.judge("labels", "a", 10) is Seen.NO


def test_a_clock_set_back_does_not_move_the_window_back():
    window = Identities()
    window.take("readings", "a", 100)
    window.take("readings", "a", 90)
    assert list(window) == [Identity("readings", "a", 100, 1)]


def test_the_window_forgets_who_was_heard_of_longest_ago():
    window = Identities(most=2)
    for producer, publish_ms in (("a", 7), ("b", 1), ("a", 8), ("c", 2)):
        window.take("readings", producer, publish_ms)
    assert list(window) == [
        Identity("readings", "", 1, 0),
        Identity("readings", "a", 8, 1),
        Identity("readings", "c", 2, 1),
    ]
    replay = Replay(window)
    assert [replay.judge("readings", "b", publish_ms) for publish_ms in (1, 2)] == [Seen.UNSURE, Seen.NO]


def test_a_state_that_was_put_back_knows_only_what_it_knew():
    window = Identities([Identity("readings", "a", 5, 1), Identity("readings", "", 3, 0)])
    window.merge([ANEW, Identity("readings", "b", 2, 1)])
    assert list(window) == [Identity("readings", "b", 2, 1)]
