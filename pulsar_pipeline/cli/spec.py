"""`pulsar-pipeline spec`: check the YAML files, print their JSON Schemas. No cluster is needed."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pulsar_pipeline.cli.options import FunctionsOption, PlatformOption, TenantsOption
from pulsar_pipeline.cli.output import JsonOption, err, print_json
from pulsar_pipeline.errors import ExitCode, SpecError
from pulsar_pipeline.schemas.check import function_problems, schema_problems
from pulsar_pipeline.spec.check import tenant_problems
from pulsar_pipeline.spec.json_schema import json_schema_text
from pulsar_pipeline.spec.load import FUNCTION_FILE, load_function, load_functions, load_platform, load_tenant
from pulsar_pipeline.spec.model import FunctionDefinition, Platform
from pulsar_pipeline.spec.problems import raise_all


class Kind(StrEnum):
    """The kinds of file there are."""

    PLATFORM = "platform"
    TENANT = "tenant"
    FUNCTION = "function"


def register(app: typer.Typer) -> None:
    """Add `spec` to the command tree."""
    spec = typer.Typer(
        help="Check tenant, platform and function files; JSON Schemas for editors.", no_args_is_help=True
    )
    spec.command(
        epilog="Examples: `pulsar-pipeline spec check` · `pulsar-pipeline spec check tenants/acme.yaml --json`."
    )(check)
    spec.command(epilog="Example: `pulsar-pipeline spec schema tenant --out docs/schemas/tenant.schema.json`.")(schema)
    app.add_typer(spec, name="spec")


def check(
    *,
    files: Annotated[list[Path] | None, typer.Argument(help="Files to check; all of them by default.")] = None,
    platform: PlatformOption,
    tenants: TenantsOption,
    functions: FunctionsOption,
    as_json: JsonOption = False,
) -> None:
    """Check files for form, references and rules, and tell every mistake with its line.

    A file called `function.yaml` is a function, one whose name starts with `platform` a platform, any other a tenant.
    """
    paths = files or [*_found(tenants.glob("*.yaml")), *_found(functions.glob(f"*/{FUNCTION_FILE}"))]
    checker = _Checker(platform, functions)
    problems = [problem for path in paths for problem in checker.problems(path)]
    if as_json:
        print_json([_document(problem) for problem in problems])
        raise typer.Exit(ExitCode.ERROR if problems else ExitCode.OK)
    raise_all(problems)
    err.print(f"no mistakes in {len(paths)} file{'' if len(paths) == 1 else 's'}")


def schema(
    *,
    kind: Annotated[Kind, typer.Argument(help="Kind of file.")],
    out: Annotated[Path | None, typer.Option("--out", help="Write to this file instead of standard output.")] = None,
) -> None:
    """Print the JSON Schema of a kind of file, for editors and other tools."""
    text = json_schema_text(kind.value)
    if out is None:
        sys.stdout.write(text)
    else:
        out.write_text(text, encoding="utf-8")


class _Checker:
    """Checks one file after another; the platform and the functions are read once, when a tenant needs them."""

    def __init__(self, platform: Path, functions: Path) -> None:
        self._platform = platform
        self._functions = functions
        self._context: tuple[Platform | None, Mapping[str, FunctionDefinition]] | None = None

    def problems(self, path: Path) -> Iterable[SpecError]:
        try:
            return self._problems(path)
        except SpecError as error:
            return error.problems or (error,)

    def _problems(self, path: Path) -> Iterable[SpecError]:
        if path.name == FUNCTION_FILE:
            return function_problems(load_function(path.parent))
        if path.name.startswith("platform"):
            load_platform(path)
            return ()
        tenant = load_tenant(path)
        if self._context is None:
            platform = load_platform(self._platform) if self._platform.exists() else None
            self._context = (platform, load_functions(self._functions))
        known_platform, functions = self._context
        return [*tenant_problems(tenant, known_platform, functions), *schema_problems(tenant, functions)]


def _found(paths: Iterable[Path]) -> list[Path]:
    return sorted(paths)


def _document(problem: SpecError) -> dict[str, str | int | None]:
    return {
        "file": str(problem.file) if problem.file else None,
        "line": problem.line,
        "key": problem.key,
        "what": problem.what,
        "mend": problem.mend,
    }
