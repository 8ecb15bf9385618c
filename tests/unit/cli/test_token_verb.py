from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from pulsar_pipeline.cli.main import exit_code
from pulsar_pipeline.cluster.tokens import claims_of
from pulsar_pipeline.errors import ExitCode


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "new" / "token.key"
    assert exit_code(["token", "key", "create", "--out", str(path)]) == ExitCode.OK
    return path


@pytest.mark.parametrize("kind", ["key", "state-key"])
def test_a_key_is_private_and_never_overwritten(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "new" / "a.key"
    assert exit_code(["token", kind, "create", "--out", str(path)]) == ExitCode.OK
    before = path.read_bytes()
    assert len(before) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert exit_code(["token", kind, "create", "--out", str(path)]) == ExitCode.ERROR
    assert path.read_bytes() == before
    assert "would " in capsys.readouterr().err, "what would be lost is said"


def test_a_token_is_printed(key: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert exit_code(["token", "create", "--role", "acme-app", "--secret-key-file", str(key)]) == ExitCode.OK
    assert claims_of(capsys.readouterr().out.strip(), key.read_bytes()) == {"sub": "acme-app"}


def test_a_token_in_a_file_is_private_and_shown(key: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "app.token"
    command = ["token", "create", "--role", "acme-app", "--expires", "30d", "--secret-key-file", str(key)]
    assert exit_code([*command, "--out", str(out)]) == ExitCode.OK
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    told = capsys.readouterr()
    assert out.read_text() not in told.out + told.err

    for verified, given in ((False, []), (True, ["--secret-key-file", str(key)])):
        assert exit_code(["token", "show", str(out), *given]) == ExitCode.OK
        document = json.loads(capsys.readouterr().out)
        assert document["claims"]["sub"] == "acme-app"
        assert document["verified"] is verified
        assert document["expires"].endswith("+00:00")


def test_a_token_of_another_key_is_not_shown_as_believed(key: Path, tmp_path: Path) -> None:
    out, other = tmp_path / "app.token", tmp_path / "other.key"
    exit_code(["token", "key", "create", "--out", str(other)])
    exit_code(["token", "create", "--role", "a", "--secret-key-file", str(other), "--out", str(out)])
    assert exit_code(["token", "show", str(out), "--secret-key-file", str(key)]) == ExitCode.ERROR


def test_without_a_key_the_platform_files_is_used(
    key: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    platform = tmp_path / "platform.yaml"
    platform.write_text(
        "clusters:\n"
        "  west: {admin_url: 'http://x:1', broker_url: 'pulsar://x:2', tokens: {secret_key_file: new/token.key}}\n"
        "  east: {admin_url: 'http://x:3', broker_url: 'pulsar://x:4'}\n"
    )
    capsys.readouterr()
    assert exit_code(["token", "create", "--role", "a", "--platform", str(platform)]) == ExitCode.OK
    assert claims_of(capsys.readouterr().out.strip(), key.read_bytes()) == {"sub": "a"}


def test_a_platform_file_without_a_key_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    platform = tmp_path / "platform.yaml"
    platform.write_text("clusters:\n  west: {admin_url: 'http://x:1', broker_url: 'pulsar://x:2'}\n")
    assert exit_code(["token", "create", "--role", "a", "--platform", str(platform)]) == ExitCode.ERROR
    assert "--secret-key-file" in capsys.readouterr().err


@pytest.mark.parametrize(
    "wrong",
    [
        ["--role", "a b"],
        ["--role", "a", "--expires", "soon"],
        ["--role", "a", "--expires", "unlimited"],
        ["--role", "a", "--expires", "99999999999w"],
        ["--role", "a", "--secret-key-file", "x", "--private-key-file", "y"],
        [],
    ],
)
def test_wrong_usage(wrong: list[str]) -> None:
    assert exit_code(["token", "create", *wrong]) == ExitCode.USAGE
