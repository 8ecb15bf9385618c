"""The instance's connection to Pulsar, under its tenant's own role."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pulsar

from pulsar_pipeline.cluster.connect import client_logger, token_authentication
from pulsar_pipeline.errors import InstanceError
from pulsar_pipeline.runtime.arguments import Arguments


def open_client(arguments: Arguments, function_tokens: Path | None) -> pulsar.Client:
    """A client for the worker's cluster. Raises InstanceError when no credentials can be had."""
    return pulsar.Client(
        arguments.service_url,
        authentication=_authentication(arguments, function_tokens),
        tls_trust_certs_file_path=str(arguments.tls_trust_certs) if arguments.tls_trust_certs else None,
        tls_allow_insecure_connection=arguments.tls_allow_insecure,
        tls_validate_hostname=arguments.verify_hostname,
        logger=client_logger(arguments.log_path.with_suffix(".client.log")),
    )


def _authentication(arguments: Arguments, function_tokens: Path | None) -> pulsar.Authentication | None:
    if function_tokens is not None:
        return token_authentication(_tenant_token(function_tokens, arguments.details.tenant))
    if not arguments.auth_plugin or not arguments.auth_params:
        return None
    if not arguments.auth_plugin.endswith("AuthenticationToken"):
        raise InstanceError(
            f"the worker authenticates with {arguments.auth_plugin}, which instances do not know",
            mend="give instances tokens: set PULSAR_PIPELINE_FUNCTION_TOKENS for the functions worker",
        )
    kind, _, value = arguments.auth_params.partition(":")
    if kind == "file":
        return token_authentication(Path(url2pathname(urlsplit(arguments.auth_params).path)))
    return pulsar.AuthenticationToken(value if kind == "token" else arguments.auth_params)


def _tenant_token(folder: Path, tenant: str) -> Path:
    path = folder / f"{tenant}.token"
    if not path.is_file():  # never fall back to the worker's own token: it may do everything
        raise InstanceError(
            f"there is no token for the functions of tenant {tenant}",
            where=str(path),
            mend=f"pulsar-pipeline token create --role {tenant}-functions --out {path}",
        )
    return path
