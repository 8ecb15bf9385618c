"""The functions worker's secrets providers, by the class name it passes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pulsar_pipeline.errors import InstanceError

Secrets = Callable[[str], str | None]


def provider(class_name: str, secrets: Mapping[str, Any], environment: Mapping[str, str]) -> Secrets:
    """`get_secret` of a context. Raises InstanceError for a provider this runtime does not have."""
    providers: dict[str, Secrets] = {
        "ClearTextSecretsProvider": lambda name: _text(secrets.get(name)),
        "EnvironmentBasedSecretsProvider": environment.get,
    }
    name = class_name.rpartition(".")[2]
    if name not in providers:
        raise InstanceError(f"unknown secrets provider {class_name!r}", mend=f"use one of {', '.join(providers)}")
    return providers[name]


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
