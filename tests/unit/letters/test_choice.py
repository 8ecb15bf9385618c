from __future__ import annotations

from pulsar_pipeline.letters.choice import Choice, Survey, chosen
from pulsar_pipeline.letters.letter import Letter, LetterPosition


def letter(entry: int, source: str = "", reason: str = "failed", topic: str = "events") -> Letter:
    return Letter(
        position=LetterPosition(0, 1, entry),
        reason=reason,
        error="",
        source_topic=f"persistent://acme/in/{topic}-partition-0",
        source_position=source or f"9:{entry}:-1",
        schema_version=0,
        function="acme/out/risk",
        payload=b"",
        key=None,
        event_time_ms=None,
        set_aside_ms=0,
        properties={},
    )


def entries(letters: list[Letter], choice: Choice) -> list[tuple[int, bool]]:
    return [(each.position.entry, double) for each, double in chosen(letters, choice)]


def test_all_of_a_reason_or_these() -> None:
    letters = [letter(1), letter(2, reason="hung"), letter(3)]
    assert entries(letters, Choice()) == [(1, False), (2, False), (3, False)]
    assert entries(letters, Choice(reason="hung")) == [(2, False)]
    assert entries(letters, Choice(frozenset({LetterPosition(0, 1, 3)}))) == [(3, False)]
    assert entries(letters, Choice(frozenset({LetterPosition(1, 1, 3)}))) == []


def test_an_event_that_was_set_aside_twice_is_meant_once() -> None:
    letters = [letter(1, "9:1:0"), letter(2, "9:2:0"), letter(3, "9:1:0"), letter(4, "9:1:0")]
    assert entries(letters, Choice()) == [(1, False), (2, False), (3, True), (4, True)]
    assert entries(letters, Choice(frozenset({LetterPosition(0, 1, 2)}))) == [(2, False)]
    assert entries(letters, Choice(frozenset({LetterPosition(0, 1, 1)}))) == [(1, False), (3, True), (4, True)]


def test_the_same_place_of_another_input_is_another_event() -> None:
    assert entries([letter(1, "9:1:0"), letter(2, "9:1:0", topic="rules")], Choice()) == [(1, False), (2, False)]


def test_only_partitions_that_may_hold_them_are_read() -> None:
    positions = frozenset({LetterPosition(2, 1, 1), LetterPosition(5, 1, 1), LetterPosition(9, 1, 1)})
    assert Choice(positions).partitions(range(6)) == [2, 5]
    assert Choice(reason="hung").partitions(range(3)) == [0, 1, 2]


def test_a_survey_counts_events() -> None:
    letters = [letter(1, "9:1:0"), letter(2, reason="hung", topic="rules"), letter(3, "9:1:0"), letter(4, reason="")]
    choice, survey = Choice(), Survey()
    for each, double in chosen(letters, choice):
        survey.add(each, double=double, choice=choice)
    assert (survey.events, survey.doubles) == (3, 1)
    assert survey.reasons == {"failed": 1, "hung": 1, "unknown": 1}
    assert survey.topics == {"persistent://acme/in/events": 2, "persistent://acme/in/rules": 1}
