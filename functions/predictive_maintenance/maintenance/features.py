"""A reading as the numbers a model sees. Nothing here knows a label."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from pulsar_pipeline.errors import DataError

QUALITY = {"L": 0.0, "M": 1.0, "H": 2.0}
"""Low, medium, high: an order, for better pieces take longer and bear more."""

RADIANS_PER_SECOND = 2 * math.pi / 60
"""Of one revolution a minute."""


class Features(NamedTuple):
    """One reading, each number divided by about its spread in normal work.

    A Mondrian tree splits a feature the more often the wider it ranges, so the units matter. The divisors are round
    numbers, within 6 % of the standard deviations of the data's first 2,000 rows (the temperature rise, still calm
    there, spread by 0.7 K). Being fixed, they make a reading's features depend on that reading alone.
    """

    quality: float
    speed: float
    torque: float
    wear: float
    power: float
    temperature_rise: float
    strain: float


DIVISORS = Features(
    quality=0.7,
    speed=180.0,  # 1/min
    torque=10.0,  # N m
    wear=64.0,  # min
    power=1000.0,  # W, torque times angular speed
    temperature_rise=1.0,  # K, process over air: what cooling has to carry off
    strain=2700.0,  # min N m, tool wear times torque
)


def features_of(reading: Mapping[str, Any]) -> Features:
    """From a reading (`reading.v1.avsc`). Raises DataError for a number that is not finite."""
    speed, torque, wear = reading["rotational_speed_rpm"], reading["torque_nm"], reading["tool_wear_min"]
    features = Features(
        quality=QUALITY[reading["product_type"]] / DIVISORS.quality,
        speed=speed / DIVISORS.speed,
        torque=torque / DIVISORS.torque,
        wear=wear / DIVISORS.wear,
        power=torque * speed * RADIANS_PER_SECOND / DIVISORS.power,
        temperature_rise=(reading["process_temperature_k"] - reading["air_temperature_k"]) / DIVISORS.temperature_rise,
        strain=wear * torque / DIVISORS.strain,
    )
    # One NaN or infinity in a split or a running mean would spoil the model for good.
    if not math.isfinite(sum(features)):
        raise DataError("a measured value is not a finite number", where=f"reading {reading['reading_id']}")
    return features
