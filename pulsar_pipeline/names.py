"""Identifiers: Pulsar topics, deployments and the names derived from them. Pure; no I/O."""

from __future__ import annotations

import re
from dataclasses import dataclass

NAME_PATTERN = r"^[a-z0-9][a-z0-9_\-]{0,62}$"
"""Tenants, namespaces, topics, clusters and deployments: safe in URLs, file names and Pulsar."""

PARTITION_SUFFIX = "-partition-"

STATE_NAMESPACE = "_state"
"""Namespace of a tenant's state logs; a declared namespace cannot have this name, for none starts with `_`."""

STATE_SUBSCRIPTION = "owner"
"""Durable subscription on every state log: what it has not acknowledged no broker deletes."""

_NAME = re.compile(NAME_PATTERN)
_TOPIC = re.compile(r"^(?:persistent://)?([^/]+)/([^/]+)/([^/]+?)(?:-partition-(\d+))?$")


def is_name(text: str) -> bool:
    """True for a name every part of the platform accepts."""
    return _NAME.match(text) is not None


@dataclass(frozen=True, slots=True, order=True)
class TopicName:
    """A persistent topic, without its partition."""

    tenant: str
    namespace: str
    topic: str

    def __str__(self) -> str:
        return f"persistent://{self.tenant}/{self.namespace}/{self.topic}"

    @property
    def path(self) -> str:
        """`tenant/namespace/topic`, as the admin REST API wants it after `persistent/`."""
        return f"{self.tenant}/{self.namespace}/{self.topic}"

    def partition(self, index: int) -> str:
        """Full name of one partition, which Pulsar treats as a topic of its own."""
        return f"{self}{PARTITION_SUFFIX}{index}"


def parse_topic(text: str) -> tuple[TopicName, int | None]:
    """Split a full or short topic name into the topic and its partition (None for a whole topic).

    Raises ValueError for anything else.
    """
    match = _TOPIC.match(text)
    if match is None:
        raise ValueError(f"not a topic name: {text!r} (expected persistent://tenant/namespace/topic)")
    tenant, namespace, topic, partition = match.groups()
    return TopicName(tenant, namespace, topic), None if partition is None else int(partition)


@dataclass(frozen=True, slots=True, order=True)
class DeploymentName:
    """A function under a tenant's name; `TENANT/NAME` on the command line."""

    tenant: str
    name: str

    def __str__(self) -> str:
        return f"{self.tenant}/{self.name}"

    @classmethod
    def parse(cls, text: str) -> DeploymentName:
        """From `TENANT/NAME`; ValueError otherwise."""
        tenant, slash, name = text.partition("/")
        if not slash or not is_name(tenant) or not is_name(name):
            raise ValueError(f"not a deployment: {text!r} (expected TENANT/NAME)")
        return cls(tenant, name)


def dead_letter_topic(tenant: str, namespace: str, deployment: str) -> TopicName:
    """Where a deployment's undecodable, invalid and failing events go."""
    return TopicName(tenant, namespace, f"{deployment}-dead-letters")


DEAD_LETTERS_SUBSCRIPTION = "dead-letters"
"""On a deployment's dead-letter topic, in its home cluster: what is not acknowledged here waits for somebody."""


def logs_topic(tenant: str, namespace: str, deployment: str) -> TopicName:
    """What a deployment's instances log: text, one partition."""
    return TopicName(tenant, namespace, f"{deployment}-logs")


def state_topic(tenant: str, deployment: str) -> TopicName:
    """The state log of an exactly-once deployment; partition p is that of partition p of its inputs."""
    return TopicName(tenant, STATE_NAMESPACE, f"{deployment}-state")


def subscription(deployment: str) -> str:
    """Name of a deployment's durable subscription on each of its inputs."""
    return f"function-{deployment}"


def functions_role(tenant: str) -> str:
    """Role under which a tenant's functions connect to Pulsar."""
    return f"{tenant}-functions"


def owned_partitions(partitions: int, parallelism: int, instance: int) -> list[int]:
    """The partitions of every input that one instance owns: p with p mod parallelism = instance."""
    return list(range(instance, partitions, parallelism))


def java_string_hash(text: str) -> int:
    """`text.hashCode() & Integer.MAX_VALUE` of Java, over UTF-16 code units: what keys get their partitions by."""
    value = 0
    units = text.encode("utf-16-be", "surrogatepass")
    for high, low in zip(units[::2], units[1::2], strict=True):
        value = (31 * value + (high << 8 | low)) & 0xFFFFFFFF
    return value & 0x7FFFFFFF
