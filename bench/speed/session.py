"""All measurements of a run: which, in what order, and what came of them."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.speed.cases import CASES, Case
from bench.speed.command_line import Job
from bench.speed.instances import Kind, client_loop, ours
from bench.speed.measure import Load, measure
from bench.speed.parts import CASE as PARTED
from bench.speed.parts import parts_us
from bench.speed.report import Figures, Result
from bench.speed.world import World, build_packages, tenant_of
from pulsar_pipeline.local.progress import Report
from pulsar_pipeline.spec.model import Guarantee

GUARANTEES: tuple[Guarantee, ...] = ("at_least_once", "exactly_once")


@dataclass(frozen=True)
class Choice:
    """What is asked for."""

    cases: Sequence[str]
    guarantees: Sequence[Guarantee]
    load: Load
    partitions: int = 1
    repeats: int = 1
    client: bool = False
    parts: bool = False
    others: Sequence[Kind] = ()


@dataclass(frozen=True)
class Measurement:
    """One line of the table."""

    case: Case
    guarantee: Guarantee
    kind: Kind

    def __str__(self) -> str:
        return f"{self.case.name} {self.guarantee} {self.kind.name}"


@dataclass
class Found:
    """What was measured; a measurement that failed is in `failures` and has no result."""

    runs: dict[Measurement, list[Figures]] = field(default_factory=dict)
    parts: list[dict[str, float]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def results(self) -> list[Result]:
        return [Result(of.case.name, of.guarantee, of.kind.name, tuple(runs)) for of, runs in self.runs.items() if runs]


def measurements(choice: Choice) -> list[Measurement]:
    """In the order of the table. Other instances and the bare loop know no guarantee but at_least_once."""
    chosen = []
    for name in choice.cases:
        case = CASES[name]
        if choice.client or (choice.parts and case is PARTED):
            chosen.append(Measurement(case, "at_least_once", client_loop()))
        chosen += [Measurement(case, "at_least_once", other) for other in choice.others]
        chosen += [Measurement(case, guarantee, ours()) for guarantee in choice.guarantees]
    return chosen


def run(choice: Choice, world: World, tell: Report) -> Found:
    """Repeats take turns, so that what else the machine does meets all alike."""
    packages = build_packages(world.folder, {CASES[name].function for name in choice.cases})
    chosen = measurements(choice)
    found = Found({each: [] for each in chosen})
    for repeat in range(1, choice.repeats + 1):
        for number, each in enumerate(chosen, 1):
            tell(f"repeat {repeat} of {choice.repeats}, {number} of {len(chosen)}: {each}")
            tenant = tenant_of(
                f"bench-{secrets.token_hex(4)}", world.name, each.case, each.guarantee, choice.partitions
            )
            try:
                with world.tenant(tenant):
                    figures = measure(
                        each.kind, Job(world, tenant, each.case, packages[each.case.function]), choice.load
                    )
            except RuntimeError as error:
                found.failures.append(f"{each}: {error}")
                tell(f"  failed: {error}")
                continue
            found.runs[each].append(figures)
            tell(f"  {figures}")
        if choice.parts and PARTED.name in choice.cases:
            found.parts.append(parts_us())
    return found
