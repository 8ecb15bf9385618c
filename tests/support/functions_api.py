"""A functions worker's REST API in this process, as far as rollout uses it."""

from __future__ import annotations

import email
import email.policy
import json
from typing import Any

import httpx

from pulsar_pipeline.cluster.http import AdminHttp
from pulsar_pipeline.spec.model import Cluster

CLUSTER = Cluster(admin_url="http://west:8080", broker_url="pulsar://west:6650")


class FunctionsApi:
    """Keeps what is uploaded. Tests set `instances` (status JSON) and `answer` (stands in for every answer)."""

    def __init__(self) -> None:
        self.configs: dict[str, dict[str, Any]] = {}
        self.packages: dict[str, tuple[str, bytes]] = {}
        """Function path → file name and content."""
        self.contents: dict[str, bytes] = {}
        """Function path and version → what is stored."""
        self.refuse_update: httpx.Response | None = None
        self.versions: dict[str, list[str]] = {}
        """Function path → versions of its package in the worker's storage, which outlive the function."""
        self.listed: dict[str, list[str]] = {}
        """Function path → versions that were ever stored."""
        self.instances: list[dict[str, Any]] = [{"running": True}]
        self.answer: httpx.Response | Exception | None = None
        self.requests: list[str] = []

    def http(self) -> AdminHttp:
        """The admin client of a cluster that is this object."""
        http = AdminHttp("west", CLUSTER)
        http._http = httpx.Client(base_url=CLUSTER.admin_url, transport=httpx.MockTransport(self._handle))
        return http

    def _handle(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/admin/v3/functions/").removeprefix("/admin/v3/")
        self.requests.append(f"{request.method} {path}")
        if isinstance(self.answer, Exception):
            raise self.answer
        if self.answer is not None:
            return self.answer
        if path.startswith("packages/"):
            return self._packages(request, path.removeprefix("packages/function/"))
        return self._answer(request, path)

    def _packages(self, request: httpx.Request, path: str) -> httpx.Response:
        """Like the worker's: the list names versions that were deleted, and deleting one of those fails."""
        if path.count("/") == 2:
            return httpx.Response(200, json=self.listed.get(path, []))
        function, version = "/".join(path.split("/")[:3]), path.split("/")[3]
        stored = self.versions.get(function, [])
        if request.method == "GET" and path.endswith(version):
            return httpx.Response(200, content=self.contents[path])
        if request.method == "GET":
            return httpx.Response(200 if version in stored else 404, json={"reason": "metadata does not exist"})
        if request.method == "POST":
            assert version not in stored, "as the worker: metadata already exists"
            stored.append(version)
            self.contents[path] = _parts(request)["file"][1]
            return httpx.Response(204)
        if version not in stored:
            return httpx.Response(500, json={"reason": "Failed to delete file"})
        stored.remove(version)
        return httpx.Response(204)

    def _answer(self, request: httpx.Request, path: str) -> httpx.Response:
        tenant, namespace, *rest = path.split("/")
        if not rest:
            found = [name.rpartition("/")[2] for name in self.configs if name.startswith(f"{tenant}/{namespace}/")]
            return httpx.Response(200, json=found)
        function, question = "/".join((tenant, namespace, rest[0])), "/".join(rest[1:])
        there, creating = function in self.configs, request.method == "POST" and not question
        if there is creating:
            status, fault = (400, "exists") if there else (404, "doesn't exist")
            return httpx.Response(status, json={"reason": f"Function {function} {fault}"})
        match request.method, question:
            case "PUT", "" if self.refuse_update is not None:
                return self.refuse_update
            case (("POST" | "PUT"), ""):
                self._take(request, function)
            case "DELETE", "":
                del self.configs[function]
            case "GET", _:
                return httpx.Response(200, json=self._status() if question == "status" else self.configs[function])
        return httpx.Response(204)

    def _take(self, request: httpx.Request, path: str) -> None:
        """As the real one, an update takes the package that it has stored, whatever is sent."""
        parts = _parts(request)
        stored = self.versions.setdefault(path, [])
        name, content = parts["data"]
        if path in self.configs:
            content = self.contents[f"{path}/{stored[-1]}"]
        stored.append(str(len(stored) if path in self.configs else 0))
        self.contents[f"{path}/{stored[-1]}"] = content
        assert len(set(stored)) == len(stored), "as the worker: metadata already exists"
        self.listed[path] = sorted({*self.listed.get(path, []), *stored})
        self.configs[path] = json.loads(parts["functionConfig"][1])
        self.packages[path] = name, content

    def _status(self) -> dict[str, Any]:
        entries = [
            {"instanceId": number, "status": {"running": False, "error": ""} | status}
            for number, status in enumerate(self.instances)
        ]
        return {"numInstances": len(entries), "instances": entries}


def _parts(request: httpx.Request) -> dict[str, Any]:
    """Of a multipart body: name → file name and content."""
    head = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode()
    found: dict[str, Any] = {}
    for part in email.message_from_bytes(head + request.read(), policy=email.policy.HTTP).iter_parts():
        disposition = part["content-disposition"].params
        found[disposition["name"]] = (disposition.get("filename"), part.get_payload(decode=True))
    return found
