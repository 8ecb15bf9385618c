"""Functions under test with no broker: for authors' own pytest.

    from pulsar_pipeline.testing import Event, run_function

    def test_a_hot_machine_is_at_risk():
        results = run_function("functions/predictive_maintenance", [
            Event("readings", {"machine_id": "m1", "temperature": 412.0}, key="m1", event_time_ms=1_700_000_000_000),
        ])
        assert not results.errors
        assert results.outputs[0].key == "m1"
        assert 0 <= results.outputs[0].record["risk"] <= 1

Events go through Avro both ways, as they do on a cluster: a record that does not fit its schema is an error of that
event, and times come back as datetimes. A failing event stands in `results.errors`; the others go on. The same events
in the same order give the same results.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pulsar_pipeline.errors import PackageError
from pulsar_pipeline.online.codecs import Codecs
from pulsar_pipeline.online.function import StreamFunction, check_handlers
from pulsar_pipeline.online.memory import MemoryContext, Published
from pulsar_pipeline.online.rehearsal import Event, EventError, Output, Results, rehearse
from pulsar_pipeline.package.manifest import FILE_NAME, Manifest
from pulsar_pipeline.schemas.schema import load_schema
from pulsar_pipeline.spec.load import load_function

__all__ = ["Event", "EventError", "MemoryContext", "Output", "Published", "Results", "run_function"]

DEFINITION = "function.yaml"


@dataclass(frozen=True)
class _Subject:
    """What is under test: the folder it came from tells its schemas and defaults."""

    name: str
    class_name: str
    codecs: Codecs | None
    defaults: Mapping[str, Any]


def run_function(
    function: str | Path | type,
    events: Iterable[Event],
    config: Mapping[str, Any] | None = None,
    *,
    secrets: Mapping[str, str] | None = None,
) -> Results:
    """Construct the function, set it up and give it the events in order.

    `function` is a folder (`functions/NAME`, or `src` of an unpacked package) or a class; a class with neither
    function.yaml nor manifest.json in its module's folder gets and returns records as they are. `config` is merged
    over the function's defaults. Raises SpecError, SchemaError or PackageError when the function itself is wrong,
    and whatever its constructor or `setup` raises.
    """
    with ExitStack() as stack:
        if isinstance(function, type):
            subject = _subject(_folder_of(function), function.__qualname__)
        else:
            folder = Path(function).resolve()
            subject = _subject(folder, folder.name)
            stack.enter_context(_importable(folder))
            function = _load_class(subject.class_name, folder)
        inputs = tuple(subject.codecs.inputs) if subject.codecs else ()
        if subject.codecs is not None and issubclass(function, StreamFunction):
            check_handlers(function, inputs)
        context = MemoryContext(
            name=subject.name, inputs=inputs, config={**subject.defaults, **(config or {})}, secrets=secrets
        )
        return rehearse(function(), subject.codecs, events, context)


def _subject(folder: Path | None, name: str) -> _Subject:
    if folder is not None and (folder / FILE_NAME).is_file():
        manifest = Manifest.load(folder)
        return _Subject(manifest.name, manifest.class_name, Codecs.of_package(folder, manifest), manifest.config)
    if folder is not None and ((folder / DEFINITION).is_file() or not folder.is_dir()):
        definition = load_function(folder)
        output = definition.output
        codecs = Codecs(
            {name: load_schema(entry.schema_file) for name, entry in definition.inputs.items()},
            load_schema(output.schema_file) if output else None,
            output.key if output else None,
        )
        return _Subject(definition.name, definition.class_name, codecs, definition.config)
    return _Subject(name, "", None, {})


def _folder_of(function: type) -> Path | None:
    file = getattr(sys.modules.get(function.__module__), "__file__", None)
    return Path(file).resolve().parents[function.__module__.count(".")] if file else None


def _load_class(class_name: str, folder: Path) -> type:
    if not class_name:
        raise PackageError(
            f"neither {DEFINITION} nor {FILE_NAME} here", where=str(folder), mend="give the function's folder"
        )
    module, _, name = class_name.rpartition(".")
    found = getattr(importlib.import_module(module), name, None)
    if not isinstance(found, type):
        raise PackageError(f"module {module} has no class {name}", where=str(folder / DEFINITION))
    return found


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """The folder's modules can be imported inside, and forgotten after: every function may have a `function.py`."""
    own = {entry.stem for entry in folder.iterdir() if entry.suffix == ".py" or (entry / "__init__.py").is_file()}
    own.discard("pulsar_pipeline")
    shadowed = _take_out(own)
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        _take_out(own)
        sys.modules.update(shadowed)


def _take_out(names: set[str]) -> dict[str, Any]:
    return {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] in names}
