"""Where two values differ: records, and the objects of a function's state, down to the attribute."""

from __future__ import annotations

import copyreg
import math
import pickle
from collections.abc import Mapping
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

_NAMED = (type, FunctionType, BuiltinFunctionType, ModuleType)
_LONGEST = 200
_PROTOCOL = 4
"""The last in which arrays give bytes, not buffers, which have no equality."""


def difference(expected: Any, found: Any, where: str = "") -> str | None:
    """The first place where they differ, as `PLACE: expected …, found …`; None where they are equal.

    Objects are compared by what pickle would keep of them, since models have no equality of their own. Which equal
    parts are one object is no difference.
    """
    pending = [(where, expected, found)]
    seen: set[tuple[int, int]] = set()
    kept: list[Any] = []  # so that no identity in `seen` is given out twice
    while pending:
        place, left, right = pending.pop()
        if left is right or (id(left), id(right)) in seen:
            continue
        seen.add((id(left), id(right)))
        kept += (left, right)
        parts = _parts(left, right)
        if parts is None:
            return f"{place or 'value'}: expected {_shown(left)}, found {_shown(right)}"
        pending += [(place + step, one, other) for step, one, other in reversed(parts)]
    return None


def stored_difference(expected: bytes, found: bytes, where: str) -> str | None:
    """Of two pickles. Equal objects may have other bytes, for instance where they share equal strings."""
    if expected == found:
        return None
    try:
        one, other = pickle.loads(expected), pickle.loads(found)
    except Exception as error:  # noqa: BLE001 - of an author's class, whose module may be gone
        return f"{where}: other bytes, which cannot be read here: {type(error).__name__}: {error}"
    return difference(one, other, where)


_Parts = list[tuple[str, Any, Any]]
_EQUAL: _Parts = []


def _parts(left: Any, right: Any) -> _Parts | None:
    """What is to be compared instead of the two, by place; nothing where they are equal, None where they differ."""
    named = isinstance(left, _NAMED) and isinstance(right, _NAMED)
    if named or _name(type(left)) != _name(type(right)):
        return _EQUAL if named and _name(left) == _name(right) else None
    match left:
        case dict() if type(left) is dict:
            return (
                [(f"[{key!r}]", one, right[key]) for key, one in left.items()] if left.keys() == right.keys() else None
            )
        case list() | tuple() if type(left) in (list, tuple):
            pairs = enumerate(zip(left, right, strict=False))
            return [(f"[{index}]", one, other) for index, (one, other) in pairs] if len(left) == len(right) else None
        case float():
            return _EQUAL if left == right or (math.isnan(left) and math.isnan(right)) else None
        case set() | frozenset() | int() | str() | bytes() | bytearray() | None:
            return _EQUAL if left == right else None
        case _:
            return _object_parts(left, right)


def _object_parts(left: Any, right: Any) -> _Parts | None:
    one, other = _reduced(left), _reduced(right)
    if one is None or other is None or isinstance(one, str) or isinstance(other, str):
        return _EQUAL if one == other and left == right else None
    parts: _Parts = [("", one[0], other[0]), ("", one[1], other[1])]
    state, other_state = one[2], other[2]
    if isinstance(state, Mapping) and isinstance(other_state, Mapping):
        names = [*state, *(name for name in other_state if name not in state)]
        parts += [(f".{name}", state.get(name, _MISSING), other_state.get(name, _MISSING)) for name in names]
    else:
        parts.append(("", state, other_state))
    return [*parts, ("", one[3], other[3]), ("", one[4], other[4])]


def _reduced(value: Any) -> Any:
    """(callable, arguments, state, items, pairs) of an object, a global's name, or None where pickle cannot take it."""
    try:
        reduce = copyreg.dispatch_table.get(type(value))
        reduced = reduce(value) if reduce else value.__reduce_ex__(_PROTOCOL)
    except (TypeError, AttributeError, pickle.PicklingError):
        return None
    if isinstance(reduced, str):
        return reduced
    padded = [*reduced, None, None, None][:5]
    return (*padded[:2], _attributes(padded[2]), list(padded[3] or ()), list(padded[4] or ()))


def _attributes(state: Any) -> Any:
    """An object's state; that of one with slots as one mapping too."""
    match state:
        case (dict() | None as own, dict() as slots):
            return {**(own or {}), **slots}
        case _:
            return state


class _Missing:
    def __repr__(self) -> str:
        return "nothing"


_MISSING = _Missing()


def _name(value: Any) -> str:
    """By name, not identity: a process of its own has modules of its own."""
    return f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', getattr(value, '__name__', ''))}"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"
