"""Where in a YAML file each value stands, so that every error can name its line."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from pulsar_pipeline.errors import SpecError

Key = str | int
"""A mapping key or a list index (from 0)."""


@dataclass(frozen=True, slots=True)
class _Place:
    """A value: the line of its key (of itself, in a list), and the places inside it."""

    line: int
    inside: dict[Hashable, _Place]


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """The file a model was read from. Models built in code have an empty one, whose errors name only the key.

    All sources compare equal: where a model was read plays no part in what it says.
    """

    file: Path | None = None
    root: _Place | None = field(default=None, repr=False)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Source)

    def __hash__(self) -> int:
        return 0

    def line(self, *path: Key) -> int | None:
        """Line (from 1) of the value at `path`, or of the nearest thing around it."""
        place = self.root
        if place is None:
            return None
        for key in path:
            found = place.inside.get(key)
            if found is None:
                break
            place = found
        return place.line

    def error(self, what: str, *path: Key, mend: str | None = None) -> SpecError:
        """A SpecError at the value with this key path."""
        return SpecError(what, file=self.file, line=self.line(*path), key=dotted(path) or None, mend=mend)


def dotted(path: tuple[Key, ...]) -> str:
    """`namespaces.sensors.ttl`, `clusters[1]`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def locate(file: Path, node: yaml.Node) -> Source:
    """The source of a composed document."""
    return Source(file, _Locator().place(node))


class _Locator:
    """Each node is placed once, so aliases cost nothing, however deep or circular."""

    def __init__(self) -> None:
        self._done: dict[int, _Place] = {}

    def place(self, node: yaml.Node, key: yaml.Node | None = None) -> _Place:
        inside = self._done.get(id(node))
        line = (key or node).start_mark.line + 1
        if inside is not None:
            return _Place(line, inside.inside)
        place = self._done[id(node)] = _Place(line, {})
        for name, key_node, value in _children(node):
            place.inside[name] = self.place(value, key_node)
        return place


def _children(node: yaml.Node) -> Iterator[tuple[Key, yaml.Node | None, yaml.Node]]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield str(key.value), key, value
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield index, None, item
