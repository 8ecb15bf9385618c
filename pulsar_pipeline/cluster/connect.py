"""A connected `pulsar.Client` for a cluster of the platform file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pulsar

from pulsar_pipeline.errors import TokenError
from pulsar_pipeline.spec.model import Cluster


def read_token(path: Path) -> str:
    """The token in a file. Raises TokenError, never with the token's text."""
    try:
        token = path.read_text().strip()
    except OSError as error:
        raise TokenError(
            f"cannot read the token: {error.strerror}", where=str(path), mend="check token_file in the platform file"
        ) from error
    if not token:
        raise TokenError("the token file is empty", where=str(path))
    return token


def token_authentication(path: Path) -> pulsar.Authentication:
    """The client library reads the file at each (re)connect, so that a rotated token is taken up without a restart.

    Not a Python function as the token's source: a thread of the library lets go of it after `Client.close`, asks for
    the interpreter's lock while the interpreter ends, and takes the process down with SIGABRT, once in twenty exits.
    """
    return pulsar.Authentication("token", f"file://{path}")


def client_logger(log_file: Path | None) -> pulsar.FileLogger:
    """Where the client library writes its warnings: a file, or nowhere.

    Not a Python logger: the library calls it from threads that hold its locks, and waits there for the interpreter's
    lock, which deadlocks under load. Not its console logger: that one writes into standard output.
    """
    return pulsar.FileLogger(pulsar.LoggerLevel.Warn, str(log_file or os.devnull))


def open_client(
    cluster: Cluster, *, token_file: Path | None = None, log_file: Path | None = None, **options: Any
) -> pulsar.Client:
    """A client for `cluster`; `token_file` stands in for the cluster's own. The caller closes it.

    Connecting is lazy: errors come from the first use.
    """
    token = token_file or (cluster.auth.token_file if cluster.auth else None)
    if token is not None:
        read_token(token)  # a missing file is told now, not as a hang at connect time
    return pulsar.Client(
        cluster.broker_url,
        authentication=token_authentication(token) if token else None,
        tls_trust_certs_file_path=str(cluster.tls.trust_certs_file) if cluster.tls.trust_certs_file else None,
        tls_validate_hostname=cluster.tls.verify_hostname,
        logger=client_logger(log_file),
        **options,
    )
