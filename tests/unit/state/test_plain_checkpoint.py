"""An exported state becomes a checkpoint for Pulsar's own instance."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from pulsar_pipeline.cli import functions_checkpoint
from pulsar_pipeline.errors import StateLogError
from pulsar_pipeline.online.checkpoint import read_checkpoint
from pulsar_pipeline.runtime.guarantees.pieces import PIECE, entries_of
from pulsar_pipeline.state.archive import ArchiveWriter, Header, Section, archive_key
from pulsar_pipeline.state.arriving import open_archive
from pulsar_pipeline.state.plain import states_of
from pulsar_pipeline.statelog.packing import pack
from tests.support.statelog import KEY

LARGE = bytes(range(256)) * (PIECE // 200)
STATES = [{"v:a": b"1", "c:n": b"2", "o:models/m": LARGE}, {}]
MORE = {"l:readings": b"1.2.3", "t:tick": b"5", "b:1": b"waiting"}


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    file = io.BytesIO()
    writer = ArchiveWriter(file, archive_key(KEY), Header("acme/risk", "west", 2, 1_700_000_000_000))
    for partition, state in enumerate(STATES):
        writer.section(Section(partition, None))
        for entries in pack(entries_of(state | (MORE if partition == 0 else {}))):
            writer.entries(entries)
    writer.end()
    path = tmp_path / "risk.state"
    path.write_bytes(file.getvalue())
    return path


def test_what_a_plain_instance_can_use_is_taken(exported: Path) -> None:
    assert states_of(open_archive(exported, KEY)) == {0: STATES[0], 1: {}}


def test_the_command_writes_it_and_says_its_digest(exported: Path, tmp_path: Path) -> None:
    key, target = tmp_path / "acme.key", tmp_path / "checkpoint.jsonl"
    key.write_bytes(KEY)
    key.chmod(0o600)
    app = typer.Typer()
    app.callback()(lambda: None)
    functions_checkpoint.register(app)
    done = CliRunner().invoke(
        app, ["checkpoint", str(exported), "--key-file", str(key), "--out", str(target), "--json"]
    )
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert (told["partitions"], told["entries"]) == (2, 3)
    assert read_checkpoint(target, told["sha256"]) == {0: STATES[0]}


def test_a_file_of_another_tenant_is_refused(exported: Path) -> None:
    with pytest.raises(StateLogError, match="not made with this key"):
        states_of(open_archive(exported, bytes(32)))
