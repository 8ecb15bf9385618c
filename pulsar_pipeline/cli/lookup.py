"""Names on the command line → what they stand for in the spec files; a wrong one is told with those there are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pulsar_pipeline.clock import SystemClock
from pulsar_pipeline.cluster.admin import AdminCluster
from pulsar_pipeline.cluster.http import AdminHttp
from pulsar_pipeline.errors import SpecError
from pulsar_pipeline.rollout.deploy import Deployer
from pulsar_pipeline.rollout.worker import FunctionsWorker
from pulsar_pipeline.spec.load import load_platform, load_tenants
from pulsar_pipeline.spec.model import Cluster, Deployment, Platform, Tenant, Topic

_T = TypeVar("_T")


def tenant_spec(folder: Path, name: str) -> Tenant:
    """The spec of a tenant. Raises SpecError."""
    return _pick(load_tenants(folder), name, "no spec of tenant", folder)


def cluster_named(platform: Platform, name: str, file: Path) -> Cluster:
    """A cluster of the platform file. Raises SpecError."""
    return _pick(platform.clusters, name, "no cluster", file)


def topic_of(tenant: Tenant, ref: str) -> Topic:
    """A declared topic, `NAMESPACE/TOPIC`. Raises SpecError."""
    return _pick(tenant.topics, ref, f"{tenant.tenant} declares no topic", None)


def deployment_of(tenant: Tenant, name: str) -> Deployment:
    """A declared deployment. Raises SpecError."""
    return _pick(tenant.deployments, name, f"{tenant.tenant} declares no deployment", None)


@dataclass(frozen=True)
class Home:
    """A tenant's home cluster, opened: where its functions run."""

    tenant: Tenant
    cluster: Cluster
    worker: FunctionsWorker
    deployer: Deployer


@contextmanager
def home_of(tenant: Tenant, platform_file: Path) -> Iterator[Home]:
    """Opens the admin API of the tenant's home cluster; closed at the end. Raises SpecError."""
    cluster = cluster_named(load_platform(platform_file), tenant.home, platform_file)
    with AdminHttp(tenant.home, cluster) as http:
        worker = FunctionsWorker(http)
        yield Home(tenant, cluster, worker, Deployer(tenant, worker, AdminCluster(http), SystemClock()))


def _pick(there: Mapping[str, _T], name: str, what: str, file: Path | None) -> _T:
    if name not in there:
        raise SpecError(f"{what} {name!r}", file=file, mend=f"there are: {', '.join(sorted(there)) or 'none'}")
    return there[name]
