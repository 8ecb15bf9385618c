"""Every error of the API as RFC 9457 problem details; the one place where exceptions become answers."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from pulsar_pipeline.errors import PipelineError, Unauthenticated, ViewUnavailable
from pulsar_pipeline.query.shapes import Problem

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:pulsar-pipeline:problem:"
RETRY_AFTER_S = 1
CHALLENGE = 'Bearer realm="pulsar-pipeline"'

_FRAMEWORK: Mapping[int, tuple[str, str | None]] = {
    400: ("bad-request", None),
    404: ("not-found", "there is nothing at this path"),
    405: ("method-not-allowed", "this path does not take the method"),
    413: ("request-entity-too-large", None),
}
"""The framework's own refusals: status → slug, which stays the same whatever Python calls the status, and detail."""

_log = logging.getLogger(__name__)


def problem(
    request: Request,
    status: int,
    slug: str,
    detail: str,
    *,
    headers: Mapping[str, str] | None = None,
    **members: Any,
) -> Response:
    """One problem as a response; `members` are its extension members."""
    document = {
        "type": TYPE_PREFIX + slug,
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "instance": request.scope.get("raw_path", b"").partition(b"?")[0].decode("latin-1") or request.url.path,
        **members,
    }
    return Response(
        json.dumps(document, separators=(",", ":")), status, headers=dict(headers or {}), media_type=MEDIA_TYPE
    )


def document(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """`responses=` of a route that may answer these problems, for the OpenAPI description."""
    schema = {"schema": {"$ref": f"#/components/schemas/{Problem.__name__}"}}
    return {status: {"description": HTTPStatus(status).phrase, "content": {MEDIA_TYPE: schema}} for status in statuses}


def install(app: FastAPI) -> None:
    """Answer every exception, ours or the framework's, with a problem."""
    app.add_exception_handler(PipelineError, _expected)
    app.add_exception_handler(HTTPException, _framework)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Exception, _bug)


async def _expected(request: Request, error: Exception) -> Response:
    if not isinstance(error, PipelineError):
        raise error
    return problem(
        request,
        error.http_status,
        error.slug,
        f"{error.what}; {error.mend}" if error.mend else error.what,
        headers=_headers(error),
    )


def _headers(error: PipelineError) -> dict[str, str]:
    match error:
        case Unauthenticated():
            return {"WWW-Authenticate": error.where or CHALLENGE}
        case ViewUnavailable():
            return {"Retry-After": str(RETRY_AFTER_S)}
        case _:
            return {}


async def _framework(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    slug, detail = _FRAMEWORK.get(error.status_code, (f"http-{error.status_code}", None))
    return problem(request, error.status_code, slug, detail or str(error.detail), headers=error.headers)


async def _invalid(request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    errors = [{"at": "/".join(str(part) for part in item["loc"]), "what": item["msg"]} for item in error.errors()]
    detail = "; ".join(f"{item['at']}: {item['what']}" for item in errors[:3])
    return problem(request, 422, "invalid-request", detail, errors=errors)


async def _bug(request: Request, error: Exception) -> Response:
    _log.error("%s %s: %s", request.method, request.url.path, type(error).__name__)  # the server logs the trace
    return problem(request, 500, "internal", "an error inside the service; its log has the details")
