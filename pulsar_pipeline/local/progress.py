"""How long work tells its progress: a line at a time, to whoever listens."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

Report: TypeAlias = Callable[[str], None]
"""Called from any thread with one line of plain text."""


def silent(_: str) -> None:
    """For callers that want no progress."""
