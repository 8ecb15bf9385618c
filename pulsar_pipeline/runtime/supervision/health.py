"""Whether the instance does its work, told honestly: not running until the function stands, failed with its reason."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class HealthState:
    """`failure` is what `functions status` shows; None while all is well."""

    running: bool
    failure: str | None


class Health:
    """Set by the instance as it goes; read by the control service."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._state = HealthState(running=False, failure="starting")

    def running(self) -> None:
        self._set(HealthState(running=True, failure=None))

    def not_running(self, reason: str) -> None:
        if reason != self.read().failure:  # what is tried again and again is logged once
            _log.info("not running: %s", reason)
        self._set(HealthState(running=False, failure=reason))

    def read(self) -> HealthState:
        with self._lock:
            return self._state

    def _set(self, state: HealthState) -> None:
        with self._lock:
            self._state = state
