from __future__ import annotations

from pathlib import Path

import pytest

from pulsar_pipeline.errors import LocalError
from pulsar_pipeline.local import modules
from pulsar_pipeline.local.modules import damage, expected_hashes, pulsar_modules
from pulsar_pipeline.local.progress import silent

MAVEN = """#!/bin/sh
for argument in "$@"; do case "$argument" in -DoutputDirectory=*) out="${argument#*=}";; esac; done
%s
"""


@pytest.fixture
def one_module(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Pulsar of one jar, whose content is `good`."""
    digest = "770e607624d689265ca6c44884d0807d9b054d23c473c106c72be9de08b7376c"
    monkeypatch.setattr(modules, "expected_hashes", lambda: {"a.jar": digest})


def maven(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    program = tmp_path / "bin" / "mvn"
    program.parent.mkdir()
    program.write_text(MAVEN % script)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/bin:/usr/bin")


def test_every_module_has_a_hash() -> None:
    hashes = expected_hashes()
    assert len(hashes) == 317
    assert all(name.endswith(".jar") and len(digest) == 64 for name, digest in hashes.items())
    assert "pulsar-broker-4.0.7.jar" in hashes
    assert "pulsar-functions-worker-4.0.7.jar" in hashes


def test_damage_is_named() -> None:
    assert damage({"a.jar": "1", "b.jar": "2"}, {"a.jar": "1", "b.jar": "2"}) is None
    assert damage({"a.jar": "1"}, {"a.jar": "1", "b.jar": "2"}) == "1 of 2 modules are missing, b.jar among them"
    assert "b.jar is not the file it should be" in str(
        damage({"a.jar": "1", "b.jar": "x"}, {"a.jar": "1", "b.jar": "2"})
    )


@pytest.mark.usefixtures("one_module")
def test_modules_are_fetched_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    maven(
        tmp_path, monkeypatch, f'printf good > "$out/a.jar"; printf stray > "$out/stray.jar"; echo x >> {tmp_path}/runs'
    )
    cache = tmp_path / "cache"
    for _ in range(2):
        assert pulsar_modules(cache, java_home=None, report=silent) == [cache / "pulsar-4.0.7" / "a.jar"]
    assert (tmp_path / "runs").read_text() == "x\n"
    assert not list(cache.glob(".pulsar*"))


@pytest.mark.usefixtures("one_module")
def test_a_broken_off_install_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    maven(tmp_path, monkeypatch, 'printf good > "$out/a.jar"')
    broken = tmp_path / "cache" / "pulsar-4.0.7"
    broken.mkdir(parents=True)
    (broken / "half.jar").write_text("half")
    assert [path.name for path in pulsar_modules(tmp_path / "cache", java_home=None, report=silent)] == ["a.jar"]


@pytest.mark.usefixtures("one_module")
@pytest.mark.parametrize(
    ("script", "told"),
    [
        ('printf bad > "$out/a.jar"', "a.jar is not the file it should be"),
        ("true", "1 of 1 modules are missing"),
        ("echo '[INFO] x'; echo '[ERROR] Could not transfer artifact'; exit 1", "Could not transfer artifact"),
    ],
)
def test_a_bad_fetch_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, told: str) -> None:
    maven(tmp_path, monkeypatch, script)
    cache = tmp_path / "cache"
    with pytest.raises(LocalError, match=told):
        pulsar_modules(cache, java_home=None, report=silent)
    assert [path.name for path in cache.iterdir()] == ["pulsar-4.0.7.lock"]


def test_a_missing_maven_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LocalError, match="not on PATH") as caught:
        pulsar_modules(tmp_path / "cache", java_home=None, report=silent)
    assert "apt-get install maven" in (caught.value.mend or "")


def test_maven_is_given_a_java_where_there_is_none_on_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_module: None
) -> None:
    maven(tmp_path, monkeypatch, 'printf good > "$out/a.jar"; echo "$JAVA_HOME" > ' + f"{tmp_path}/java")
    pulsar_modules(tmp_path / "cache", java_home=Path("/opt/java"), report=silent)
    assert (tmp_path / "java").read_text() == "/opt/java\n"
