"""The functions worker of one cluster, over its REST API (`/admin/v3/functions`)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pulsar_pipeline.cluster.http import AdminHttp
from pulsar_pipeline.errors import ClusterError, ClusterNotFound, ClusterRefused, ClusterUnreachable
from pulsar_pipeline.rollout.functions_config import FunctionConfig
from pulsar_pipeline.rollout.status import FunctionStats, FunctionStatus, parse_stats, parse_status

_UPLOAD_TIMEOUT_S = 300.0
"""The worker answers when it has stored the package in BookKeeper."""


class FunctionsWorker:
    """Calls block until the worker has answered; they raise the ClusterErrors of AdminHttp.

    Instances start, stop and restart after the answer: look at `status` for that.
    """

    def __init__(self, http: AdminHttp) -> None:
        self._http = http

    @property
    def cluster(self) -> str:
        return self._http.name

    def functions(self, tenant: str, namespace: str) -> list[str]:
        """Names of the functions in a namespace; none if there is no such namespace."""
        try:
            return sorted(self._http.get(f"/admin/v3/functions/{tenant}/{namespace}") or ())
        except ClusterNotFound:
            return []

    def config(self, tenant: str, namespace: str, name: str) -> FunctionConfig | None:
        """What a function is deployed with; None if there is none."""
        try:
            found = self._http.get(_path(tenant, namespace, name))
        except ClusterNotFound:
            return None
        return dict(found)

    def register(self, config: FunctionConfig, package: Path) -> None:
        """Create a function. ClusterError if there is one of the name, or the worker does not accept the config."""
        self._clear_packages(config["tenant"], config["namespace"], config["name"])
        self._upload("POST", config, package, {})

    def update(self, config: FunctionConfig, package: Path) -> None:
        """Replace a function's package and config; its instances restart.

        Where the worker keeps packages in the package store, an update takes the package that is stored there and
        leaves the one that is sent with it (Pulsar 4.0.7, `ComponentImpl.getPackageFile`). So the new one is put in the
        stored one's place before, and the old one back when the update is refused.
        """
        stored = self._latest_package(config["tenant"], config["namespace"], config["name"])
        if stored is None:
            self._send_update(config, package)
            return
        old, new = self._http.download(stored, timeout=_UPLOAD_TIMEOUT_S), _content(package)
        if old == new:
            self._send_update(config, package)
            return
        self._store(stored, config["py"], new)
        try:
            self._send_update(config, package)
        except ClusterError:
            self._store(stored, config["py"], old)
            raise

    def delete(self, tenant: str, namespace: str, name: str) -> None:
        """Stop and remove a function, its subscriptions and its packages. ClusterNotFound without it."""
        self._http.delete(_path(tenant, namespace, name))
        self._clear_packages(tenant, namespace, name)

    def restart(self, tenant: str, namespace: str, name: str) -> None:
        """Restart every instance. ClusterNotFound without the function."""
        self._http.post(f"{_path(tenant, namespace, name)}/restart")

    def status(self, tenant: str, namespace: str, name: str) -> FunctionStatus:
        """What each instance says of itself. ClusterNotFound without the function."""
        return parse_status(self._http.get(f"{_path(tenant, namespace, name)}/status"))

    def stats(self, tenant: str, namespace: str, name: str) -> FunctionStats:
        """Counts, rates and latency. ClusterNotFound without the function."""
        return parse_stats(self._http.get(f"{_path(tenant, namespace, name)}/stats"))

    def _send_update(self, config: FunctionConfig, package: Path) -> None:
        self._upload("PUT", config, package, {"updateOptions": {"updateAuthData": False}})

    def _latest_package(self, tenant: str, namespace: str, name: str) -> str | None:
        """Path of the version that a function runs with: versions are numbers that the worker counts up. None where
        packages are not managed."""
        packages = _packages_path(tenant, namespace, name)
        numbers = [int(version) for version in self._versions(packages) if version.isdigit()]
        paths = (f"{packages}/{number}" for number in sorted(numbers, reverse=True))
        return next((path for path in paths if self._is_stored(f"{path}/metadata")), None)

    def _store(self, path: str, file_name: str, content: bytes) -> None:
        """Replace a stored package. Instances that run have their own copy."""
        self._http.delete(path)
        metadata = json.dumps({"description": "stored by pulsar-pipeline"})
        parts: dict[str, Any] = {
            "metadata": (None, metadata, "application/json"),
            "file": (file_name, content, "application/octet-stream"),
        }
        self._http.request("POST", path, files=parts, timeout=_UPLOAD_TIMEOUT_S)

    def _versions(self, packages: str) -> list[str]:
        """Every version there ever was; none without package management, where a worker has names of its own."""
        try:
            return list(self._http.get(packages) or ())
        except (ClusterUnreachable, ClusterRefused):
            raise
        except ClusterError:
            return []

    def _clear_packages(self, tenant: str, namespace: str, name: str) -> None:
        """Delete what the worker stored for a function that is gone.

        It keeps every version it was given, and then refuses a new function of the name, whose versions start anew.
        """
        packages = _packages_path(tenant, namespace, name)
        for version in self._versions(packages):
            if self._is_stored(f"{packages}/{version}/metadata"):
                self._http.delete(f"{packages}/{version}")

    def _is_stored(self, metadata: str) -> bool:
        """The list of versions names deleted ones too, and deleting those fails."""
        try:
            self._http.get(metadata)
        except ClusterNotFound:
            return False
        return True

    def _upload(self, method: str, config: FunctionConfig, package: Path, extra: Mapping[str, Any]) -> None:
        path = _path(config["tenant"], config["namespace"], config["name"])
        try:
            file = package.open("rb")
        except OSError as error:
            raise ClusterError(f"cannot read the package: {error.strerror}", where=str(package)) from error
        with file:
            parts: dict[str, Any] = {
                key: (None, json.dumps(value), "application/json")
                for key, value in {"functionConfig": config, **extra}.items()
            }
            parts["data"] = (config["py"], file, "application/octet-stream")
            self._http.request(method, path, files=parts, timeout=_UPLOAD_TIMEOUT_S)


def _content(package: Path) -> bytes:
    try:
        return package.read_bytes()
    except OSError as error:
        raise ClusterError(f"cannot read the package: {error.strerror}", where=str(package)) from error


def _packages_path(tenant: str, namespace: str, name: str) -> str:
    return f"/admin/v3/packages/function/{tenant}/{namespace}/{name}"


def _path(tenant: str, namespace: str, name: str) -> str:
    return f"/admin/v3/functions/{tenant}/{namespace}/{name}"
