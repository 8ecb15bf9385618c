"""Waiting for what must come to be, never for time to pass."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")

PATIENCE = 3.0
"""Times are given for a quiet machine; a busy one is no finding."""


def wait_until(
    condition: Callable[[], _T], timeout_s: float, what: str, *, poll_s: float = 0.05, patience: float = PATIENCE
) -> _T:
    """The first true answer of `condition`; after `patience` times `timeout_s` an AssertionError with `what` and the
    last answer."""
    timeout_s *= patience
    deadline = time.monotonic() + timeout_s
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s} s: {what} (last answer: {answer!r})")
        time.sleep(poll_s)
