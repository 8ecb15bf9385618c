"""Puts the FastAPI application together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from pulsar_pipeline import __version__
from pulsar_pipeline.clock import Clock, SystemClock
from pulsar_pipeline.cluster.tokens import TokenVerifier
from pulsar_pipeline.errors import SpecError
from pulsar_pipeline.query.access import Authenticator, Catalogue, OpenView
from pulsar_pipeline.query.exposition import Measured, Recorder, ViewCollector, exposition
from pulsar_pipeline.query.operations import operations
from pulsar_pipeline.query.problems import install
from pulsar_pipeline.query.routes import routes
from pulsar_pipeline.query.shapes import BatchRequest, Problem
from pulsar_pipeline.view.config import ServeConfig
from pulsar_pipeline.view.layout import view_folder
from pulsar_pipeline.view.reader import ViewReader

DESCRIPTION = """Latest predictions of online models.

Every answer carries the time of its event, the position that it reflects and the view's lag (`lag_ms`). Bearer tokens
are the ones that Pulsar takes. What a token may not read is answered as if it did not exist. Every error is an
`application/problem+json` document (RFC 9457)."""


def create_app(config: ServeConfig, *, clock: Clock | None = None, shared_metrics: Path | None = None) -> FastAPI:
    """The application over the views in `config.folder`, which a materialiser fills (before, after or meanwhile).

    `shared_metrics` is the folder through which several worker processes share their counters.
    Raises SpecError for a cluster without `tokens`, TokenError when the key cannot be read.
    """
    clock = clock or SystemClock()
    catalogue = Catalogue(config.tenants, _open_views(config, clock), config.admin_roles)
    registry, views = CollectorRegistry(), ViewCollector(catalogue.views, clock)
    app = _Application(
        title="pulsar-pipeline", description=DESCRIPTION, version=__version__, redoc_url=None, redirect_slashes=False
    )
    install(app)
    app.add_middleware(Measured, recorder=Recorder(registry))
    app.include_router(routes(Authenticator(verifier(config), clock), catalogue, clock))
    app.include_router(operations(catalogue, lambda: exposition(registry, views, shared_metrics)))
    return app


def verifier(config: ServeConfig) -> TokenVerifier:
    """What believes this cluster's tokens. Raises SpecError, TokenError."""
    if config.cluster.tokens is None:
        raise SpecError(
            f"cluster {config.cluster_name} has no `tokens`, so nobody's token can be checked",
            key=f"clusters.{config.cluster_name}.tokens",
            mend="name the brokers' secret_key_file or public_key_file there",
        )
    return TokenVerifier(config.cluster.tokens)


def _open_views(config: ServeConfig, clock: Clock) -> list[OpenView]:
    cluster = config.cluster_name
    return [
        OpenView(view, ViewReader(view_folder(config.folder, cluster, view.tenant, view.name), cluster, clock))
        for view in config.views
    ]


class _Application(FastAPI):
    """FastAPI, with what its OpenAPI description cannot find out: how to authenticate, and the form of errors."""

    def openapi(self) -> dict[str, Any]:
        if not self.openapi_schema:
            _complete(super().openapi())
        return super().openapi()


def _complete(description: dict[str, Any]) -> None:
    components = description.setdefault("components", {})
    components["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}}
    schemas = components.setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    for shape in (Problem, BatchRequest):
        schemas[shape.__name__] = shape.model_json_schema()
    for operations_ in description["paths"].values():
        for operation in operations_.values():
            if "application/json" in operation["responses"].get("422", {}).get("content", {}):
                del operation["responses"]["422"]  # the framework's own; ours are problems
