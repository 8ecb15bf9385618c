"""Where a drain begins, and what is measured in which order."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bench import runtime
from bench.speed.instances import Kind
from bench.speed.measure import Load, Sample, first_of, half_way
from bench.speed.session import Choice, measurements


def samples(*outputs: int) -> list[Sample]:
    return [Sample(place / 10, count, place * 1.0, 100.0 + place) for place, count in enumerate(outputs)]


@pytest.mark.parametrize(
    ("outputs", "first"),
    [
        ((0, 0, 100, 5000, 10_000), 2),
        ((100, 10_000), 0),
        ((0, 0, 4000, 10_000), 1),  # too little would be left behind the first sample with outputs
        ((0, 10_000), 0),
        ((10_000,), 0),
    ],
)
def test_the_start_of_the_process_does_not_count(outputs: tuple[int, ...], first: int) -> None:
    assert first_of(samples(*outputs)) == samples(*outputs)[first]


def test_memory_is_compared_with_that_in_the_middle() -> None:
    assert half_way(samples(0, 10, 4999, 5001, 10_000)).outputs == 5001


def test_each_case_has_the_bare_loop_the_others_and_ours_in_this_order() -> None:
    choice = Choice(
        cases=["identity_100b", "avro_logreg"],
        guarantees=["at_least_once", "exactly_once"],
        load=Load(10, 1, 1),
        client=True,
        others=[Kind("stock", Path("main.py"))],
    )
    expected = ["at_least_once client", "at_least_once stock", "at_least_once ours", "exactly_once ours"]
    found = [str(each) for each in measurements(choice)]
    assert found == [f"{case} {rest}" for case in choice.cases for rest in expected]


def test_the_parts_need_the_bare_loop_of_their_case_alone() -> None:
    choice = Choice(["identity_100b", "avro_logreg"], ["exactly_once"], Load(10, 1, 1), parts=True)
    found = [str(each) for each in measurements(choice)]
    assert found == [
        "identity_100b exactly_once ours",
        "avro_logreg at_least_once client",
        "avro_logreg exactly_once ours",
    ]


def test_the_steady_stream_may_be_left_out() -> None:
    assert Load(100, 2000, 0).steady == 0
    assert Load(100, 2000, 20).steady == 40_000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--cases", "identity_100b,chess"], "chess: choose of identity_100b"),
        (["--guarantees", "never"], "never: choose of at_least_once, exactly_once"),
        (["--messages", "0"], "1 or more"),
        (["--instance", "ours=main.py"], "'ours' is a name that is taken"),
    ],
)
def test_what_cannot_be_measured_is_refused(arguments, message, capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        runtime.main(arguments)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_another_instance_has_a_name_and_a_python_of_its_own() -> None:
    assert Kind("stock", Path("main.py")).foreign
    assert Kind("stock", Path("main.py")).python == Path(sys.executable)
