from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from pulsar_pipeline.errors import ClusterError, ClusterNotFound, ClusterRefused, ClusterUnreachable
from pulsar_pipeline.rollout.worker import FunctionsWorker
from tests.support.functions_api import FunctionsApi

CONFIG = {"tenant": "acme", "namespace": "out", "name": "risk", "py": "model.zip", "parallelism": 1}


@pytest.fixture
def api() -> FunctionsApi:
    return FunctionsApi()


@pytest.fixture
def worker(api: FunctionsApi) -> FunctionsWorker:
    return FunctionsWorker(api.http())


@pytest.fixture
def package(tmp_path: Path) -> Path:
    path = tmp_path / "anything.zip"
    path.write_bytes(b"PK\x03\x04 not text \xff\r\n--")
    return path


def test_a_package_arrives_whole_and_under_the_name_the_worker_needs(
    api: FunctionsApi, worker: FunctionsWorker, package: Path
) -> None:
    worker.register(CONFIG, package)
    assert api.packages["acme/out/risk"] == ("model.zip", package.read_bytes())
    assert worker.config("acme", "out", "risk") == CONFIG


def test_update_replaces(api: FunctionsApi, worker: FunctionsWorker, package: Path) -> None:
    worker.register(CONFIG, package)
    worker.update(CONFIG | {"parallelism": 2}, package)
    assert api.configs["acme/out/risk"]["parallelism"] == 2
    assert [request for request in api.requests if "packages" not in request] == [
        "POST acme/out/risk",
        "PUT acme/out/risk",
    ]


def test_update_brings_the_new_package_though_the_worker_takes_the_one_it_has(
    api: FunctionsApi, worker: FunctionsWorker, package: Path
) -> None:
    worker.register(CONFIG, package)
    for content in (b"PK second", b"PK third"):
        package.write_bytes(content)
        worker.update(CONFIG, package)
        assert api.packages["acme/out/risk"] == ("model.zip", content)


def test_a_refused_update_leaves_the_package_that_was_there(
    api: FunctionsApi, worker: FunctionsWorker, package: Path
) -> None:
    worker.register(CONFIG, package)
    first = package.read_bytes()
    package.write_bytes(b"PK second")
    api.refuse_update = httpx.Response(400, json={"reason": "Input Topics cannot be altered"})
    with pytest.raises(ClusterError, match="Input Topics cannot be altered"):
        worker.update(CONFIG, package)
    assert api.contents == {"acme/out/risk/0": first}
    assert api.versions == {"acme/out/risk": ["0"]}


def test_a_deleted_function_leaves_no_package_in_the_way_of_the_next(
    api: FunctionsApi, worker: FunctionsWorker, package: Path
) -> None:
    worker.register(CONFIG, package)
    worker.update(CONFIG, package)
    worker.delete("acme", "out", "risk")
    assert api.versions == {"acme/out/risk": []}
    worker.register(CONFIG, package)
    worker.update(CONFIG, package)
    del api.configs["acme/out/risk"]  # somebody else's deletion leaves the packages
    worker.register(CONFIG, package)
    assert api.versions == {"acme/out/risk": ["0"]}


def test_what_is_not_there(worker: FunctionsWorker) -> None:
    assert worker.config("acme", "out", "none") is None
    assert worker.functions("acme", "out") == []
    with pytest.raises(ClusterNotFound):
        worker.delete("acme", "out", "none")
    with pytest.raises(ClusterNotFound):
        worker.restart("acme", "out", "none")
    with pytest.raises(ClusterNotFound):
        worker.status("acme", "out", "none")


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (httpx.Response(401, json={"reason": "Client is not authorized"}), ClusterRefused),
        (httpx.Response(400, json={"reason": "Input Topics cannot be altered"}), ClusterError),
        (httpx.Response(503, text="Function worker service is not done initializing."), ClusterError),
        (httpx.ConnectError("refused"), ClusterUnreachable),
    ],
)
def test_failures_name_the_cluster_and_keep_the_workers_words(
    api: FunctionsApi,
    worker: FunctionsWorker,
    package: Path,
    answer: httpx.Response | Exception,
    error: type[ClusterError],
) -> None:
    api.answer = answer
    with pytest.raises(error) as raised:
        worker.update(CONFIG, package)
    assert raised.value.where == "cluster west"
    words = str(answer) if isinstance(answer, Exception) else answer.text.removeprefix('{"reason":"').rstrip('"}')
    assert words in raised.value.what


def test_an_unreadable_package_is_told(worker: FunctionsWorker, tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="cannot read the package"):
        worker.register(CONFIG, tmp_path / "none.zip")
