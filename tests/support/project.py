"""A user's folder: a platform file, tenant specs and functions, with the command line run in it as a user types it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from pulsar_pipeline.spec.load import load_platform, load_tenant
from pulsar_pipeline.spec.model import Platform, Tenant

REPOSITORY = Path(__file__).parents[2]

_TIMEOUT_S = 180.0


class Project:
    """The folder, laid out as the repository is, so that relative paths in specs hold.

    Commands get their files from the environment, as a shell's `export` would give them.
    """

    def __init__(self, folder: Path, platform_file: Path, *functions: Path) -> None:
        self.folder = folder
        self.platform_file = write_platform(folder / "platform.yaml", load_platform(platform_file))
        self.tenants, self.functions = folder / "tenants", folder / "functions"
        for made in (self.tenants, self.functions):
            made.mkdir(exist_ok=True)
        for source in functions:
            shutil.copytree(source, self.functions / source.name, ignore=shutil.ignore_patterns("__pycache__"))

    @property
    def platform(self) -> Platform:
        return load_platform(self.platform_file)

    def add_tenant(self, document: Mapping[str, Any]) -> Tenant:
        """Write a tenant's spec; gives it as loaded."""
        file = self.tenants / f"{document['tenant']}.yaml"
        file.write_text(yaml.safe_dump(dict(document), sort_keys=False))
        return load_tenant(file)

    def run(self, *arguments: str | Path, expect: int = 0, platform: Path | None = None) -> str:
        """Run `pulsar-pipeline ARGUMENTS`; gives its standard output. Fails on another exit code than `expect`."""
        return self.both(*arguments, expect=expect, platform=platform)[0]

    def both(self, *arguments: str | Path, expect: int = 0, platform: Path | None = None) -> tuple[str, str]:
        """The same, with standard error."""
        done = subprocess.run(
            [sys.executable, "-m", "pulsar_pipeline.cli", *map(str, arguments)],
            cwd=self.folder,
            env=self._environment(platform or self.platform_file),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
        typed = f"pulsar-pipeline {' '.join(map(str, arguments))}"
        said = f"{typed}: {done.returncode}, not {expect}\n{done.stdout}{done.stderr}"
        assert done.returncode == expect, said
        assert "Traceback" not in done.stderr, said
        return done.stdout, done.stderr

    def json(self, *arguments: str | Path, expect: int = 0, platform: Path | None = None) -> Any:
        """Run with `--json`; gives the one document it prints."""
        return json.loads(self.run(*arguments, "--json", expect=expect, platform=platform))

    def _environment(self, platform: Path) -> dict[str, str]:
        places = {"PLATFORM": platform, "TENANTS": self.tenants, "FUNCTIONS": self.functions, "LOCAL": self.folder}
        return os.environ | {f"PULSAR_PIPELINE_{name}": str(path) for name, path in places.items()}


def write_platform(file: Path, platform: Platform, *, token_file: Path | None = None) -> Path:
    """A copy of a platform file that may stand anywhere; with another token for the admin API, if one is given."""
    document = platform.model_dump(mode="json", exclude_none=True)
    if token_file is not None:
        for cluster in document["clusters"].values():
            cluster["auth"] = {"token_file": str(token_file)}
    file.write_text(yaml.safe_dump(document))
    return file


def spec_of(tenant: str, *, name: str) -> dict[str, Any]:
    """One of the repository's tenants under another name, its roles renamed with it."""
    text = (REPOSITORY / "tenants" / f"{tenant}.yaml").read_text()
    document = yaml.safe_load(text.replace(f"{tenant}-", f"{name}-"))
    return document | {"tenant": name}
