"""YAML files → models. Every mistake in a file is told at once, each with its line, key and mend.

Paths in the models come back absolute, resolved against the file they stand in (symbolic links are kept: secrets are
often rotated through them).
"""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from pulsar_pipeline.errors import SpecError
from pulsar_pipeline.spec.model import BASE, FunctionDefinition, Platform, Root, Tenant
from pulsar_pipeline.spec.problems import combined, problems_of, raise_all
from pulsar_pipeline.spec.source import Source, locate

FUNCTION_FILE = "function.yaml"

_M = TypeVar("_M", bound=Root)


def load_platform(path: Path) -> Platform:
    """The platform file. Raises SpecError."""
    return _load(path, Platform, mend="run `pulsar-pipeline local up`, or say --platform FILE")


def load_tenant(path: Path) -> Tenant:
    """One tenant spec, checked for its form only (`check.py` has the rules across files). Raises SpecError."""
    return _load(path, Tenant)


def load_tenants(folder: Path) -> dict[str, Tenant]:
    """Every `*.yaml` of a folder, by tenant name. Raises SpecError, for all files together."""
    if not folder.is_dir():
        raise SpecError("no such folder of tenant specs", file=folder, mend="say --tenants FOLDER")
    tenants: dict[str, Tenant] = {}
    problems: list[SpecError] = []
    for path in sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")]):
        try:
            tenant = load_tenant(path)
        except SpecError as error:
            problems.extend(error.problems or (error,))
            continue
        first = tenants.setdefault(tenant.tenant, tenant)
        if first is not tenant:
            what = f"tenant {tenant.tenant!r} is declared in {first.source.file} too"
            problems.append(tenant.source.error(what, "tenant", mend="one file per tenant"))
    raise_all(problems)
    return tenants


def load_function(folder: Path) -> FunctionDefinition:
    """`FOLDER/function.yaml`. Raises SpecError."""
    definition = _load(folder / FUNCTION_FILE, FunctionDefinition)
    name = Path(folder).absolute().name
    if definition.name != name:
        raise definition.source.error(
            f"the function is called {definition.name!r}, its folder {name!r}", "name", mend="give both one name"
        )
    return definition


def load_functions(folder: Path) -> dict[str, FunctionDefinition]:
    """Every `NAME/function.yaml` below a folder, by name. Raises SpecError."""
    if not folder.is_dir():
        raise SpecError("no such folder of functions", file=folder, mend="say --functions FOLDER")
    found = [load_function(path.parent) for path in sorted(folder.glob(f"*/{FUNCTION_FILE}"))]
    return {definition.name: definition for definition in found}


def _load(path: Path, model: type[_M], mend: str | None = None) -> _M:
    document, source = _read(path, mend)
    try:
        loaded = model.model_validate(document, context={BASE: path.absolute().parent})
    except ValidationError as error:
        raise combined(problems_of(error, model, source)) from None
    loaded.remember(source)
    return loaded


def _read(path: Path, mend: str | None) -> tuple[Any, Source]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise SpecError(f"cannot read the file: {error.strerror}", file=path, mend=mend) from error
    except UnicodeDecodeError as error:
        raise SpecError("the file is not UTF-8 text", file=path) from error
    try:
        return _parse(text, path)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = error.problem or error.context or "cannot be parsed"
        raise SpecError(
            f"not YAML: {what}", file=path, line=mark.line + 1 if mark else None, mend=_syntax_mend(text, what)
        ) from error
    except yaml.YAMLError as error:
        raise SpecError(f"not YAML: {error}".splitlines()[0], file=path) from error


def _parse(text: str, path: Path) -> tuple[Any, Source]:
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if not isinstance(node, yaml.MappingNode):
            raise SpecError("the file holds no mapping", file=path, line=1, mend="write lines of `key: value`")
        source = locate(path, node)
        raise_all(_bad_keys(node, source, (), set()))
        return loader.construct_document(node), source
    finally:
        loader.dispose()


def _bad_keys(node: yaml.Node, source: Source, path: tuple[Any, ...], seen: set[int]) -> list[SpecError]:
    """Keys that are written twice, of which YAML would silently take the last, and keys that are not text."""
    if id(node) in seen:
        return []
    seen.add(id(node))
    found: list[SpecError] = []
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            found += _bad_keys(item, source, (*path, index), seen)
    elif isinstance(node, yaml.MappingNode):
        lines: dict[Hashable, int] = {}
        for key, value in node.value:
            name, line = str(key.value) if isinstance(key, yaml.ScalarNode) else "?", key.start_mark.line + 1
            where = (*path, name)
            if not isinstance(key, yaml.ScalarNode) or key.tag not in _KEY_TAGS:
                found.append(_key_error("a key must be text", source, line, where, f'write it in quotes: "{name}"'))
            elif name in lines:
                what = f"the key stands twice (first in line {lines[name]})"
                found.append(_key_error(what, source, line, where, "remove one"))
            lines.setdefault(name, line)
            found += _bad_keys(value, source, where, seen)
    return found


_KEY_TAGS = ("tag:yaml.org,2002:str", "tag:yaml.org,2002:merge")


def _key_error(what: str, source: Source, line: int, path: tuple[Any, ...], mend: str) -> SpecError:
    error = source.error(what, *path)
    return SpecError(what, file=source.file, line=line, key=error.key, mend=mend)


def _syntax_mend(text: str, what: str) -> str | None:
    if "\\t" in what or "\t" in text:
        return "indent with spaces, not tabs"
    return None
