"""What the processes of `serve` are told by the one that starts them: one JSON file without secrets."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from pulsar_pipeline.spec.model import Cluster
from pulsar_pipeline.view.models import ServedTenant, ServedView


class ServeConfig(BaseModel):
    """One cluster's serving: what it serves, from where, to whom."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cluster_name: str
    cluster: Cluster
    folder: Path
    """Folder of all views, absolute."""
    tenants: tuple[ServedTenant, ...]
    admin_roles: frozenset[str] = frozenset()
    """Roles that read every tenant's views."""
    log_level: str = "INFO"

    @property
    def views(self) -> tuple[ServedView, ...]:
        return tuple(view for tenant in self.tenants for view in tenant.views)

    @property
    def run_folder(self) -> Path:
        """Of the running processes: locks, this config, counters. No tenant's name begins with a dot."""
        return self.folder / self.cluster_name / ".run"

    @property
    def counters_folder(self) -> Path:
        """Where HTTP workers share their counters."""
        return self.run_folder / "counters"
