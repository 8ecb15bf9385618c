"""Authenticated HTTP to one cluster's admin port; every failure becomes a ClusterError that names the cluster."""

from __future__ import annotations

import contextlib
import html
import re
import ssl
from types import TracebackType
from typing import Any

import httpx

from pulsar_pipeline.cluster.connect import read_token
from pulsar_pipeline.errors import (
    ClusterConflict,
    ClusterError,
    ClusterNotFound,
    ClusterRefused,
    ClusterUnreachable,
)
from pulsar_pipeline.spec.model import Cluster


class AdminHttp:
    """`get`, `put`, `post`, `delete` on paths below the admin URL; answers are parsed JSON (or None)."""

    def __init__(self, name: str, cluster: Cluster, *, timeout_s: float = 30.0) -> None:
        self.name = name
        self._token_file = cluster.auth.token_file if cluster.auth else None
        verify: ssl.SSLContext | bool = True
        if cluster.tls.trust_certs_file is not None:
            verify = ssl.create_default_context(cafile=str(cluster.tls.trust_certs_file))
            verify.check_hostname = cluster.tls.verify_hostname
        self._http = httpx.Client(base_url=cluster.admin_url, timeout=timeout_s, verify=verify, follow_redirects=True)

    def __enter__(self) -> AdminHttp:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def get(self, path: str, **options: Any) -> Any:
        return self.request("GET", path, **options)

    def put(self, path: str, **options: Any) -> Any:
        return self.request("PUT", path, **options)

    def post(self, path: str, **options: Any) -> Any:
        return self.request("POST", path, **options)

    def delete(self, path: str, **options: Any) -> Any:
        return self.request("DELETE", path, **options)

    def request(self, method: str, path: str, **options: Any) -> Any:
        """One request; a failure is a ClusterError (unreachable, refused, not found, conflict)."""
        return _body(self._answer(method, path, **options))

    def download(self, path: str, **options: Any) -> bytes:
        """The answer to a GET as it is. Raises as `request` does."""
        return self._answer("GET", path, **options).content

    def _answer(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {read_token(self._token_file)}"} if self._token_file else {}
        try:
            response = self._http.request(method, path, headers=headers, **options)
        except httpx.TransportError as error:
            raise ClusterUnreachable(
                f"no answer to {method} {path}: {error}",
                where=f"cluster {self.name}",
                mend=f"is the cluster up, and is {self._http.base_url} its admin_url?",
            ) from error
        if response.is_success:
            return response
        raise failure_of(self.name, method, path, response)


def _body(response: httpx.Response) -> Any:
    if not response.content:
        return None
    try:
        return response.json()
    except ValueError:
        return response.text


_TITLE = re.compile(r"<title>(.*?)</title>", re.DOTALL)
_JAVA_MESSAGE = re.compile(r"Message:(.*?)(?:Stacktrace:|$)", re.DOTALL)


def _reason(response: httpx.Response) -> str:
    """What the broker says, in one line: JSON with a `reason`, an HTML page with a title, or plain text.

    Of an unexpected failure (500) the broker tells its stack trace, too: only its message is for our users.
    """
    text = response.text
    with contextlib.suppress(ValueError, TypeError, KeyError):
        text = str(response.json()["reason"])
    if title := _TITLE.search(text):
        text = html.unescape(title[1])
    if message := _JAVA_MESSAGE.search(text):
        text = message[1]
    return " ".join(text.split()) or response.reason_phrase


def failure_of(cluster: str, method: str, path: str, response: httpx.Response) -> ClusterError:
    """The error for an answer that is not a success."""
    reason = _reason(response)
    what, where = f"{method} {path} answered {response.status_code}: {reason}", f"cluster {cluster}"
    match response.status_code:
        case 401 | 403:
            return ClusterRefused(what, where=where, mend="use a token whose role is allowed to do this")
        case 404:
            return ClusterNotFound(what, where=where)
        case 409:
            return ClusterConflict(what, where=where)
        case _:
            return ClusterError(what, where=where)
