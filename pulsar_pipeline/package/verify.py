"""A package checked without running it: what came over a network is whole, and describes itself truly."""

from __future__ import annotations

import zipfile
from pathlib import Path, PurePosixPath

from pulsar_pipeline.errors import PackageError
from pulsar_pipeline.package.archive import REBUILD, member_digest, open_zip, read_manifest
from pulsar_pipeline.package.manifest import Manifest
from pulsar_pipeline.package.unpack import check_wheels
from pulsar_pipeline.schemas.schema import schema_from_text


def verify_package(path: Path) -> Manifest:
    """Layout, checksums, manifest, wheels' hashes and schemas. Raises PackageError or SchemaError."""
    with open_zip(path) as archive:
        manifest = read_manifest(archive, path)
        names = archive.namelist()
        if len(set(names)) != len(names):
            raise PackageError("a name stands twice in the archive", where=str(path), mend=REBUILD)
        stray = next((name for name in names if PurePosixPath(name).parts[0] != path.stem), None)
        if stray is not None:
            raise PackageError(f"{stray} is outside of {path.stem}/", where=str(path), mend=REBUILD)
        damaged = archive.testzip()
        if damaged is not None:
            raise PackageError(f"the archive is damaged at {damaged}", where=str(path), mend=REBUILD)
        check_wheels(_wheels(archive, path.stem), manifest, path)
        _check_class(names, manifest, path)
        _check_schemas(archive, manifest, path)
    return manifest


def _wheels(archive: zipfile.ZipFile, top: str) -> dict[str, str]:
    prefix = f"{top}/deps/"
    wheels = [name for name in archive.namelist() if name.startswith(prefix) and name.endswith(".whl")]
    return {name.removeprefix(prefix): member_digest(archive, name) for name in wheels}


def _check_class(names: list[str], manifest: Manifest, path: Path) -> None:
    module = f"{path.stem}/src/{manifest.class_name.rpartition('.')[0].replace('.', '/')}"
    if f"{module}.py" not in names and f"{module}/__init__.py" not in names:
        raise PackageError(f"no module for the class {manifest.class_name}", where=str(path), mend=REBUILD)


def _check_schemas(archive: zipfile.ZipFile, manifest: Manifest, path: Path) -> None:
    schemas = [*manifest.inputs.values(), *([manifest.output] if manifest.output else [])]
    for schema in sorted(set(schemas)):
        name = f"{path.stem}/src/schemas/{schema}"
        try:
            text = archive.read(name).decode("utf-8")
        except (KeyError, UnicodeDecodeError) as error:
            raise PackageError(f"no readable {name} inside", where=str(path), mend=REBUILD) from error
        schema_from_text(text, f"{path}: {name}")
