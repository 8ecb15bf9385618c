"""Replays against a dead-letter topic and inputs in memory: what is settled when, and what a cut leaves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest

from pulsar_pipeline.cluster.http import AdminHttp
from pulsar_pipeline.errors import ClusterError
from pulsar_pipeline.letters import settle
from pulsar_pipeline.letters.choice import Choice
from pulsar_pipeline.letters.letter import Letter
from pulsar_pipeline.letters.returns import Returns, Unreturnable
from pulsar_pipeline.letters.settle import Replayer, dismiss, survey
from pulsar_pipeline.letters.waiting import WaitingLetters
from pulsar_pipeline.names import TopicName
from tests.unit.letters.test_choice import letter


class Broker:
    """What waits, what came back, and in which order things were done."""

    def __init__(self, letters: list[Letter]) -> None:
        self.letters = letters
        self.sent: list[Letter] = []
        self.stored: list[Letter] = []
        self.notes: dict[str, str] = {}
        self.log: list[str] = []
        self.settles_left: int | None = None


class FakeWaiting:
    partitions = 1
    topic = TopicName("acme", "out", "risk-dead-letters")

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    @contextmanager
    def partition(self, _partition: int) -> Iterator[FakeWaiting]:
        yield self

    def __iter__(self) -> Iterator[Letter]:
        yield from list(self._broker.letters)

    def keep(self, kept: Letter) -> Letter:
        return kept

    def settle(self, kept: Letter) -> None:
        if self._broker.settles_left == 0:
            raise ClusterError("cut off")
        if self._broker.settles_left is not None:
            self._broker.settles_left -= 1
        self._broker.log.append(f"settle {kept.position.entry}")
        self._broker.letters.remove(kept)


class FakeReturns:
    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    def check(self, sent: Letter) -> None:
        if sent.reason == "hung":
            raise Unreturnable("not that one", mend="leave it")

    def send(self, sent: Letter) -> None:
        assert sent.source_topic in self._broker.notes, "noted before it is sent"
        self._broker.sent.append(sent)
        self._broker.log.append(f"send {sent.position.entry}")

    def flush(self) -> None:
        self._broker.stored = list(self._broker.sent)
        self._broker.log.append("flush")


@pytest.fixture
def broker() -> Broker:
    return Broker([letter(entry) for entry in range(1, 8)])


@pytest.fixture
def replayer(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> Replayer:
    class FakeJournal:
        def __init__(self, *_: Any) -> None:
            self.open_replays = lambda: dict.fromkeys(broker.notes, (0, 0))

        def begin(self, name: str) -> None:
            broker.notes.setdefault(name, "0:0")

        def done(self) -> None:
            broker.notes.clear()

    monkeypatch.setattr(settle, "Journal", FakeJournal)
    monkeypatch.setattr(settle, "_CHUNK", 3)
    monkeypatch.setattr(
        settle, "replayed_since", lambda _client, _http, name, _start, _for: {each.identity for each in broker.stored}
    )
    waiting, returns = cast(WaitingLetters, FakeWaiting(broker)), cast(Returns, FakeReturns(broker))
    return Replayer(cast(Any, None), cast(AdminHttp, None), waiting, returns, "acme/risk")


def entries(letters: list[Letter]) -> list[int]:
    return [each.position.entry for each in letters]


def test_a_letter_is_settled_when_its_event_is_stored(broker: Broker, replayer: Replayer) -> None:
    heard: list[int] = []
    settled = replayer.replay(Choice(), heard.append)
    assert (settled.replayed, settled.done, heard[-1]) == (7, 7, 7)
    assert entries(broker.sent) == [1, 2, 3, 4, 5, 6, 7]
    assert (broker.letters, broker.notes) == ([], {})
    stored = 0
    for step in broker.log:
        match step.split():
            case ["flush"]:
                stored = len([each for each in broker.log[: broker.log.index(step)] if each.startswith("send")])
            case ["settle", entry]:
                sent = broker.log.index(f"send {entry}")
                assert "flush" in broker.log[sent : broker.log.index(step)]
    assert stored


@pytest.mark.parametrize("settles", range(7))
def test_cut_anywhere_the_next_replay_goes_on_and_sends_nothing_twice(
    broker: Broker, replayer: Replayer, settles: int
) -> None:
    broker.settles_left = settles
    with pytest.raises(ClusterError, match="cut off"):
        replayer.replay(Choice(), lambda _: None)
    assert broker.notes, "it is known that a replay was interrupted"
    broker.settles_left = None
    again = replayer.replay(Choice(reason="of none"), lambda _: None)
    assert again.replayed == 0, "whatever is chosen, what was sent is settled"
    replayer.replay(Choice(), lambda _: None)
    assert sorted(entries(broker.stored)) == [1, 2, 3, 4, 5, 6, 7]
    assert broker.letters == []


def test_what_cannot_go_back_stays(broker: Broker, replayer: Replayer) -> None:
    broker.letters[2] = letter(3, reason="hung")
    settled = replayer.replay(Choice(), lambda _: None)
    assert settled.refused == {("not that one", "leave it"): 1}
    assert entries(broker.letters) == [3]
    assert settled.replayed == 6


def test_the_second_letter_of_an_event_goes_with_the_first(broker: Broker, replayer: Replayer) -> None:
    broker.letters.append(letter(8, "9:2:-1"))
    settled = replayer.replay(Choice(), lambda _: None)
    assert (settled.replayed, settled.doubles, broker.letters) == (7, 1, [])


def test_a_survey_changes_nothing_and_a_dismissal_sends_nothing(broker: Broker) -> None:
    waiting = cast(WaitingLetters, FakeWaiting(broker))
    heard: list[Letter] = []
    assert survey(waiting, Choice(reason="failed"), heard.append).events == 7
    assert (len(heard), len(broker.letters), broker.log) == (7, 7, [])
    assert dismiss(waiting, Choice(frozenset({heard[1].position})), lambda _: None).dismissed == 1
    assert entries(broker.letters) == [1, 3, 4, 5, 6, 7]
    assert broker.sent == []
