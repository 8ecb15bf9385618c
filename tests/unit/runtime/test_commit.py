from __future__ import annotations

import threading

import pytest

from pulsar_pipeline.runtime.commit import AtLeastOnce


def test_outputs_are_stored_before_inputs_are_acknowledged() -> None:
    order: list[str] = []
    committer = AtLeastOnce(lambda: order.append("flush"), lambda messages: order.append(f"ack {messages}"))
    committer.submit(["a"])
    committer.submit(["b"])
    committer.drain()
    assert order == ["flush", "ack ['a']", "flush", "ack ['b']"]


def test_nothing_is_acknowledged_once_storing_failed() -> None:
    acknowledged: list[object] = []

    def flush() -> None:
        raise ConnectionError("the topic is gone")

    committer = AtLeastOnce(flush, acknowledged.append)
    committer.submit(["a"])
    with pytest.raises(ConnectionError, match="the topic is gone"):
        committer.drain()
    with pytest.raises(ConnectionError):
        committer.submit(["b"])
    assert acknowledged == []


def test_the_loop_waits_when_storing_falls_behind() -> None:
    gate, submitted = threading.Event(), threading.Semaphore(0)
    committer = AtLeastOnce(gate.wait, lambda _messages: None)

    def loop() -> None:
        for batch in range(50):
            committer.submit([batch])
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
    committer.drain()
