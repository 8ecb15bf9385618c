"""The only reader of the environment: every `PULSAR_PIPELINE_*` variable, with its default."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Where things are when the command line does not say."""

    model_config = SettingsConfigDict(env_prefix="PULSAR_PIPELINE_", frozen=True, extra="ignore")

    platform: Path = Path(".local/platform.yaml")
    """Platform file: the clusters, their URLs and how to authenticate."""

    tenants: Path = Path("tenants")
    """Folder of tenant specs, one file per tenant."""

    functions: Path = Path("functions")
    """Folder of function sources, one folder per function."""

    local: Path = Path(".local")
    """Folder of the local clusters: data, ports, logs, tokens. Safe to delete when they are down."""

    cache: Path = Path.home() / ".cache" / "pulsar-pipeline"
    """Downloads shared by all checkouts: Pulsar's modules, wheels, unpacked packages."""

    java_home: Path | None = Field(default=None, validation_alias="JAVA_HOME")
    """The Java to run local clusters on, if it is new enough; the one variable that is not ours alone."""

    function_tokens: Path | None = None
    """Folder with `TENANT.token` and `TENANT.key` (state key) files for runtime instances, so that no token is on a
    command line."""

    query_token: str | None = None
    """Bearer token for `pulsar-pipeline query` (`--token-file` wins)."""

    log_level: str = "INFO"


def environment() -> Mapping[str, str]:
    """The environment as the functions worker's environment-based secrets provider sees it."""
    return os.environ
