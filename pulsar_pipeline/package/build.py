"""`functions/NAME` → `NAME.zip`: collected, checked, written, and tried in a clean environment before it is there."""

from __future__ import annotations

import tempfile
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import pulsar_pipeline
from pulsar_pipeline import __version__
from pulsar_pipeline.errors import PackageError
from pulsar_pipeline.package.archive import package_digest, write_archive
from pulsar_pipeline.package.closure import product_closure
from pulsar_pipeline.package.manifest import FILE_NAME, Manifest
from pulsar_pipeline.package.provided import split_provided
from pulsar_pipeline.package.requirements import FILE_NAME as LOCK_NAME
from pulsar_pipeline.package.requirements import read_locked
from pulsar_pipeline.package.sources import function_files, schema_files
from pulsar_pipeline.package.trial import REHEARSAL, SERDE, TrialReport, run_trial
from pulsar_pipeline.package.wheels import built_for, fetch_wheels
from pulsar_pipeline.schemas.schema import load_schema
from pulsar_pipeline.spec.load import load_function
from pulsar_pipeline.spec.model import FunctionDefinition


@dataclass(frozen=True)
class BuiltPackage:
    """A package on disk that has passed its trial."""

    path: Path
    digest: str
    """`sha256:…` of the file; equal for equal content, wherever and whenever it is built."""
    manifest: Manifest
    trial: TrialReport


def build_package(
    source: Path, out: Path, *, slim: bool = False, provided: Collection[str] = (), cache: Path | None = None
) -> BuiltPackage:
    """Build the function in `source` as `out/NAME.zip`; what stood there before stays if the build fails.

    With `slim` the wheels of `provided` distributions (see `provided.runtime_distributions`) are left out. `cache`
    keeps downloaded wheels between builds. Raises SpecError, SchemaError or PackageError.
    """
    source = source.absolute()
    definition = load_function(source)
    _check_schemas(definition)
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out, prefix=".building-") as folder:
        return _build(
            source, definition, out, Path(folder), provided if slim else None, cache or Path(folder) / "wheels"
        )


def _build(
    source: Path, definition: FunctionDefinition, out: Path, folder: Path, provided: Collection[str] | None, cache: Path
) -> BuiltPackage:
    lock = source / LOCK_NAME
    needed, present = split_provided(read_locked(lock), provided or (), lock)
    wheels = fetch_wheels(needed, cache, lock)
    manifest = _manifest(definition, {path.name: sha256 for path, sha256 in wheels.items()}, slim=provided is not None)
    archive = folder / f"{definition.name}.zip"
    write_archive(archive, _entries(source, definition, manifest, list(wheels)))
    trial = run_trial(archive, source, definition.sample, [pin.name for pin in present])
    digest = package_digest(archive)
    return BuiltPackage(archive.replace(out / archive.name), digest, manifest, trial)


def _entries(
    source: Path, definition: FunctionDefinition, manifest: Manifest, wheels: list[Path]
) -> dict[str, Path | bytes]:
    top = definition.name
    files = function_files(source, definition)
    modules = [path for path in files.values() if path.suffix == ".py"]
    product = product_closure(modules, Path(pulsar_pipeline.__file__).parent, always=[REHEARSAL, SERDE])
    schemas = {f"schemas/{name}": path for name, path in schema_files(definition).items()}
    entries: dict[str, Path | bytes] = {
        f"{top}/src/{name}": path for name, path in {**files, **product, **schemas}.items()
    }
    entries[f"{top}/src/{FILE_NAME}"] = manifest.to_json().encode()
    # Empty: Pulsar's own instance would install from the network what it names, at every start; all of it is in deps/,
    # or in the environment that a slim package is for.
    entries[f"{top}/{LOCK_NAME}"] = b""
    return entries | {f"{top}/deps/{wheel.name}": wheel for wheel in wheels}


def _manifest(definition: FunctionDefinition, wheels: dict[str, str], *, slim: bool) -> Manifest:
    output = definition.output
    python, platform = built_for(list(wheels))
    return Manifest(
        name=definition.name,
        class_name=definition.class_name,
        inputs={name: entry.schema_file.name for name, entry in definition.inputs.items()},
        output=output.schema_file.name if output else None,
        output_key=output.key if output else None,
        config=definition.config,
        product_version=__version__,
        python=python,
        platform=platform,
        wheels=wheels,
        slim=slim,
    )


def _check_schemas(definition: FunctionDefinition) -> None:
    for entry in definition.inputs.values():
        load_schema(entry.schema_file)
    output = definition.output
    if output is None:
        return
    fields = load_schema(output.schema_file).fields
    if output.key is not None and output.key not in fields:
        raise PackageError(
            f"the output's key {output.key!r} is no field of its schema",
            where=str(output.schema_file),
            mend=f"its fields are {', '.join(fields)}",
        )
