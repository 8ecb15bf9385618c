"""The import direction of the layout: a folder imports from the folders above it in the flow, never from below."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "pulsar_pipeline"

ROOTS = {"names", "errors", "settings", "metrics", "clock", "__init__"}
"""Shared by all; they import nothing of the product but each other."""

FLOW = (
    "spec",
    "schemas",
    "cluster",
    "plan",
    "apply",
    "package",
    "rollout",
    "statelog",
    "online",
    "runtime",
    "letters",
    "ingest",
    "state",
    "view",
    "query",
    "batch",
    "local",
    "testkit",
    "testing",
    "demo",
    "cli",
)

RUNTIME = ("transport", "supervision", "processing", "guarantees")
"""The folders within `runtime`, in the order of their imports."""

CONCRETE_BACKEND_FREE = {"plan"}
"""Pure planning: knows the reader's protocol, never the real cluster."""


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imports(path: Path) -> set[str]:
    """Full names of the product's modules that `path` imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.ImportFrom(module=str(module), names=names, level=0):
                found |= {module} | {f"{module}.{alias.name}" for alias in names}
            case ast.Import(names=names):
                found |= {alias.name for alias in names}
            case ast.ImportFrom(level=level) if level:
                raise AssertionError(f"{path}: relative import")
    return {name for name in found if name.startswith("pulsar_pipeline.")}


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_up_the_flow(path: Path) -> None:
    part = part_of(path)
    assert part in ROOTS or part in FLOW, f"{part} has no place in the flow"
    allowed = ROOTS if part in ROOTS else ROOTS | set(FLOW[: FLOW.index(part) + 1])
    wrong = {name for name in imports(path) if name.split(".")[1] not in allowed | {"__version__"}}
    assert not wrong, f"{path.relative_to(PACKAGE)} imports from below it: {sorted(wrong)}"


@pytest.mark.parametrize("part", sorted(CONCRETE_BACKEND_FREE))
def test_a_general_module_knows_no_concrete_backend(part: str) -> None:
    concrete = {"pulsar_pipeline.cluster.admin", "pulsar_pipeline.cluster.fake", "pulsar_pipeline.cluster.http"}
    used = {name for path in (PACKAGE / part).rglob("*.py") for name in imports(path)}
    assert not used & concrete


def test_there_is_no_cycle() -> None:
    graph = {name_of(path): known_only(imports(path)) for path in modules()}
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " → ".join((*trail[trail.index(name) :], name))
        if name not in done:
            for target in graph[name]:
                visit(target, (*trail, name))
            done.add(name)

    for name in graph:
        visit(name, ())


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def known_only(names: set[str]) -> set[str]:
    known = {name_of(path) for path in modules()}
    return names & known


def test_settings_is_the_only_reader_of_the_environment() -> None:
    readers = {
        path.relative_to(PACKAGE).as_posix()
        for path in modules()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv"}
    }
    assert readers <= {"settings.py"}, readers


@pytest.mark.parametrize("folder", RUNTIME)
def test_folders_of_the_runtime_import_in_their_order(folder: str) -> None:
    below = tuple(f"pulsar_pipeline.runtime.{each}." for each in RUNTIME[RUNTIME.index(folder) + 1 :])
    for path in (PACKAGE / "runtime" / folder).glob("*.py"):
        wrong = {name for name in imports(path) if name.startswith(below)}
        assert not wrong, f"{path.relative_to(PACKAGE)} imports from below it: {sorted(wrong)}"
