"""`functions state …` on real clusters: seen, exported, imported, moved to another number of partitions."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pulsar_pipeline.cluster.http import AdminHttp
from pulsar_pipeline.cluster.state_keys import new_state_key, state_key_file
from pulsar_pipeline.errors import ExitCode
from pulsar_pipeline.ingest.partition import Partitioner
from pulsar_pipeline.names import STATE_SUBSCRIPTION, state_topic
from pulsar_pipeline.package.build import BuiltPackage
from pulsar_pipeline.runtime.guarantees.partition_log import PartitionLog
from pulsar_pipeline.spec.load import load_tenant
from pulsar_pipeline.spec.model import Platform
from pulsar_pipeline.state import arriving
from pulsar_pipeline.statelog.keys import log_key
from tests.support.cli import Ran, run
from tests.support.clusters import Tokens
from tests.support.deployed import FUNCTIONS, apply_tenant, build, home
from tests.support.remove import remove_tenant
from tests.support.wait import wait_until

pytestmark = pytest.mark.cluster

SCHEMAS = FUNCTIONS / "tallies" / "schemas"
ACCOUNTS = [f"a{number}" for number in range(12)]


class Bank:
    """A tenant with two deployments of one function: `tallies`, and `others`, which is never deployed."""

    def __init__(self, name: str, folder: Path, platform_file: Path, platform: Platform, package: BuiltPackage) -> None:
        self.name, self.folder, self.package = name, folder, package
        self.platform, self.platform_file = platform, platform_file
        self.sent: Counter[str] = Counter()
        (folder / "tenants").mkdir()
        self.files = ("--platform", platform_file, "--tenants", folder / "tenants")
        self.declare(2)

    def declare(self, partitions: int, **options: Any) -> None:
        topic = {"partitions": partitions, "key": "account"}
        deployments = {
            name: {
                "function": "tallies",
                "namespace": "n",
                "inputs": {"deposits": f"n/{name}-deposits"},
                "output": f"n/{name}-balances",
                "parallelism": 2,
                "logs": False,
            }
            | options
            for name in ("tallies", "others")
        }
        spec = {
            "tenant": self.name,
            "clusters": ["west"],
            "home": "west",
            "namespaces": {"n": {"schema": {"enforce": False}, "retention": {"time": "1h", "size": "100MB"}}},
            "topics": {
                f"n/{name}-{kind}": topic | {"schema": str(SCHEMAS / schema)}
                for name in deployments
                for kind, schema in (("deposits", "deposit.v1.avsc"), ("balances", "balance.v1.avsc"))
            },
            "deployments": deployments,
        }
        (self.folder / "tenants" / "bank.yaml").write_text(yaml.safe_dump(spec))

    def apply(self) -> None:
        apply_tenant(self.platform, load_tenant(self.folder / "tenants" / "bank.yaml"))

    def verb(self, capsys: pytest.CaptureFixture[str], *arguments: Any) -> Ran:
        return run(capsys, "functions", "state", *arguments, *self.files)

    def state(self, capsys: pytest.CaptureFixture[str], deployment: str, *options: Any) -> Any:
        ran = self.verb(capsys, f"{self.name}/{deployment}", "--json", *options)
        assert ran.code == ExitCode.OK, ran
        return json.loads(ran.out)

    def counts(self, capsys: pytest.CaptureFixture[str], deployment: str, accounts: list[str] = ACCOUNTS) -> Any:
        """Account → partition and value of its counter."""
        found = {}
        for account in accounts:
            for each in self.state(capsys, deployment, "--key", account)["values"]:
                found[account] = (each["partition"], each["value"])
        return found

    def deploy(self) -> None:
        with home(self.platform, load_tenant(self.folder / "tenants" / "bank.yaml")) as at_home:
            at_home.deploy("tallies", self.package)

    def delete(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(capsys, "functions", "delete", f"{self.name}/tallies", "--yes", *self.files).code == ExitCode.OK

    def send(self, capsys: pytest.CaptureFixture[str], count: int) -> None:
        """So many deposits for each account."""
        file = self.folder / "deposits.csv"
        with file.open("w", newline="") as written:
            rows = csv.writer(written)
            rows.writerow(("account", "n"))
            rows.writerows((account, number) for number in range(1, count + 1) for account in ACCOUNTS)
        ran = run(capsys, "events", "send", self.name, "n/tallies-deposits", file, *self.files)
        assert ran.code == ExitCode.OK, ran
        for account in ACCOUNTS:
            self.sent[account] += count

    def wait_counted(self, capsys: pytest.CaptureFixture[str]) -> None:
        def counted() -> bool:
            state = self.state(capsys, "tallies")
            return sum(each["seq"] for each in state["partitions"]) == sum(self.sent.values())

        wait_until(counted, 60, "every deposit is committed", poll_s=0.3)

    def expected(self, partitions: int) -> dict[str, tuple[int, int]]:
        of = Partitioner(partitions)
        return {account: (of(account), self.sent[account]) for account in ACCOUNTS}


@pytest.fixture(scope="module")
def bank(
    platform: Platform,
    platform_file: Path,
    tokens: Tokens,
    unique: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Bank]:
    folder, name = tmp_path_factory.mktemp("bank"), f"bank-{unique}"
    bank = Bank(name, folder, platform_file, platform, build("tallies", tmp_path_factory.mktemp("package")))
    bank.apply()
    tokens.give_to_functions(name)
    bank.deploy()
    yield bank
    with home(platform, load_tenant(folder / "tenants" / "bank.yaml")) as at_home:
        if "tallies" in at_home.worker.functions(name, "n"):
            at_home.delete("tallies")
    remove_tenant(platform, name)


def test_the_life_of_a_state(bank: Bank, platform: Platform, capsys: pytest.CaptureFixture[str]) -> None:
    """In one story, for each step needs the one before."""
    bank.send(capsys, 20)
    bank.wait_counted(capsys)
    assert bank.counts(capsys, "tallies") == bank.expected(2)
    _it_is_shown(bank, capsys)
    file, again = bank.folder / "tallies.state", bank.folder / "again.state"
    refused = bank.verb(capsys, "import", f"{bank.name}/tallies", bank.folder / "none.state", "--yes", "--json")
    assert refused.code == ExitCode.ERROR
    assert "2 of 2 instances run" in json.loads(refused.out)["what"]
    assert "functions delete" in json.loads(refused.out)["mend"]

    bank.delete(capsys)
    assert bank.verb(capsys, "export", f"{bank.name}/tallies", "--out", file).code == ExitCode.OK
    before = bank.state(capsys, "tallies")
    assert (file.stat().st_mode & 0o777, list(bank.folder.glob(".*"))) == (0o600, [])
    imported = bank.verb(capsys, "import", f"{bank.name}/tallies", file, "--yes")
    assert imported.code == ExitCode.OK, imported
    after = bank.state(capsys, "tallies")
    assert [_lasting(each) for each in after["partitions"]] == [_lasting(each) for each in before["partitions"]]
    assert "import@" in after["partitions"][0]["holder"]
    bank.deploy()  # whose subscription is new: all events come again, and none counts twice
    bank.send(capsys, 5)
    bank.wait_counted(capsys)
    assert bank.counts(capsys, "tallies") == bank.expected(2)

    # What came after the file was written is processed again, for its state alone.
    bank.delete(capsys)
    assert bank.verb(capsys, "import", f"{bank.name}/tallies", file, "--yes").code == ExitCode.OK
    assert bank.state(capsys, "tallies")["partitions"][0]["seq"] == before["partitions"][0]["seq"]
    bank.deploy()
    bank.wait_counted(capsys)
    assert bank.counts(capsys, "tallies") == bank.expected(2)

    bank.delete(capsys)
    _another_deployment_takes_it(bank, file, before, capsys)
    _keys_move_to_where_their_messages_go(bank, again, capsys)
    _every_log_is_kept(bank, platform)


def _another_deployment_takes_it(bank: Bank, file: Path, before: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """And has nothing of the positions."""
    refused = bank.verb(capsys, "import", f"{bank.name}/others", file, "--yes")
    assert (refused.code, "--state-only" in refused.err) == (ExitCode.ERROR, True)
    taken = bank.verb(capsys, "import", f"{bank.name}/others", file, "--yes", "--state-only")
    assert taken.code == ExitCode.OK, taken
    others = bank.state(capsys, "others")["partitions"]
    assert [(each["entries"], each["positions"], each["seq"]) for each in others] == [
        (each["entries"], {}, 0) for each in before["partitions"]
    ]


def _keys_move_to_where_their_messages_go(bank: Bank, again: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The partitions become more."""
    assert bank.verb(capsys, "export", f"{bank.name}/tallies", "--out", again).code == ExitCode.OK
    bank.declare(5)
    bank.apply()
    refused = bank.verb(capsys, "import", f"{bank.name}/tallies", again, "--yes")
    assert (refused.code, "--by-key" in refused.err) == (ExitCode.ERROR, True)
    moved = bank.verb(capsys, "import", f"{bank.name}/tallies", again, "--yes", "--by-key", "--separator", "/")
    assert moved.code == ExitCode.OK, moved
    assert bank.counts(capsys, "tallies") == bank.expected(5)
    bank.deploy()
    bank.send(capsys, 7)
    bank.wait_counted(capsys)
    assert bank.counts(capsys, "tallies") == bank.expected(5)
    sums = bank.state(capsys, "tallies", "--key", "models/a3")["values"]
    assert [each["partition"] for each in sums] == [Partitioner(5)("a3")]


def _it_is_shown(bank: Bank, capsys: pytest.CaptureFixture[str]) -> None:
    text = bank.verb(capsys, f"{bank.name}/tallies", "--limit", "2").out
    assert "partition 0:" in text
    assert "12 keys" not in text
    assert "more: --limit" in text
    state = bank.state(capsys, "tallies")
    kinds = Counter(entry["kind"] for each in state["partitions"] for entry in each["entries"])
    assert kinds == {"bytes": 12, "counter": 12, "object": 12}
    first = state["partitions"][0]
    assert (first["epoch"], first["incarnation"] > 0, first["commit"] > 0) == (1, True, True)
    assert set(first["positions"]) == {"deposits"}
    assert "tallies/0@" in first["holder"]
    (model,) = bank.state(capsys, "tallies", "--key", "models/a3")["values"]
    assert (model["kind"], model["class"].endswith("function.Sum"), "value" in model) == ("object", True, False)
    (last,) = bank.state(capsys, "tallies", "--key", "last/a3")["values"]
    assert (last["kind"], last["encoding"], last["value"]) == ("bytes", "utf-8", "20")
    assert "models/a3" in bank.verb(capsys, f"{bank.name}/tallies", "--key", "models/a3").out


def _lasting(partition: dict[str, Any]) -> dict[str, Any]:
    """What an import does not change."""
    return {name: partition[name] for name in ("partition", "seq", "positions", "entries", "kinds")}


def _every_log_is_kept(bank: Bank, platform: Platform) -> None:
    """Those of new partitions, too."""
    with AdminHttp("west", platform.clusters["west"]) as admin:
        for partition in range(5):
            topic = state_topic(bank.name, "tallies").partition(partition).replace("://", "/")
            assert STATE_SUBSCRIPTION in admin.get(f"/admin/v2/{topic}/internalStats")["cursors"]


def test_an_interrupted_import_leaves_the_old_state(
    bank: Bank, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file, name = tmp_path / "tallies.state", f"{bank.name}/others"
    assert bank.verb(capsys, "export", f"{bank.name}/tallies", "--out", file).code == ExitCode.OK
    before = [_lasting(each) for each in bank.state(capsys, "others")["partitions"]]
    arguments = ("import", name, file, "--yes", "--state-only")

    def interrupted(self: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(arriving._Arrival, "finish", interrupted)
        assert bank.verb(capsys, *arguments).code == ExitCode.INTERRUPTED
    assert [_lasting(each) for each in bank.state(capsys, "others")["partitions"]] == before
    assert bank.verb(capsys, *arguments).code == ExitCode.OK
    assert bank.counts(capsys, "others") == bank.counts(capsys, "tallies")


def test_what_is_wrong_is_told_once_with_its_mend(
    bank: Bank, platform: Platform, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = f"{bank.name}/others"

    def told(*arguments: Any) -> str:
        ran = bank.verb(capsys, *arguments)
        assert ran.code == ExitCode.ERROR, ran
        assert "mend:" in ran.err
        return ran.err

    assert "cannot read the state key" in told(name, "--key-file", tmp_path / "none.key")
    wrong = tmp_path / "wrong.key"
    wrong.write_bytes(new_state_key())
    assert "was not made with this deployment's key" in told(name, "--key-file", wrong)
    assert "there is no state of key 'nothing'" in told(name, "--key", "nothing")
    assert "declares no deployment" in told(f"{bank.name}/nobody")
    assert "is not in cluster" in told(name, "--cluster", "east")
    bad = tmp_path / "bad.state"
    bad.write_bytes(b"PPE1 but not really")
    assert "cut off or damaged" in told("import", name, bad, "--yes")
    assert "No such file" in told("import", name, tmp_path / "none.state", "--yes")
    assert "nobody is there to agree" in _no_agreement(bank, name, tmp_path, capsys)
    key = state_key_file(bank.platform_file.parent / "secrets" / "functions", bank.name).read_bytes()
    topic = state_topic(bank.name, "others").partition(1)
    with home(platform, load_tenant(bank.folder / "tenants" / "bank.yaml")) as at_home:
        forged = PartitionLog(at_home.client, topic, log_key(key, topic), None, "test")
        forged._key = bytes(32)
        forged._append(_claim())
        forged.flush()
        forged.close()
    assert "was not made with this deployment's key" in told(name)
    bank.declare(5, guarantee="at_least_once")
    assert "it keeps no state" in told(name)
    bank.declare(5)


def _no_agreement(bank: Bank, name: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    file = folder / "others.state"
    assert bank.verb(capsys, "export", name, "--out", file).code == ExitCode.OK
    ran = bank.verb(capsys, "import", name, file)
    assert ran.code == ExitCode.ERROR
    return ran.err


def _claim() -> Any:
    from tests.support.statelog import Writer, claim

    return claim(Writer(1, 99, "forged"))
