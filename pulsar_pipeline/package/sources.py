"""Which files of `functions/NAME` go into its package, and where they lie inside.

Python modules of the top folder, and Python packages below it (folders with `__init__.py`) whole, with the data files
in them, and a checkpoint that the function starts from under Pulsar's own Python runtime. Everything else is for
people: the definition, the README, the lock, samples and raw data.
"""

from __future__ import annotations

from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

from pulsar_pipeline.errors import PackageError
from pulsar_pipeline.package.closure import PRODUCT
from pulsar_pipeline.spec.model import FunctionDefinition

NOT_PACKAGED = ("schemas", "tests", "conftest.py")
"""Of the top folder: schemas are copied by reference, tests stay at home."""

CHECKPOINT = "checkpoint.jsonl"
"""As `online/checkpoint.py` reads it."""

NEVER = (".*", "__pycache__", "*.pyc", "test_*.py", "*_test.py", "*~", "*.egg-info")
RESERVED = (PRODUCT, f"{PRODUCT}.py", "schemas.py")


def function_files(folder: Path, definition: FunctionDefinition) -> dict[str, Path]:
    """Path within `src` → file: modules and their data, without hidden files and tests. Raises PackageError."""
    files: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        relative = PurePosixPath(path.relative_to(folder).as_posix())
        top = relative.parts[0]
        if any(fnmatch(part, pattern) for part in relative.parts for pattern in NEVER) or top in NOT_PACKAGED:
            continue
        module = len(relative.parts) == 1 and path.suffix == ".py"
        if not (folder / top / "__init__.py").is_file() and not module and str(relative) != CHECKPOINT:
            continue
        if path.is_symlink():
            raise PackageError("a link has no place in a package", where=str(path), mend="put the file itself here")
        if top in RESERVED:
            raise PackageError(f"the name {top} is taken in packages", where=str(path), mend="rename it")
        if path.is_file():
            files[str(relative)] = path
    module_path = definition.class_name.rpartition(".")[0].replace(".", "/")
    if f"{module_path}.py" not in files and f"{module_path}/__init__.py" not in files:
        raise PackageError(
            f"there is no module {module_path}.py for the class {definition.class_name}",
            where=str(folder / "function.yaml"),
            mend="write `class: MODULE.CLASS` with a module of this folder",
        )
    return files


def schema_files(definition: FunctionDefinition) -> dict[str, Path]:
    """File name within `src/schemas` → file, for every schema the definition names. Raises PackageError."""
    paths = [entry.schema_file for entry in definition.inputs.values()]
    if definition.output is not None:
        paths.append(definition.output.schema_file)
    files: dict[str, Path] = {}
    for path in paths:
        if files.setdefault(path.name, path).resolve() != path.resolve():
            raise PackageError(
                f"two schemas are called {path.name}: {files[path.name]} and {path}", mend="rename one of them"
            )
    return dict(sorted(files.items()))
