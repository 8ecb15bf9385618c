from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from pulsar_pipeline.cluster.connect import read_token
from pulsar_pipeline.cluster.tokens import role_of
from pulsar_pipeline.errors import LocalError, TokenError
from pulsar_pipeline.local import preconditions, secrets
from pulsar_pipeline.local.clusters import LocalClusters, Machine
from pulsar_pipeline.local.layout import Layout
from pulsar_pipeline.local.lock import exclusive
from pulsar_pipeline.local.progress import silent
from pulsar_pipeline.spec.model import TokenVerification


def local(folder: Path) -> LocalClusters:
    return LocalClusters(folder, Machine(folder / "cache"), silent)


@pytest.mark.parametrize("names", [["West"], ["a b"], [""], ["../x"], ["west", "west"]])
def test_names_that_no_cluster_can_have_are_told(tmp_path: Path, names: list[str]) -> None:
    with pytest.raises(LocalError, match="name"):
        local(tmp_path).up(names)


@pytest.mark.parametrize("folder", ["with blank", "hash#", "per%20cent", "quote'"])
def test_a_folder_that_pulsar_cannot_bear_is_told_before_anything_starts(tmp_path: Path, folder: str) -> None:
    with pytest.raises(LocalError, match="blanks or special characters") as caught:
        local(tmp_path / folder).up()
    assert "--folder" in (caught.value.mend or "")
    assert not (tmp_path / folder).exists()


def test_a_full_disk_is_told_before_anything_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preconditions.shutil, "disk_usage", lambda _: SimpleNamespace(free=700 << 20))
    with pytest.raises(LocalError, match="only 700 MB of disk are free"):
        local(tmp_path).up()
    assert not (tmp_path / "secrets").exists()


def test_a_folder_without_clusters_has_nothing_to_stop(tmp_path: Path) -> None:
    clusters = local(tmp_path / "none")
    assert clusters.status() == []
    assert clusters.down() == []
    clusters.reset()
    assert not (tmp_path / "none").exists()


def test_two_commands_on_one_folder_follow_each_other(tmp_path: Path) -> None:
    order: list[str] = []
    second_waits = threading.Event()

    def second() -> None:
        with exclusive(tmp_path / "lock", waiting="wait", report=lambda line: (order.append(line), second_waits.set())):
            order.append("second")

    with exclusive(tmp_path / "lock", waiting="wait", report=silent):
        thread = threading.Thread(target=second)
        thread.start()
        assert second_waits.wait(10)
        order.append("first")
    thread.join(10)
    assert order == ["wait", "first", "second"]


def test_secrets_are_made_once_and_belong_together(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    secrets.ensure(layout)
    first = read_token(layout.admin_token)
    secrets.ensure(layout)
    assert read_token(layout.admin_token) == first
    assert role_of(first, TokenVerification(secret_key_file=layout.token_key)) == "admin"

    layout.token_key.unlink()
    secrets.ensure(layout)
    verification = TokenVerification(secret_key_file=layout.token_key)
    assert role_of(read_token(layout.admin_token), verification) == "admin"
    with pytest.raises(TokenError, match="another key"):
        role_of(first, verification)
