"""One at a time: an advisory lock on a file, freed by the system when its holder ends in whatever way."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pulsar_pipeline.local.progress import Report


@contextmanager
def exclusive(path: Path, *, waiting: str, report: Report) -> Iterator[None]:
    """Hold the lock; while another process has it, say `waiting` once and wait for it. Blocks."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report(waiting)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
