"""Fixtures for all tests. Clusters start only when a test asks for them, once per session, and are always stopped."""

from __future__ import annotations

import secrets
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from pulsar_pipeline.cluster.connect import read_token
from pulsar_pipeline.spec.load import load_platform
from pulsar_pipeline.spec.model import Platform
from tests.support.clusters import Tokens, given_platform, running

# A busy machine is no finding: examples may take as long as they need.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


def pytest_configure() -> None:
    """A terminated run tears its fixtures down as an interrupted one does: no cluster outlives it."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.fixture(scope="session")
def platform_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Platform file of two running clusters, `west` and `east`."""
    given = given_platform()
    if given is not None:
        yield given
        return
    with running(tmp_path_factory.mktemp("local"), ("west", "east")) as path:
        yield path


@pytest.fixture(scope="session")
def platform(platform_file: Path) -> Platform:
    """Two running clusters, `west` and `east`, with the superuser's token."""
    return load_platform(platform_file)


@pytest.fixture(scope="session")
def admin_token(platform_file: Path) -> str:
    """The superuser's token, for either cluster."""
    return read_token(platform_file.parent / "secrets" / "admin.token")


@pytest.fixture(scope="session")
def tokens(platform_file: Path) -> Tokens:
    """Makes tokens that both clusters believe."""
    return Tokens(platform_file)


@pytest.fixture(scope="session")
def unique() -> str:
    """A short suffix for tenants and the like, so that sessions that share clusters do not meet."""
    return secrets.token_hex(3)
