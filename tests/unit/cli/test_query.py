from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from pulsar_pipeline.errors import ExitCode
from pulsar_pipeline.query import client
from tests.support.cli import Ran, run

SECRET = "eyJhbGciOiJIUzI1NiJ9.secret"
ANSWER = {
    "entity": "m/1",
    "prediction": {"machine": "m/1", "risk": 0.25},
    "event_time": "2026-01-02T03:04:05Z",
    "published_time": "2026-01-02T03:04:06Z",
    "position": "v1.west.0.1.2.3",
    "lag_ms": 4,
}


class Asking:
    """Runs `query` against answers of the test's own."""

    def __init__(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self._capsys, self._monkeypatch = capsys, monkeypatch
        self.requests: list[httpx.Request] = []

    def __call__(self, answer: httpx.Response | Callable[..., Any], *arguments: Any) -> Ran:
        def handle(request: httpx.Request) -> httpx.Response:
            self.requests.append(request)
            return answer if isinstance(answer, httpx.Response) else answer(request)

        real = partial(httpx.Client, transport=httpx.MockTransport(handle))
        self._monkeypatch.setattr(client.httpx, "Client", real)
        ran = run(self._capsys, "query", *arguments)
        self._monkeypatch.undo()
        assert SECRET not in ran.out + ran.err
        return ran


@pytest.fixture
def asking(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Asking:
    return Asking(capsys, monkeypatch)


@pytest.fixture
def token(tmp_path: Path) -> Path:
    path = tmp_path / "app.token"
    path.write_text(SECRET + "\n")
    return path


def test_one_entity(asking: Asking, token: Path) -> None:
    ran = asking(httpx.Response(200, json=ANSWER), "acme", "risk", "m/1", "--token-file", token)
    assert ran.code == ExitCode.OK
    assert "0.25" in ran.out
    (request,) = asking.requests
    assert str(request.url) == "http://127.0.0.1:8000/v1/tenants/acme/models/risk/predictions/m%2F1"
    assert request.headers["authorization"] == f"Bearer {SECRET}"


def test_one_entity_as_json(asking: Asking, token: Path) -> None:
    ran = asking(httpx.Response(200, json=ANSWER), "acme", "risk", "m/1", "--token-file", token, "--json")
    assert json.loads(ran.out) == ANSWER


def test_several_entities_are_asked_for_at_once(asking: Asking, token: Path) -> None:
    answer = {"found": [ANSWER], "missing": ["m-2"], "lag_ms": 4}
    ran = asking(httpx.Response(200, json=answer), "acme", "risk", "m/1", "m-2", "--token-file", token)
    assert ran.code == ExitCode.PARTIAL
    assert "no prediction of m-2" in ran.err
    (request,) = asking.requests
    assert request.url.path == "/v1/tenants/acme/models/risk/predictions:batchGet"
    assert json.loads(request.content) == {"entities": ["m/1", "m-2"]}


def test_none_found(asking: Asking, token: Path) -> None:
    answer = {"found": [], "missing": ["a", "b"], "lag_ms": 4}
    ran = asking(httpx.Response(200, json=answer), "acme", "risk", "a", "b", "--token-file", token)
    assert ran.code == ExitCode.ERROR


@pytest.mark.parametrize(
    ("status", "slug"), [(401, "unauthenticated"), (404, "not-found"), (503, "view-unavailable"), (422, "query")]
)
def test_problem_details_are_told_in_words(asking: Asking, token: Path, status: int, slug: str) -> None:
    problem = {"type": "urn:x", "title": "Title", "status": status, "detail": "no such thing here"}
    ran = asking(httpx.Response(status, json=problem), "acme", "risk", "x", "--token-file", token)
    assert ran.code == ExitCode.ERROR
    assert "http://127.0.0.1:8000: no such thing here" in ran.err
    machine = asking(httpx.Response(status, json=problem), "acme", "risk", "x", "--token-file", token, "--json")
    assert json.loads(machine.out)["error"] == slug


def test_no_answer_and_no_json(asking: Asking, token: Path) -> None:
    def refuse(_request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    nobody = asking(refuse, "acme", "risk", "x", "--token-file", token)
    assert (nobody.code, "pulsar-pipeline serve" in nobody.err) == (ExitCode.ERROR, True)
    page = asking(httpx.Response(200, text="<html>"), "acme", "risk", "x", "--token-file", token)
    assert (page.code, "something else than JSON" in page.err) == (ExitCode.ERROR, True)


def test_a_token_is_needed_and_may_come_from_the_environment(
    asking: Asking, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("PULSAR_PIPELINE_QUERY_TOKEN", raising=False)
    assert "no token to query with" in run(capsys, "query", "acme", "risk", "x").err
    monkeypatch.setenv("PULSAR_PIPELINE_QUERY_TOKEN", SECRET)
    asking(httpx.Response(200, json=ANSWER), "acme", "risk", "x")
    assert asking.requests[0].headers["authorization"] == f"Bearer {SECRET}"
