"""State values ↔ entries of the state log: a value too large for one message becomes several. Pure.

A stored value begins with a tag byte: 0 and the value itself, or 1 and the number of its pieces, which stand under the
key with a suffix that no key of the state has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from pulsar_pipeline.statelog.records import Entry

PIECE = 1_000_000
"""Most bytes of a value in one entry."""

_WHOLE, _PIECES = b"\x00", b"\x01"
_SUFFIX = "\x00"


def entries_of(changed: Mapping[str, bytes | None]) -> Iterator[Entry]:
    """What changed, as entries of at most about `PIECE` bytes each; None removes a key."""
    for key, value in changed.items():
        if value is None:
            yield Entry(key, None)
        elif len(value) <= PIECE:
            yield Entry(key, _WHOLE + value)
        else:
            count = -(-len(value) // PIECE)
            for index in range(count):
                yield Entry(f"{key}{_SUFFIX}{index}", value[index * PIECE : (index + 1) * PIECE])
            yield Entry(key, _PIECES + str(count).encode())


def join(stored: Mapping[str, bytes]) -> dict[str, bytes]:
    """The state of what is stored; pieces left over from a once larger value are dropped."""
    return {key: _value(stored.__getitem__, key, value) for key, value in stored.items() if _SUFFIX not in key}


def take(stored: dict[str, bytes]) -> dict[str, bytes]:
    """As `join`, but what is stored is used up on the way, so that there is never twice as much in memory."""
    state = {}
    for key in [key for key in stored if _SUFFIX not in key]:
        state[key] = _value(stored.pop, key, stored.pop(key))
    stored.clear()
    return state


def live(stored: Mapping[str, bytes]) -> Iterator[Entry]:
    """What is stored, entry by entry, a value's pieces before it; without those that are left over."""
    for key, value in stored.items():
        if _SUFFIX in key:
            continue
        if value[:1] != _WHOLE:
            for index in range(int(value[1:])):
                yield Entry(f"{key}{_SUFFIX}{index}", stored[f"{key}{_SUFFIX}{index}"])
        yield Entry(key, value)


def owner_of(key: str) -> str:
    """The key of the state that a stored entry belongs to."""
    return key.partition(_SUFFIX)[0]


def whole(entry: Entry) -> bytes | None:
    """The value, if the entry holds all of it."""
    if entry.value is None or _SUFFIX in entry.key or entry.value[:1] != _WHOLE:
        return None
    return entry.value[1:]


def _value(part: Callable[[str], bytes], key: str, value: bytes) -> bytes:
    if value[:1] == _WHOLE:
        return value[1:]
    return b"".join(part(f"{key}{_SUFFIX}{index}") for index in range(int(value[1:])))
