"""The class of a pickled object, found without running anything of it: its instructions are only read. Pure."""

from __future__ import annotations

import pickletools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

UNKNOWN = "unknown"
"""Of bytes that are no pickle, or one that this reading does not follow."""

_MARK = object()

_FILLED = {"REDUCE": 1, "NEWOBJ": 1, "NEWOBJ_EX": 2, "BUILD": 1, "APPEND": 1, "SETITEM": 2}
"""Instructions that take so many things from the stack, and leave what is below, or an object of that class."""

_NAMES = {"int_or_bool": "int"}


@dataclass(frozen=True, slots=True)
class _Item:
    """What lies on the pickle machine's stack: the name of a type, and the text where it is one."""

    type: str
    text: str = ""


def class_of(data: bytes) -> str:
    """`module.Class` of the object that the pickle stands for; a plain type's name for builtins."""
    try:
        return _run(pickletools.genops(data))
    except (ValueError, IndexError, KeyError):  # what genops, and a stack that does not hold, raise
        return UNKNOWN


def _run(steps: Iterator[tuple[Any, Any, int | None]]) -> str:
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    for opcode, argument, _ in steps:
        match opcode.name:
            case "STOP":
                return str(stack[-1].type)
            case "MARK":
                stack.append(_MARK)
            case "MEMOIZE":
                memo[len(memo)] = stack[-1]
            case "PUT" | "BINPUT" | "LONG_BINPUT":
                memo[argument] = stack[-1]
            case "GET" | "BINGET" | "LONG_BINGET":
                stack.append(memo[argument])
            case "GLOBAL":
                stack.append(_Item(argument.replace(" ", ".")))
            case "STACK_GLOBAL":
                name, module = stack.pop().text, stack.pop().text
                stack.append(_Item(f"{module}.{name}"))
            case name if name in _FILLED:
                del stack[-_FILLED[name] :]
            case "APPENDS" | "SETITEMS" | "ADDITEMS":
                _pop_to_mark(stack)
            case _:
                _apply(opcode, argument, stack)
    return UNKNOWN


def _apply(opcode: Any, argument: Any, stack: list[Any]) -> None:
    """Any instruction that only moves values, by pickletools' own table of what each takes and leaves."""
    for taken in reversed(opcode.stack_before):
        if taken is pickletools.stackslice:
            while stack[-1] is not _MARK:
                stack.pop()
        else:
            stack.pop()
    for left in opcode.stack_after:
        text = argument if isinstance(argument, str) else ""
        stack.append(_Item(_NAMES.get(left.name, str(left.name)), text))


def _pop_to_mark(stack: list[Any]) -> None:
    while stack.pop() is not _MARK:
        pass
