"""Keys and tokens of the local clusters, made once: one secret key for all clusters, one superuser token."""

from __future__ import annotations

from pulsar_pipeline.cluster.credentials import private_folder, write_credential
from pulsar_pipeline.cluster.tokens import load_secret_key, mint, new_secret_key
from pulsar_pipeline.local.config import ADMIN_ROLE, Credentials
from pulsar_pipeline.local.layout import Layout


def ensure(layout: Layout) -> Credentials:
    """Make what is missing; keep what is there."""
    private_folder(layout.secrets)
    private_folder(layout.function_tokens)
    if not layout.token_key.exists():
        write_credential(layout.token_key, new_secret_key())
        layout.admin_token.unlink(missing_ok=True)  # signed with a key that is no more
    if not layout.admin_token.exists():
        token = mint(ADMIN_ROLE, load_secret_key(layout.token_key))
        write_credential(layout.admin_token, token.encode())
    return Credentials(layout.token_key, layout.admin_token)
