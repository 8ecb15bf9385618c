"""How an instance is told to end: by a signal, by the loss of its worker, or by an error of its own."""

from __future__ import annotations

import threading


class StopSignal:
    """Set once; the first reason stays. Safe from any thread and from signal handlers."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self.reason: str | None = None

    def set(self, reason: str) -> None:
        if self.reason is None:
            self.reason = reason
        self.event.set()

    def is_set(self) -> bool:
        return self.event.is_set()
