"""The work on an event that any runtime has to do, measured part by part, with nothing around it."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from bench.speed.cases import CASES, FUNCTIONS
from pulsar_pipeline.schemas.codec import Decoder, Encoder
from pulsar_pipeline.schemas.schema import load_schema

CASE = CASES["avro_logreg"]
EVENTS = 20_000
ROUNDS = 5

sys.path.insert(0, str(FUNCTIONS / "risk"))

from learning import MODELS, step  # noqa: E402 - the function's folder is no package of the product


def parts_us() -> dict[str, float]:
    """CPU time of one event's `decode`, `encode` and `river` (predict and learn), in microseconds."""
    schema, payload_of = load_schema(CASE.input_schema), CASE.payloads()
    payloads = [payload_of(number).data for number in range(EVENTS)]
    decode, encode = Decoder(schema, lambda _version: schema), Encoder(load_schema(CASE.output_schema))
    readings = [decode(payload, 0) for payload in payloads]
    outputs = [
        {"machine_id": reading["machine_id"], "reading_id": reading["reading_id"], "at": reading["at"], "risk": 0.5}
        for reading in readings
    ]
    model = MODELS["logreg"]()
    return {
        "decode": _each_us(lambda payload: decode(payload, 0), payloads),
        "encode": _each_us(encode, outputs),
        "river": _each_us(lambda reading: step(model, reading), readings),
    }


def _each_us(work: Callable[[Any], Any], items: Sequence[Any]) -> float:
    """The median of some rounds."""
    return statistics.median(_round_us(work, items) for _ in range(ROUNDS))


def _round_us(work: Callable[[Any], Any], items: Sequence[Any]) -> float:
    began = time.process_time()
    for item in items:
        work(item)
    return (time.process_time() - began) / len(items) * 1e6
