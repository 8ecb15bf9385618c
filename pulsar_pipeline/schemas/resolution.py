"""Can data written with one schema be read with another? The rules of Avro's resolution, as brokers apply them.

Pulsar asks Avro Java's `SchemaValidator`, whose resolver departs from the letter of the specification in places: record
names need not match, enum and fixed names match without their namespace, and an enum that lost a symbol still counts
as readable (decoding that symbol then fails, as does decoding bytes that are not UTF-8 as a string). `tests/contract`
compares with the real thing.
"""

from __future__ import annotations

from collections.abc import Mapping

from pulsar_pipeline.schemas.tree import Field, Type

_PROMOTIONS: Mapping[str, frozenset[str]] = {
    "int": frozenset({"long", "float", "double"}),
    "long": frozenset({"float", "double"}),
    "float": frozenset({"double"}),
    "string": frozenset({"bytes"}),
    "bytes": frozenset({"string"}),
}
"""Writer's type → other types a reader may read it as."""


def reading_problems(reader: Type, writer: Type) -> list[str]:
    """Why `reader` cannot read what `writer` wrote; one text per place, empty when it can."""
    return _Resolver(reader).problems(reader, writer, "")


class _Resolver:
    """One comparison. Pairs of records under way count as readable, so recursive types end."""

    def __init__(self, reader: Type) -> None:
        self._seen: set[tuple[int, int]] = set()
        self._renamed = _aliases_of(reader)

    def problems(self, reader: Type, writer: Type, path: str) -> list[str]:
        if writer.kind == "union":
            return self._from_union(reader, writer, path)
        if reader.kind == "union":
            return self._into_union(reader, writer, path)
        if reader.kind != writer.kind:
            promoted = reader.kind in _PROMOTIONS.get(writer.kind, ())
            return [] if promoted else [_at(path, f"{writer} cannot be read as {reader}")]
        compare = {
            "record": self._record,
            "array": self._inner,
            "map": self._inner,
            "fixed": self._fixed,
            "enum": self._names,
        }.get(writer.kind)
        return compare(reader, writer, path) if compare else []

    def _name(self, writer: Type) -> str:
        """The writer's name as the reader's aliases translate it."""
        return self._renamed.get(writer.name, writer.name)

    def _names(self, reader: Type, writer: Type, path: str) -> list[str]:
        if self._name(writer).rpartition(".")[2] == reader.short_name:
            return []
        return [_at(path, f"{writer} cannot be read as {reader}: another name, and no alias")]

    def _fixed(self, reader: Type, writer: Type, path: str) -> list[str]:
        found = self._names(reader, writer, path)
        if not found and reader.size != writer.size:
            found = [_at(path, f"{writer} of {writer.size} bytes cannot be read as one of {reader.size}")]
        return found

    def _inner(self, reader: Type, writer: Type, path: str) -> list[str]:
        if reader.inner is None or writer.inner is None:
            return []
        return self.problems(reader.inner, writer.inner, f"{path}[]")

    def _record(self, reader: Type, writer: Type, path: str) -> list[str]:
        pair = (id(reader), id(writer))
        if pair in self._seen:
            return []
        self._seen.add(pair)
        found: list[str] = []
        written = self._written_fields(reader, writer)
        if len(written) < len(writer.fields):
            return [_at(path, f"an alias in {reader} renames a field to one that {writer} has already")]
        for name, field in reader.fields.items():
            inside = f"{path}.{name}" if path else name
            if name in written:
                found += self.problems(field.type, written[name].type, inside)
            elif not field.has_default:
                found.append(_at(inside, "the data lacks it and it has no default"))
        return found

    def _written_fields(self, reader: Type, writer: Type) -> dict[str, Field]:
        """The writer's fields under the reader's names; field aliases count only within a record of the same name."""
        if self._name(writer) != reader.name:
            return writer.fields
        renamed = {alias: name for name, field in reader.fields.items() for alias in field.aliases}
        return {renamed.get(name, name): field for name, field in writer.fields.items()}

    def _from_union(self, reader: Type, writer: Type, path: str) -> list[str]:
        if self._alike(reader, writer, set()):
            pairs = zip(reader.branches, writer.branches, strict=True)
            return [problem for mine, theirs in pairs for problem in self.problems(mine, theirs, path)]
        return [problem for branch in writer.branches for problem in self.problems(reader, branch, path)]

    def _alike(self, reader: Type, writer: Type, seen: set[tuple[int, int]]) -> bool:
        """Same structure, branch by branch. Such unions are read in step, whatever namespaces their names are in."""
        if reader.kind != writer.kind:
            return False
        if writer.name and self._name(writer).rpartition(".")[2] != reader.short_name:
            return False
        if (id(reader), id(writer)) in seen:
            return True
        seen.add((id(reader), id(writer)))
        written = self._written_fields(reader, writer) if writer.kind == "record" else {}
        if (reader.size, reader.symbols, list(reader.fields)) != (writer.size, writer.symbols, list(written)):
            return False
        if len(reader.branches) != len(writer.branches):
            return False
        pairs = [(field.type, written[name].type) for name, field in reader.fields.items()]
        pairs += zip(reader.branches, writer.branches, strict=True)
        if reader.inner is not None and writer.inner is not None:
            pairs.append((reader.inner, writer.inner))
        return all(self._alike(mine, theirs, seen) for mine, theirs in pairs)

    def _into_union(self, reader: Type, writer: Type, path: str) -> list[str]:
        branch = self._branch(reader, writer)
        if branch is None:
            return [_at(path, f"{writer} fits no branch of {reader}")]
        return self.problems(branch, writer, path)

    def _branch(self, reader: Type, writer: Type) -> Type | None:
        """The branch a reader takes: the same kind (and name), else a record of like structure, else a promotion."""
        alike = [branch for branch in reader.branches if branch.kind == writer.kind]
        if writer.name:
            for branch in alike:
                if branch.name == self._name(writer):
                    return branch
            alike = [branch for branch in alike if writer.kind == "record" and not self._try(branch, writer)]
            alike.sort(key=lambda branch: branch.short_name != writer.short_name)
        if alike:
            return alike[0]
        promotions = _PROMOTIONS.get(writer.kind, frozenset())
        return next((branch for branch in reader.branches if branch.kind in promotions), None)

    def _try(self, reader: Type, writer: Type) -> list[str]:
        seen = set(self._seen)
        found = self._record(reader, writer, "")
        self._seen = seen
        return found


def _at(path: str, problem: str) -> str:
    return f"field {path}: {problem}" if path else problem


def _aliases_of(root: Type) -> dict[str, str]:
    """Every type alias in the reader's schema → the name it stands for; where two claim one name, the later."""
    found: dict[str, str] = {}
    seen: set[int] = set()
    ahead = [root]
    while ahead:
        kind = ahead.pop()
        if id(kind) in seen:
            continue
        seen.add(id(kind))
        found |= dict.fromkeys(kind.aliases, kind.name)
        inside = [*(field.type for field in kind.fields.values()), *kind.branches]
        ahead += reversed(inside)
        ahead += [kind.inner] if kind.inner else []
    return found
