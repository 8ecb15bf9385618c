"""One writer per folder: an advisory lock that the kernel gives back when its holder dies, however it dies."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from pulsar_pipeline.errors import ViewUnavailable

_RETRY_S = 0.05


class FolderLock:
    """Held from construction to `close` or the end of the process."""

    def __init__(self, file: Path, *, wait_s: float = 0.0) -> None:
        """Raises ViewUnavailable when another process holds it still after `wait_s`."""
        file.parent.mkdir(parents=True, exist_ok=True)
        self._fd = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        deadline = time.monotonic() + wait_s
        while not self._try():
            if time.monotonic() >= deadline:
                holder = os.pread(self._fd, 32, 0).decode(errors="replace").strip() or "unknown"
                os.close(self._fd)
                raise ViewUnavailable(
                    f"in use by another process (id {holder})",
                    where=str(file.parent),
                    mend="stop that one, or give this one another --folder",
                )
            time.sleep(_RETRY_S)
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def close(self) -> None:
        """Give it back; harmless when done already."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _try(self) -> bool:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
