"""The OpenAPI description against the application: whatever comes, comes in a form that it tells of."""

from __future__ import annotations

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.support.api import Api

CHECKS = [status_code_conformance, content_type_conformance, response_schema_conformance]
KNOWN = {"tenant": ["acme"], "model": ["risk", "late"], "entity": ["m-1", "100%25", "nobody"]}
OPERATIONS = [
    ("/v1/tenants/{tenant}/models", "GET"),
    ("/v1/tenants/{tenant}/models/{model}/predictions/{entity}", "GET"),
    ("/v1/tenants/{tenant}/models/{model}/predictions:batchGet", "POST"),
    ("/healthz", "GET"),
    ("/readyz", "GET"),
    ("/metrics", "GET"),
]


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    return Api(tmp_path_factory.mktemp("openapi"))


@pytest.fixture(scope="module")
def description(api):
    return schemathesis.openapi.from_dict(api.app.openapi())


def test_every_operation_is_tried(description):
    assert {(result.ok().path, result.ok().method.upper()) for result in description.get_all_operations()} == set(
        OPERATIONS
    )


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
@pytest.mark.parametrize("known", [True, False], ids=["known names", "any names"])
def test_answers_keep_to_their_description(api, description, path, method, known):
    statuses = set()

    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(case=description[path][method].as_strategy(), data=st.data(), role=st.sampled_from(["acme-app", "x", None]))
    def ask(case, data, role):
        if known:
            case.path_parameters = {
                name: data.draw(st.sampled_from(KNOWN[name])) for name in (case.path_parameters or {})
            }
        request = case.as_transport_kwargs(base_url="http://test")
        headers = {**request.get("headers", {}), **(api.headers(role) if role else {"Authorization": ""})}
        response = api.http.request(
            method, request["url"], headers=headers, json=request.get("json"), content=request.get("data")
        )
        statuses.add(response.status_code)
        case.validate_response(response, checks=CHECKS)

    ask()
    assert statuses <= {200, 401, 404, 422, 503}
