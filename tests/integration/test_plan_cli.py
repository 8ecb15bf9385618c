"""`plan` and `apply` as one types them: exit codes, text, JSON, the audit record."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from pulsar_pipeline.cli.main import exit_code
from pulsar_pipeline.spec.model import Platform
from tests.support.clusters import Tokens
from tests.support.remove import remove_tenant
from tests.support.tenants import tenant_spec, write_schema

pytestmark = pytest.mark.cluster


class Workplace:
    """A folder with a platform file, one tenant's spec and no functions."""

    def __init__(self, folder: Path, platform: Platform, tenant: str) -> None:
        self.folder, self.tenant = folder, tenant
        for name in ("tenants", "functions"):
            (folder / name).mkdir()
        clusters = {
            name: {
                "admin_url": cluster.admin_url,
                "broker_url": cluster.broker_url,
                "auth": {"token_file": "admin.token"},
            }
            for name, cluster in platform.clusters.items()
        }
        (folder / "platform.yaml").write_text(yaml.safe_dump({"clusters": clusters}))
        write_schema(folder / "tenants")
        self.write()

    def write(self, **changes: object) -> None:
        spec = tenant_spec(Path("reading.v1.avsc"), self.tenant, deployments={}, views={}, **changes)
        (self.folder / "tenants" / f"{self.tenant}.yaml").write_text(yaml.safe_dump(spec))

    def run(self, verb: str, *more: str) -> int:
        options = (f"--{name}={self.folder / name}" for name in ("tenants", "functions"))
        return exit_code([verb, f"--platform={self.folder / 'platform.yaml'}", *options, *more])

    def audit(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in (self.folder / "audit" / "apply.jsonl").read_text().splitlines()]


@pytest.fixture
def workplace(tmp_path: Path, platform: Platform, tokens: Tokens, unique: str) -> Iterator[Workplace]:
    name = f"cli-{unique}"
    tokens.file_of("admin", tmp_path)
    yield Workplace(tmp_path, platform, name)
    remove_tenant(platform, name)


def test_plan_apply_plan(workplace: Workplace, capsys: pytest.CaptureFixture[str]) -> None:
    assert workplace.run("plan") == 2
    text = capsys.readouterr().out
    assert f"+ topic {workplace.tenant}/sensors/readings: 4 partitions" in text
    assert "in east, west" in text

    assert workplace.run("apply", "--yes") == 0
    said = capsys.readouterr()
    assert "Applied: " in said.out
    assert "[1/" in said.err

    assert workplace.run("plan", workplace.tenant) == 0
    assert "Nothing to do" in capsys.readouterr().out
    assert workplace.run("apply") == 0, "nothing to do needs no agreement"

    start, *steps, end = workplace.audit()
    assert start["roles"] == {"east": "admin", "west": "admin"}
    assert start["steps"] == len(steps) == end["done"]
    assert (workplace.folder / "admin.token").read_text().strip() not in json.dumps(workplace.audit())


def test_json_is_one_document(workplace: Workplace, capsys: pytest.CaptureFixture[str]) -> None:
    assert workplace.run("plan", "--json") == 2
    planned = json.loads(capsys.readouterr().out)
    assert planned["changes"] is True
    assert workplace.run("apply", "--yes", "--json") == 0
    done = json.loads(capsys.readouterr().out)
    assert done["applied"] == len(done["steps"]) == len(planned["steps"])
    assert done["digest"] == planned["digest"]
    assert workplace.run("plan", "--json") == 0
    assert json.loads(capsys.readouterr().out)["changes"] is False


def test_nobody_to_agree(workplace: Workplace, capsys: pytest.CaptureFixture[str]) -> None:
    assert workplace.run("apply") == 1
    said = capsys.readouterr().err
    assert "--yes" in said
    assert workplace.run("plan") == 2, "nothing was done"
    assert not (workplace.folder / "audit").exists()


def test_leaving_a_cluster_needs_the_word(workplace: Workplace, capsys: pytest.CaptureFixture[str]) -> None:
    assert workplace.run("apply", "--yes") == 0
    workplace.write(namespaces={"sensors": {"replicate_to": ["west"]}, "models": {}})
    assert workplace.run("plan") == 2
    assert "! deletes 1 topics" in capsys.readouterr().out
    assert workplace.run("apply", "--yes") == 1
    assert "--allow-delete" in capsys.readouterr().err
    assert workplace.run("apply", "--yes", "--allow-delete") == 0
    assert workplace.run("plan") == 0


def test_a_dead_cluster_is_named(workplace: Workplace, capsys: pytest.CaptureFixture[str]) -> None:
    path = workplace.folder / "platform.yaml"
    platform = yaml.safe_load(path.read_text())
    platform["clusters"]["east"]["admin_url"] = "http://127.0.0.1:9"
    path.write_text(yaml.safe_dump(platform))
    for verb in (("plan",), ("apply", "--yes")):
        assert workplace.run(*verb) == 1
        assert "cluster east: no answer" in capsys.readouterr().err


def test_an_unknown_tenant_is_told(workplace: Workplace, capsys: pytest.CaptureFixture[str]) -> None:
    assert workplace.run("plan", "nobody", "--json") == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["error"], workplace.tenant in told["mend"]) == ("spec", True)
