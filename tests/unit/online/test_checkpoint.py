"""A state in a file, and a function under a plain context that starts from it."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pulsar_pipeline.errors import StateLogError
from pulsar_pipeline.online.checkpoint import FILE_NAME, read_checkpoint, write_checkpoint
from pulsar_pipeline.online.context import RESERVED_KEY
from pulsar_pipeline.online.models import Models
from pulsar_pipeline.online.stock import StockContext
from pulsar_pipeline.package.sources import CHECKPOINT, function_files
from pulsar_pipeline.spec.load import load_function
from tests.support.tiny_functions import write_function

STATES: dict[int | None, dict[str, bytes]] = {
    0: {"v:last": b"\x00\xff", "c:seen": b"3", "o:models/m": pickle.dumps(["learned"]), "l:readings": b"1.2.3"},
    1: {"v:last": b"other"},
}


def plain(partition: int, checkpoint: Any = None) -> Any:
    config = {RESERVED_KEY: {"checkpoint": checkpoint}}
    return SimpleNamespace(
        get_current_message_topic_name=lambda: f"persistent://t/n/in-partition-{partition}",
        get_user_config_value=config.get,
    )


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "state"
    digest = write_checkpoint(path, STATES)
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert read_checkpoint(path) == read_checkpoint(path, digest.upper()) == STATES
    write_checkpoint(path, {None: {"c:n": b"1"}})
    assert read_checkpoint(path) == {None: {"c:n": b"1"}}


def test_a_function_goes_on_from_it(tmp_path: Path) -> None:
    path = tmp_path / "state"
    digest = write_checkpoint(path, STATES)
    context = StockContext(plain(0, {"file": str(path), "sha256": digest}), None)
    assert (context.get_state("last"), context.get_counter("seen")) == (b"\x00\xff", 3)
    models = Models(context, lambda key: [key])
    models["m"].append("more")
    assert (models["m"], models["new"]) == (["learned", "more"], ["new"])
    assert StockContext(plain(1), None, path).get_state("last") == b"other"
    assert StockContext(plain(2), None, path).get_state("last") is None


def test_a_model_that_cannot_be_read_is_not_replaced_by_a_new_one(tmp_path: Path) -> None:
    path = tmp_path / "state"
    write_checkpoint(path, {0: {"o:models/m": b"cno_such_module\nModel\n."}})
    models = Models(StockContext(plain(0), None, path), lambda key: [key])
    for _ in range(2):
        with pytest.raises(ModuleNotFoundError):
            models["m"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda data: data + b"\n", "not the one that the config names"),
        (lambda data: b"", "not the one that the config names"),
    ],
)
def test_another_file_is_refused(tmp_path: Path, change: Any, told: str) -> None:
    path = tmp_path / "state"
    digest = write_checkpoint(path, STATES)
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(StateLogError, match=told):
        StockContext(plain(0, {"file": str(path), "sha256": digest}), None)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"pulsar-pipeline checkpoint 2\n", "not a checkpoint that begins with 'pulsar-pipeline checkpoint 1'"),
        (b"pulsar-pipeline checkpoint 1\n{}\n", "state:2: not a line"),
        (b'pulsar-pipeline checkpoint 1\n{"partition": 0, "key": "v:a", "value": "?"}\n', "state:2: not a line"),
        (b"pulsar-pipeline checkpoint 1\nnonsense", "state:2: not a line"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, data: bytes, told: str) -> None:
    path = tmp_path / "state"
    path.write_bytes(data)
    with pytest.raises(StateLogError, match=told):
        read_checkpoint(path)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(StateLogError, match="No such file"):
        read_checkpoint(tmp_path / "nothing")


@pytest.mark.parametrize("given", ["path", {"file": "x"}, {"file": "x", "sha256": "y", "more": 1}])
def test_a_file_without_its_digest_is_refused(given: Any) -> None:
    with pytest.raises(StateLogError, match="give its file and sha256"):
        StockContext(plain(0, given), None)


def test_a_package_may_have_one(tmp_path: Path) -> None:
    folder = write_function(tmp_path, files={FILE_NAME: "", "other.jsonl": ""})
    assert FILE_NAME == CHECKPOINT
    assert set(function_files(folder, load_function(folder))) == {"function.py", FILE_NAME}
