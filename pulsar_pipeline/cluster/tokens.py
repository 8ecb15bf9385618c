"""JSON Web Tokens as Pulsar believes them: make keys, mint tokens, tell the role of one.

Keys are files. A secret key (HS256/384/512) is its raw bytes, as Pulsar's own tools write it, or `data:;base64,…`.
Key pairs (RS256/384/512, ES256/384/512) are PEM or DER. No error here ever holds a token or a key.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.types import Options

from pulsar_pipeline.errors import TokenError
from pulsar_pipeline.spec.model import TokenVerification

PrivateKey: TypeAlias = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
PublicKey: TypeAlias = rsa.RSAPublicKey | ec.EllipticCurvePublicKey
SigningKey: TypeAlias = bytes | PrivateKey
CheckingKey: TypeAlias = bytes | PublicKey

_SECRET_KEY_BYTES = 32
_HMAC = ("HS256", "HS384", "HS512")
_RSA = ("RS256", "RS384", "RS512")
_ELLIPTIC = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
_CHECKS: Options = {"verify_aud": False, "verify_iat": False}
"""Pulsar checks signature, expiry and not-before; so do we, no more and no less."""


def new_secret_key() -> bytes:
    """A random key, long enough for HS256."""
    return secrets.token_bytes(_SECRET_KEY_BYTES)


def load_secret_key(path: Path) -> bytes:
    """Raises TokenError if the file cannot be read or holds too little."""
    key = _read(path)
    if key.startswith(b"data:"):
        try:
            key = base64.b64decode(key.partition(b",")[2], validate=False)
        except binascii.Error as error:
            raise TokenError("the key after `data:` is not base64", where=str(path)) from error
    if len(key) < _SECRET_KEY_BYTES:
        raise TokenError(
            f"the secret key has {len(key)} bytes; Pulsar needs at least {_SECRET_KEY_BYTES}",
            where=str(path),
            mend="make one with `pulsar-pipeline token key create`",
        )
    return key


def load_private_key(path: Path) -> PrivateKey:
    """An RSA or elliptic-curve private key, PEM or DER (PKCS 8). Raises TokenError for anything else."""
    content = _read(path)
    load = serialization.load_pem_private_key if content.startswith(b"-----") else serialization.load_der_private_key
    try:
        key = load(content, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise TokenError("not an unencrypted private key in PEM or DER", where=str(path)) from error
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise TokenError("neither an RSA nor an elliptic-curve key", where=str(path))
    return key


def load_public_key(path: Path) -> PublicKey:
    """An RSA or elliptic-curve public key, PEM or DER (X.509). Raises TokenError for anything else."""
    content = _read(path)
    load = serialization.load_pem_public_key if content.startswith(b"-----") else serialization.load_der_public_key
    try:
        key = load(content)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise TokenError("not a public key in PEM or DER", where=str(path)) from error
    if not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        raise TokenError("neither an RSA nor an elliptic-curve key", where=str(path))
    return key


def mint(role: str, key: SigningKey, *, valid_for: timedelta | None = None, now: datetime | None = None) -> str:
    """A token for `role`, for ever or for as long as `valid_for` says. Raises TokenError for a key of no use."""
    claims: dict[str, Any] = {"sub": role}
    if valid_for is not None:
        claims["exp"] = (now or datetime.now(UTC)) + valid_for
    try:
        return jwt.encode(claims, key, algorithm=_algorithms(key)[0])
    except jwt.InvalidKeyError as error:
        raise TokenError(f"the key cannot sign tokens: {error}") from None


def claims_of(token: str, key: CheckingKey) -> dict[str, Any]:
    """The claims of a token that was signed with the key and is valid now. Raises TokenError otherwise."""
    try:
        return dict(jwt.decode(token, key, algorithms=_algorithms(key), options=_CHECKS))
    except jwt.ExpiredSignatureError as error:
        raise TokenError("the token has expired", mend="make a new one with `pulsar-pipeline token create`") from error
    except jwt.InvalidSignatureError:
        raise TokenError("the token is signed with another key") from None
    except jwt.PyJWTError as error:
        raise TokenError(f"not a valid token ({type(error).__name__})") from None


def unverified_claims(token: str) -> dict[str, Any]:
    """What a token says of itself, believed or not; for showing, never for deciding. Raises TokenError."""
    try:
        return dict(jwt.decode(token, options={"verify_signature": False}))
    except jwt.PyJWTError as error:
        raise TokenError(f"not a token ({type(error).__name__})") from None


class TokenVerifier:
    """Believes tokens by one key, read when this is made."""

    def __init__(self, verification: TokenVerification) -> None:
        """Raises TokenError if the key cannot be read."""
        self._role_claim = verification.role_claim
        self._key: CheckingKey
        if verification.secret_key_file is not None:
            self._key = load_secret_key(verification.secret_key_file)
        elif verification.public_key_file is not None:
            self._key = load_public_key(verification.public_key_file)
        else:
            raise TokenError("no key to believe tokens by")

    def role_of(self, token: str) -> str:
        """The role a token stands for. Raises TokenError for one that is not to be believed."""
        return _role(claims_of(token, self._key), self._role_claim)


def role_of(token: str, verification: TokenVerification) -> str:
    """`TokenVerifier(verification).role_of(token)`, reading the key anew."""
    return TokenVerifier(verification).role_of(token)


def _role(claims: Mapping[str, Any], claim: str) -> str:
    role = claims.get(claim)
    if isinstance(role, list) and role:  # as Pulsar does: the first of several
        role = role[0]
    if not isinstance(role, str) or not role:
        raise TokenError(f"the token names no role (claim {claim!r})")
    return role


def _algorithms(key: SigningKey | CheckingKey) -> Sequence[str]:
    """The algorithms a key may be used with: never one of another kind of key. The first is for minting."""
    match key:
        case bytes():
            possible = [name for name in _HMAC if len(key) * 8 >= int(name[2:])]
            return possible[::-1]
        case rsa.RSAPrivateKey() | rsa.RSAPublicKey():
            return _RSA
        case _:
            name = _ELLIPTIC.get(key.curve.name)
            if name is None:
                raise TokenError(f"no token algorithm for the curve {key.curve.name}")
            return (name,)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise TokenError(f"cannot read the key: {error.strerror}", where=str(path)) from error
