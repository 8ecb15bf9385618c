"""What a cluster's log says about why it failed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from pulsar_pipeline.local.layout import ClusterLayout

_TAIL_BYTES = 256 * 1024
_TELLING = re.compile(r"Caused by:|\bERROR\b|\bFATAL\b|Exception\b|^Error\b|OutOfMemoryError|Unrecognized|Could not")
_NOISE = re.compile(r"^\s+at |^\s+\.\.\. \d+ more|--- setup|Halting standalone|Shutdown")
_CAUSE = re.compile(
    r"Caused by:|Address already in use|No space left|OutOfMemoryError|lock file|Invalid|Unrecognized"
)


def tail(path: Path, lines: int) -> list[str]:
    """The last lines of a text file; none if there is no file."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _TAIL_BYTES))
            return file.read().decode(errors="replace").splitlines()[-lines:]
    except FileNotFoundError:
        return []


def telling_line(lines: Iterable[str]) -> str | None:
    """The last line that names a cause, else the last that tells of an error."""
    error = cause = None
    for line in lines:
        if _NOISE.search(line):
            continue
        if _TELLING.search(line):
            error = line.strip()
        if _CAUSE.search(line):
            cause = line.strip()
    return cause or error


def why_it_failed(cluster: ClusterLayout) -> tuple[str, Path]:
    """The telling line and the file it stands in."""
    for path in (cluster.console, cluster.log):
        line = telling_line(tail(path, 2000))
        if line is not None:
            return line, path
    return "the log says nothing", cluster.log
