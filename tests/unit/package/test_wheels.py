"""Fetching wheels with the real pip, from a folder instead of an index."""

from __future__ import annotations

from pathlib import Path

import pytest

from pulsar_pipeline.errors import PackageError
from pulsar_pipeline.package.requirements import Locked
from pulsar_pipeline.package.wheels import built_for, fetch_wheels
from tests.support.tiny_functions import sha256, write_wheel


@pytest.fixture
def links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that stands for the index."""
    folder = tmp_path / "links"
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def pin(name: str, digest: str) -> Locked:
    return Locked(name, "1.0", frozenset({digest}), 7, f"{name}==1.0 --hash=sha256:{digest}")


def test_what_is_missing_is_downloaded_once(tmp_path: Path, links: Path) -> None:
    wheel = write_wheel(links, "tinydep")
    digest, lock, cache = sha256(wheel), tmp_path / "requirements.txt", tmp_path / "cache"
    first = fetch_wheels([pin("tinydep", digest)], cache, lock)
    assert first == {cache / digest / wheel.name: digest}
    wheel.unlink()
    assert fetch_wheels([pin("tinydep", digest)], cache, lock) == first
    assert [path.name for path in cache.iterdir()] == [digest]


def test_another_hash_than_the_locks_is_refused(tmp_path: Path, links: Path) -> None:
    write_wheel(links, "tinydep")
    with pytest.raises(PackageError) as caught:
        fetch_wheels([pin("tinydep", "0" * 64)], tmp_path / "cache", tmp_path / "requirements.txt")
    assert caught.value.what.startswith("pip cannot download the wheels")
    assert caught.value.where == str(tmp_path / "requirements.txt")


def test_pure_wheels_are_for_any_machine() -> None:
    assert built_for(["a-1-py3-none-any.whl"]) == ("", "")
    assert all(built_for(["a-1-py3-none-any.whl", "b-1-cp311-cp311-linux_x86_64.whl"]))
