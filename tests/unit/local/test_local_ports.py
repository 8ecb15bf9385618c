from __future__ import annotations

import random
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulsar_pipeline.errors import LocalError
from pulsar_pipeline.local import ports
from pulsar_pipeline.local.ports import RANGE, Ports

PORTS = Ports(admin=20_001, broker=20_002, bookie=20_003)


@given(seed=st.integers(), taken=st.sets(st.sampled_from(RANGE), max_size=50))
def test_chosen_ports_differ_and_are_nobody_elses(seed: int, taken: set[int]) -> None:
    chosen = set(asdict(ports.choose(taken, free=lambda port: port % 2 == 0, picker=random.Random(seed))).values())
    assert len(chosen) == 3
    assert not chosen & taken
    assert all(port in RANGE and port % 2 == 0 for port in chosen)


def test_no_free_port_is_told() -> None:
    with pytest.raises(LocalError, match="no free ports"):
        ports.choose((), free=lambda _: False, picker=random.Random(1))


def test_ports_stay_when_they_are_free() -> None:
    assert ports.mend("west", PORTS, (), free=lambda _: True, picker=random.Random(1)) == (PORTS, {})


@given(busy=st.sets(st.sampled_from(["admin", "broker"]), min_size=1), seed=st.integers())
def test_only_busy_ports_move(busy: set[str], seed: int) -> None:
    occupied = {getattr(PORTS, role) for role in busy}
    mended, moved = ports.mend("west", PORTS, (), free=lambda port: port not in occupied, picker=random.Random(seed))
    assert moved == {role: (getattr(PORTS, role), getattr(mended, role)) for role in busy}
    for role, port in asdict(PORTS).items():
        assert (getattr(mended, role) != port) == (role in busy)
    assert len(set(asdict(mended).values())) == 3


def test_the_port_the_data_is_bound_to_does_not_move() -> None:
    with pytest.raises(LocalError, match="20003") as caught:
        ports.mend("west", PORTS, (), free=lambda port: port != PORTS.bookie, picker=random.Random(1))
    assert caught.value.where == "cluster west"


def test_ports_are_kept_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "ports.json"
    assert ports.load(file) is None
    ports.save(file, PORTS)
    assert ports.load(file) == PORTS


@pytest.mark.parametrize("text", ["", "{", "[]", '{"admin": 1}', '{"admin":1,"broker":2,"bookie":3,"more":4}'])
def test_a_damaged_ports_file_is_told(tmp_path: Path, text: str) -> None:
    file = tmp_path / "ports.json"
    file.write_text(text)
    with pytest.raises(LocalError, match="damaged"):
        ports.load(file)
