"""Free TCP ports for the local clusters, kept in a file so that a cluster has the same ports at its next start."""

from __future__ import annotations

import json
import random
import socket
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from pulsar_pipeline.errors import LocalError

HOST = "127.0.0.1"
RANGE = range(20_000, 32_000)
"""Below the ports that systems hand out for outgoing connections, so that none of those sits on ours at a restart."""


@dataclass(frozen=True, slots=True)
class Ports:
    """One cluster's ports."""

    admin: int
    broker: int
    bookie: int

    @property
    def admin_url(self) -> str:
        return f"http://{HOST}:{self.admin}"

    @property
    def broker_url(self) -> str:
        return f"pulsar://{HOST}:{self.broker}"


def is_free(port: int) -> bool:
    """True if a server can listen on the port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as Netty does: TIME_WAIT is no conflict
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def choose(taken: Collection[int], *, free: Callable[[int], bool] = is_free, picker: random.Random) -> Ports:
    """Three free ports outside `taken`. Raises LocalError when there are none."""
    chosen: list[int] = []
    for port in picker.sample(RANGE, len(RANGE)):
        if port not in taken and free(port):
            chosen.append(port)
        if len(chosen) == len(fields(Ports)):
            return Ports(*chosen)
    raise LocalError(f"no free ports between {RANGE.start} and {RANGE.stop}")


def mend(
    name: str, ports: Ports, taken: Collection[int], *, free: Callable[[int], bool] = is_free, picker: random.Random
) -> tuple[Ports, dict[str, tuple[int, int]]]:
    """The ports to start a stopped cluster on, and what had to move: `{role: (old, new)}`.

    The bookie's port is its identity in the ledgers' metadata and cannot move: LocalError if something else has it.
    """
    if not free(ports.bookie):
        raise LocalError(
            f"another process listens on port {ports.bookie}, which this cluster's stored data is bound to",
            where=f"cluster {name}",
            mend="stop that process, or give the data up with `pulsar-pipeline local reset`",
        )
    busy = [role for role in ("admin", "broker") if not free(getattr(ports, role))]
    if not busy:
        return ports, {}
    fresh = choose({*taken, *asdict(ports).values()}, free=free, picker=picker)
    moved = {role: (getattr(ports, role), getattr(fresh, role)) for role in busy}
    return replace(ports, **{role: new for role, (_, new) in moved.items()}), moved


def load(path: Path) -> Ports | None:
    """The ports in a file, None if there is none yet. Raises LocalError if it is damaged."""
    try:
        return Ports(**json.loads(path.read_text()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise LocalError(
            "the ports file is damaged", where=str(path), mend="`pulsar-pipeline local reset` starts afresh"
        ) from error


def save(path: Path, ports: Ports) -> None:
    path.write_text(json.dumps(asdict(ports), indent=2) + "\n")
