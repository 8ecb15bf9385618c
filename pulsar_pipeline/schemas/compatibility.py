"""Would the broker take this schema? The same verdict, offline, with reasons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pulsar_pipeline.schemas.resolution import reading_problems
from pulsar_pipeline.schemas.schema import Schema
from pulsar_pipeline.schemas.tree import read_type, signature


class _Rule(NamedTuple):
    new_reads_old: bool
    old_reads_new: bool
    all_versions: bool


_RULES: Mapping[str, _Rule] = {
    "backward": _Rule(True, False, False),
    "forward": _Rule(False, True, False),
    "full": _Rule(True, True, False),
    "backward_transitive": _Rule(True, False, True),
    "forward_transitive": _Rule(False, True, True),
    "full_transitive": _Rule(True, True, True),
    "always_compatible": _Rule(False, False, False),
}


def same_schema(left: Schema, right: Schema) -> bool:
    """True when a broker holds the two for one: registering one where the other is makes no new version.

    Docs, aliases, enum defaults, layout and the order of JSON keys do not count; properties and field defaults do.
    """
    return signature(left.definition) == signature(right.definition)


def incompatibilities(strategy: str, new: Schema, existing: Sequence[Schema]) -> tuple[str, ...]:
    """Why a topic with the `existing` schemas (oldest first) would refuse `new`; empty when it would take it.

    A schema that is there already is always taken, and so is a topic's first one.
    """
    if not existing or any(same_schema(new, old) for old in existing):
        return ()
    if strategy == "always_incompatible":
        return ("the namespace takes no change of schema (always_incompatible)",)
    rule = _RULES[strategy]
    compared = existing if rule.all_versions else existing[-1:]
    found: list[str] = []
    for old in reversed(compared):
        name = "the existing schema" if old.version is None else f"version {old.version}"
        if rule.new_reads_old:
            found += [f"the new schema cannot read data of {name}: {problem}" for problem in can_read(new, old)]
        if rule.old_reads_new:
            found += [f"{name} cannot read data of the new schema: {problem}" for problem in can_read(old, new)]
    return tuple(dict.fromkeys(found))


def can_read(reader: Schema, writer: Schema) -> list[str]:
    """Why `reader` cannot read records written with `writer`; empty when it can."""
    if same_schema(reader, writer):
        return []
    return reading_problems(read_type(reader.definition), read_type(writer.definition))
