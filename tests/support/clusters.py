"""Real clusters for tests: started once, stopped whatever happens."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from pulsar_pipeline.cluster.credentials import write_credential
from pulsar_pipeline.cluster.state_keys import new_state_key, state_key_file
from pulsar_pipeline.cluster.tokens import load_secret_key, mint
from pulsar_pipeline.local import jvm, processes
from pulsar_pipeline.local.clusters import LocalClusters, Machine
from pulsar_pipeline.names import functions_role
from pulsar_pipeline.settings import Settings
from tests.support.wait import wait_until

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


class Restartable:
    """One cluster of its own, whose broker tests end and start again. Its data and its ports stay."""

    def __init__(self, folder: Path, name: str) -> None:
        self._clusters, self._name = local_clusters(folder), name
        self.platform_file = self._clusters.up([name])

    def kill(self) -> None:
        """`kill -9`."""
        process = jvm.running(self._clusters.layout.cluster(self._name))
        assert process is not None
        processes.signal_one(process.pid, signal.SIGKILL)
        wait_until(lambda: processes.find(process.pid) is None, 10, f"the JVM of {self._name} is gone")

    def stop(self) -> None:
        """As at the end of its day: what is under way is ended in good order."""
        self._clusters.down()

    def start(self) -> None:
        """Gives when it can be worked with."""
        self._clusters.up([self._name])


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
