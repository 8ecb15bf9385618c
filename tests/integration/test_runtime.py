"""Functions on the real worker: what the runtime does with good events, bad ones, and functions that misbehave."""

from __future__ import annotations

import re
import subprocess
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pulsar
import pytest

from pulsar_pipeline.cluster.state_keys import state_key_file
from pulsar_pipeline.errors import RolloutError
from pulsar_pipeline.schemas.codec import Encoder
from pulsar_pipeline.schemas.schema import load_schema, schema_from_text
from pulsar_pipeline.schemas.wire import wire_schema
from pulsar_pipeline.spec.model import Platform, Tenant
from tests.support.clusters import Tokens
from tests.support.deployed import FUNCTIONS, Home, apply_tenant, build, decoder, home, read_all
from tests.support.wait import wait_until

pytestmark = pytest.mark.cluster

PARTITIONS = 2
EVENT = FUNCTIONS / "counter" / "schemas" / "event.v1.avsc"
RESULT = FUNCTIONS / "counter" / "schemas" / "result.v1.avsc"

CASES: dict[str, dict[str, Any]] = {
    "plain": {"function": "counter", "parallelism": 2},
    "tenth": {"function": "counter", "config": {"fail_every": 10}},
    "hangs": {"function": "counter", "config": {"hang_at": 7}, "event_timeout": 2},
    "refuses": {"function": "counter", "config": {"refuse_to_start": True}},
    "stillborn": {"function": "stillborn"},
    "keyless": {"function": "counter"},
    "strangers": {"function": "counter"},
    "killed": {"function": "counter"},
    "chained": {"function": "counter", "inputs": {"events": "results/killed"}},
    "large": {"function": "counter"},
    "at-least-once": {"function": "counter", "guarantee": "at_least_once"},
    "at-most-once": {"function": "counter", "guarantee": "at_most_once"},
}
"""Each case has a deployment, an input and an output of its own name."""


def spec(name: str) -> Tenant:
    deployments = {
        case: {
            "namespace": "results",
            "inputs": {"events": f"events/{case}"},
            "output": f"results/{case}",
        }
        | options
        for case, options in CASES.items()
    }
    topics = {}
    for case in CASES:
        topics[f"events/{case}"] = {"partitions": PARTITIONS, "schema": str(EVENT), "key": "id"}
        topics[f"results/{case}"] = {"partitions": PARTITIONS, "schema": str(RESULT), "key": "id"}
    lenient = {
        "schema": {"compatibility": "always_compatible", "enforce": False},
        "retention": {"time": "1h", "size": "1GB"},
    }
    return Tenant.model_validate(
        {
            "tenant": name,
            "clusters": ["west"],
            "home": "west",
            "namespaces": {"events": lenient, "results": lenient},
            "topics": topics,
            "deployments": deployments,
        }
    )


@pytest.fixture(scope="module")
def deployed(platform: Platform, tokens: Tokens, unique: str) -> Iterator[Home]:
    tenant = spec(f"rt-{unique}")
    apply_tenant(platform, tenant)
    tokens.give_to_functions(tenant.tenant)
    with home(platform, tenant) as at_home:
        yield at_home
        for case in CASES:
            if case in at_home.worker.functions(tenant.tenant, "results"):
                at_home.delete(case)


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Any:
    built = {name: build(name, tmp_path_factory.mktemp(name)) for name in ("counter", "stillborn")}
    return lambda case: built[CASES[case]["function"]]


def events(count: int) -> list[dict[str, Any]]:
    return [{"id": f"k{n}", "n": n} for n in range(1, count + 1)]


def results(at_home: Home, case: str) -> list[dict[str, Any]]:
    """What the case's output topic holds, in the order of each partition."""
    topic = str(at_home.tenant.topic_name(f"results/{case}"))
    decode = decoder(at_home.client, topic)
    return [
        decode(message.data(), message._message.int_schema_version())
        for message in read_all(at_home.client, topic, PARTITIONS)
    ]


def dead_letters(at_home: Home, case: str) -> list[pulsar.Message]:
    return read_all(at_home.client, f"persistent://{at_home.tenant.tenant}/results/{case}-dead-letters", PARTITIONS)


def counted(at_home: Home, case: str) -> int:
    """Events that its instances have counted, which they do a moment after their results are out."""
    return sum(instance.received for instance in at_home.status(case).instances)


def numbers(at_home: Home, case: str) -> set[int]:
    return {result["n"] for result in results(at_home, case)}


def test_every_event_is_answered_in_order_by_the_instance_that_owns_its_partition(
    deployed: Home, packages: Any
) -> None:
    deployed.deploy("plain", packages("plain"))
    deployed.send("events/plain", events(500), event_timestamp=1_700_000_000_000, partition_key="the-input's")
    wait_until(lambda: len(results(deployed, "plain")) >= 500, 20, "500 results")

    found = results(deployed, "plain")
    assert Counter(result["n"] for result in found) == Counter(range(1, 501))
    assert all(result["doubled"] == 2 * result["n"] for result in found)
    topic = str(deployed.tenant.topic_name("results/plain"))
    for message in read_all(deployed.client, topic, PARTITIONS):
        partition = message.message_id().partition()
        result = decoder(deployed.client, topic)(message.data(), 0)
        assert result["n"] % PARTITIONS == (partition + 1) % PARTITIONS, "outputs are co-partitioned with inputs"
        assert message.partition_key() == result["id"], "the output's key field is the message key"
        assert message.event_timestamp() == 1_700_000_000_000
    for partition in range(PARTITIONS):
        mine = [result["n"] for result in found if result["n"] % PARTITIONS == partition]
        assert mine == sorted(mine), "order within a partition"

    wait_until(lambda: counted(deployed, "plain") >= 500, 10, "500 events are counted")
    status = deployed.status("plain")
    assert [instance.running for instance in status.instances] == [True, True]
    assert [instance.received for instance in status.instances] == [250, 250], "each owns one of two partitions"


def test_metrics_have_pulsars_own_names(deployed: Home, packages: Any) -> None:
    deployed.deploy("plain", packages("plain"))
    url = f"http://127.0.0.1:{metrics_port(deployed, 'plain')}/metrics"
    text = wait_until(lambda: scraped(url), 20, "metrics are served")
    fqfn = f"{deployed.tenant.tenant}/results/plain"
    assert re.search(rf'pulsar_function_received_total{{[^}}]*fqfn="{fqfn}"[^}}]*}} \d+', text)
    assert "pulsar_function_user_metric_last" in text


def scraped(url: str) -> str:
    """Empty while nothing is served there."""
    try:
        with urllib.request.urlopen(url, timeout=60) as response:
            return str(response.read().decode())
    except OSError:
        return ""


def test_one_failing_event_in_ten_goes_to_the_dead_letters_and_the_rest_goes_on(deployed: Home, packages: Any) -> None:
    deployed.deploy("tenth", packages("tenth"))
    deployed.send("events/tenth", events(100), partition_key="m", event_timestamp=1_700_000_000_000)
    wait_until(lambda: len(dead_letters(deployed, "tenth")) >= 10, 20, "10 dead letters")
    wait_until(lambda: len(results(deployed, "tenth")) >= 90, 20, "90 results")

    assert numbers(deployed, "tenth") == {n for n in range(1, 101) if n % 10}
    encode = Encoder(load_schema(EVENT))
    expected = {encode({"id": f"k{n}", "n": n}) for n in range(10, 101, 10)}
    letters = dead_letters(deployed, "tenth")
    assert {letter.data() for letter in letters} == expected, "the original bytes"
    for letter in letters:
        properties = letter.properties()
        assert properties["reason"] == "failed"
        assert re.fullmatch(r"ValueError: cannot take \d+0 \(function.py:\d+ in double\)", properties["error"])
        assert re.fullmatch(r"\d+:\d+:-?\d+", properties["source_position"])
        assert properties["source_topic"].startswith(str(deployed.tenant.topic_name("events/tenth")))
        assert (letter.partition_key(), letter.event_timestamp()) == ("m", 1_700_000_000_000)
    wait_until(lambda: counted(deployed, "tenth") >= 100, 10, "100 events are counted")
    (instance,) = deployed.status("tenth").instances
    assert instance.running
    assert instance.user_failures == 10


def test_events_that_are_not_of_the_functions_schema_are_set_aside(deployed: Home, packages: Any) -> None:
    deployed.deploy("strangers", packages("strangers"))
    schema = load_schema(EVENT)
    encode = Encoder(schema)
    good, other = encode({"id": "good", "n": 1}), _other_schema()
    deployed.send_bytes("events/strangers", [good], wire_schema(schema))
    deployed.send_bytes("events/strangers", [good[:-1]], wire_schema(schema))
    deployed.send_bytes("events/strangers", [Encoder(other)({"name": "x"})], wire_schema(other))
    deployed.send_bytes("events/strangers", [b"not avro"], pulsar.schema.BytesSchema())
    deployed.send_bytes("events/strangers", [encode({"id": "after", "n": 2})], wire_schema(schema))
    wait_until(lambda: len(results(deployed, "strangers")) >= 2, 20, "both good events")
    wait_until(lambda: len(dead_letters(deployed, "strangers")) >= 3, 20, "three dead letters")

    letters = dead_letters(deployed, "strangers")
    assert {letter.data() for letter in letters} == {good[:-1], Encoder(other)({"name": "x"}), b"not avro"}
    assert {letter.properties()["reason"] for letter in letters} == {"undecodable"}
    assert [result["id"] for result in results(deployed, "strangers")] == ["good", "after"]


def test_an_event_of_a_compatible_later_schema_is_resolved(deployed: Home, packages: Any) -> None:
    deployed.deploy("strangers", packages("strangers"))
    later = schema_from_text(
        '{"type": "record", "name": "Event", "namespace": "tests", "fields": [{"name": "note", "type": "string"},'
        ' {"name": "n", "type": "int"}, {"name": "id", "type": "string"}]}',
        "later",
    )
    payload = Encoder(later)({"id": "evolved", "n": 40, "note": "new"})
    deployed.send_bytes("events/strangers", [payload], wire_schema(later))
    wait_until(lambda: 40 in numbers(deployed, "strangers"), 20, "the evolved event's result")
    (found,) = [result for result in results(deployed, "strangers") if result["n"] == 40]
    assert (found["id"], found["doubled"]) == ("evolved", 80)


def _other_schema() -> Any:
    return schema_from_text(
        '{"type": "record", "name": "Other", "fields": [{"name": "name", "type": "string"}]}', "other"
    )


def test_a_hung_function_is_seen_its_event_set_aside_and_the_instance_restarted(deployed: Home, packages: Any) -> None:
    deployed.deploy("hangs", packages("hangs"))
    deployed.send("events/hangs", events(20))
    wait_until(lambda: numbers(deployed, "hangs") == set(range(1, 21)) - {7}, 40, "all but the hanging event")

    (letter,) = dead_letters(deployed, "hangs")
    assert letter.properties()["reason"] == "hung"
    assert letter.properties()["error"] == "no answer within 2 s"
    assert letter.data() == Encoder(load_schema(EVENT))({"id": "k7", "n": 7})
    (instance,) = deployed.status("hangs").instances
    assert instance.running
    assert instance.restarts >= 1


@pytest.mark.parametrize(
    ("case", "message"),
    [
        (
            "stillborn",
            r"function.Stillborn cannot be constructed: RuntimeError: no GPU on this machine \(function.py:\d+",
        ),
        (
            "refuses",
            r"function.Counter cannot be constructed: RuntimeError: the model file is missing \(function.py:\d+",
        ),
    ],
)
def test_a_constructor_that_raises_is_reported_in_status(
    deployed: Home, packages: Any, case: str, message: str
) -> None:
    with pytest.raises(RolloutError, match=message):
        deployed.deploy(case, packages(case))
    (instance,) = deployed.status(case).instances
    assert not instance.running
    assert re.search(message, instance.error or "")


def test_a_killed_instance_is_restarted_and_loses_nothing(deployed: Home, packages: Any) -> None:
    deployed.deploy("killed", packages("killed"))
    deployed.send("events/killed", events(50))
    wait_until(lambda: len(numbers(deployed, "killed")) == 50, 20, "the first events")
    deployed.deploy("chained", packages("chained"))
    before = process_of(deployed, "killed")
    subprocess.run(["kill", "-9", str(before)], check=True)
    deployed.send("events/killed", events(100)[50:])
    wait_until(lambda: numbers(deployed, "killed") == set(range(1, 101)), 30, "the events after the kill")
    assert process_of(deployed, "killed") != before
    assert sorted(result["n"] for result in results(deployed, "killed")) == list(range(1, 101)), "each exactly once"
    wait_until(lambda: len(results(deployed, "chained")) >= 100, 20, "the results of the results")
    assert sorted(result["n"] for result in results(deployed, "chained")) == list(range(1, 101))
    assert dead_letters(deployed, "chained") == [], "markers are no events"


@pytest.mark.parametrize("case", ["at-least-once", "at-most-once"])
def test_weaker_guarantees_deliver_too(deployed: Home, packages: Any, case: str) -> None:
    deployed.deploy(case, packages(case))
    deployed.send(f"events/{case}", events(100))
    wait_until(lambda: len(results(deployed, case)) >= 100, 20, "100 results")
    assert numbers(deployed, case) == set(range(1, 101))


def test_large_events_are_taken_a_few_at_a_time_and_none_is_lost(deployed: Home, packages: Any) -> None:
    """So large that the first ones make the instance subscribe anew, for fewer at a time."""
    large = [{"id": f"{n}-{'x' * 400_000}", "n": n} for n in range(1, 101)]
    deployed.send("events/large", large)
    deployed.deploy("large", packages("large"))
    wait_until(lambda: numbers(deployed, "large") == set(range(1, 101)), 60, "100 results")
    assert Counter(result["n"] for result in results(deployed, "large")) == Counter(range(1, 101))


def test_without_the_key_of_its_state_an_instance_says_so_and_waits(
    deployed: Home, packages: Any, platform_file: Path
) -> None:
    key = state_key_file(platform_file.parent / "secrets" / "functions", deployed.tenant.tenant)
    away = key.rename(key.with_suffix(".away"))
    try:
        with pytest.raises(RolloutError, match=r"cannot read the state key: .* token state-key create"):
            deployed.deploy("keyless", packages("keyless"))
    finally:
        away.rename(key)
    wait_until(lambda: deployed.status("keyless").instances[0].running, 60, "the instance found the key")


def test_the_log_topic_has_the_instances_log(deployed: Home, packages: Any) -> None:
    deployed.deploy("tenth", packages("tenth"))
    topic = f"persistent://{deployed.tenant.tenant}/results/tenth-logs"
    wait_until(
        lambda: any(b'"running with' in line.data() for line in read_all(deployed.client, topic, 1)), 30, "a log line"
    )


def test_no_secret_is_in_a_process_list_or_a_log(deployed: Home, packages: Any, platform_file: Path) -> None:
    deployed.deploy("plain", packages("plain"))
    token = (platform_file.parent / "secrets" / "functions" / f"{deployed.tenant.tenant}.token").read_text().strip()
    signature = token.rpartition(".")[2]
    processes = subprocess.run(["ps", "axww", "-o", "args"], capture_output=True, text=True, check=True).stdout
    assert f"{deployed.tenant.tenant}" in processes, "the instances are in the list"
    assert signature not in processes
    for log in platform_file.parent.rglob("*.log"):
        assert signature.encode() not in log.read_bytes(), log


def process_of(at_home: Home, case: str) -> int:
    """Process id of the only instance of a case."""
    return int(_instance_arguments(at_home, case)[0])


def metrics_port(at_home: Home, case: str) -> int:
    arguments = _instance_arguments(at_home, case)
    return int(arguments[arguments.index("--metrics_port") + 1])


def _instance_arguments(at_home: Home, case: str) -> list[str]:
    lines = subprocess.run(["ps", "axww", "-o", "pid,args"], capture_output=True, text=True, check=True).stdout
    found = [
        line.split()
        for line in lines.splitlines()
        if "runtime/main.py" in line and f'"tenant":"{at_home.tenant.tenant}"' in line and f'"name":"{case}"' in line
    ]
    assert found, f"no process runs {case}"
    return found[0]
