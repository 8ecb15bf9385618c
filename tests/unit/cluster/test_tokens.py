from __future__ import annotations

import base64
import hmac
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st

from pulsar_pipeline.cluster.tokens import (
    PrivateKey,
    TokenVerifier,
    claims_of,
    load_private_key,
    load_public_key,
    load_secret_key,
    mint,
    new_secret_key,
    role_of,
    unverified_claims,
)
from pulsar_pipeline.errors import TokenError
from pulsar_pipeline.spec.model import TokenVerification

RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
KEY_PAIRS: list[tuple[str, PrivateKey]] = [
    ("RS256", RSA_KEY),
    ("ES256", ec.generate_private_key(ec.SECP256R1())),
    ("ES384", ec.generate_private_key(ec.SECP384R1())),
    ("ES512", ec.generate_private_key(ec.SECP521R1())),
]
ENCODINGS = [serialization.Encoding.PEM, serialization.Encoding.DER]


def write_pair(folder: Path, key: Any, encoding: serialization.Encoding) -> tuple[Path, Path]:
    private, public = folder / "private.key", folder / "public.key"
    private.write_bytes(key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo))
    return private, public


@given(role=st.text(min_size=1, max_size=60), size=st.sampled_from([32, 40, 48, 63, 64, 100]), data=st.data())
def test_what_is_minted_is_believed_by_the_same_secret_only(role: str, size: int, data: st.DataObject) -> None:
    key = data.draw(st.binary(min_size=size, max_size=size))
    other = data.draw(st.binary(min_size=size, max_size=size).filter(lambda it: it.rstrip(b"\0") != key.rstrip(b"\0")))
    token = mint(role, key)
    assert claims_of(token, key) == {"sub": role}
    with pytest.raises(TokenError):
        claims_of(token, other)


@given(text=st.text(max_size=200))
def test_no_text_at_all_is_believed_or_crashes(text: str) -> None:
    with pytest.raises(TokenError):
        claims_of(text, b"k" * 32)


@given(position=st.integers(min_value=0, max_value=200), character=st.sampled_from("AZaz09-_."))
def test_a_changed_token_is_not_believed(position: int, character: str) -> None:
    key = b"k" * 32
    token = mint("acme-app", key)
    place = position % len(token)
    changed = token[:place] + character + token[place + 1 :]
    try:
        role = claims_of(changed, key)
    except TokenError as error:
        assert token not in str(error)
    else:
        # Base64's last characters have bits that mean nothing: the same signature, spelled otherwise.
        assert role == {"sub": "acme-app"}


@pytest.mark.parametrize(("size", "algorithm"), [(32, "HS256"), (48, "HS384"), (64, "HS512")])
def test_minting_uses_the_strongest_that_the_secret_bears(size: int, algorithm: str) -> None:
    assert jwt.get_unverified_header(mint("a", b"k" * size))["alg"] == algorithm


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_every_hmac_is_believed(tmp_path: Path, algorithm: str) -> None:
    file = tmp_path / "key"
    file.write_bytes(b"k" * 64)
    token = jwt.encode({"sub": "acme-app"}, b"k" * 64, algorithm=algorithm)
    assert role_of(token, TokenVerification(secret_key_file=file)) == "acme-app"


@pytest.mark.parametrize(("algorithm", "key"), KEY_PAIRS, ids=[name for name, _ in KEY_PAIRS])
@pytest.mark.parametrize("encoding", ENCODINGS, ids=["PEM", "DER"])
def test_key_pairs(tmp_path: Path, algorithm: str, key: PrivateKey, encoding: serialization.Encoding) -> None:
    private, public = write_pair(tmp_path, key, encoding)
    token = mint("acme-app", load_private_key(private))
    assert jwt.get_unverified_header(token)["alg"] == algorithm
    assert role_of(token, TokenVerification(public_key_file=public)) == "acme-app"


def test_a_public_key_is_never_taken_for_a_secret(tmp_path: Path) -> None:
    _, public = write_pair(tmp_path, RSA_KEY, serialization.Encoding.DER)
    head, body, _ = jwt.encode({"sub": "admin"}, b"k" * 32, algorithm="HS256").split(".")
    signature = hmac.digest(public.read_bytes(), f"{head}.{body}".encode(), "sha256")
    forged = f"{head}.{body}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"
    with pytest.raises(TokenError):
        role_of(forged, TokenVerification(public_key_file=public))


def test_unsigned_tokens_are_not_believed() -> None:
    with pytest.raises(TokenError):
        claims_of(jwt.encode({"sub": "admin"}, None, algorithm="none"), b"k" * 32)


def test_an_expired_token_is_told_as_such() -> None:
    key = new_secret_key()
    token = mint("a", key, valid_for=timedelta(days=1), now=datetime.now(UTC) - timedelta(days=2))
    with pytest.raises(TokenError, match="expired"):
        claims_of(token, key)
    assert claims_of(mint("a", key, valid_for=timedelta(days=1)), key)["sub"] == "a"


def test_a_token_for_later_is_not_believed_yet_but_a_clock_that_runs_ahead_is_forgiven() -> None:
    key, later = new_secret_key(), datetime.now(UTC) + timedelta(hours=1)
    with pytest.raises(TokenError):
        claims_of(jwt.encode({"sub": "a", "nbf": later}, key, algorithm="HS256"), key)
    assert claims_of(jwt.encode({"sub": "a", "iat": later}, key, algorithm="HS256"), key)["sub"] == "a"


@pytest.mark.parametrize(
    ("claims", "claim", "role"),
    [
        ({"sub": "a"}, "sub", "a"),
        ({"sub": "a", "role": "b"}, "role", "b"),
        ({"roles": ["c", "d"]}, "roles", "c"),
        ({"sub": ""}, "sub", None),
        ({"roles": []}, "roles", None),
        ({"role": 7}, "role", None),
        ({"sub": "a"}, "role", None),
        ({}, "sub", None),
    ],
)
def test_the_role_is_the_claim_that_the_platform_says(
    tmp_path: Path, claims: dict[str, Any], claim: str, role: str | None
) -> None:
    file = tmp_path / "key"
    file.write_bytes(b"k" * 32)
    verifier = TokenVerifier(TokenVerification(secret_key_file=file, role_claim=claim))
    token = jwt.encode(claims, b"k" * 32, algorithm="HS256")
    if role is None:
        with pytest.raises(TokenError, match="no role"):
            verifier.role_of(token)
    else:
        assert verifier.role_of(token) == role


def test_a_secret_may_be_written_as_data_url(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("data:;base64," + base64.b64encode(b"k" * 32).decode() + "\n")
    assert load_secret_key(file) == b"k" * 32


@pytest.mark.parametrize("content", [b"", b"short", b"data:;base64,c2hvcnQ=", b"data:;base64,%%%x"])
def test_a_secret_that_is_none_is_told(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "key"
    file.write_bytes(content)
    with pytest.raises(TokenError) as caught:
        load_secret_key(file)
    assert caught.value.where == str(file)


@pytest.mark.parametrize("load", [load_private_key, load_public_key])
def test_a_key_file_that_is_none_is_told(tmp_path: Path, load: Any) -> None:
    for content in (b"", b"nonsense", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"):
        file = tmp_path / "key"
        file.write_bytes(content)
        with pytest.raises(TokenError):
            load(file)
    with pytest.raises(TokenError, match="cannot read"):
        load(tmp_path / "none")


def test_a_key_of_another_kind_is_told(tmp_path: Path) -> None:
    private, public = write_pair(tmp_path, ed25519.Ed25519PrivateKey.generate(), serialization.Encoding.PEM)
    with pytest.raises(TokenError, match="neither"):
        load_private_key(private)
    with pytest.raises(TokenError, match="neither"):
        load_public_key(public)
    with pytest.raises(TokenError, match="no token algorithm"):
        mint("a", ec.generate_private_key(ec.SECP256K1()))


def test_a_private_key_given_as_a_secret_is_told(tmp_path: Path) -> None:
    private, _ = write_pair(tmp_path, RSA_KEY, serialization.Encoding.PEM)
    with pytest.raises(TokenError, match="cannot sign"):
        mint("a", load_secret_key(private))


def test_claims_can_be_shown_without_a_key() -> None:
    assert unverified_claims(mint("a", new_secret_key())) == {"sub": "a"}
    with pytest.raises(TokenError, match="not a token"):
        unverified_claims("nonsense")
