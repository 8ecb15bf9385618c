"""The ground of the fault tests: tenants whose deployments of the ledger are each one history's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pulsar_pipeline.spec.model import Platform
from tests.support.clusters import Tokens
from tests.support.deployed import apply_tenant, build
from tests.support.histories import Ground, ledger_tenant


@pytest.fixture(scope="module")
def ground(
    platform: Platform, tokens: Tokens, unique: str, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str, list[str]], Ground]:
    """A ground by the name of its tenant, with these deployments; made at first use."""
    folder: Path = tmp_path_factory.mktemp("ledger")
    package = build("ledger", folder)
    made: dict[str, Ground] = {}

    def make(name: str, deployments: list[str]) -> Ground:
        if name not in made:
            tenant = ledger_tenant(f"{name}-{unique}", deployments)
            apply_tenant(platform, tenant)
            token = tokens.give_to_functions(tenant.tenant)
            made[name] = Ground(platform, tenant, package, token.parent, folder / name)
        return made[name]

    return make
