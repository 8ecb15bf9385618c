"""What the HTTP API answers: every route, every status, both ways round."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import jwt
import pytest

from pulsar_pipeline.cluster.tokens import mint, new_secret_key
from pulsar_pipeline.query.shapes import BatchAnswer, Models, Prediction, Problem
from tests.support.api import Api
from tests.support.views import PUBLISHED_MS

ACME = "/v1/tenants/acme/models"
RISK = f"{ACME}/risk/predictions"


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    return Api(tmp_path_factory.mktemp("api"), admin_roles=["sre"])


@pytest.fixture
def app(api):
    """Headers of a role that may read acme."""
    return api.headers("acme-app")


def problem_of(response, status):
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    problem = Problem.model_validate_json(response.content)
    assert problem.status == status
    assert problem.type.startswith("urn:pulsar-pipeline:problem:")
    assert problem.instance.startswith("/")
    return problem


def test_a_prediction_says_what_it_is_of_and_how_fresh(api, app):
    response = api.http.get(f"{RISK}/m-1", headers=app)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    Prediction.model_validate_json(response.content)
    assert response.json() == {
        "entity": "m-1",
        "prediction": {"risk": 0.5, "at": "noon"},
        "event_time": "2023-11-14T22:13:19.995Z",
        "published_time": "2023-11-14T22:13:20.000Z",
        "position": "v1.west.0.1.0.-1",
        "lag_ms": 0,
    }
    assert PUBLISHED_MS == 1_700_000_000_000


@pytest.mark.parametrize(
    ("path", "entity"),
    [("line%203/m%202", "line 3/m 2"), ("line%203%2Fm%202", "line 3/m 2"), ("100%25", "100%")],
)
def test_entities_with_slashes_and_percent_signs(api, app, path, entity):
    response = api.http.get(f"{RISK}/{path}", headers=app)
    assert (response.status_code, response.json()["entity"]) == (200, entity)


def test_the_lag_grows_while_nobody_materialises(tmp_path):
    api = Api(tmp_path)
    api.clock.advance(5_000)
    assert api.http.get(f"{RISK}/m-1", headers=api.headers("acme-app")).json()["lag_ms"] == 5_000
    assert api.http.get(ACME, headers=api.headers("acme-app")).json()["models"][0]["lag_ms"] == 5_000


def test_an_entity_without_prediction_is_404_and_says_how_fresh_that_is(api, app):
    problem = problem_of(api.http.get(f"{RISK}/m-9", headers=app), 404)
    assert problem.type.endswith(":no-prediction")
    assert problem.lag_ms == 0
    problem_of(api.http.get(f"{RISK}/", headers=app), 404)


def test_a_position_seen_before_is_not_sent_again(api, app):
    first = api.http.get(f"{RISK}/m-1", headers=app)
    again = api.http.get(f"{RISK}/m-1", headers=app | {"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert (again.headers["etag"], again.headers["view-lag-ms"]) == (first.headers["etag"], "0")
    other = api.http.get(f"{RISK}/100%25", headers=app | {"If-None-Match": first.headers["etag"]})
    assert other.status_code == 200


def test_many_at_once_tells_found_from_missing_in_the_order_asked_for(api, app):
    entities = ["nobody", "line 3/m 2", "m-1", "m-1", "also nobody"]
    response = api.http.post(f"{RISK}:batchGet", json={"entities": entities}, headers=app)
    assert response.status_code == 200
    answer = BatchAnswer.model_validate_json(response.content)
    assert [prediction.entity for prediction in answer.found] == ["line 3/m 2", "m-1"]
    assert answer.missing == ["nobody", "also nobody"]
    single = api.http.get(f"{RISK}/m-1", headers=app).json()
    assert response.json()["found"][1] == single


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"entities": []}',
        b'{"entities": [""]}',
        b'{"entities": [1]}',
        b'{"entities": ["a"], "more": 1}',
        json.dumps({"entities": ["a"] * 1001}).encode(),
    ],
)
def test_a_batch_of_another_form_is_422_with_the_place(api, app, content):
    problem = problem_of(api.http.post(f"{RISK}:batchGet", content=content, headers=app), 422)
    assert problem.errors[0]["what"]


def test_a_body_beyond_measure_is_413(api, app):
    problem_of(api.http.post(f"{RISK}:batchGet", content=b" " * (9 << 20), headers=app), 413)


def test_models_list_what_the_role_may_read(api, app):
    response = api.http.get(ACME, headers=app)
    late, risk = sorted(Models.model_validate_json(response.content).models, key=lambda model: model.name)
    assert (risk.name, risk.ready, risk.entities, risk.lag_ms) == ("risk", True, 3, 0)
    assert (risk.topic, risk.deployment) == ("persistent://acme/out/risk", "risk-model")
    assert risk.positions == ["v1.west.0.1.2.-1"]
    assert (late.ready, late.entities, late.positions, late.lag_ms) == (False, 0, [], None)


@pytest.mark.parametrize("role", ["acme-admin", "acme-app", "acme-reader", "sre"])
def test_roles_that_may_consume_read(api, role):
    assert api.http.get(f"{RISK}/m-1", headers=api.headers(role)).status_code == 200
    assert api.http.get(ACME, headers=api.headers(role)).status_code == 200


@pytest.mark.parametrize("role", ["other-admin", "other-app", "other-reader", "admin", "nobody"])
@pytest.mark.parametrize("rest", ["/models", "/models/risk/predictions/m-1", "/models/risk/predictions:batchGet"])
def test_anothers_tenant_is_answered_like_one_that_does_not_exist(api, role, rest):
    def ask(tenant):
        method = "POST" if rest.endswith("batchGet") else "GET"
        path = f"/v1/tenants/{tenant}{rest}"
        response = api.http.request(method, path, json={"entities": ["m-1"]}, headers=api.headers(role))
        problem_of(response, 404)
        return response.text.replace(tenant, "TENANT"), {**response.headers, "content-length": ""}

    assert ask("acme") == ask("nonexistent")


def test_the_same_role_in_its_own_tenant_reads(api):
    response = api.http.get("/v1/tenants/other/models/risk/predictions/secret", headers=api.headers("other-app"))
    assert response.status_code == 200


def test_a_model_that_does_not_exist_is_404(api, app):
    problem_of(api.http.get(f"{ACME}/nothing/predictions/m-1", headers=app), 404)


def forged(api):
    return mint("acme-app", new_secret_key())


def expired(api):
    return mint("acme-app", api.key, valid_for=timedelta(seconds=1), now=datetime.now(UTC) - timedelta(hours=1))


def not_yet(api):
    return jwt.encode({"sub": "acme-app", "nbf": datetime.now(UTC) + timedelta(hours=1)}, api.key, "HS256")


def unsigned(api):
    return jwt.encode({"sub": "acme-app"}, None, "none")


def nameless(api):
    return jwt.encode({"iss": "acme-app"}, api.key, "HS256")


@pytest.mark.parametrize("make", [forged, expired, not_yet, unsigned, nameless, lambda api: "no.jwt.atall"])
@pytest.mark.parametrize("path", [ACME, f"{RISK}/m-1", "/v1/tenants/nonexistent/models"])
def test_a_token_that_is_not_to_be_believed_is_401(api, make, path):
    response = api.http.get(path, headers={"Authorization": f"Bearer {make(api)}"})
    problem = problem_of(response, 401)
    assert 'error="invalid_token"' in response.headers["www-authenticate"]
    assert make(api) not in problem.detail


@pytest.mark.parametrize("header", [{}, {"Authorization": "Basic YTpi"}, {"Authorization": "Bearer "}])
def test_no_token_is_401_with_a_challenge(api, header):
    for method, path in (("GET", ACME), ("GET", f"{RISK}/m-1"), ("GET", f"{RISK}/"), ("POST", f"{RISK}:batchGet")):
        response = api.http.request(method, path, headers=header)
        problem_of(response, 401)
        assert response.headers["www-authenticate"].startswith("Bearer ")


def test_a_view_that_never_caught_up_is_503(api, app):
    for response in (
        api.http.get(f"{ACME}/late/predictions/m-1", headers=app),
        api.http.post(f"{ACME}/late/predictions:batchGet", json={"entities": ["m-1"]}, headers=app),
    ):
        problem_of(response, 503)
        assert response.headers["retry-after"] == "1"


def test_health_and_readiness(api):
    assert api.http.get("/healthz").json() == {"status": "ok"}
    problem = problem_of(api.http.get("/readyz"), 503)
    assert "1 of 3 views" in problem.detail


def test_ready_once_every_view_is(tmp_path):
    api = Api(tmp_path)
    from tests.support.views import fill

    topic = "persistent://acme/out/late"
    fill(tmp_path / "views", "acme", "late", {}, now_ms=api.clock.now_ms(), topic=topic)
    assert api.http.get("/readyz").json() == {"status": "ready"}


@pytest.mark.parametrize("path", ["/", "/v1", "/nothing/here", "/v1/tenants", f"{ACME}/", "/redoc"])
def test_a_path_that_is_not_there_is_404(api, app, path):
    problem_of(api.http.get(path, headers=app), 404)


def test_another_method_is_405(api, app):
    response = api.http.delete(f"{RISK}/m-1", headers=app)
    problem_of(response, 405)
    assert "GET" in response.headers["allow"]


def test_a_bug_is_500_without_its_text(tmp_path, caplog):
    api = Api(tmp_path)
    api.clock.ms = "confidential"  # no number, so arithmetic with it fails
    problem = problem_of(api.http.get(f"{RISK}/m-1", headers=api.headers("acme-app")), 500)
    assert "confidential" not in problem.detail
    assert "TypeError" in caplog.text


def test_docs_and_description(api):
    assert api.http.get("/docs").status_code == 200
    description = api.http.get("/openapi.json").json()
    assert set(description["paths"]) == {
        "/v1/tenants/{tenant}/models",
        "/v1/tenants/{tenant}/models/{model}/predictions/{entity}",
        "/v1/tenants/{tenant}/models/{model}/predictions:batchGet",
        "/healthz",
        "/readyz",
        "/metrics",
    }
    assert "HTTPValidationError" not in json.dumps(description)
    read = description["paths"]["/v1/tenants/{tenant}/models/{model}/predictions/{entity}"]["get"]
    assert set(read["responses"]) == {"200", "304", "401", "404", "503"}
    assert read["security"] == [{"bearer": []}]
