"""The ground of the fault tests: tenants whose deployments of the ledger are each one history's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pulsar_pipeline.package.build import BuiltPackage
from pulsar_pipeline.spec.load import load_platform
from pulsar_pipeline.spec.model import Platform
from tests.support.clusters import Restartable, Tokens
from tests.support.deployed import apply_tenant, build
from tests.support.ground import Ground, ledger_tenant

Make = Callable[[str, list[str]], Ground]


@pytest.fixture(scope="session")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> BuiltPackage:
    return build("ledger", tmp_path_factory.mktemp("ledger"))


@pytest.fixture(scope="module")
def ground(
    platform: Platform, tokens: Tokens, unique: str, ledger: BuiltPackage, tmp_path_factory: pytest.TempPathFactory
) -> Make:
    """A ground by the name of its tenant, with these deployments; made at first use."""
    return _maker(platform, tokens, unique, ledger, tmp_path_factory.mktemp("ground"), None)


@pytest.fixture(scope="module")
def shaky_ground(unique: str, ledger: BuiltPackage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Make]:
    """The same on a cluster of its own, whose broker may be ended."""
    folder = tmp_path_factory.mktemp("shaky")
    cluster = Restartable(folder / "local", "west")
    try:
        file = cluster.platform_file
        yield _maker(load_platform(file), Tokens(file), unique, ledger, folder / "ground", cluster)
    finally:
        cluster.stop()


def _maker(
    platform: Platform, tokens: Tokens, unique: str, package: BuiltPackage, folder: Path, broker: Restartable | None
) -> Make:
    made: dict[str, Ground] = {}

    def make(name: str, deployments: list[str]) -> Ground:
        if name not in made:
            tenant = ledger_tenant(f"{name}-{unique}", deployments)
            apply_tenant(platform, tenant)
            token = tokens.give_to_functions(tenant.tenant)
            made[name] = Ground(platform, tenant, package, token.parent, folder / name, broker)
        return made[name]

    return make
