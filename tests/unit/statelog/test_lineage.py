from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulsar_pipeline.statelog.lineage import ANYWHERE, Lineage, Verdict, judge
from pulsar_pipeline.statelog.stamp import Marker, Stamp

AT = Lineage(1, 3, 57)


@pytest.mark.parametrize(
    ("message", "verdict", "after"),
    [
        (Stamp(1, 3, 58), Verdict.TAKE, Lineage(1, 3, 58)),
        (Stamp(1, 3, 57), Verdict.REPEATED, AT),
        (Stamp(1, 3, 1), Verdict.REPEATED, AT),
        (Stamp(1, 3, 59), Verdict.GAP, Lineage(1, 3, 59)),
        (Stamp(1, 2, 58), Verdict.OLD, AT),
        (Stamp(0, 9, 58), Verdict.OLD, AT),
        (Stamp(1, 4, 58), Verdict.GAP, Lineage(1, 4, 58)),
        (Stamp(1, 4, 57), Verdict.REPEATED, Lineage(1, 4, 57)),
        (Marker(1, 4, "n"), Verdict.MARKER, Lineage(1, 4, 57)),
        (Marker(2, 1, "n"), Verdict.MARKER, Lineage(2, 1, 57)),
        (Marker(1, 3, "n"), Verdict.REPEATED, AT),
        (Marker(1, 2, "n"), Verdict.OLD, AT),
    ],
)
def test_each_case_of_the_rule(message, verdict, after):
    assert judge(AT, message) == (verdict, after)


def test_the_first_output_there_ever_was():
    verdict, lineage = judge(Lineage(), Marker(1, 1, "n"))
    assert verdict is Verdict.MARKER
    assert judge(lineage, Stamp(1, 1, 1))[0] is Verdict.TAKE
    assert judge(lineage, Stamp(1, 1, 2))[0] is Verdict.GAP


def test_begun_in_the_middle_the_first_output_counts_whatever_its_seq():
    assert judge(ANYWHERE, Stamp(1, 3, 57)) == (Verdict.TAKE, AT)
    verdict, lineage = judge(ANYWHERE, Marker(1, 3, "n"))
    assert verdict is Verdict.MARKER
    assert judge(lineage, Stamp(1, 2, 56))[0] is Verdict.OLD
    assert judge(lineage, Stamp(1, 3, 57)) == (Verdict.TAKE, AT)


# Owners in turn: each reads the outputs up to its own marker and goes on behind what counts. Every one of them may
# still send what it had in its buffers, at any time later, and some sends are repeated by a client that reconnects.
owners = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=6)


@given(owners, st.data())
def test_what_counts_is_every_seq_once_whatever_comes_late(owners, data):
    topic, late, lineage, counted = [], [], Lineage(), []

    def arrive(message):
        nonlocal lineage
        topic.append(message)
        verdict, lineage = judge(lineage, message)
        assert verdict is not Verdict.GAP
        if verdict is Verdict.TAKE:
            counted.append(message)

    for incarnation, (sent, buffered) in enumerate(owners, start=1):
        arrive(Marker(1, incarnation, "n"))
        seq = lineage.seq
        for number in range(1, sent + 1):
            if late and data.draw(st.booleans()):
                arrive(late.pop(0))
            arrive(Stamp(1, incarnation, seq + number))
            if data.draw(st.booleans()):
                arrive(Stamp(1, incarnation, seq + number))
        late += [Stamp(1, incarnation, seq + sent + number) for number in range(1, buffered + 1)]
    newest = late[-owners[-1][1] :] if owners[-1][1] else []
    for message in late:
        arrive(message)
    assert [stamp.seq for stamp in counted] == list(range(1, len(counted) + 1))
    assert [stamp.incarnation for stamp in counted] == sorted(stamp.incarnation for stamp in counted)
    assert counted[len(counted) - len(newest) :] == newest
