"""`functions dead-letters list|show|replay|dismiss`: the events that a deployment could not take."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pulsar
import typer

from pulsar_pipeline.cli.dead_letters_told import counted, print_letter, print_line, tell
from pulsar_pipeline.cli.lookup import cluster_named, deployment_of, tenant_spec
from pulsar_pipeline.cli.options import DeploymentArgument, PlatformOption, TenantsOption, YesOption
from pulsar_pipeline.cli.output import JsonOption, agree, err, print_json
from pulsar_pipeline.cluster.admin import AdminCluster
from pulsar_pipeline.cluster.connect import open_client
from pulsar_pipeline.cluster.http import AdminHttp
from pulsar_pipeline.errors import ClusterNotFound, DataError, ExitCode
from pulsar_pipeline.letters.choice import Choice, Survey
from pulsar_pipeline.letters.journal import Journal
from pulsar_pipeline.letters.letter import Letter, LetterPosition
from pulsar_pipeline.letters.returns import Returns
from pulsar_pipeline.letters.settle import Replayer, dismiss, survey
from pulsar_pipeline.letters.tell import document
from pulsar_pipeline.letters.waiting import WaitingLetters
from pulsar_pipeline.names import DeploymentName, dead_letter_topic
from pulsar_pipeline.runtime.transport.dead_letters import Reason
from pulsar_pipeline.schemas.wire import writer_lookup
from pulsar_pipeline.spec.load import load_platform
from pulsar_pipeline.spec.model import Tenant

_PROGRESS_EACH = 500

PositionArgument = Annotated[str, typer.Argument(metavar="POSITION", help="A letter's position, as `list` shows it.")]
PositionsArgument = Annotated[
    list[str] | None, typer.Argument(metavar="[POSITION]...", help="Letters' positions, as `list` shows them.")
]
AllOption = Annotated[bool, typer.Option("--all", help="All that wait.")]
ReasonOption = Annotated[Reason | None, typer.Option("--reason", help="Only those set aside for this reason.")]
LimitOption = Annotated[int, typer.Option("--limit", min=0, metavar="N", help="How many to show; 0 is all.")]
JsonLinesOption = Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")]


def register(functions: typer.Typer) -> None:
    letters = typer.Typer(
        name="dead-letters",
        help="The events that a deployment could not take: see why, take them back after a fix, or dismiss them.",
        no_args_is_help=True,
    )
    letters.command(
        "list",
        epilog="Examples: `pulsar-pipeline functions dead-letters list acme/failure-risk` · "
        "`… dead-letters list acme/failure-risk --reason failed --limit 0 --json`",
    )(list_)
    letters.command(epilog="Example: `pulsar-pipeline functions dead-letters show acme/failure-risk 0:1234:5`")(show)
    letters.command(
        epilog="Examples: `pulsar-pipeline functions dead-letters replay acme/failure-risk 0:1234:5` · "
        "`… dead-letters replay acme/failure-risk --reason failed --yes`. "
        "Exit codes: 0 done, 3 some cannot go back and stay, 1 stopped."
    )(replay)
    letters.command(
        "dismiss",
        epilog="Examples: `pulsar-pipeline functions dead-letters dismiss acme/failure-risk 0:1234:5` · "
        "`… dead-letters dismiss acme/failure-risk --all --yes`",
    )(dismiss_)
    functions.add_typer(letters)


def list_(
    deployment: DeploymentArgument,
    *,
    reason: ReasonOption = None,
    limit: LimitOption = 100,
    platform: PlatformOption,
    tenants: TenantsOption,
    as_json: JsonLinesOption = False,
) -> None:
    """The dead letters that nobody has replayed or dismissed, partition after partition, oldest first."""
    shown = 0

    def each(letter: Letter) -> None:
        nonlocal shown
        if limit and shown >= limit:
            return
        shown += 1
        print_line(letter, as_json=as_json)

    with _desk(deployment, platform, tenants) as desk:
        found = survey(desk.waiting, Choice(reason=reason), each)
        interrupted = found.events > 0 and any(
            Journal(desk.http, desk.waiting.topic, partition).open_replays()
            for partition in range(desk.waiting.partitions)
        )
    more = f"; {shown} shown, --limit 0 shows all" if shown < found.events else ""
    err.print(f"{counted(found)}{more}", markup=False, soft_wrap=True)
    if interrupted:
        err.print("a replay was interrupted: the next one goes on where it stopped, and sends nothing twice")


def show(
    deployment: DeploymentArgument,
    position: PositionArgument,
    *,
    platform: PlatformOption,
    tenants: TenantsOption,
    as_json: JsonOption = False,
) -> None:
    """One dead letter: the event, what went wrong, where it came from, and how to mend it."""
    choice = Choice(frozenset(_positions([position])))
    with _desk(deployment, platform, tenants) as desk:
        found: list[Letter] = []
        _check_found(survey(desk.waiting, choice, found.append), choice, deployment)
        told = document(found[0], str(deployment), lambda topic: writer_lookup(desk.client, topic))
    if as_json:
        print_json(told)
        return
    print_letter(told, found[0])


def replay(
    deployment: DeploymentArgument,
    positions: PositionsArgument = None,
    *,
    all_: AllOption = False,
    reason: ReasonOption = None,
    yes: YesOption = False,
    platform: PlatformOption,
    tenants: TenantsOption,
    as_json: JsonOption = False,
) -> None:
    """Send events back into the inputs they came from, as they were: after a fix.

    Each goes to the end of its partition, once, and its letter is gone from the list. An event that fails again is a
    new dead letter. A replay that was interrupted is gone on with by the next one.
    """
    choice = _choice(positions, reason, all_=all_)
    with _desk(deployment, platform, tenants) as desk:
        returns = Returns(desk.client, desk.tenant.home, str(deployment), _exactly_once_outputs(desk.tenant))
        check = returns.check if choice.positions else lambda _letter: None
        found = survey(desk.waiting, choice, check)
        _check_found(found, choice, deployment)
        _tell_other_readers(desk.tenant, deployment, found)
        if found.events:
            into = ", ".join(topic.removeprefix("persistent://") for topic in sorted(found.topics) if topic)
            agree(f"Replay {counted(found)} into {into} in {desk.tenant.home}?", yes=yes)
        with closing(returns), _progress(found.events, "replayed") as progress:
            replayer = Replayer(desk.client, desk.http, desk.waiting, returns, str(deployment))
            settled = replayer.replay(choice, progress)
    tell(deployment, desk.tenant.home, settled, as_json=as_json)
    raise typer.Exit(ExitCode.PARTIAL if settled.refused else ExitCode.OK)


def dismiss_(
    deployment: DeploymentArgument,
    positions: PositionsArgument = None,
    *,
    all_: AllOption = False,
    reason: ReasonOption = None,
    yes: YesOption = False,
    platform: PlatformOption,
    tenants: TenantsOption,
    as_json: JsonOption = False,
) -> None:
    """Take dead letters off the list that nobody wants back. Their bytes stay as long as the namespace retains them."""
    choice = _choice(positions, reason, all_=all_)
    with _desk(deployment, platform, tenants) as desk:
        found = survey(desk.waiting, choice)
        _check_found(found, choice, deployment)
        if found.events:
            agree(f"Dismiss {counted(found)} in {desk.tenant.home}?", yes=yes)
        with _progress(found.events, "dismissed") as progress:
            settled = dismiss(desk.waiting, choice, progress)
    tell(deployment, desk.tenant.home, settled, as_json=as_json)


# ── what they share ───────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class _Desk:
    """A deployment's dead letters in its home cluster, opened."""

    tenant: Tenant
    http: AdminHttp
    client: pulsar.Client
    waiting: WaitingLetters


@contextmanager
def _desk(deployment: DeploymentName, platform: Path, tenants: Path) -> Iterator[_Desk]:
    tenant = tenant_spec(tenants, deployment.tenant)
    declared = deployment_of(tenant, deployment.name)
    topic = dead_letter_topic(tenant.tenant, declared.namespace, deployment.name)
    cluster = cluster_named(load_platform(platform), tenant.home, platform)
    with AdminHttp(tenant.home, cluster) as http, closing(open_client(cluster)) as client:
        partitions = AdminCluster(http).partitions(topic)
        if partitions == 0:
            raise ClusterNotFound(
                f"there is no {topic.path}",
                where=f"cluster {tenant.home}",
                mend=f"pulsar-pipeline apply {tenant.tenant}",
            )
        yield _Desk(tenant, http, client, WaitingLetters(client, http, topic, partitions))


def _positions(texts: list[str]) -> list[LetterPosition]:
    try:
        return [LetterPosition.parse(text) for text in texts]
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _choice(positions: list[str] | None, reason: Reason | None, *, all_: bool) -> Choice:
    if (bool(positions) + (reason is not None) + all_) != 1:
        raise typer.BadParameter("say which: positions, or --reason, or --all")
    return Choice(frozenset(_positions(positions or [])), None if reason is None else reason.value)


def _check_found(found: Survey, choice: Choice, deployment: DeploymentName) -> None:
    missing = sorted(choice.positions - found.found)
    if missing:
        raise DataError(
            f"no dead letter waits at {', '.join(map(str, missing))}; nothing was changed",
            where=str(deployment),
            mend=f"pulsar-pipeline functions dead-letters list {deployment} shows those that do",
        )


def _exactly_once_outputs(tenant: Tenant) -> dict[str, str]:
    """Topic → the deployment that alone writes to it."""
    return {
        str(tenant.topic_name(each.output)): f"{tenant.tenant}/{name}"
        for name, each in tenant.exactly_once.items()
        if each.output is not None
    }


def _tell_other_readers(tenant: Tenant, deployment: DeploymentName, found: Survey) -> None:
    """Whoever else reads the input gets the event again."""
    for name, each in sorted(tenant.deployments.items()):
        topics = {str(tenant.topic_name(ref)) for ref in each.inputs.values()}
        for topic in sorted(topics & found.topics.keys()):
            if name != deployment.name:
                text = (
                    f"note: {tenant.tenant}/{name} reads {topic.removeprefix('persistent://')} too, and gets them again"
                )
                err.print(text, markup=False, soft_wrap=True)


@contextmanager
def _progress(total: int, word: str) -> Iterator[Callable[[int], None]]:
    if not err.is_terminal or not total:
        yield lambda _done: None
        return
    with err.status("") as status:
        yield lambda done: status.update(f"{done} of {total} {word}") if done % _PROGRESS_EACH == 0 else None
