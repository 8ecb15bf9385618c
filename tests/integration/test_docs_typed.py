"""Every command of the documentation, typed as it stands there: a page's blocks in order, on two real clusters.

The conventions of blocks are in `tests/support/pages.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from pulsar_pipeline.cluster.http import AdminHttp
from pulsar_pipeline.errors import ClusterError
from pulsar_pipeline.rollout.worker import FunctionsWorker
from pulsar_pipeline.spec.model import Platform
from tests.support.clusters import given_platform
from tests.support.pages import PAGES, Block, blocks
from tests.support.remove import remove_tenant
from tests.support.workspace import Workspace, assert_printed, assert_same_shape, free_ports

pytestmark = pytest.mark.cluster

NOT_TYPED = {
    "make demo": "CI runs it itself, on clusters of its own; here its end is made by AFTER_DEMO",
    "make test": "it is what runs this",
}

PORTS = ("8000", "8001", "8010")
"""Replaced by free ones: whatever else runs on this machine may have these."""

TENANTS = ("bakery", "waterworks")
"""What the pages declare. On clusters that several sessions share they get names of their own: Pulsar does not
reliably forget a replicated topic that is deleted and created anew."""

AFTER_DEMO = """
. .venv/bin/activate
for tenant in acme globex; do
  pulsar-pipeline token create --role $tenant-functions --out .local/secrets/functions/$tenant.token
  key=.local/secrets/functions/$tenant.key
  [ -e $key ] || pulsar-pipeline token state-key create --out $key
done
pulsar-pipeline token create --role acme-app --out .local/secrets/acme-app.token
pulsar-pipeline apply acme globex --yes
pulsar-pipeline functions deploy acme/failure-risk --slim
for cluster in west:8000 east:8001; do
  pulsar-pipeline serve --cluster ${cluster%:*} --port ${cluster#*:} --folder .local/demo/views &
done
python functions/predictive_maintenance/prepare.py --out .local/demo/events --rows 300
pulsar-pipeline events send acme sensors/readings .local/demo/events/readings.jsonl
pulsar-pipeline events send acme sensors/labels .local/demo/events/labels.jsonl
for port in 8000 8001; do
  until pulsar-pipeline query acme failure-risk mill-01 \
    --url http://127.0.0.1:$port --token-file .local/secrets/acme-app.token; do sleep 0.5; done
done
"""
"""What `make demo` leaves behind, smaller."""

READABLE = [page for page in PAGES if any(block.language == "sh" for block in blocks(page))]


@pytest.fixture(scope="module")
def reader(
    tmp_path_factory: pytest.TempPathFactory, platform_file: Path, platform: Platform, unique: str
) -> Iterator[Workspace]:
    ports = dict(zip(PORTS, map(str, free_ports(len(PORTS))), strict=True))
    shared = given_platform() is not None
    names = {tenant: f"{tenant}{unique}" for tenant in TENANTS} if shared else {}
    workspace = Workspace(tmp_path_factory.mktemp("clone"), platform_file, ports | names)
    try:
        workspace.type(AFTER_DEMO)
        yield workspace
    finally:
        workspace.close()
        if shared:
            _remove(platform, workspace)


def _remove(platform: Platform, workspace: Workspace) -> None:
    """What the pages declared and deployed, as far as the clusters let one."""
    with AdminHttp("west", platform.clusters["west"]) as http, suppress(ClusterError):
        FunctionsWorker(http).delete(workspace.here("waterworks"), "scores", "pressure-watch")  # a failed page left it
    for tenant in TENANTS:
        remove_tenant(platform, workspace.here(tenant))


def typed(block: Block) -> str:
    """The block without the lines that are not typed here."""
    return "\n".join(line for line in block.text.splitlines() if line not in NOT_TYPED)


@pytest.mark.parametrize("page", READABLE, ids=lambda page: page.name)
def test_every_command_of_a_page_does_what_it_says(page: Path, reader: Workspace) -> None:
    last: tuple[str, str] | None = None
    for block in blocks(page):
        match block.language:
            case "sh":
                last = type_block(block, reader)
            case "text" if last is not None and not block.title:
                assert_printed(reader.here(block.text), last[1])
                last = None
            case "json" if last is not None and not block.title:
                assert_same_shape(reader.here(block.text), last[0])
                last = None
            case _ if block.title:
                reader.write(block)


def type_block(block: Block, reader: Workspace) -> tuple[str, str] | None:
    text = typed(block)
    if not text.strip():
        return None
    return reader.type(text, exits=int(block.options.get("exits", 0)), retry="retry" in block.options)


def test_what_is_not_typed_is_still_there() -> None:
    lines = {
        line
        for page in READABLE
        for block in blocks(page)
        if block.language == "sh"
        for line in block.text.splitlines()
    }
    assert lines >= NOT_TYPED.keys()
