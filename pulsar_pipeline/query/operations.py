"""Paths for operators and orchestrators; no token needed, and nothing of a tenant in them but names in the metrics."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter, Response

from pulsar_pipeline.errors import ViewUnavailable
from pulsar_pipeline.query.access import Catalogue
from pulsar_pipeline.query.exposition import CONTENT_TYPE
from pulsar_pipeline.query.problems import document
from pulsar_pipeline.query.shapes import Health


def operations(catalogue: Catalogue, metrics_text: Callable[[], bytes]) -> APIRouter:
    """The router of `/healthz`, `/readyz` and `/metrics`."""
    router = APIRouter(tags=["operations"])

    @router.get("/healthz", summary="Whether this process answers")
    async def healthz() -> Health:
        return Health(status="ok")

    @router.get(
        "/readyz",
        summary="Whether every view has caught up with its topic for the first time",
        responses=document(503),
    )
    async def readyz() -> Health:
        ready = [view.reader.freshness().ready for view in catalogue.views]
        if not all(ready):
            raise ViewUnavailable(f"{ready.count(False)} of {len(ready)} views have not caught up yet")
        return Health(status="ready")

    @router.get(
        "/metrics",
        summary="Metrics in Prometheus' text format",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    )
    async def metrics() -> Response:
        return Response(metrics_text(), headers={"Content-Type": CONTENT_TYPE})

    return router
