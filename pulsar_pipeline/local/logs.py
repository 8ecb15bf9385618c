"""What a cluster's log says about why it failed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from pulsar_pipeline.local.layout import ClusterLayout

_TAIL_BYTES = 512 * 1024
_EVENT = re.compile(r"^\d{4}-\d\d-\d\dT\S+ (?P<level>[A-Z]+) +\[.*?\] \S+ - (?P<message>.*)")
"""The first line of an entry, as `conf/log4j2.properties` lays it out."""
_CAUSE = re.compile(r"^\s*Caused by: (?P<cause>.*)")
_CONSOLE = re.compile(r"^(Error\b|Exception in thread|Unrecognized |Invalid |Caused by: |.*OutOfMemoryError)")
_HARMLESS = re.compile(r"this is okay|Shutdown failed|UncaughtExceptionHandler")


def tail(path: Path, lines: int) -> list[str]:
    """The last lines of a text file, as far as half a megabyte holds them; none if there is no file."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _TAIL_BYTES))
            return file.read().decode(errors="replace").splitlines()[-lines:] if lines else []
    except FileNotFoundError:
        return []


def follow(path: Path, ticks: Iterable[object]) -> Iterator[str]:
    """What is appended to a file from now on, looked for at each tick; a replaced file is read from its start."""
    size = path.stat().st_size if path.exists() else 0
    for _ in ticks:
        now = path.stat().st_size if path.exists() else 0
        if now == size:
            continue
        with path.open("rb") as file:
            file.seek(size if now > size else 0)
            yield file.read().decode(errors="replace")
            size = file.tell()


def last_error(lines: Iterable[str]) -> str | None:
    """The last error in a log, with its innermost cause where it has one."""
    message = cause = None
    within = False
    for line in lines:
        event = _EVENT.match(line)
        if event is not None:
            within = event["level"] in ("ERROR", "FATAL") and not _HARMLESS.search(line)
            if within:
                message, cause = event["message"].strip(), None
        elif within and (found := _CAUSE.match(line)):
            cause = found["cause"].strip()
    return message if message is None or cause is None else f"{message} {cause}"


def last_complaint(lines: Iterable[str]) -> str | None:
    """The last thing Java itself complained of on its console."""
    complaints = [line.strip() for line in lines if _CONSOLE.match(line) and not _HARMLESS.search(line)]
    return complaints[-1] if complaints else None


def why_it_failed(cluster: ClusterLayout) -> tuple[str, Path]:
    """The telling line and the file it stands in."""
    error = last_error(tail(cluster.log, 10_000))
    if error is not None:
        return error, cluster.log
    complaint = last_complaint(tail(cluster.console, 1000))
    if complaint is not None:
        return complaint, cluster.console
    return "the log says nothing", cluster.log
