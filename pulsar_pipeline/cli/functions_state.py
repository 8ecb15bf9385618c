"""`functions state [show]|export|import|trim`: what a deployment has learned, to be seen, taken out and put back."""

from __future__ import annotations

import base64
import os
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import pulsar
import typer
from typer.core import TyperGroup

from pulsar_pipeline.cli.lookup import Home, cluster_named, deployment_of, home_of, tenant_spec
from pulsar_pipeline.cli.options import DeploymentArgument, PlatformOption, TenantsOption, YesOption
from pulsar_pipeline.cli.output import JsonOption, agree, err, out, print_json, print_rows
from pulsar_pipeline.clock import SystemClock
from pulsar_pipeline.cluster.connect import open_client
from pulsar_pipeline.cluster.http import AdminHttp
from pulsar_pipeline.cluster.state_keys import load_state_key, state_key_file
from pulsar_pipeline.errors import QueryError, RolloutError, StateLogError
from pulsar_pipeline.names import DeploymentName, TopicName, state_topic, subscription
from pulsar_pipeline.rollout.functions_config import input_partitions
from pulsar_pipeline.runtime.guarantees.pieces import take
from pulsar_pipeline.settings import Settings
from pulsar_pipeline.spec.load import load_platform
from pulsar_pipeline.spec.model import Deployment, Tenant
from pulsar_pipeline.state.archive import Header
from pulsar_pipeline.state.arriving import How, Target, check, import_state, open_archive, positions_in
from pulsar_pipeline.state.kinds import Kind, kind_of, name_of
from pulsar_pipeline.state.leaving import export_state
from pulsar_pipeline.state.pickled import class_of
from pulsar_pipeline.state.reading import read_partition
from pulsar_pipeline.state.rewind import rewind
from pulsar_pipeline.state.trimming import trim_partition
from pulsar_pipeline.statelog.fold import Fold

_DEFAULT = "show"

KeyFileOption = Annotated[
    Path | None,
    typer.Option(
        "--key-file",
        metavar="FILE",
        help="The tenant's state key.",
        show_default="TENANT.key in $PULSAR_PIPELINE_FUNCTION_TOKENS, or in secrets/functions beside the platform file",
    ),
]
ClusterOption = Annotated[
    str | None, typer.Option("--cluster", help="Read the copy of this cluster.", show_default="the tenant's home")
]
KeyOption = Annotated[
    str | None, typer.Option("--key", metavar="KEY", help="Show the values of one key, as the function names it.")
]
LimitOption = Annotated[int, typer.Option("--limit", min=0, help="Keys to list at most for each partition.")]
OutOption = Annotated[Path, typer.Option("--out", metavar="FILE", help="Where to write it.")]
FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="What `functions state export` wrote.")]
FileKeyOption = Annotated[
    Path | None,
    typer.Option(
        "--file-key",
        metavar="FILE",
        help="The state key of the tenant that the file was exported from.",
        show_default="the tenant's own",
    ),
]
StateOnlyOption = Annotated[
    bool,
    typer.Option(
        "--state-only",
        help="Take the state without positions in inputs and outputs: for another deployment or cluster.",
    ),
]
ByKeyOption = Annotated[
    bool,
    typer.Option("--by-key", help="Move each key to the partition of its messages: for another number of partitions."),
]
SeparatorOption = Annotated[
    str | None,
    typer.Option(
        "--separator",
        metavar="TEXT",
        help="With --by-key: in keys of put_state and counters, the message key follows the first TEXT.",
    ),
]


class _ShowByDefault(TyperGroup):
    """`state TENANT/NAME` is `state show TENANT/NAME`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] != "--help":
            args = [_DEFAULT, *args]
        return super().parse_args(ctx, args)


def register(functions: typer.Typer) -> None:
    state = typer.Typer(
        name="state",
        cls=_ShowByDefault,
        help="What a deployment has learned: see it (`state TENANT/NAME`), export it, import it.",
        no_args_is_help=True,
    )
    state.command(
        _DEFAULT,
        epilog="Examples: `pulsar-pipeline functions state show acme/failure-risk` · "
        "`… state show acme/failure-risk --key models/M14860 --json`",
    )(show)
    state.command(
        "export", epilog="Example: `pulsar-pipeline functions state export acme/failure-risk --out risk.state`"
    )(export)
    state.command(
        "import", epilog="Example: `pulsar-pipeline functions state import acme/failure-risk risk.state --yes`"
    )(import_)
    state.command("trim", epilog="Example: `pulsar-pipeline functions state trim acme/failure-risk --cluster east`")(
        trim
    )
    functions.add_typer(state)


@dataclass(frozen=True)
class _State:
    """Where a deployment's state is, and what opens it."""

    name: DeploymentName
    tenant: Tenant
    declared: Deployment
    cluster: str
    client: pulsar.Client
    key: bytes
    topic: TopicName
    partitions: int


@contextmanager
def _opened(
    name: DeploymentName, platform: Path, tenants: Path, key_file: Path | None, cluster: str | None
) -> Iterator[_State]:
    tenant = tenant_spec(tenants, name.tenant)
    declared = deployment_of(tenant, name.name)
    if declared.guarantee != "exactly_once":
        raise RolloutError(
            f"it keeps no state: its guarantee is {declared.guarantee}",
            where=str(name),
            mend="only `guarantee: exactly_once` keeps state beyond the life of an instance",
        )
    place = cluster or tenant.home
    if place not in tenant.clusters:
        raise RolloutError(
            f"{name.tenant} is not in cluster {place}", where=str(name), mend=f"it is in {', '.join(tenant.clusters)}"
        )
    key = load_state_key(key_file or _default_key(platform, name.tenant))
    with closing(open_client(cluster_named(load_platform(platform), place, platform))) as client:
        topic = state_topic(name.tenant, name.name)
        yield _State(name, tenant, declared, place, client, key, topic, input_partitions(tenant, declared))


def _default_key(platform: Path, tenant: str) -> Path:
    return state_key_file(Settings().function_tokens or platform.parent / "secrets" / "functions", tenant)


# ── show ──────────────────────────────────────────────────────────────────────────────────────


def show(
    deployment: DeploymentArgument,
    *,
    key: KeyOption = None,
    limit: LimitOption = 20,
    cluster: ClusterOption = None,
    key_file: KeyFileOption = None,
    platform: PlatformOption,
    tenants: TenantsOption,
    as_json: JsonOption = False,
) -> None:
    """The state of each partition: its keys with kind and size, its positions, and who holds it; or one key's values.

    Values are shown for `--key` alone: counters as numbers, bytes as text or base64, objects by class and size. Nothing
    is unpickled. Read while instances run it is that of the last commits. With --json all keys are listed.
    """
    with _opened(deployment, platform, tenants, key_file, cluster) as state:
        if key is not None:
            _show_key(state, key, as_json=as_json)
            return
        documents = [_partition(state, partition) for partition in range(state.partitions)]
    if as_json:
        print_json({"deployment": str(deployment), "cluster": state.cluster, "partitions": documents})
        return
    for document in documents:
        _print_partition(document, limit)


def _read(state: _State, partition: int) -> Fold:
    with err.status(f"reading partition {partition}"):
        return read_partition(state.client, state.topic.partition(partition), state.key)


def _partition(state: _State, partition: int) -> dict[str, Any]:
    fold = _read(state, partition)
    values = take(fold.state)
    kinds: dict[str, dict[str, int]] = {}
    for key, value in values.items():
        total = kinds.setdefault(kind_of(key).value, {"keys": 0, "bytes": 0})
        total["keys"] += 1
        total["bytes"] += len(value)
    commit, claim = fold.commit, fold.claim
    return {
        "partition": partition,
        "epoch": claim.epoch if claim else None,
        "incarnation": claim.incarnation if claim else None,
        "holder": fold.holder or (claim.nonce if claim else None),
        "commit": commit.number if commit else 0,
        "committed_at": _time(commit.at_ms) if commit and commit.at_ms else None,
        "seq": commit.seq if commit else 0,
        "positions": {name: str(position) for name, position in sorted(commit.positions.items())} if commit else {},
        "keys": len(values),
        "bytes": sum(map(len, values.values())),
        "kinds": dict(sorted(kinds.items())),
        "entries": [
            {"key": name_of(key), "kind": kind_of(key).value, "bytes": len(values[key])} for key in sorted(values)
        ],
    }


def _print_partition(document: dict[str, Any], limit: int) -> None:
    held = f"incarnation {document['epoch']}.{document['incarnation']} of {document['holder']}"
    kinds = ", ".join(f"{total['keys']} {kind} ({total['bytes']:,} B)" for kind, total in document["kinds"].items())
    positions = ", ".join(f"{name} {position}" for name, position in document["positions"].items())
    lines = [
        f"partition {document['partition']}: {document['keys']} keys, {document['bytes']:,} bytes"
        + (f": {kinds}" if kinds else ""),
        f"  commit {document['commit']} at {document['committed_at'] or '-'}, output {document['seq']}, "
        f"inputs: {positions or '-'}",
        f"  {held if document['epoch'] else 'nobody has claimed it yet'}",
    ]
    out.print("\n".join(lines), markup=False, soft_wrap=True)
    shown = document["entries"][:limit]
    if shown:
        print_rows(shown, ("key", "kind", "bytes"), as_json=False)
    if len(shown) < document["keys"]:
        out.print(f"  … and {document['keys'] - len(shown)} more: --limit, --json", markup=False)


def _show_key(state: _State, name: str, *, as_json: bool) -> None:
    found: list[dict[str, Any]] = []
    for partition in range(state.partitions):
        values = take(_read(state, partition).state)
        found += [
            {"partition": partition, "key": name, **_value(kind_of(key), value)}
            for key, value in sorted(values.items())
            if name_of(key) == name
        ]
    if not found:
        raise QueryError(
            f"there is no state of key {name!r}",
            where=str(state.name),
            mend=f"pulsar-pipeline functions state {state.name} lists the keys; those of Models are NAME/KEY",
        )
    if as_json:
        print_json({"deployment": str(state.name), "cluster": state.cluster, "values": found})
        return
    print_rows(found, ("partition", "key", "kind", "bytes", "class", "value"), as_json=False)


def _value(kind: Kind, value: bytes) -> dict[str, Any]:
    told: dict[str, Any] = {"kind": kind.value, "bytes": len(value)}
    match kind:
        case Kind.COUNTER:
            return told | {"value": int(value)}
        case Kind.OBJECT:
            return told | {"class": class_of(value)}
        case _:
            text = _text(value)
            if text is not None:
                return told | {"encoding": "utf-8", "value": text}
            return told | {"encoding": "base64", "value": base64.b64encode(value).decode()}


def _text(value: bytes) -> str | None:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return None
    return text if text.isprintable() or not text else None


def _time(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


# ── export, import ────────────────────────────────────────────────────────────────────────────


def export(
    deployment: DeploymentArgument,
    *,
    file: OutOption,
    cluster: ClusterOption = None,
    key_file: KeyFileOption = None,
    platform: PlatformOption,
    tenants: TenantsOption,
    as_json: JsonOption = False,
) -> None:
    """Write the state, the positions and all else that a deployment goes on from into one file.

    The file is signed with the tenant's state key. While instances run, each partition is as of its last commit.
    """
    unfinished = file.with_name(f".{file.name}.unfinished")
    with _opened(deployment, platform, tenants, key_file, cluster) as state, err.status("exporting") as status:
        header = Header(str(deployment), state.cluster, state.partitions, SystemClock().now_ms())
        try:
            with unfinished.open("wb") as written:
                unfinished.chmod(0o600)
                end = export_state(
                    state.client,
                    state.topic,
                    state.key,
                    header,
                    written,
                    lambda partition: status.update(f"exporting partition {partition} of {state.partitions}"),
                )
            unfinished.replace(file)
        except OSError as error:
            raise StateLogError(f"cannot write the file: {error.strerror}", where=str(file)) from error
        finally:
            unfinished.unlink(missing_ok=True)
    size = file.stat().st_size
    if as_json:
        print_json({"file": str(file), "partitions": state.partitions, "entries": end.entries, "size": size})
        return
    out.print(f"{file}: {end.entries} entries of {state.partitions} partitions, {size:,} bytes", soft_wrap=True)


def import_(
    deployment: DeploymentArgument,
    file: FileArgument,
    *,
    state_only: StateOnlyOption = False,
    by_key: ByKeyOption = False,
    separator: SeparatorOption = None,
    key_file: KeyFileOption = None,
    file_key: FileKeyOption = None,
    yes: YesOption = False,
    platform: PlatformOption,
    tenants: TenantsOption,
    as_json: JsonOption = False,
) -> None:
    """Replace a deployment's state by that of a file. The deployment must not be deployed meanwhile.

    With its positions, events after those of the file are processed again, as far as the inputs still hold them.
    """
    how = How(state_only=state_only, by_key=by_key, separator=separator)
    with (
        _opened(deployment, platform, tenants, key_file, None) as state,
        home_of(state.tenant, platform) as home,
        AdminHttp(state.tenant.home, home.cluster) as http,
    ):
        _refuse_while_deployed(home, deployment)
        archive = open_archive(file, load_state_key(file_key) if file_key else state.key)
        target = Target(str(deployment), state.cluster, state.topic, state.partitions)
        check(archive, target, how)
        agree(f"Replace the state of {deployment} in {state.cluster} by that of {file}?", yes=yes)
        inputs = {name: state.tenant.topic_name(ref) for name, ref in state.declared.inputs.items()}
        rewind(http, inputs, subscription(deployment.name), positions_in(archive, how))
        who = f"import@{socket.gethostname()}:{os.getpid()}"
        with err.status("importing") as status:
            count = import_state(state.client, archive, target, how, state.key, who, status.update)
    if as_json:
        print_json({"deployment": str(deployment), "partitions": target.partitions, "entries": count})
        return
    out.print(f"{deployment}: {count} entries in {target.partitions} partitions; deploy it to go on", soft_wrap=True)


def trim(
    deployment: DeploymentArgument,
    *,
    cluster: ClusterOption = None,
    key_file: KeyFileOption = None,
    platform: PlatformOption,
    tenants: TenantsOption,
    as_json: JsonOption = False,
) -> None:
    """Let a cluster delete what it has of the state logs from before their last checkpoints.

    At home the instances see to that. The copies in other clusters need this from time to time. A broker deletes whole
    ledgers, some minutes later.
    """
    with _opened(deployment, platform, tenants, key_file, cluster) as state:
        trimmed = []
        for partition in range(state.partitions):
            with err.status(f"reading partition {partition}"):
                if trim_partition(state.client, state.topic.partition(partition), state.key):
                    trimmed.append(partition)
    if as_json:
        print_json({"deployment": str(deployment), "cluster": state.cluster, "trimmed": trimmed})
        return
    out.print(
        f"{deployment} in {state.cluster}: trimmed {len(trimmed)} of {state.partitions} partitions", soft_wrap=True
    )


def _refuse_while_deployed(home: Home, deployment: DeploymentName) -> None:
    for namespace in home.tenant.namespaces:
        if deployment.name in home.worker.functions(deployment.tenant, namespace):
            instances = home.worker.status(deployment.tenant, namespace, deployment.name).instances
            running = sum(each.running for each in instances)
            raise RolloutError(
                f"it is deployed in {home.worker.cluster}, and {running} of {len(instances)} instances run",
                where=str(deployment),
                mend=f"pulsar-pipeline functions delete {deployment} --yes, which leaves its state; "
                "import, then deploy it again",
            )
