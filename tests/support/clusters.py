"""Real clusters for tests: started once, stopped whatever happens."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from pulsar_pipeline.cluster.credentials import write_credential
from pulsar_pipeline.cluster.state_keys import new_state_key, state_key_file
from pulsar_pipeline.cluster.tokens import load_secret_key, mint
from pulsar_pipeline.local.clusters import LocalClusters, Machine
from pulsar_pipeline.names import functions_role
from pulsar_pipeline.settings import Settings

PLATFORM_VARIABLE = "PULSAR_PIPELINE_TEST_PLATFORM"
"""Names a platform file whose running clusters are used instead of new ones; they are left running."""


def given_platform() -> Path | None:
    """The platform file that the environment names, if any."""
    text = os.environ.get(PLATFORM_VARIABLE)
    return Path(text).resolve() if text else None


def local_clusters(folder: Path) -> LocalClusters:
    """The local clusters of a folder, on this machine's cache, telling their progress on standard output."""
    settings = Settings()
    return LocalClusters(folder, Machine(settings.cache, settings.java_home), print)


@contextmanager
def running(folder: Path, names: Sequence[str]) -> Iterator[Path]:
    """Clusters that run within the block; gives their platform file."""
    clusters = local_clusters(folder)
    try:
        yield clusters.up(names)
    finally:
        clusters.down()


class Tokens:
    """Tokens that the clusters of a local platform believe."""

    def __init__(self, platform_file: Path) -> None:
        self._secrets = platform_file.parent / "secrets"

    def of(self, role: str, *, valid_for: timedelta | None = None) -> str:
        """A token for any role."""
        return mint(role, load_secret_key(self._secrets / "token.key"), valid_for=valid_for)

    def file_of(self, role: str, folder: Path) -> Path:
        """The same in a file, for a platform file's `token_file`."""
        path = folder / f"{role}.token"
        write_credential(path, self.of(role).encode())
        return path

    def give_to_functions(self, tenant: str) -> Path:
        """Put the token and the state key of a tenant's functions where their instances look for them.

        Gives the token's file. A key that is there stays: what was logged with it must be believed.
        """
        folder = self._secrets / "functions"
        path = folder / f"{tenant}.token"
        write_credential(path, self.of(functions_role(tenant)).encode())
        key = state_key_file(folder, tenant)
        if not key.exists():
            write_credential(key, new_state_key())
        return path
