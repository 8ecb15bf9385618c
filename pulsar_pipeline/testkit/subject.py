"""What is under test: a function's folder or class, and new objects of it, as a new process would have."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pulsar_pipeline.errors import PackageError
from pulsar_pipeline.online.codecs import Codecs
from pulsar_pipeline.online.function import StreamFunction, check_handlers
from pulsar_pipeline.package.manifest import FILE_NAME, Manifest
from pulsar_pipeline.schemas.schema import load_schema
from pulsar_pipeline.spec.load import load_function

DEFINITION = "function.yaml"


@dataclass(frozen=True)
class Subject:
    """A function; the folder it came from tells its schemas and defaults."""

    name: str
    class_name: str
    codecs: Codecs | None
    defaults: Mapping[str, Any]
    folder: Path | None = None
    """Where its modules are loaded from, anew for each object; None where a class was given."""
    given: type | None = None
    modules: frozenset[str] = field(default_factory=frozenset)
    """Top-level modules of the folder."""

    @property
    def inputs(self) -> tuple[str, ...]:
        return tuple(self.codecs.inputs) if self.codecs else ()

    def construct(self) -> Any:
        """A new object; of a folder also with new modules, so that nothing is left of an earlier one. Call it inside
        `opened`. Raises PackageError, and whatever the modules and the constructor raise."""
        function = self.given
        if function is None:
            _take_out(self.modules)
            function = _load_class(self.class_name, self.folder)
        if self.codecs is not None and issubclass(function, StreamFunction):
            check_handlers(function, self.inputs)
        return function()


@contextmanager
def opened(function: str | Path | type) -> Iterator[Subject]:
    """The function, whose modules can be imported inside, and are forgotten after: every function may have a
    `function.py`. Raises SpecError, SchemaError or PackageError when the function itself is wrong."""
    if isinstance(function, type):
        yield _described(_folder_of(function), function.__qualname__, function)
        return
    folder = Path(function).resolve()
    subject = _described(folder, folder.name, None)
    shadowed = _take_out(subject.modules)
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        yield subject
    finally:
        sys.path.remove(str(folder))
        _take_out(subject.modules)
        sys.modules.update(shadowed)


def _described(folder: Path | None, name: str, given: type | None) -> Subject:
    home, modules = (None, frozenset[str]()) if given is not None or folder is None else (folder, _modules_of(folder))
    if folder is not None and (folder / FILE_NAME).is_file():
        manifest = Manifest.load(folder)
        codecs = Codecs.of_package(folder, manifest)
        return Subject(manifest.name, manifest.class_name, codecs, manifest.config, home, given, modules)
    if folder is not None and ((folder / DEFINITION).is_file() or not folder.is_dir()):
        definition = load_function(folder)
        output = definition.output
        codecs = Codecs(
            {name: load_schema(entry.schema_file) for name, entry in definition.inputs.items()},
            load_schema(output.schema_file) if output else None,
            output.key if output else None,
        )
        return Subject(definition.name, definition.class_name, codecs, definition.config, home, given, modules)
    return Subject(name, "", None, {}, home, given, modules)


def _modules_of(folder: Path) -> frozenset[str]:
    if not folder.is_dir():
        return frozenset()
    own = {entry.stem for entry in folder.iterdir() if entry.suffix == ".py" or (entry / "__init__.py").is_file()}
    return frozenset(own - {"pulsar_pipeline"})


def _folder_of(function: type) -> Path | None:
    file = getattr(sys.modules.get(function.__module__), "__file__", None)
    return Path(file).resolve().parents[function.__module__.count(".")] if file else None


def _load_class(class_name: str, folder: Path | None) -> type:
    if not class_name:
        raise PackageError(
            f"neither {DEFINITION} nor {FILE_NAME} here", where=str(folder), mend="give the function's folder"
        )
    module, _, name = class_name.rpartition(".")
    found = getattr(importlib.import_module(module), name, None)
    if not isinstance(found, type):
        raise PackageError(f"module {module} has no class {name}", where=f"{folder}/{DEFINITION}")
    return found


def _take_out(names: frozenset[str]) -> dict[str, Any]:
    return {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] in names}
