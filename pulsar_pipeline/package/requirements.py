"""A function's `requirements.txt`: every line pinned and hashed, or it is refused."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from pulsar_pipeline.errors import PackageError

FILE_NAME = "requirements.txt"
MEND = "lock it: uv pip compile --universal --generate-hashes requirements.in -o requirements.txt"

_HASH = re.compile(r"\s--hash=sha256:([0-9a-f]{64})(?=\s|$)")


@dataclass(frozen=True)
class Locked:
    """One pinned distribution."""

    name: str
    """Canonical: lower case, dashes."""
    version: str
    hashes: frozenset[str]
    """sha256 of every file that may stand for it, in hex."""
    line: int
    text: str
    """The line as pip takes it."""


def read_locked(path: Path) -> list[Locked]:
    """What the file pins for this Python and platform (markers apply), by name. No file: nothing.

    Raises PackageError with file and line.
    """
    if not path.is_file():
        return []
    pins: dict[str, Locked] = {}
    for number, line in _logical_lines(path.read_text(encoding="utf-8")):
        pin = _pin(line, number, path)
        if pin is None:
            continue
        if pin.name in pins:
            raise PackageError(
                f"{pin.name} is pinned twice", where=f"{path}:{number}", mend=f"see line {pins[pin.name].line}"
            )
        pins[pin.name] = pin
    return [pins[name] for name in sorted(pins)]


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines with continuations joined and comments cut, with the number of their first."""
    pending, start = "", 0
    for number, raw in enumerate(text.splitlines(), start=1):
        line = re.sub(r"(^|\s)#.*$", "", raw).rstrip()
        start = start or number
        if line.endswith("\\"):
            pending += line[:-1] + " "
            continue
        if pending or line.strip():
            yield start, (pending + line).strip()
        pending, start = "", 0
    if pending.strip():
        yield start, pending.strip()


def _pin(line: str, number: int, path: Path) -> Locked | None:
    where = f"{path}:{number}"
    if line.startswith("-"):
        raise PackageError(
            f"an option has no place in a function's lock: {line.split(maxsplit=1)[0]}",
            where=where,
            mend="keep indexes in pip's own configuration",
        )
    hashes = frozenset(_HASH.findall(line))
    try:
        requirement = Requirement(_HASH.sub("", line).strip())
    except InvalidRequirement as error:
        raise PackageError(f"not a requirement: {str(error).splitlines()[0]}", where=where, mend=MEND) from error
    exact = [part for part in requirement.specifier if part.operator in ("==", "===") and "*" not in part.version]
    if requirement.url or len(exact) != 1 or len(requirement.specifier) != 1:
        raise PackageError(f"{requirement.name} is not pinned to one version", where=where, mend=MEND)
    if not hashes:
        raise PackageError(f"{requirement.name} has no hash", where=where, mend=MEND)
    if requirement.marker is not None and not requirement.marker.evaluate():
        return None
    return Locked(canonicalize_name(requirement.name), exact[0].version, hashes, number, line)
