"""A broker to measure on, and tenants on it: one for each measurement, so that none meets another's topics."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pulsar
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_fixed

from bench.speed.cases import FUNCTIONS, Case
from pulsar_pipeline.apply.execute import execute
from pulsar_pipeline.cluster.admin import AdminCluster
from pulsar_pipeline.cluster.connect import open_client
from pulsar_pipeline.cluster.credentials import write_credential
from pulsar_pipeline.cluster.http import AdminHttp
from pulsar_pipeline.cluster.state_keys import new_state_key, state_key_file
from pulsar_pipeline.cluster.tokens import load_secret_key, mint
from pulsar_pipeline.errors import ClusterError
from pulsar_pipeline.local.clusters import LocalClusters, Machine
from pulsar_pipeline.local.progress import Report
from pulsar_pipeline.names import functions_role
from pulsar_pipeline.package.build import BuiltPackage, build_package
from pulsar_pipeline.package.provided import runtime_distributions
from pulsar_pipeline.plan.make import make_plan
from pulsar_pipeline.settings import Settings
from pulsar_pipeline.spec.load import load_platform
from pulsar_pipeline.spec.model import Cluster, Guarantee, Platform, Tenant

DEPLOYMENT = "measured"
INPUT, OUTPUT = "events/in", "results/out"

_LOCK = FUNCTIONS.parents[2] / "functions" / "predictive_maintenance" / "requirements.txt"
"""What the functions measured need is what that function needs."""


@dataclass(frozen=True)
class World:
    """One cluster that runs. `folder` is the measurement's own."""

    platform: Platform
    name: str
    secrets: Path
    folder: Path
    http: AdminHttp
    client: pulsar.Client

    @property
    def cluster(self) -> Cluster:
        return self.platform.clusters[self.name]

    @property
    def function_tokens(self) -> Path:
        return self.secrets / "functions"

    @contextmanager
    def tenant(self, tenant: Tenant) -> Iterator[None]:
        """The tenant's topics are there within the block, its functions' credentials too."""
        clusters = {self.name: AdminCluster(self.http)}
        outcome = execute(make_plan(self.platform, [tenant], clusters), clusters, lambda _step, _error: None)
        if outcome.error is not None:
            raise outcome.error
        token = self.function_tokens / f"{tenant.tenant}.token"
        key = state_key_file(self.function_tokens, tenant.tenant)
        signing_key = load_secret_key(self.secrets / "token.key")
        write_credential(token, mint(functions_role(tenant.tenant), signing_key, valid_for=None).encode())
        write_credential(key, new_state_key())
        try:
            yield
        finally:
            token.unlink()
            key.unlink()
            self._forget(tenant)

    def _forget(self, tenant: Tenant) -> None:
        """Nothing of it stays: its topics hold a measurement's events. Best effort, for it is nobody's but ours."""
        with suppress(ClusterError):
            # Again where a client of the measurement has let go of its topics only now.
            Retrying(
                retry=retry_if_exception_type(ClusterError),
                wait=wait_fixed(1),
                stop=stop_after_attempt(10),
                reraise=True,
            )(self._remove, tenant)

    def _remove(self, tenant: Tenant) -> None:
        for namespace in self.http.get(f"/admin/v2/namespaces/{tenant.tenant}"):
            for topic in self.http.get(f"/admin/v2/persistent/{namespace}/partitioned"):
                path = topic.removeprefix("persistent://")
                self.http.delete(f"/admin/v2/persistent/{path}/partitions", params={"force": "true"})
            self.http.delete(f"/admin/v2/namespaces/{namespace}")
        self.http.delete(f"/admin/v2/tenants/{tenant.tenant}")


@contextmanager
def world(platform_file: Path | None, report: Report) -> Iterator[World]:
    """On the first cluster of a local platform that runs (`pulsar-pipeline local up`), or on one started for this."""
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="bench-runtime-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        if platform_file is None:
            settings = Settings()
            machine = Machine(settings.cache.expanduser().resolve(), settings.java_home)
            local = LocalClusters(folder / "local", machine, report)
            stack.callback(local.down)
            platform_file = local.up(("bench",))
        platform = load_platform(platform_file)
        name = next(iter(platform.clusters))
        http = stack.enter_context(AdminHttp(name, platform.clusters[name]))
        client = open_client(platform.clusters[name])
        stack.callback(client.close)
        yield World(platform, name, platform_file.absolute().parent / "secrets", folder, http, client)


def tenant_of(name: str, cluster: str, case: Case, guarantee: Guarantee, partitions: int) -> Tenant:
    """A tenant whose one deployment is the case's function."""
    namespace = {
        "schema": {"compatibility": "always_compatible", "enforce": False},
        "retention": {"time": "1h", "size": "20GB"},
    }
    return Tenant.model_validate(
        {
            "tenant": name,
            "clusters": [cluster],
            "home": cluster,
            "namespaces": {"events": namespace, "results": namespace},
            "topics": {
                INPUT: {"partitions": partitions, "schema": str(case.input_schema), "key": case.key},
                OUTPUT: {"partitions": partitions, "schema": str(case.output_schema), "key": case.key},
            },
            "deployments": {
                DEPLOYMENT: {
                    "function": case.function,
                    "namespace": "results",
                    "inputs": {case.input: INPUT},
                    "output": OUTPUT,
                    "guarantee": guarantee,
                    "config": case.config,
                    "logs": False,
                }
            },
        }
    )


def build_packages(folder: Path, functions: Collection[str]) -> dict[str, BuiltPackage]:
    """The packages of functions by their names, without what this environment has anyway."""
    built = {}
    for name in functions:
        source = folder / "sources" / name
        shutil.copytree(FUNCTIONS / name, source, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(_LOCK, source)
        built[name] = build_package(source, folder / "packages", slim=True, provided=runtime_distributions())
    return built
