"""`functions dead-letters …`: events that a function could not take, told, taken back after a fix, or dismissed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pulsar
import pytest
import yaml

from pulsar_pipeline.errors import ClusterError, ExitCode
from pulsar_pipeline.letters.waiting import PartitionLetters
from pulsar_pipeline.names import DEAD_LETTERS_SUBSCRIPTION, dead_letter_topic
from pulsar_pipeline.package.build import BuiltPackage, build_package
from pulsar_pipeline.package.provided import runtime_distributions
from pulsar_pipeline.runtime.transport.dead_letters import Reason
from pulsar_pipeline.schemas.codec import Encoder
from pulsar_pipeline.schemas.schema import load_schema, schema_from_text
from pulsar_pipeline.schemas.wire import version_of, wire_schema
from pulsar_pipeline.spec.load import load_tenant
from pulsar_pipeline.spec.model import Platform
from tests.support.cli import Ran, run
from tests.support.clusters import Tokens
from tests.support.deployed import FUNCTIONS, Home, apply_tenant, decoder, home, read_all
from tests.support.letters import Event, set_aside
from tests.support.project import write_platform
from tests.support.remove import remove_tenant
from tests.support.tiny_functions import write_function
from tests.support.wait import wait_until

pytestmark = pytest.mark.cluster

PARTITIONS = 2
SCHEMAS = FUNCTIONS / "counter" / "schemas"
EVENT = load_schema(SCHEMAS / "event.v1.avsc")
LATER = schema_from_text(
    '{"type": "record", "name": "Event", "namespace": "tests", "fields": [{"name": "id", "type": "string"},'
    ' {"name": "n", "type": "long"}, {"name": "note", "type": ["null", "string"], "default": null}]}',
    "later",
)

REFUSED, RAISES, HANGS = 1, 2, 3
"""Events that the first version of the function cannot take, by their `n`."""

FIRST = """\
import threading

from pulsar_pipeline.errors import DataError
from pulsar_pipeline.online.function import StreamFunction, on


class Echo(StreamFunction):
    @on("events")
    def take(self, event, context):
        match event["n"]:
            case 1:
                raise DataError("a one cannot be")
            case 2:
                raise ValueError("twos are not thought of")
            case 3:
                threading.Event().wait()
        context.incr_counter("taken", 1)
        return {"id": event["id"], "n": event["n"], "doubled": context.get_counter("taken")}
"""
MENDED = """\
from pulsar_pipeline.online.function import StreamFunction, on


class Echo(StreamFunction):
    @on("events")
    def take(self, event, context):
        context.incr_counter("taken", 1)
        return {"id": event["id"], "n": event["n"], "doubled": context.get_counter("taken")}
"""
DEFINITION = """\
name: picky
description: Takes not every event.
class: function.Echo
inputs:
  events: {schema: schemas/event.v1.avsc}
output: {schema: schemas/result.v1.avsc, key: id}
sample: sample/events.jsonl
"""


def package(folder: Path, code: str) -> BuiltPackage:
    files = {
        "function.yaml": DEFINITION,
        "schemas/event.v1.avsc": (SCHEMAS / "event.v1.avsc").read_text(),
        "schemas/result.v1.avsc": (SCHEMAS / "result.v1.avsc").read_text(),
        "sample/events.jsonl": '{"input": "events", "event": {"id": "a", "n": 9}}\n',
    }
    folder.mkdir()
    source = write_function(folder, "picky", code=code, files=files)
    return build_package(source, folder / "out", slim=True, provided=runtime_distributions())


def spec(name: str) -> dict[str, Any]:
    lenient = {
        "schema": {"compatibility": "always_compatible", "enforce": False},
        "retention": {"time": "1h", "size": "1GB"},
    }
    inputs = {"picky": "in/events", "quiet": "in/quiet", "cut": "in/cut", "many": "in/many", "chained": "out/picky"}
    event, result = str(SCHEMAS / "event.v1.avsc"), str(SCHEMAS / "result.v1.avsc")
    made = {
        case: {"function": "picky", "namespace": "out", "inputs": {"events": ref}, "output": f"out/{case}"}
        for case, ref in inputs.items()
    }
    made["picky"]["event_timeout"] = 2
    topics = {ref: {"partitions": PARTITIONS, "schema": event, "key": "id"} for ref in inputs.values() if "in/" in ref}
    topics |= {f"out/{case}": {"partitions": PARTITIONS, "schema": result, "key": "id"} for case in inputs}
    return {
        "tenant": name,
        "clusters": ["west"],
        "home": "west",
        "namespaces": {"in": lenient, "out": lenient},
        "topics": topics,
        "deployments": made,
    }


class Letters:
    """A tenant's dead letters, through the command line and beside it."""

    def __init__(self, at_home: Home, folder: Path, platform_file: Path) -> None:
        self.home, self.tenant, self.client = at_home, at_home.tenant, at_home.client
        self.folder, self.platform_file = folder, platform_file

    def __call__(
        self, capsys: pytest.CaptureFixture[str], verb: str, case: str, *more: Any, platform: Path | None = None
    ) -> Ran:
        files = ("--platform", platform or self.platform_file, "--tenants", self.folder)
        return run(capsys, "functions", "dead-letters", verb, f"{self.tenant.tenant}/{case}", *more, *files)

    def listed(self, capsys: pytest.CaptureFixture[str], case: str, *more: Any) -> list[dict[str, Any]]:
        ran = self(capsys, "list", case, "--json", "--limit", 0, *more)
        assert ran.code == ExitCode.OK, ran.err
        return [json.loads(line) for line in ran.out.splitlines()]

    def document(self, capsys: pytest.CaptureFixture[str], verb: str, case: str, *more: Any) -> dict[str, Any]:
        ran = self(capsys, verb, case, *more, "--json")
        assert ran.code == ExitCode.OK, ran.err
        return dict(json.loads(ran.out))

    def inputs(self, ref: str) -> list[pulsar.Message]:
        return read_all(self.client, str(self.tenant.topic_name(ref)), PARTITIONS)

    def results(self, case: str) -> list[int]:
        topic = str(self.tenant.topic_name(f"out/{case}"))
        decode = decoder(self.client, topic)
        return sorted(
            decode(message.data(), version_of(message))["n"] for message in read_all(self.client, topic, PARTITIONS)
        )


@pytest.fixture(scope="module")
def letters(
    platform: Platform, platform_file: Path, tokens: Tokens, unique: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Letters]:
    folder = tmp_path_factory.mktemp("tenants")
    name = f"letters-{unique}"
    (folder / "tenant.yaml").write_text(yaml.safe_dump(spec(name)))
    tenant = load_tenant(folder / "tenant.yaml")
    apply_tenant(platform, tenant)
    tokens.give_to_functions(name)
    with home(platform, tenant) as at_home:
        yield Letters(at_home, folder, platform_file)
        for case in at_home.worker.functions(name, "out"):
            at_home.delete(case)
    remove_tenant(platform, name)


def payload(n: int) -> bytes:
    return Encoder(EVENT)({"id": f"k{n}", "n": n})


def numbers(messages: list[pulsar.Message]) -> Counter[bytes]:
    return Counter(message.data() for message in messages)


def test_letters_of_every_reason_are_told_and_taken_back_by_a_mended_function(
    letters: Letters, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """One after the other: the story of a function that is mended."""
    letters.home.deploy("picky", package(tmp_path / "first", FIRST))
    broken = send_events_of_every_kind(letters)
    wait_until(lambda: letters.results("picky") == [4, 5, 6, 7, 8], 60, "the events that can be taken")
    wait_until(lambda: len(letters.listed(capsys, "picky")) == 5, 60, "five dead letters")
    refused = assert_told(letters, capsys, broken)
    assert_refused_again(letters, capsys, refused)

    before = letters.inputs("in/events")
    letters.home.deploy("picky", package(tmp_path / "mended", MENDED))
    assert letters(capsys, "replay", "picky", "--all").code == ExitCode.ERROR, "nobody agreed"
    back = letters.document(capsys, "replay", "picky", "--all", "--yes")
    assert (back["replayed"], back["refused"]) == (5, [])
    wait_until(lambda: len(letters.results("picky")) == 9, 10, "every event that can be read")
    assert letters.results("picky") == [1, 2, 2, 3, 4, 5, 6, 7, 8]
    wait_until(lambda: len(letters.listed(capsys, "picky")) == 1, 30, "the one that cannot be read, again")
    assert_as_they_were(before, letters.inputs("in/events"))

    (left,) = letters.listed(capsys, "picky")
    assert left["reason"] == "undecodable"
    assert letters.document(capsys, "dismiss", "picky", left["position"], "--yes")["dismissed"] == 1
    assert letters.listed(capsys, "picky") == []
    assert letters.document(capsys, "replay", "picky", "--all", "--yes")["replayed"] == 0
    assert letters.results("picky") == [1, 2, 2, 3, 4, 5, 6, 7, 8]


def send_events_of_every_kind(letters: Letters) -> bytes:
    """Gives the bytes that are no event. The last event is behind the one that hangs: once it is answered, whatever
    the restarted instance had to do again is done."""
    at_home = letters.home
    options = {"partition_key": "the-key", "event_timestamp": 1_700_000_000_000, "properties": {"trace": "t1"}}
    at_home.send("in/events", [{"id": f"k{n}", "n": n} for n in (4, 5, REFUSED, RAISES, 6, 7)], **options)
    broken, evolved = payload(9)[:-1], Encoder(LATER)({"id": "k2", "n": RAISES, "note": "new"})
    at_home.send_bytes("in/events", [broken, evolved], wire_schema(LATER))
    at_home.send("in/events", [{"id": f"k{HANGS}", "n": HANGS}])
    at_home.send("in/events", [{"id": "k8", "n": 8}])
    return broken


def assert_told(letters: Letters, capsys: pytest.CaptureFixture[str], broken: bytes) -> dict[str, Any]:
    """By `list` and `show`. Gives the letter of the event that the function refused."""
    found = letters.listed(capsys, "picky")
    assert Counter(letter["reason"] for letter in found) == {"invalid": 1, "failed": 2, "undecodable": 1, "hung": 1}
    text = letters(capsys, "list", "picky")
    assert "ValueError: twos are not thought of" in text.out
    assert "5 dead letters (2 failed, 1 hung, 1 invalid, 1 undecodable)" in text.err
    limited = letters(capsys, "list", "picky", "--limit", 2)
    assert len(limited.out.splitlines()) == 2
    assert "2 shown, --limit 0 shows all" in limited.err
    assert len(letters.listed(capsys, "picky", "--reason", "failed")) == 2

    (refused,) = [letter for letter in found if letter["reason"] == "invalid"]
    shown = letters.document(capsys, "show", "picky", refused["position"])
    assert shown["event"] == {"id": "k1", "n": REFUSED}
    assert shown["error"] == "a one cannot be"
    assert (shown["key"], shown["event_time"]) == ("the-key", "2023-11-14T22:13:20.000Z")
    assert shown["properties"] == {"trace": "t1"}
    assert f"dead-letters replay {letters.tenant.tenant}/picky {refused['position']}" in shown["mend"]
    (unread,) = [letter for letter in found if letter["reason"] == "undecodable"]
    told = letters(capsys, "show", "picky", unread["position"])
    assert told.code == ExitCode.OK
    assert "the bytes, which cannot be read (field" in told.out
    assert broken[:3].hex(" ") in told.out
    return refused


def assert_refused_again(letters: Letters, capsys: pytest.CaptureFixture[str], refused: dict[str, Any]) -> None:
    """Replayed to the function as it is, the event is a new letter, and nothing goes round by itself."""
    assert letters.document(capsys, "replay", "picky", refused["position"], "--yes")["replayed"] == 1

    def again() -> list[dict[str, Any]]:
        return [letter for letter in letters.listed(capsys, "picky") if letter["reason"] == "invalid"]

    (letter,) = wait_until(again, 30, "the event that is refused again")
    assert letter["position"] != refused["position"]
    assert letter["source_position"] != refused["source_position"]
    assert letters.document(capsys, "show", "picky", letter["position"])["properties"] == {
        "trace": "t1",
        "replay_of": refused["source_position"],
        "replay_for": f"{letters.tenant.tenant}/picky",
    }
    replays = [message for message in letters.inputs("in/events") if "replay_of" in message.properties()]
    assert len(replays) == 1


def assert_as_they_were(before: list[pulsar.Message], after: list[pulsar.Message]) -> None:
    """Each replayed event has partition, bytes, key, event time, schema version and own properties of the first."""
    first = {place(message): message for message in before}
    replayed = [message for message in after if place(message) not in first]
    assert len(replayed) == 5
    for message in replayed:
        properties = message.properties()
        original = first[message.message_id().partition(), properties["replay_of"]]
        assert message.data() == original.data()
        assert message.partition_key() == original.partition_key()
        assert message.event_timestamp() == original.event_timestamp()
        assert version_of(message) == version_of(original)
        assert properties.keys() == {*original.properties(), "replay_of", "replay_for"}
    assert {version_of(message) for message in replayed} == {0, 1}


def place(message: pulsar.Message) -> tuple[int, str]:
    identity = message.message_id()
    return identity.partition(), f"{identity.ledger_id()}:{identity.entry_id()}:{identity.batch_index()}"


def test_what_is_asked_wrongly_is_one_clear_line(
    letters: Letters, capsys: pytest.CaptureFixture[str], tokens: Tokens, platform: Platform, tmp_path: Path
) -> None:
    set_aside(letters.client, letters.tenant, "quiet", [Event(payload(1), 1)])
    wrong = {
        ("show", "quiet", "1:2:3"): "no dead letter waits at 1:2:3; nothing was changed",
        ("replay", "quiet", "9:2:3", "--yes"): "no dead letter waits at 9:2:3; nothing was changed",
        ("list", "nobody"): "declares no deployment 'nobody'",
        ("show", "quiet", "somewhere"): "not a position: 'somewhere'",
        ("replay", "quiet"): "say which: positions, or --reason, or --all",
        ("dismiss", "quiet", "0:1:2", "--all"): "say which: positions, or --reason, or --all",
    }
    for arguments, message in wrong.items():
        ran = letters(capsys, *arguments)
        assert ran.code in (ExitCode.ERROR, ExitCode.USAGE), arguments
        assert message in ran.err, ran.err

    stranger = write_platform(tmp_path / "stranger.yaml", platform, token_file=tokens.file_of("stranger", tmp_path))
    refused = letters(capsys, "list", "quiet", platform=stranger)
    assert refused.code == ExitCode.ERROR
    assert "use a token whose role is allowed to do this" in refused.err

    with holding(letters, "quiet"):
        busy = letters(capsys, "list", "quiet")
    assert busy.code == ExitCode.ERROR
    assert "another process is at work on these dead letters" in busy.err
    assert [letter["reason"] for letter in letters.listed(capsys, "quiet")] == ["failed"], "it is still there"


@contextmanager
def holding(letters: Letters, case: str) -> Iterator[None]:
    topic = dead_letter_topic(letters.tenant.tenant, "out", case)
    consumer = letters.client.subscribe(topic.partition(0), DEAD_LETTERS_SUBSCRIPTION)
    yield
    consumer.close()


def test_what_is_written_exactly_once_takes_no_replays(letters: Letters, capsys: pytest.CaptureFixture[str]) -> None:
    set_aside(letters.client, letters.tenant, "chained", [Event(payload(1), 1), Event(payload(2), 2)])
    first, _ = letters.listed(capsys, "chained")
    one = letters(capsys, "replay", "chained", first["position"], "--yes")
    assert one.code == ExitCode.ERROR
    assert f"{letters.tenant.tenant}/picky's exactly-once output, in which a replay would be nobody's" in one.err
    every = letters(capsys, "replay", "chained", "--all", "--yes", "--json")
    assert every.code == ExitCode.PARTIAL
    assert [refused["letters"] for refused in json.loads(every.out)["refused"]] == [2]
    assert len(letters.listed(capsys, "chained")) == 2
    assert letters.document(capsys, "dismiss", "chained", "--all", "--yes")["dismissed"] == 2
    assert letters.listed(capsys, "chained") == []


def test_a_replay_that_is_cut_off_loses_nothing_and_doubles_nothing(
    letters: Letters, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    letters.home.send("in/cut", [{"id": "x", "n": 1}] * PARTITIONS)  # the topic has a schema
    events = [Event(payload(n), n, own={"trace": f"t{n}"}) for n in range(1, 2501)]
    doubled = [*events[:1500], *events[1400:1500], *events[1500:]]  # an instance crashed, and set them aside again
    set_aside(letters.client, letters.tenant, "cut", doubled, reason=Reason.INVALID)
    assert len(letters.listed(capsys, "cut")) == 2500, "each event is listed once"

    settle, settled = PartitionLetters.settle, Counter[str]()

    def cut(self: PartitionLetters, kept: Any) -> None:
        settled["letters"] += 1
        if settled["letters"] > 1300:
            raise ClusterError("cut off")
        settle(self, kept)

    with monkeypatch.context() as patched:
        patched.setattr(PartitionLetters, "settle", cut)
        ran = letters(capsys, "replay", "cut", "--reason", "invalid", "--yes")
    assert (ran.code, "cut off" in ran.err) == (ExitCode.ERROR, True)
    assert "a replay was interrupted" in letters(capsys, "list", "cut").err

    back = letters.document(capsys, "replay", "cut", "--all", "--yes")
    assert back["sent_before"] > 0
    assert back["replayed"] < 2500
    assert letters.listed(capsys, "cut") == []
    sent = numbers([message for message in letters.inputs("in/cut") if "replay_of" in message.properties()])
    assert sent == Counter({payload(n): 1 for n in range(1, 2501)}), "none is missing and none is there twice"
    order = [message.properties()["trace"] for message in letters.inputs("in/cut") if "trace" in message.properties()]
    assert order == [f"t{n}" for n in range(1, 2501)]
