"""Where a message stands in its partition, and the opaque token a reader of the API gets for it. Pure."""

from __future__ import annotations

from typing import NamedTuple

TOKEN_VERSION = "v1"


class Position(NamedTuple):
    """A message's place in one partition in one cluster; positions of a partition compare in the order of the log.

    `batch` is the index within a batched entry, -1 for an entry that is no batch. Ids differ between clusters.
    """

    ledger: int
    entry: int
    batch: int


NOWHERE = Position(-1, -1, -1)
"""Before the first message."""


def token(cluster: str, partition: int, position: Position) -> str:
    """`v1.CLUSTER.PARTITION.LEDGER.ENTRY.BATCH`: opaque to clients; equal tokens mean the same message."""
    return f"{TOKEN_VERSION}.{cluster}.{partition}.{position.ledger}.{position.entry}.{position.batch}"


def parse_token(text: str) -> tuple[str, int, Position]:
    """Cluster, partition and position of a token. Raises ValueError on anything else."""
    version, _, rest = text.partition(".")
    parts = rest.split(".")
    if version != TOKEN_VERSION or len(parts) != 5:
        raise ValueError(f"not a position: {text!r}")
    cluster, partition, ledger, entry, batch = parts
    return cluster, int(partition), Position(int(ledger), int(entry), int(batch))
