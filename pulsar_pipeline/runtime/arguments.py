"""The command line with which a functions worker starts a Python instance, as one frozen object.

Flags and formats are those of Pulsar's own Python instance (`RuntimeUtils.getCmd` in Pulsar's sources), so that
either can stand at the worker's `pythonInstanceLocation`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pulsar_pipeline.errors import InstanceError
from pulsar_pipeline.rollout.instance_config import USER_CONFIG_KEY, InstanceConfig


class FunctionDetails(BaseModel):
    """`--function_details`: the JSON form of Pulsar's `FunctionDetails` message, the parts an instance uses."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    tenant: str
    namespace: str
    name: str
    logTopic: str = ""
    userConfig: str = ""
    secretsMap: str = ""
    parallelism: int = 1

    @property
    def fully_qualified_name(self) -> str:
        return f"{self.tenant}/{self.namespace}/{self.name}"


class Arguments(BaseModel):
    """Everything the worker tells an instance."""

    model_config = ConfigDict(frozen=True)

    package: Path
    details: FunctionDetails
    user_config: dict[str, Any]
    """As deployed: the author's config and the platform's reserved entry, as Pulsar's own instance would give it."""
    config: InstanceConfig
    secrets: dict[str, Any]
    instance_id: int
    function_id: str
    function_version: str
    cluster: str
    service_url: str
    control_port: int
    metrics_port: int
    healthcheck_interval_s: int
    log_directory: Path
    log_file: str
    auth_plugin: str | None = None
    auth_params: str | None = Field(default=None, repr=False)
    use_tls: bool = False
    tls_trust_certs: Path | None = None
    tls_allow_insecure: bool = False
    verify_hostname: bool = True
    secrets_provider: str

    @property
    def log_path(self) -> Path:
        """Where Pulsar's own instance would log: `DIR/tenant/namespace/name/FILE-ID.log`."""
        name = f"{self.log_file}-{self.instance_id}.log"
        return self.log_directory / self.details.fully_qualified_name / name


def _flag(text: str) -> bool:
    return text.strip().lower() in ("true", "1", "yes")


class _Parser(argparse.ArgumentParser):
    """Raises instead of ending the process."""

    def error(self, message: str) -> NoReturn:
        raise InstanceError(f"bad arguments: {message}")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="instance", allow_abbrev=False)
    required, text = {"required": True}, {"default": None}
    for name, options in {
        "py": required,
        "function_details": required,
        "instance_id": required | {"type": int},
        "function_id": required,
        "function_version": required,
        "pulsar_serviceurl": required,
        "port": required | {"type": int},
        "cluster_name": required,
        "metrics_port": {"type": int, "default": 0},
        "expected_healthcheck_interval": {"type": int, "default": -1},
        "logging_directory": {"default": "logs"},
        "logging_file": {"default": "instance"},
        "logging_config_file": text,
        "client_auth_plugin": text,
        "client_auth_params": text,
        "use_tls": {"type": _flag, "default": False},
        "tls_trust_cert_path": text,
        "tls_allow_insecure_connection": {"type": _flag, "default": False},
        "hostname_verification_enabled": {"type": _flag, "default": True},
        "secrets_provider": {"default": "secretsprovider.ClearTextSecretsProvider"},
        "secrets_provider_config": text,
        "state_storage_serviceurl": text,
        "config_file": text,
        "install_usercode_dependencies": text,
        "dependency_repository": text,
        "extra_dependency_repository": text,
    }.items():
        parser.add_argument(f"--{name}", **options)  # type: ignore[arg-type]
    return parser


def _json(text: str, what: str) -> dict[str, Any]:
    try:
        value = json.loads(text) if text else {}
    except ValueError as error:
        raise InstanceError(f"{what} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise InstanceError(f"{what} is not a JSON object")
    return value


def parse(argv: Sequence[str]) -> Arguments:
    """The worker's arguments. Raises InstanceError; unknown flags of later Pulsar versions are ignored."""
    try:
        raw, _ = _parser().parse_known_args(list(argv))
        details = FunctionDetails.model_validate_json(raw.function_details.strip("'"))
        user_config = _json(details.userConfig, "the user config")
        reserved = user_config.get(USER_CONFIG_KEY)
        if reserved is None:
            raise InstanceError(
                f"the user config has no {USER_CONFIG_KEY!r} entry",
                mend="deploy with `pulsar-pipeline functions deploy`, which writes it",
            )
        config = InstanceConfig.model_validate(reserved)
    except ValidationError as error:
        raise InstanceError(f"bad function details: {error}") from error
    return Arguments(
        package=Path(raw.py),
        details=details,
        user_config=user_config,
        config=config,
        secrets=_json(details.secretsMap, "the secrets map"),
        instance_id=raw.instance_id,
        function_id=raw.function_id,
        function_version=raw.function_version,
        cluster=raw.cluster_name,
        service_url=raw.pulsar_serviceurl,
        control_port=raw.port,
        metrics_port=raw.metrics_port,
        healthcheck_interval_s=raw.expected_healthcheck_interval,
        log_directory=Path(raw.logging_directory),
        log_file=raw.logging_file,
        auth_plugin=raw.client_auth_plugin,
        auth_params=raw.client_auth_params,
        use_tls=raw.use_tls,
        tls_trust_certs=Path(raw.tls_trust_cert_path) if raw.tls_trust_cert_path else None,
        tls_allow_insecure=raw.tls_allow_insecure_connection,
        verify_hostname=raw.hostname_verification_enabled,
        secrets_provider=raw.secrets_provider,
    )
