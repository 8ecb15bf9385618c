"""`events send` into a real topic: what a consumer then sees, and what the command says."""

from __future__ import annotations

import gzip
import io
import json
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pulsar
import pytest
import yaml

from pulsar_pipeline.cluster.connect import open_client
from pulsar_pipeline.errors import ExitCode
from pulsar_pipeline.names import java_string_hash
from pulsar_pipeline.spec.load import load_tenant
from pulsar_pipeline.spec.model import Platform, Tenant
from tests.support.cli import Ran, run
from tests.support.clusters import Tokens
from tests.support.deployed import apply_tenant, decoder, read_all
from tests.support.remove import remove_tenant

pytestmark = pytest.mark.cluster

PARTITIONS = 3
TOPICS = ("in/whole", "in/mixed", "in/stream", "in/resumed", "in/rate", "in/refused", "far/east")
SCHEMA = {
    "type": "record",
    "name": "Reading",
    "fields": [
        {"name": "machine", "type": "string"},
        {"name": "n", "type": "long"},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "torque", "type": ["null", "double"], "default": None},
        {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["LOW", "HIGH"]}},
    ],
}
HEADER = "machine,n,at,torque,kind"
START_MS = 1_767_225_600_000


@pytest.fixture(scope="module")
def tenant(platform: Platform, unique: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tenant]:
    """An applied tenant with a topic for each test; its spec is alone in its folder."""
    folder = tmp_path_factory.mktemp("tenants")
    (folder / "reading.v1.avsc").write_text(json.dumps(SCHEMA))
    topic = {"partitions": PARTITIONS, "schema": "reading.v1.avsc", "key": "machine", "event_time": "at"}
    name = f"send-{unique}"
    spec = {
        "tenant": name,
        "clusters": ["west", "east"],
        "home": "west",
        "namespaces": {
            "in": {"replicate_to": ["west"], "retention": {"time": "1h", "size": "100MB"}},
            "far": {"replicate_to": ["east"], "retention": {"time": "1h", "size": "100MB"}},
        },
        "topics": dict.fromkeys(TOPICS, topic),
    }
    (folder / "tenant.yaml").write_text(yaml.safe_dump(spec))
    loaded = load_tenant(folder / "tenant.yaml")
    apply_tenant(platform, loaded)
    yield loaded
    remove_tenant(platform, name)


class Sending:
    """Runs the command for one tenant and reads back what its topics hold."""

    def __init__(self, tenant: Tenant, platform: Platform, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.tenant, self._platform, self._capsys = tenant, platform, capsys
        self._options = ("--platform", file, "--tenants", tenant.source.file.parent)

    def __call__(self, topic: str, file: Any, *options: Any) -> Ran:
        return run(self._capsys, "events", "send", self.tenant.tenant, topic, file, *options, *self._options)

    def stored(self, topic: str, cluster: str = "west") -> list[tuple[int, pulsar.Message, dict[str, Any]]]:
        """Partition, message and record of all that a topic holds."""
        name = str(self.tenant.topic_name(topic))
        with closing(open_client(self._platform.clusters[cluster])) as client:
            decode = decoder(client, name)
            return [
                (
                    int(message.topic_name().rpartition("-")[2]),
                    message,
                    decode(message.data(), message._message.int_schema_version()),
                )
                for message in read_all(client, name, PARTITIONS)
            ]


@pytest.fixture
def sending(tenant: Tenant, platform: Platform, platform_file: Path, capsys: pytest.CaptureFixture[str]) -> Sending:
    return Sending(tenant, platform, platform_file, capsys)


def rows(count: int, machines: int = 7) -> list[str]:
    return [f"machine-{n % machines},{n},{START_MS + n},{n / 4 if n % 3 else ''},LOW" for n in range(count)]


def csv_file(folder: Path, lines: list[str]) -> Path:
    path = folder / "events.csv"
    path.write_text("\n".join([HEADER, *lines]) + "\n")
    return path


def test_a_file_arrives_with_keys_times_partitions_and_order(sending: Sending, tmp_path: Path) -> None:
    ran = sending("in/whole", csv_file(tmp_path, rows(5000)), "--json")
    assert ran.code == ExitCode.OK
    stored = sending.stored("in/whole")
    assert sorted(record["n"] for _, _, record in stored) == list(range(5000))
    last: dict[str, int] = {}
    for partition, message, record in stored:
        assert message.partition_key() == record["machine"]
        assert message.event_timestamp() == START_MS + record["n"]
        assert partition == java_string_hash(record["machine"]) % PARTITIONS
        assert record["torque"] == (record["n"] / 4 if record["n"] % 3 else None)
        assert last.get(record["machine"], -1) < record["n"], "in order by key"
        last[record["machine"]] = record["n"]
    summary = json.loads(ran.out)
    assert (summary["sent"], summary["left_out"]) == (5000, 0)
    ends = {partition: message.message_id() for partition, message, _ in stored}
    assert summary["positions"] == {
        str(partition): f"{each.ledger_id()}:{each.entry_id()}:{each.batch_index()}" for partition, each in ends.items()
    }


def test_rows_that_are_no_events_are_left_out_and_told(sending: Sending, tmp_path: Path) -> None:
    lines = rows(60)
    lines[3] = lines[3].replace("LOW", "MIDDLE")
    lines[5] = "machine-5,five,now"
    lines[30:60] = [line.replace(f",{START_MS}"[:6], ",x", 1) for line in lines[30:60]]
    rejects = tmp_path / "rejects.jsonl"
    ran = sending("in/mixed", csv_file(tmp_path, lines), "--rejects", rejects)
    assert ran.code == ExitCode.PARTIAL
    assert "28 events sent" in ran.out
    assert "32 rows left out" in ran.out
    told = ran.err.splitlines()
    assert told[0].startswith("line 5: field kind: expected one of HIGH, LOW")
    assert told[1] == "line 7: 3 fields, the header has 5"
    assert len(told) == 21
    assert told[20].startswith("… and 12 more")
    kept = [json.loads(line) for line in rejects.read_text().splitlines()]
    assert [each["line"] for each in kept] == [5, 7, *range(32, 62)]
    assert sorted(record["n"] for _, _, record in sending.stored("in/mixed")) == [0, 1, 2, 4, *range(6, 30)]


def test_a_stream_of_json_lines(sending: Sending, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [
        {"machine": "m", "n": 1, "at": "2026-01-01T00:00:00Z", "kind": "LOW"},
        {"machine": "m", "n": 2, "at": START_MS + 1, "torque": 1, "kind": "HIGH"},
    ]
    content = "\n".join(map(json.dumps, lines)).encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert sending("in/stream", "-", "--format", "jsonl").code == ExitCode.OK
    stored = sending.stored("in/stream")
    assert [(message.event_timestamp(), record["torque"]) for _, message, record in stored] == [
        (START_MS, None),
        (START_MS + 1, 1.0),
    ]


def test_a_run_goes_on_from_a_line(sending: Sending, tmp_path: Path) -> None:
    path = tmp_path / "events.csv.gz"
    path.write_bytes(gzip.compress("\n".join([HEADER, *rows(10)]).encode()))
    assert sending("in/resumed", path, "--from-line", "8").code == ExitCode.OK
    assert sorted(record["n"] for _, _, record in sending.stored("in/resumed")) == [6, 7, 8, 9]


def test_a_rate_is_kept(sending: Sending, tmp_path: Path) -> None:
    ran = sending("in/rate", csv_file(tmp_path, rows(101)), "--rate", "50", "--json")
    assert json.loads(ran.out)["seconds"] >= 2
    published = sorted(message.publish_timestamp() for _, message, _ in sending.stored("in/rate"))
    assert published[-1] - published[0] >= 1000, "they left over two seconds, not at their end"


def test_another_cluster_of_the_tenant(sending: Sending, tmp_path: Path) -> None:
    assert sending("far/east", csv_file(tmp_path, rows(3)), "--cluster", "east").code == ExitCode.OK
    assert len(sending.stored("far/east", "east")) == 3
    ran = sending("far/east", csv_file(tmp_path, rows(3)), "--cluster", "north")
    assert (ran.code, "it is in: east" in ran.err) == (ExitCode.ERROR, True)


def test_a_token_without_the_permission_is_refused(sending: Sending, tokens: Tokens, tmp_path: Path) -> None:
    stranger = tokens.file_of("stranger", tmp_path)
    ran = sending("in/refused", csv_file(tmp_path, rows(3)), "--token-file", stranger)
    assert ran.code == ExitCode.ERROR
    assert "cluster west: cannot send to persistent://" in ran.err
    assert "use a token whose role is allowed to do this" in ran.err
    assert stranger.read_text().strip() not in ran.err
    assert sending.stored("in/refused") == []


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("machine,n,at,kind,colour\n", "the schema has no field 'colour'"),
        ("machine,n,at\n", "it lacks the field 'kind'"),
        ("", "there is no header"),
    ],
)
def test_a_file_of_other_columns_is_refused_whole(sending: Sending, tmp_path: Path, content: str, what: str) -> None:
    path = tmp_path / "events.csv"
    path.write_text(content)
    ran = sending("in/refused", path)
    assert ran.code == ExitCode.ERROR
    assert what in ran.err


def test_a_topic_that_was_never_applied(sending: Sending, tmp_path: Path) -> None:
    ran = sending("in/nowhere", csv_file(tmp_path, rows(1)))
    assert ran.code == ExitCode.ERROR
    assert "declares no topic 'in/nowhere'" in ran.err
