from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulsar_pipeline.statelog.runs import MAX_INPUTS, Runs, expand
from pulsar_pipeline.statelog.stamp import Marker, Stamp, marker_text, parse, stamp_text
from tests.support.statelog import numbers, runs_texts


@given(numbers, numbers, st.integers(1, 10**18 - 1), runs_texts)
def test_a_stamp_is_read_as_it_was_written(epoch, incarnation, seq, runs):
    assert parse(stamp_text(epoch, incarnation, seq, runs)) == Stamp(epoch, incarnation, seq, runs)


@given(numbers, numbers, st.from_regex("[0-9A-Za-z]+", fullmatch=True))
def test_a_marker_is_read_as_it_was_written(epoch, incarnation, nonce):
    assert parse(marker_text(epoch, incarnation, nonce)) == Marker(epoch, incarnation, nonce)


def test_the_text_is_what_is_documented():
    assert stamp_text(1, 3, 57) == "1.3:57"
    assert stamp_text(1, 3, 57, "a2b1") == "1.3:57:a2b1"
    assert marker_text(1, 3, "9f0c") == "1.3:m:9f0c"


NO_STAMPS = """
1 1.3 1.3: 1.3:0 1.3:-1 01.3:5 1.3:05 1.3:5: 1.3:5:a 1.3:5:a0 1.3:5:A1 1.3:m: 1.3:m 1.3:5:a1:b 1.3:1_0 1.3:+5
\N{ARABIC-INDIC DIGIT ONE}.3:5 1.3:9999999999999999999 1.3:m:a-b
"""


@pytest.mark.parametrize("text", ["", " 1.3:5", "1.3:5\n", *NO_STAMPS.split()])
def test_any_other_text_is_refused(text):
    with pytest.raises(ValueError, match="not a stamp"):
        parse(text)


@given(st.text(max_size=20))
def test_a_text_that_is_read_is_the_only_one_for_its_stamp(text):
    try:
        found = parse(text)
    except ValueError:
        return
    assert text == (marker_text(*found) if isinstance(found, Marker) else stamp_text(*found))


TAKEN = st.lists(st.integers(0, MAX_INPUTS - 1) | st.integers(-99, -1), max_size=30)
"""Inputs by number, timers by number below zero."""


@given(TAKEN, TAKEN)
def test_runs_hold_the_order_of_inputs(before, after):
    runs = Runs()
    for index in before:
        _take(runs, index)
    again = Runs(runs.text())
    for index in after:
        _take(again, index)
    assert list(expand(again.text())) == before + after
    again.clear()
    assert again.text() == ""


def _take(runs, number):
    if number < 0:
        runs.add_timer(-number)
    else:
        runs.add(number)


def test_runs_are_short():
    runs = Runs()
    for index in [0] * 1000 + [1]:
        runs.add(index)
    assert runs.text() == "a1000b1"


@pytest.mark.parametrize("text", ["a", "1", "a0", "aa1", "a1 b1", "A1"])
def test_what_is_no_runs_is_refused(text):
    with pytest.raises(ValueError, match="not runs"):
        list(expand(text))
    with pytest.raises(ValueError, match="not runs"):
        Runs(text)


def test_more_inputs_than_letters_are_refused():
    with pytest.raises(IndexError):
        Runs().add(25)
