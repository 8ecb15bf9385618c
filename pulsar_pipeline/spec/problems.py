"""What pydantic found wrong with a document, in the words of someone who edits YAML."""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from pulsar_pipeline.errors import SpecError
from pulsar_pipeline.spec.source import Key, Source

_EXPECTED: Mapping[str, str] = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "dict_type": "a mapping (lines of `key: value`)",
    "model_type": "a mapping (lines of `key: value`)",
    "tuple_type": "a list (`[a, b]` or lines of `- a`)",
    "list_type": "a list (`[a, b]` or lines of `- a`)",
    "path_type": "a file path",
}
"""pydantic's error type → the form it wanted."""

_PATTERNS: Sequence[tuple[str, str, str]] = (
    ("^https?://", "an http:// or https:// URL", "for example http://localhost:8080"),
    ("^pulsar(", "a pulsar:// or pulsar+ssl:// URL", "for example pulsar://localhost:6650"),
    ("^[A-Za-z_]", "a class (`module.Class`)", "for example function.FailureRisk"),
    ("*/[a-z0-9]", "a topic (`NAMESPACE/TOPIC`)", "for example sensors/readings, without the tenant"),
    ("^[A-Za-z0-9]", "a role", "letters, digits and _ . @ : -, at most 128"),
    ("^[a-z0-9]", "a name", "lower-case letters, digits, - and _, at most 63"),
)
"""Part of a pattern in model.py → what it stands for, and an example or the rule."""


def problems_of(error: ValidationError, model: type[BaseModel], source: Source) -> list[SpecError]:
    """One SpecError per mistake, in the order of the file."""
    entries = error.errors(include_url=False)
    meant = {_meant(entry["loc"], model) for entry in entries if entry["type"] == "extra_forbidden"}
    # a misspelt key is one mistake, not two
    told = [entry for entry in entries if entry["type"] != "missing" or entry["loc"] not in meant]
    found = [_problem(entry, model, source) for entry in told]
    return sorted(found, key=lambda problem: problem.line or 0)


def combined(problems: Sequence[SpecError]) -> SpecError:
    """One error for all: it stands at the first, tells every one, and keeps them in `problems`."""
    first = problems[0]
    if len(problems) == 1:
        return first
    told = f"{first.what} ({first.mend})" if first.mend else first.what
    together = SpecError("\n".join([told, *map(str, problems[1:])]), file=first.file, line=first.line, key=first.key)
    together.problems = tuple(problems)
    return together


def raise_all(problems: Iterable[SpecError]) -> None:
    """Raise them as one, if there are any."""
    found = list(problems)
    if found:
        raise combined(found)


def _problem(entry: Any, model: type[BaseModel], source: Source) -> SpecError:
    path = tuple(part for part in entry["loc"] if part != "[key]")
    value, context = entry["input"], entry.get("ctx", {})
    what, mend = _lower(entry["msg"], value), None
    match entry["type"]:
        case "extra_forbidden":
            what, mend = "unknown key", _nearest(str(path[-1]), keys_at(model, path[:-1]))
        case "missing":
            what, mend = f"the key `{path[-1]}` is missing", f"add `{path[-1]}: …`"
            path = path[:-1]
        case "literal_error":
            what = f"expected {context['expected']}, not {_shown(value)}"
        case "string_pattern_mismatch":
            expected, mend = _pattern(context["pattern"])
            what = f"expected {expected}, not {value!r}"
        case "value_error":
            what = str(context["error"])
        case "too_short":
            what, mend = "this is empty", "give at least one"
        case "string_type" if _is_scalar(value):
            what, mend = f"expected text, not {value!r}", f'write it in quotes: "{value}"'
        case kind if kind in _EXPECTED:
            what = f"expected {_EXPECTED[kind]}, not {_shown(value)}"
    return source.error(what, *path, mend=mend)


def _meant(path: tuple[Key, ...], model: type[BaseModel]) -> tuple[Key, ...]:
    """The path with the key that an unknown one probably stands for."""
    close = _close(str(path[-1]), keys_at(model, path[:-1]))
    return (*path[:-1], close or path[-1])


def _shown(value: Any) -> str:
    match value:
        case None:
            return "nothing"
        case dict():
            return "a mapping"
        case list():
            return "a list"
        case _:
            return repr(value)


def _is_scalar(value: Any) -> bool:
    return value is not None and not isinstance(value, dict | list)


def _lower(message: str, value: Any) -> str:
    return f"{message.removeprefix('Input ').removeprefix('Value ')}, not {_shown(value)}"


def _pattern(pattern: str) -> tuple[str, str | None]:
    for part, what, mend in _PATTERNS:
        if part in pattern:
            return what, mend
    return f"text like {pattern}", None


def _nearest(word: str, known: Sequence[str]) -> str:
    close = _close(word, known)
    if close:
        return f"did you mean `{close}`?"
    return f"known here: {', '.join(known)}" if known else "remove it"


def _close(word: str, known: Sequence[str]) -> str | None:
    return next(iter(difflib.get_close_matches(word, known, n=1, cutoff=0.6)), None)


def nearest(word: str, known: Iterable[str]) -> str:
    """A mend for a reference to something that does not exist."""
    return _nearest(word, sorted(known))


def keys_at(model: type[BaseModel], path: tuple[Key, ...]) -> list[str]:
    """The keys a document may have at `path`, by following the models' annotations."""
    kind: Any = model
    for part in path:
        kind = _step(_plain(kind), part)
    plain = _plain(kind)
    return [_key(name, entry) for name, entry in plain.model_fields.items()] if _is_model(plain) else []


def _step(kind: Any, part: Key) -> Any:
    if _is_model(kind):
        for name, entry in kind.model_fields.items():
            if _key(name, entry) == part:
                return entry.annotation
    arguments = typing.get_args(kind)
    return arguments[1] if typing.get_origin(kind) is dict else arguments[0] if arguments else None


def _plain(kind: Any) -> Any:
    """The type without Annotated and Optional."""
    origin = typing.get_origin(kind)
    if origin is typing.Annotated:
        return _plain(typing.get_args(kind)[0])
    if origin in (typing.Union, types.UnionType):
        return _plain(next(option for option in typing.get_args(kind) if option is not type(None)))
    return kind


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _key(name: str, entry: FieldInfo) -> str:
    return entry.alias or name
