"""The shapes of the platform file, a tenant spec and a function definition: frozen, strict, no I/O.

Paths inside are as written when a model is built in code; `load.py` resolves them against the file they stand in.
Unknown keys and wrong types are refused by every model.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    StrictBool,
    StrictInt,
    StringConstraints,
    ValidationInfo,
    model_validator,
)

from pulsar_pipeline.names import NAME_PATTERN, TopicName, functions_role
from pulsar_pipeline.spec.source import Source
from pulsar_pipeline.spec.units import Bytes, Seconds

BASE = "base"
"""Key of the validation context: the folder that relative paths start from."""


def _against_base(path: Path, info: ValidationInfo) -> Path:
    base = (info.context or {}).get(BASE)
    return path if base is None else Path(os.path.normpath(base / path))


SpecPath = Annotated[Path, AfterValidator(_against_base)]

Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
Role = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][\w.@:\-]{0,127}$")]
TopicRef = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_\-]*/[a-z0-9][a-z0-9_\-]*$")]
"""`NAMESPACE/TOPIC` within the tenant."""

Action = Literal["produce", "consume", "functions", "sources", "sinks", "packages"]
Compatibility = Literal[
    "backward",
    "forward",
    "full",
    "backward_transitive",
    "forward_transitive",
    "full_transitive",
    "always_compatible",
    "always_incompatible",
]
Guarantee = Literal["exactly_once", "at_least_once", "at_most_once"]
OnError = Literal["dead_letter", "stop"]


class Model(BaseModel):
    """Frozen and strict about keys; every spec model is one."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Root(Model):
    """What a whole file holds."""

    _source: Source = PrivateAttr(default_factory=Source)

    @property
    def source(self) -> Source:
        """Where it was read, for errors with a line; empty for a model built in code."""
        return self._source

    def remember(self, source: Source) -> None:
        """For the loader."""
        self._source = source


# ── platform file ─────────────────────────────────────────────────────────────────────────────


class Auth(Model):
    """How the product authenticates to a cluster: a JWT in a file, read anew at each use."""

    token_file: SpecPath


class Tls(Model):
    """Trust for `https://` and `pulsar+ssl://` URLs."""

    trust_certs_file: SpecPath | None = None
    verify_hostname: StrictBool = True


class TokenVerification(Model):
    """How the query API believes a token: the same key that the brokers use. Exactly one is set."""

    secret_key_file: SpecPath | None = None
    public_key_file: SpecPath | None = None
    role_claim: str = "sub"

    @model_validator(mode="after")
    def _exactly_one(self) -> TokenVerification:
        if (self.secret_key_file is None) == (self.public_key_file is None):
            raise ValueError("set exactly one of secret_key_file and public_key_file")
        return self


class PeerUrls(Model):
    """URLs under which the *other* clusters reach this one, where they differ from ours."""

    admin_url: str
    broker_url: str


class Cluster(Model):
    """One Pulsar cluster of the platform."""

    admin_url: Annotated[str, StringConstraints(pattern=r"^https?://")]
    broker_url: Annotated[str, StringConstraints(pattern=r"^pulsar(\+ssl)?://")]
    peers_use: PeerUrls | None = None
    auth: Auth | None = None
    tls: Tls = Tls()
    tokens: TokenVerification | None = None


class Platform(Root):
    """The platform file: every cluster by name."""

    clusters: dict[Name, Cluster] = Field(min_length=1)


# ── tenant spec ───────────────────────────────────────────────────────────────────────────────


class Retention(Model):
    """How long messages stay after every subscription has acknowledged them."""

    time: Seconds = 0
    size: Bytes = 0


class BacklogQuota(Model):
    """How much unacknowledged data a topic may hold, and what happens beyond."""

    size: Bytes = -1
    time: Seconds = -1
    policy: Literal["producer_request_hold", "producer_exception", "consumer_backlog_eviction"] = (
        "producer_request_hold"
    )


class PublishRate(Model):
    """Most messages and bytes a second, per topic; -1 is unlimited."""

    messages: Annotated[StrictInt, Field(ge=-1)] = -1
    size: Bytes = -1


class SchemaPolicy(Model):
    """What the broker holds producers to."""

    compatibility: Compatibility = "full_transitive"
    enforce: StrictBool = True


class Namespace(Model):
    """Policies of one namespace. Topics are never created on their own (auto-creation is off)."""

    replicate_to: tuple[Name, ...] | None = None
    """Clusters that hold it; the tenant's clusters by default."""
    retention: Retention = Retention()
    ttl: Seconds | None = None
    backlog_quota: BacklogQuota | None = None
    compaction_threshold: Bytes | None = None
    deduplication: StrictBool | None = None
    """Whether brokers drop what a producer sends again; by default only where an exactly-once deployment writes."""
    schemas: SchemaPolicy = Field(default=SchemaPolicy(), alias="schema")
    publish_rate: PublishRate | None = None
    permissions: dict[Role, tuple[Action, ...]] = {}


class Topic(Model):
    """One partitioned topic of Avro records."""

    partitions: Annotated[StrictInt, Field(ge=1, le=1024)]
    schema_file: SpecPath = Field(alias="schema")
    """An `.avsc` file (`NAME.vN.avsc`), relative to the tenant spec."""
    key: str | None = None
    """Field of the record that becomes the message key, and so decides the partition."""
    event_time: str | None = None
    """Field with the event's time: an Avro `timestamp-millis`/`timestamp-micros` or ISO 8601 text."""


class Retry(Model):
    """How often an event is tried whose function raises a transient error; the others wait for it meanwhile."""

    attempts: Annotated[StrictInt, Field(ge=1, le=1000)] = 5
    """The first included."""
    longest_wait: Seconds = 10
    """Waits between attempts begin with 0.1 s and double up to this."""


class Deployment(Model):
    """A function under a name and config of the tenant."""

    function: Name
    """Folder under `functions/`."""
    namespace: Name
    """Namespace that holds the Pulsar function, its dead-letter topic and its log topic."""
    inputs: dict[Name, TopicRef] = Field(min_length=1)
    """The function's input name → the tenant's topic."""
    output: TopicRef | None = None
    late: TopicRef | None = None
    """Where events go that come too late for the function's windows: a topic with an input's schema. By default they
    are only counted."""
    parallelism: Annotated[StrictInt, Field(ge=1)] = 1
    guarantee: Guarantee = "exactly_once"
    """What holds after a crash. `exactly_once`: each event has affected the state once, and has its output once in
    every view. `at_least_once`: some events may count, and give their outputs, again. `at_most_once`: some may not."""
    config: dict[str, Any] = {}
    """Handed to the function as its user config, over the function's own defaults."""
    event_timeout: Seconds = 30
    """A `process` call that takes longer counts as hung: the event is dead-lettered, the instance restarts."""
    retry: Retry = Retry()
    """For errors that pass: TransientError, and those the function's class names as `transient`."""
    on_error: OnError = "dead_letter"
    """What becomes of an event that fails for good. `dead_letter`: it is set aside, the next one goes on. `stop`: the
    partition stops there, `functions status` says why, and goes on from that event when the instance starts anew."""
    concurrency: Annotated[StrictInt, Field(ge=1, le=10_000)] = 100
    """Most events an instance has in work at once, where the function's `process` is asynchronous."""
    logs: StrictBool = True
    """Whether the instances' log lines (text) go to a topic of their own, `NAME-logs` in the namespace, which apply
    makes; they are in files on the functions worker's machine either way."""


class View(Model):
    """A deployment whose latest prediction per entity is served over HTTP under the view's name."""

    deployment: Name


class Api(Model):
    """Who may query the tenant's views over HTTP (and consume its predictions)."""

    roles: tuple[Role, ...] = ()


class Tenant(Root):
    """One tenant spec file."""

    tenant: Name
    admin_roles: tuple[Role, ...] = ()
    clusters: tuple[Name, ...] = Field(min_length=1)
    """Clusters the tenant may use."""
    home: Name
    """The one cluster where its functions run."""
    namespaces: dict[Name, Namespace] = Field(min_length=1)
    topics: dict[TopicRef, Topic] = {}
    deployments: dict[Name, Deployment] = {}
    views: dict[Name, View] = {}
    api: Api = Api()

    def topic_name(self, ref: str) -> TopicName:
        """The full name of a `NAMESPACE/TOPIC` reference."""
        namespace, _, topic = ref.partition("/")
        return TopicName(self.tenant, namespace, topic)

    def clusters_of(self, namespace: str) -> tuple[str, ...]:
        """Clusters that hold a namespace."""
        declared = self.namespaces[namespace].replicate_to
        return self.clusters if declared is None else declared

    @property
    def exactly_once(self) -> dict[str, Deployment]:
        """The deployments with this guarantee, by name."""
        return {name: each for name, each in self.deployments.items() if each.guarantee == "exactly_once"}

    @property
    def written_exactly_once(self) -> dict[str, tuple[str, ...]]:
        """Namespaces that hold outputs of exactly-once deployments → the names of these deployments."""
        found: dict[str, tuple[str, ...]] = {}
        for name, deployment in self.exactly_once.items():
            if deployment.output is not None:
                namespace = deployment.output.partition("/")[0]
                found[namespace] = (*found.get(namespace, ()), name)
        return found

    @property
    def deduplicated(self) -> frozenset[str]:
        """Namespaces of outputs, dead letters and late events of exactly-once deployments: brokers have to drop repeats
        there."""
        late = {each.late.partition("/")[0] for each in self.exactly_once.values() if each.late is not None}
        return frozenset(self.written_exactly_once) | {each.namespace for each in self.exactly_once.values()} | late

    @property
    def functions_role(self) -> str:
        """Role under which the tenant's functions connect."""
        return functions_role(self.tenant)


# ── function definition (functions/NAME/function.yaml) ────────────────────────────────────────


class FunctionInput(Model):
    """One named input: the schema the function reads with."""

    schema_file: SpecPath = Field(alias="schema")


class FunctionOutput(Model):
    """The function's output: its schema and which fields become message key and event time."""

    schema_file: SpecPath = Field(alias="schema")
    key: str | None = None
    """Field that becomes the message key; the input's key by default."""


class FunctionDefinition(Root):
    """What a function is, whoever deploys it."""

    name: Name
    description: str
    class_name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][\w.]*\.[A-Za-z_]\w*$")] = Field(alias="class")
    """`module.Class` within the function's folder."""
    inputs: dict[Name, FunctionInput] = Field(min_length=1)
    output: FunctionOutput | None = None
    config: dict[str, Any] = {}
    """Defaults of the user config."""
    sample: SpecPath | None = None
    """JSON lines `{"input": NAME, "event": {…}}` the package build runs the function on."""
