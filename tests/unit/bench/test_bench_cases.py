"""The events of the cases."""

from __future__ import annotations

import pytest

from bench.speed.cases import CASES, KEYS, partition_of, readings
from pulsar_pipeline.schemas.codec import Decoder, Encoder
from pulsar_pipeline.schemas.schema import load_schema


@pytest.mark.parametrize(("name", "size"), [("identity_100b", 100), ("identity_1kb", 1000)])
def test_events_have_the_size_in_the_cases_name(name: str, size: int) -> None:
    payload_of = CASES[name].payloads()
    assert {len(payload_of(number).data) for number in (0, 1, 199_999, 1_000_000)} == {size}
    assert payload_of(5) != payload_of(6)


@pytest.mark.parametrize("name", CASES)
def test_an_events_number_is_found_in_its_output(name: str) -> None:
    case = CASES[name]
    payload_of, number_of, schema = case.payloads(), case.numbers(), load_schema(case.input_schema)
    decode, encode = Decoder(schema, lambda _version: schema), Encoder(load_schema(case.output_schema))
    for number in (0, 1, 70_000, 1_234_567):
        event = decode(payload_of(number).data, 0)
        names = {"machine_id", "reading_id", "at"}
        output = event if case.size else {name: event[name] for name in names} | {"risk": 0.5}
        assert number_of(encode(output)) == number


def test_readings_have_nine_fields_and_come_from_a_thousand_machines() -> None:
    reading_of = readings()
    found = [reading_of(number) for number in range(2 * KEYS)]
    assert {len(reading) for reading in found} == {9}
    assert len({reading["machine_id"] for reading in found}) == KEYS == 1000
    assert found[3] == readings()(3), "the same each time"


def test_payloads_carry_the_key_and_the_time_that_their_producer_would_give_them() -> None:
    payload = CASES["avro_logreg"].payloads()(1001)
    assert (payload.key, payload.event_time_ms) == ("mill-0001", 1_577_836_801_001)
    assert CASES["identity_100b"].payloads()(1).key is None


@pytest.mark.parametrize("partitions", [1, 3, 4])
def test_a_machines_readings_are_in_one_partition_and_all_partitions_are_used(partitions: int) -> None:
    places = {number: partition_of(number, partitions) for number in range(3 * KEYS)}
    assert all(places[number] == places[number % KEYS] for number in places)
    assert set(places.values()) == set(range(partitions))
