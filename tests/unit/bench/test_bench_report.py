"""What is told of figures: percentiles, medians, the table, the file's shape, the parts."""

from __future__ import annotations

import dataclasses
import os

import pytest

from bench.speed import report
from bench.speed.report import Figures, Result

FIGURES = Figures(45_000.4, 17.5, 3.2, 9.9, 111.4, 112.6, 0.2, 55.5)


def figures(**changes: float) -> Figures:
    return dataclasses.replace(FIGURES, **changes)


def result(case: str = "identity_100b", guarantee: str = "exactly_once", instance: str = "ours", **changes) -> Result:
    return Result(case, guarantee, instance, (figures(**changes),))


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [
        ([], 50, 0.0),
        ([7.0], 50, 7.0),
        ([7.0], 99, 7.0),
        ([3.0, 1.0, 2.0], 50, 2.0),
        ([4.0, 3.0, 1.0, 2.0], 50, 2.0),
        ([float(n) for n in range(1, 101)], 99, 99.0),
        ([float(n) for n in range(1, 1001)], 99, 990.0),
        ([1.0, 2.0], 100, 2.0),
    ],
)
def test_a_percentile_is_the_smallest_value_that_covers_so_many(values, percent, expected) -> None:
    assert report.percentile(values, percent) == expected


def test_repeats_give_the_median_of_each_figure_by_itself() -> None:
    runs = (
        figures(messages_per_s=1, p99_ms=30),
        figures(messages_per_s=3, p99_ms=10),
        figures(messages_per_s=2, p99_ms=20),
    )
    found = Result("c", "g", "ours", runs).figures
    assert (found.messages_per_s, found.p99_ms, found.rss_mb) == (2, 20, FIGURES.rss_mb)


def test_the_file_has_the_agreed_shape() -> None:
    answer = report.report({"cores": 2}, [result()])
    assert set(answer) == {"machine", "cases"}
    (case,) = answer["cases"]
    agreed = {
        "case": "identity_100b",
        "guarantee": "exactly_once",
        "instance": "ours",
        "messages_per_s": 45_000.4,
        "cpu_us_per_message": 17.5,
        "p50_ms": 3.2,
        "p99_ms": 9.9,
        "rss_mb": 111.4,
    }
    assert case.items() >= agreed.items()


def test_the_table_has_a_line_for_each_and_the_ratio_to_the_other_instance() -> None:
    lines = report.table(
        [
            result(guarantee="at_least_once", instance="client", messages_per_s=90_000),
            result(guarantee="at_least_once", instance="stock", messages_per_s=6_000),
            result(messages_per_s=45_000),
            result(case="identity_1kb"),
        ]
    ).splitlines()
    assert lines[0].split()[:3] == ["case", "guarantee", "instance"]
    assert [line.split()[2] for line in lines[1:]] == ["client", "stock", "ours", "ours"]
    assert lines[3].split()[-1] == "7.5"
    assert not lines[4].endswith("7.5"), "another case"
    assert len({len(line.rstrip()) for line in lines[:1]} | {len(lines[3])}) == 1, "columns stand below each other"


def test_no_latency_is_told_where_none_was_measured() -> None:
    (line,) = report.table([result(p50_ms=0.0, p99_ms=0.0, rss_growth_mb=0.0)]).splitlines()[1:]
    assert line.split()[5:10] == ["-", "-", "111", "113", "+0.0"]


def test_the_whole_is_compared_with_the_sum_of_its_parts() -> None:
    results = [
        result("avro_logreg", "at_least_once", "client", cpu_us_per_message=10.0),
        result("avro_logreg", "exactly_once", "ours", cpu_us_per_message=52.0),
        result("identity_100b", cpu_us_per_message=1.0),
    ]
    parts = [{"decode": 6.0, "encode": 8.0, "river": 14.0}, {"decode": 8.0, "encode": 8.0, "river": 14.0}] * 2
    found = report.whole_and_parts(results, parts)
    assert found["us"] == {"receive+publish": 10.0, "decode": 7.0, "encode": 8.0, "river": 14.0}
    assert (found["sum_us"], found["ratio"]) == (39.0, {"exactly_once": 1.333})
    assert report.report({}, results, parts)["parts"] == found
    assert report.parts_line(found).endswith("= 39.0 us alone; exactly_once 1.33 times that")


def test_the_machine_is_told() -> None:
    told = report.machine()
    assert told["cores"] == os.cpu_count()
    assert set(told["versions"]) == {"pulsar-client", "fastavro", "river"}
    assert told.keys() >= {"model", "load_before", "python"}


def test_the_processor_has_a_name() -> None:
    assert report.cpu_model("processor\t: 0\nmodel name\t: A Chip: 3 GHz\n\nmodel name\t: B\n") == "A Chip: 3 GHz"
    assert report.cpu_model("nothing of use")
