"""The run's bookkeeping, over a client that stands in for Pulsar's."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pulsar
import pytest

from pulsar_pipeline.errors import ClusterError, ClusterRefused, ClusterUnreachable
from pulsar_pipeline.ingest.events import Event
from pulsar_pipeline.ingest.pace import Pace
from pulsar_pipeline.ingest.rows import BadRow
from pulsar_pipeline.ingest.send import CONFIRM_EVERY, REJECTS_KEPT, Report, TopicSender, send_all
from pulsar_pipeline.schemas.schema import schema_from_text
from tests.support.clocks import FakeClock

SCHEMA = schema_from_text(json.dumps({"type": "record", "name": "R", "fields": []}), "test")


class MessageId:
    def __init__(self, entry: int) -> None:
        self._entry = entry

    def ledger_id(self) -> int:
        return 1

    def entry_id(self) -> int:
        return self._entry

    def batch_index(self) -> int:
        return 0


class Producer:
    """Stores at once; `fail_at` makes a flush fail once so many are there, `swallow` loses one silently."""

    def __init__(self, *, fail_at: int | None = None, swallow: bool = False) -> None:
        self.stored: list[tuple[bytes, dict[str, Any]]] = []
        self.callbacks = 0
        self._fail_at, self._swallow = fail_at, swallow

    def send_async(self, payload: bytes, callback: Callable[[Any, Any], None] | None, **options: Any) -> None:
        self.stored.append((payload, options))
        if callback is not None:
            self.callbacks += 1
            callback(pulsar.Result.Ok, MessageId(len(self.stored) - 1))

    def flush(self) -> None:
        if self._fail_at is not None and len(self.stored) >= self._fail_at:
            raise pulsar.Timeout("no answer")

    def last_sequence_id(self) -> int:
        return 1 + len(self.stored) - self._swallow * (len(self.stored) > 0)

    def close(self) -> None:
        raise pulsar.AlreadyClosed("closed")


class Client:
    def __init__(self, **producer: Any) -> None:
        self.producers: dict[str, Producer] = {}
        self._producer = producer
        self.error: Exception | None = None

    def create_producer(self, topic: str, **_: Any) -> Producer:
        if self.error:
            raise self.error
        self.producers[topic] = Producer(**self._producer)
        return self.producers[topic]


def sender(client: Client, partitions: int = 2) -> TopicSender:
    return TopicSender(client, "persistent://acme/in/readings", partitions, SCHEMA, cluster="west")  # type: ignore[arg-type]


def event(line: int, key: str | None = None) -> Event:
    return Event(line, str(line).encode(), key if key is not None else f"k{line}", 1000 + line)


def pace(rate: float | None = None) -> Pace:
    clock = FakeClock()
    return Pace(rate, clock, sleep=lambda seconds: clock.advance(round(seconds * 1000)))


def run(client: Client, items: list[Event | BadRow], **options: Any) -> Report:
    report = Report()
    with sender(client) as to:
        send_all(items, to, report, pace=options.pop("pace", None) or pace(), clock=FakeClock(), **options)
    return report


def test_events_of_a_key_stay_in_order_on_one_partition() -> None:
    client = Client()
    report = run(client, [event(line, key="ab"[line % 2]) for line in range(2, 102)])
    assert report.sent == 100
    for producer in client.producers.values():
        lines = [int(payload) for payload, _ in producer.stored]
        assert lines == sorted(lines)
        assert len({options["partition_key"] for _, options in producer.stored}) == 1
        assert [options["event_timestamp"] for _, options in producer.stored] == [1000 + line for line in lines]


def test_the_last_position_of_each_partition_costs_one_callback_each() -> None:
    client = Client()
    report = run(client, [event(line) for line in range(2, 502)])
    stored = [len(producer.stored) for producer in client.producers.values()]
    assert report.positions == {partition: f"1:{count - 1}:0" for partition, count in enumerate(stored)}
    assert [producer.callbacks for producer in client.producers.values()] == [1, 1]


@pytest.mark.parametrize("options", [{"live": True}, {"pace": pace(10)}])
def test_live_and_slow_events_do_not_wait_for_the_next(options: dict[str, Any]) -> None:
    client = Client()
    seen: list[int] = []

    def items() -> Any:
        for line in range(2, 6):
            yield event(line)
            seen.append(sum(len(producer.stored) for producer in client.producers.values()))

    run(client, items(), **options)
    assert seen == [1, 2, 3, 4]


def test_rows_left_out_are_counted_told_and_the_first_are_kept() -> None:
    told: list[BadRow] = []
    rows = [BadRow(line, "wrong", None) for line in range(2, 42)]
    report = run(Client(), [event(1), *rows, event(42)], on_reject=told.append)
    assert (report.sent, report.left_out, report.resume_line) == (2, 40, 43)
    assert report.rejects == rows[:REJECTS_KEPT]
    assert told == rows


def test_a_failure_tells_how_many_are_confirmed_and_where_to_go_on() -> None:
    client, report = Client(fail_at=CONFIRM_EVERY), Report()
    with sender(client) as to, pytest.raises(ClusterUnreachable) as raised:
        send_all([event(line) for line in range(2, 3 * CONFIRM_EVERY)], to, report, pace=pace(), clock=FakeClock())
    assert 0 < report.sent < 3 * CONFIRM_EVERY
    assert report.sent % CONFIRM_EVERY == 0
    assert report.resume_line == report.sent + 2
    assert raised.value.mend == f"{report.sent} events are confirmed; go on with --from-line {report.resume_line}"


def test_an_interrupt_confirms_what_is_on_its_way() -> None:
    def interrupted() -> Any:
        yield from (event(line) for line in range(2, 9))
        raise KeyboardInterrupt

    report = Report()
    with sender(Client()) as to, pytest.raises(KeyboardInterrupt):
        send_all(interrupted(), to, report, pace=pace(), clock=FakeClock())
    assert (report.sent, report.resume_line) == (7, 9)


def test_slow_events_are_confirmed_every_second() -> None:
    clock, report, seen = FakeClock(), Report(), []

    def slow() -> Any:
        for line in range(2, 10):
            yield event(line)
            clock.advance(400)
            seen.append(report.sent)

    with sender(Client()) as to:
        send_all(slow(), to, report, pace=pace(), clock=clock, live=True)
    assert seen == [0, 0, 0, 4, 4, 4, 7, 7]
    assert report.sent == 8


def test_an_event_lost_without_a_word_is_noticed() -> None:
    with pytest.raises(ClusterError, match="not confirmed"):
        run(Client(swallow=True), [event(2)])


def test_a_failed_send_is_noticed_by_its_callback() -> None:
    client = Client()
    with sender(client, 1) as to:
        (lane,) = to._lanes
        lane.outcome[pulsar.Result.MessageTooBig] = None
        with pytest.raises(ClusterError, match="MessageTooBig"):
            to.confirm()


def test_a_refused_producer_is_told_with_the_cluster() -> None:
    client = Client()
    client.error = pulsar.AuthorizationError("no")
    with pytest.raises(ClusterRefused, match="cannot send to persistent://acme/in/readings") as raised:
        sender(client)
    assert raised.value.where == "cluster west"
