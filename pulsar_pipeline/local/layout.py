"""Where everything of the local clusters lies: one folder, safe to delete when nothing runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ClusterLayout:
    """One cluster's files; `root` is absolute."""

    name: str
    root: Path

    @property
    def conf(self) -> Path:
        return self.root / "conf"

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def log(self) -> Path:
        """Pulsar's own log, rotated by size."""
        return self.logs / "pulsar.log"

    @property
    def console(self) -> Path:
        """What the JVM writes to its standard output and error."""
        return self.logs / "console.log"

    @property
    def arguments(self) -> Path:
        """The JVM's arguments as a Java `@file`."""
        return self.conf / "java.args"

    @property
    def instance_logs(self) -> Path:
        return self.logs / "functions"

    @property
    def pid(self) -> Path:
        return self.root / "pid"

    @property
    def ports(self) -> Path:
        return self.root / "ports.json"

    @property
    def temporary(self) -> Path:
        return self.data / "tmp"

    @property
    def worker(self) -> Path:
        """Scratch space of the functions worker: packages on their way to instances."""
        return self.data / "functions"


@dataclass(frozen=True, slots=True)
class Layout:
    """The whole folder; `root` is absolute."""

    root: Path

    @classmethod
    def of(cls, folder: Path) -> Layout:
        return cls(folder.expanduser().resolve())

    @property
    def platform(self) -> Path:
        return self.root / "platform.yaml"

    @property
    def lock(self) -> Path:
        return self.root / "lock"

    @property
    def secrets(self) -> Path:
        return self.root / "secrets"

    @property
    def token_key(self) -> Path:
        return self.secrets / "token.key"

    @property
    def admin_token(self) -> Path:
        return self.secrets / "admin.token"

    @property
    def function_tokens(self) -> Path:
        """`TENANT.token` files for runtime instances."""
        return self.secrets / "functions"

    @property
    def clusters(self) -> Path:
        return self.root / "clusters"

    def cluster(self, name: str) -> ClusterLayout:
        return ClusterLayout(name, self.clusters / name)

    def existing(self) -> tuple[str, ...]:
        """Names of the clusters that have a folder, sorted."""
        if not self.clusters.is_dir():
            return ()
        folders = [path for path in self.clusters.iterdir() if path.is_dir()]
        return tuple(sorted(path.name for path in folders))
