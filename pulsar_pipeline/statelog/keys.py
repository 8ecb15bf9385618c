"""The key that a partition's log is sealed with. Pure."""

from __future__ import annotations

import hmac


def log_key(tenant_key: bytes, topic: str) -> bytes:
    """The key (32 bytes) of one partition's log; `topic` is the partition's full name. With it, a record that was
    copied out of another log of the tenant is as little believed as a forged one."""
    return hmac.digest(tenant_key, b"pulsar-pipeline state log\0" + topic.encode(), "sha256")
