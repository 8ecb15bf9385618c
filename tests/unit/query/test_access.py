from __future__ import annotations

import pytest

from pulsar_pipeline.cluster.tokens import TokenVerifier, mint, new_secret_key
from pulsar_pipeline.errors import NotFound, Unauthenticated
from pulsar_pipeline.query import access
from pulsar_pipeline.query.access import Authenticator, Catalogue
from pulsar_pipeline.spec.model import TokenVerification
from tests.support.api import tenant
from tests.support.clocks import FakeClock


class CountingVerifier(TokenVerifier):
    checked = 0

    def role_of(self, token):
        self.checked += 1
        return super().role_of(token)


@pytest.fixture
def key():
    return new_secret_key()


@pytest.fixture
def verifier(key, tmp_path):
    file = tmp_path / "key"
    file.write_bytes(key)
    return CountingVerifier(TokenVerification(secret_key_file=file))


def test_a_believed_token_is_not_checked_again_until_it_expires(key, verifier):
    import jwt

    clock = FakeClock(now_ms=4_000_000_000_000)
    token = jwt.encode({"sub": "app", "exp": 4_000_000_060}, key, "HS256")
    authenticator = Authenticator(verifier, clock)
    assert [authenticator.role(f"Bearer {token}") for _ in range(3)] == ["app"] * 3
    assert verifier.checked == 1
    clock.advance(60_000)
    authenticator.role(f"Bearer {token}")
    assert verifier.checked == 2


def test_a_token_that_is_not_believed_is_checked_each_time(verifier):
    authenticator = Authenticator(verifier, FakeClock())
    for _ in range(2):
        with pytest.raises(Unauthenticated):
            authenticator.role("Bearer forged")
    assert verifier.checked == 2


def test_no_more_tokens_are_remembered_than_there_is_room_for(key, verifier, monkeypatch):
    monkeypatch.setattr(access, "REMEMBERED", 2)
    authenticator = Authenticator(verifier, FakeClock())
    for role in ("a", "b", "c", "a"):
        assert authenticator.role(f"bearer {mint(role, key)}") == role
    assert verifier.checked == 4


def test_a_tenant_without_views_is_seen_by_its_own_roles_only():
    catalogue = Catalogue([tenant("empty")], [], frozenset({"sre"}))
    assert catalogue.models("empty-admin", "empty") == []
    assert catalogue.models("sre", "empty") == []
    for role in ("empty-reader", "other-admin"):
        with pytest.raises(NotFound):
            catalogue.models(role, "empty")
