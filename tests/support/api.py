"""The query API in this process, over views that the test fills."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from pulsar_pipeline.cluster.tokens import mint, new_secret_key
from pulsar_pipeline.names import TopicName
from pulsar_pipeline.query.app import create_app
from pulsar_pipeline.spec.model import Cluster, TokenVerification
from pulsar_pipeline.view.config import ServeConfig
from pulsar_pipeline.view.models import ServedTenant, ServedView
from tests.support.clocks import FakeClock
from tests.support.views import fill


class Api:
    """Tenants `acme` (views `risk`, `late`: never caught up) and `other` (view `risk`), in cluster west."""

    def __init__(self, folder: Path, *, admin_roles: Iterable[str] = ()) -> None:
        self.clock = FakeClock()
        self.key = new_secret_key()
        key_file = folder / "token.key"
        key_file.write_bytes(self.key)
        self.rows = {
            "m-1": {"risk": 0.5, "at": "noon"},
            "line 3/m 2": {"risk": 0.25, "at": "ü"},
            "100%": {"risk": None, "at": "x"},
        }
        tenants = (tenant("acme", "risk", "late"), tenant("other", "risk"))
        for name, rows in (("acme", self.rows), ("other", {"secret": {"risk": 1.0, "at": ""}})):
            topic = f"persistent://{name}/out/risk"
            fill(folder / "views", name, "risk", rows, now_ms=self.clock.now_ms(), topic=topic)
        self.config = ServeConfig(
            cluster_name="west",
            cluster=Cluster(
                admin_url="http://localhost:8080",
                broker_url="pulsar://localhost:6650",
                tokens=TokenVerification(secret_key_file=key_file),
            ),
            folder=folder / "views",
            tenants=tenants,
            admin_roles=frozenset(admin_roles),
        )
        self.app = create_app(self.config, clock=self.clock)
        self.http = Http(self.app)

    def headers(self, role: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {mint(role, self.key)}"}


class Http:
    """Requests to an application in this process, one after the other."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        return asyncio.run(self._request(method, path, **options))

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        return self.request("POST", path, **options)

    def delete(self, path: str, **options: Any) -> httpx.Response:
        return self.request("DELETE", path, **options)

    async def _request(self, method: str, path: str, **options: Any) -> httpx.Response:
        transport = httpx.ASGITransport(self._app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.request(method, path, **options)


def tenant(name: str, *views: str) -> ServedTenant:
    """Roles `NAME-admin` and `NAME-app` read all of it, `NAME-reader` its views' namespace."""
    roles = frozenset({f"{name}-admin", f"{name}-app"})
    return ServedTenant(name=name, roles=roles, views=tuple(_view(name, view, roles) for view in views))


def _view(name: str, view: str, roles: frozenset[str]) -> ServedView:
    return ServedView(
        tenant=name,
        name=view,
        deployment=f"{view}-model",
        topic=TopicName(name, "out", view),
        partitions=1,
        roles=roles | {f"{name}-reader"},
    )
