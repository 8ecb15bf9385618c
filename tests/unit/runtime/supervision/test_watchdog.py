from __future__ import annotations

import threading
from typing import Any

from pulsar_pipeline.runtime.supervision.watchdog import InWork, Watchdog
from tests.support.wait import wait_until


def test_an_event_that_takes_too_long_is_reported_with_the_stack_of_the_loop() -> None:
    in_work, seen, armed, reported = InWork(), [], [], threading.Event()

    def on_hang(message: Any, stack: str) -> None:
        seen.append((message, stack))
        reported.set()

    watchdog = Watchdog(in_work, 0.2, on_hang, last_resort=armed.append)
    in_work.message = "the event"
    watchdog.start()
    assert reported.wait(5)
    ((message, stack),) = seen
    assert message == "the event"
    assert "test_an_event_that_takes_too_long" in stack
    assert armed[0] > 0.2, "a timer below the interpreter stands in when this thread cannot run"


def test_events_that_come_and_go_are_left_alone() -> None:
    in_work, seen = InWork(), []
    watchdog = Watchdog(in_work, 0.1, lambda message, _stack: seen.append(message), last_resort=lambda _seconds: None)
    watchdog.start()
    done = threading.Event()
    for number in range(30):
        in_work.message = number
        done.wait(0.01)
        in_work.message = None
    watchdog.close()
    assert seen == []


def test_a_pause_of_the_process_is_no_hang() -> None:
    in_work, seen, checks = InWork(), [], []
    in_work.message = "the event"

    def armed(_seconds: float) -> None:
        checks.append(_seconds)
        if len(checks) == 3:
            in_work.message = None

    watchdog = Watchdog(in_work, 0.1, lambda message, _stack: seen.append(message), last_resort=armed)
    watchdog.start()
    wait_until(lambda: len(checks) > 10, 5, "ten checks")
    watchdog.close()
    assert seen == []
