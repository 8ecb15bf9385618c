"""What clients ask: models and predictions. Answers are stored JSON text with the lag added, so no model is built."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from pulsar_pipeline.clock import Clock
from pulsar_pipeline.query.access import Authenticator, Catalogue, OpenView
from pulsar_pipeline.query.body import bounded_body
from pulsar_pipeline.query.problems import document, problem
from pulsar_pipeline.query.shapes import BatchAnswer, BatchRequest, Model, Models, Prediction
from pulsar_pipeline.view.layout import StoredRow
from pulsar_pipeline.view.position import token

JSON = "application/json"
LAG_HEADER = "View-Lag-Ms"

_MODEL = "/v1/tenants/{tenant}/models/{model}"
_TOKEN_NEEDED: dict[str, Any] = {"security": [{"bearer": []}]}
_TAKES_BATCH: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {JSON: {"schema": {"$ref": f"#/components/schemas/{BatchRequest.__name__}"}}},
    }
}
_NOT_MODIFIED: dict[int | str, dict[str, Any]] = {
    304: {"description": f"Not modified since; the lag is in the header {LAG_HEADER}."}
}

TenantPath = Annotated[str, Path(description="The tenant.")]
ModelPath = Annotated[str, Path(description="Name of a view of the tenant.")]
EntityPath = Annotated[str, Path(description="Key of the prediction; may hold slashes.")]


def routes(authenticator: Authenticator, catalogue: Catalogue, clock: Clock) -> APIRouter:
    """The router of everything below `/v1`."""
    router = APIRouter(prefix="", tags=["predictions"])

    def model_of(request: Request, tenant: str, model: str) -> OpenView:
        return catalogue.model(authenticator.role(request.headers.get("authorization")), tenant, model)

    @router.get(
        "/v1/tenants/{tenant}/models",
        summary="List a tenant's models",
        response_model=Models,
        responses=document(401, 404),
        openapi_extra=_TOKEN_NEEDED,
    )
    async def list_models(request: Request, tenant: TenantPath) -> Models:
        role = authenticator.role(request.headers.get("authorization"))
        now_ms = clock.now_ms()
        return Models(models=[_describe(view, now_ms) for view in catalogue.models(role, tenant)])

    @router.get(
        _MODEL + "/predictions/{entity:path}",
        summary="Latest prediction of an entity",
        response_model=Prediction,
        responses=_NOT_MODIFIED | document(401, 404, 503),
        openapi_extra=_TOKEN_NEEDED,
    )
    async def get_prediction(request: Request, tenant: TenantPath, model: ModelPath, entity: EntityPath) -> Response:
        reader = model_of(request, tenant, model).reader
        row = reader.get(entity)
        lag_ms = reader.freshness().lag_ms(clock.now_ms())
        if row is None:
            return problem(request, 404, "no-prediction", "the view has no prediction of this entity", lag_ms=lag_ms)
        etag = f'W/"{row.token}"'
        headers = {"ETag": etag, "Cache-Control": "private, no-cache"}
        if etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers | {LAG_HEADER: str(lag_ms)})
        return Response(_with_lag(row, lag_ms), headers=headers, media_type=JSON)

    @router.post(
        _MODEL + "/predictions:batchGet",
        summary="Latest predictions of many entities",
        response_model=BatchAnswer,
        responses=document(401, 404, 413, 422, 503),
        openapi_extra=_TOKEN_NEEDED | _TAKES_BATCH,
    )
    async def get_predictions(request: Request, tenant: TenantPath, model: ModelPath) -> Response:
        reader = model_of(request, tenant, model).reader  # before the body is looked at: no token, no validation
        entities = _entities(await bounded_body(request))
        rows = reader.get_many(entities)
        lag_ms = reader.freshness().lag_ms(clock.now_ms())
        return Response(_batch(entities, rows, lag_ms), media_type=JSON)

    return router


def _entities(body: bytes) -> list[str]:
    """The entities asked for, each once. Raises RequestValidationError."""
    try:
        return list(dict.fromkeys(BatchRequest.model_validate_json(body).entities))
    except ValidationError as error:
        raise RequestValidationError(error.errors(include_url=False, include_input=False)) from None


def _with_lag(row: StoredRow, lag_ms: int) -> bytes:
    return b'%b,"lag_ms":%d}' % (row.body[:-1], lag_ms)


def _batch(entities: Sequence[str], rows: Sequence[StoredRow | None], lag_ms: int) -> bytes:
    found = b",".join(_with_lag(row, lag_ms) for row in rows if row is not None)
    missing = json.dumps([entity for entity, row in zip(entities, rows, strict=True) if row is None]).encode()
    return b'{"found":[%b],"missing":%b,"lag_ms":%d}' % (found, missing, lag_ms)


def _describe(open_view: OpenView, now_ms: int) -> Model:
    view, reader = open_view.view, open_view.reader
    freshness = reader.freshness()
    return Model(
        name=view.name,
        deployment=view.deployment,
        topic=str(view.topic),
        ready=freshness.ready,
        entities=reader.rows(),
        positions=[
            token(reader.cluster, partition, record.state.position)
            for partition, record in sorted(reader.partitions().items())
        ],
        lag_ms=freshness.lag_ms(now_ms) if freshness.ready else None,
    )
