from __future__ import annotations

import threading
from typing import Any

import pytest

from pulsar_pipeline.runtime.at_least_once import AtLeastOnce
from pulsar_pipeline.runtime.stamped_input import StampedInputs
from pulsar_pipeline.statelog.lineage import ANYWHERE
from tests.unit.runtime.fakes import FakeMessage

NOT_STAMPED = StampedInputs({}, lambda _partition: ANYWHERE)


def nothing_sent(*_arguments: Any, **_options: Any) -> None:
    raise AssertionError("nothing was to be sent")


def batch(*payloads: bytes) -> list[FakeMessage]:
    return [FakeMessage(payload) for payload in payloads]


def test_outputs_are_stored_before_inputs_are_acknowledged() -> None:
    order: list[str] = []
    guarantee = AtLeastOnce(
        nothing_sent,
        lambda: order.append("flush"),
        lambda messages: order.append(f"ack {[message.payload for message in messages]}"),
        str,
        NOT_STAMPED,
    )
    guarantee.batch_done(batch(b"a", b"b"))
    guarantee.batch_done([])
    guarantee.batch_done(batch(b"c"))
    guarantee.drain()
    assert order == ["flush", "ack [b'b']", "flush", "ack [b'c']"], "the last of a partition stands for those before"


def test_nothing_is_acknowledged_once_storing_failed() -> None:
    acknowledged: list[object] = []

    def flush() -> None:
        raise ConnectionError("the topic is gone")

    guarantee = AtLeastOnce(nothing_sent, flush, acknowledged.append, str, NOT_STAMPED)
    guarantee.batch_done(batch(b"a"))
    with pytest.raises(ConnectionError, match="the topic is gone"):
        guarantee.drain()
    with pytest.raises(ConnectionError):
        guarantee.batch_done(batch(b"b"))
    assert acknowledged == []


def test_the_loop_waits_when_storing_falls_behind() -> None:
    gate, submitted = threading.Event(), threading.Semaphore(0)
    guarantee = AtLeastOnce(nothing_sent, gate.wait, lambda _messages: None, str, NOT_STAMPED)

    def loop() -> None:
        for _ in range(50):
            guarantee.batch_done(batch(b"x"))
            submitted.release()

    thread = threading.Thread(target=loop)
    thread.start()
    taken = 0
    while submitted.acquire(timeout=0.2):
        taken += 1
    assert taken < 10, "batches in flight must be bounded"
    gate.set()
    thread.join(5)
    assert not thread.is_alive()
    guarantee.drain()
