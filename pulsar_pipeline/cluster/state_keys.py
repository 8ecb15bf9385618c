"""State keys: random bytes in a file, one per tenant, that authenticate what its functions log of their state.

Only the tenant's instances and who set them up may read one. No error here ever holds a key.
"""

from __future__ import annotations

import secrets
from pathlib import Path

from pulsar_pipeline.errors import TokenError

STATE_KEY_BYTES = 32
"""The least there may be: as many as the HMAC with SHA-256 has itself."""


def state_key_file(folder: Path, tenant: str) -> Path:
    """Where instances look for a tenant's key, in the folder of the functions' tokens."""
    return folder / f"{tenant}.key"


def new_state_key() -> bytes:
    """A random key."""
    return secrets.token_bytes(STATE_KEY_BYTES)


def load_state_key(path: Path) -> bytes:
    """Raises TokenError if the file cannot be read or holds too little."""
    mend = f"pulsar-pipeline token state-key create --out {path}, or bring the tenant's key here if it has one"
    try:
        key = path.read_bytes()
    except OSError as error:
        raise TokenError(f"cannot read the state key: {error.strerror}", where=str(path), mend=mend) from error
    if len(key) < STATE_KEY_BYTES:
        what = f"the state key has {len(key)} bytes; at least {STATE_KEY_BYTES} are needed"
        raise TokenError(what, where=str(path), mend=mend)
    return key
