from __future__ import annotations

import httpx
import pytest

from pulsar_pipeline.cluster.http import failure_of
from pulsar_pipeline.errors import ClusterConflict, ClusterError, ClusterNotFound, ClusterRefused

STACK = "\n --- An unexpected error ---\n\nMessage: Topic is\n fenced\n\nStacktrace:\n\n a.b.C: x\n\tat y"


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (httpx.Response(409, json={"reason": "Tenant already exist"}), "Tenant already exist"),
        (httpx.Response(500, text=STACK), "Topic is fenced"),
        (httpx.Response(500, json={"reason": STACK}), "Topic is fenced"),
        (httpx.Response(409, text="<html><title>Error 409 a &quot;b&quot;\n c</title></html>"), 'Error 409 a "b" c'),
        (httpx.Response(502, text=""), "Bad Gateway"),
        (httpx.Response(500, json=["no reason"]), '["no reason"]'),
    ],
)
def test_what_the_broker_says_is_one_line(response: httpx.Response, reason: str) -> None:
    error = failure_of("west", "GET", "/x", response)
    assert error.what == f"GET /x answered {response.status_code}: {reason}"
    assert error.where == "cluster west"


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, ClusterRefused), (403, ClusterRefused), (404, ClusterNotFound), (409, ClusterConflict), (412, ClusterError)],
)
def test_the_status_decides_the_kind(status: int, kind: type[ClusterError]) -> None:
    assert type(failure_of("west", "GET", "/x", httpx.Response(status))) is kind
