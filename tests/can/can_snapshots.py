"""Snapshots for the CAN tests: a healthy one, parts replaced by name, and arbitrary ones for hypothesis."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from helpers.full_snapshot import estimate
from hypothesis import strategies as st

from bms_daemon import model as m
from bms_daemon.can.signals import Identity

IDENTITY = Identity(node=3, profile=1, series=16, probes=4, software=(0, 1, 7), configuration_hash=0xDEADBEEF)


def channel(value: Any, quality: m.Quality = m.Quality.GOOD) -> m.Channel[Any]:
    return m.Channel(value, 10.0, 0.0, quality)


def scan(cell_v: Any, **parts: float) -> m.AfeScan:
    values = {"stack_v": 52.8, "pack_v": 52.75, "link_v": 52.7, "current_a": -12.0} | parts
    return m.AfeScan(np.asarray(cell_v, dtype=np.float64), conversions=1, **values)


def measured(**parts: Any) -> m.Measured:
    values: dict[str, Any] = {
        "now_s": 10.0,
        "dt_s": 0.02,
        "cells": channel(scan([3.3 + 0.001 * i for i in range(16)])),
        "temps": channel(m.TempScan(np.array([20.0, 21.5, 19.25, 22.0]), 31.0)),
        "shunt": channel(m.ShuntReading(-11.6)),
        "pins": channel(m.Pins(True, True, True, False)),
        "vcu": m.Channel(),
        "can": m.CanHealth(),
        "doubts": m.Doubt.NONE,
        "frozen_s": 0.0,
        "lateness_s": 0.0,
        "late_run_s": 0.0,
        "orders": m.Orders(),
        "current_a": -12.0,
        "pack_v": 52.75,
        "link_v": 52.7,
        "current_s": 10.0,
        "current_fresh": True,
        "terminals": m.Quality.GOOD,
        "health": m.Health(),
    }
    return m.Measured(**(values | parts))


def snapshot(now_s: float = 10.0, **parts: Any) -> m.Snapshot:
    values: dict[str, Any] = {
        "node": 3,
        "now_s": now_s,
        "tick": 500,
        "measured": measured(),
        "estimate": estimate(),
        "faults": m.Faults(),
        "limits": m.Limits(50.0, 80.0, 2640.0, 4220.0, 57.6, 44.8, m.Binding.RATED, m.Binding.SOC),
        "control": m.Control(m.PackState.CLOSED, armed=True),
        "command": m.Command(main=True, charge=True, discharge=True, fan=0.5),
        "actuated": m.Actuated(main=True),
    }
    return m.Snapshot(**(values | parts))


def fault(number: int, reaction: m.Reaction = m.Reaction.WARN, **parts: Any) -> m.Fault:
    values: dict[str, Any] = {"domain": m.Domain.THERMAL, "latched": False, "since_s": 4.0} | parts
    return m.Fault(f"fault_{number}", number, reaction=reaction, **values)


def later(state: m.Snapshot, now_s: float) -> m.Snapshot:
    return replace(state, now_s=now_s)


NUMBERS = st.one_of(
    st.floats(-10.0, 10.0), st.floats(-7000.0, 7000.0), st.sampled_from([math.nan, math.inf, -math.inf, 1e300, -1e300])
)
QUALITIES = st.sampled_from(m.Quality)
FLAGS = st.booleans()
LEVELS = st.sampled_from([None, True, False])


def _channels(values: st.SearchStrategy[Any]) -> st.SearchStrategy[m.Channel[Any]]:
    return st.builds(channel, st.one_of(st.none(), values), QUALITIES)


def _arrays(most: int) -> st.SearchStrategy[Any]:
    return st.lists(NUMBERS, max_size=most).map(np.array)


SCANS = st.builds(scan, _arrays(20), stack_v=NUMBERS, pack_v=NUMBERS, link_v=NUMBERS, current_a=NUMBERS)
FAULTS = st.builds(
    m.Fault, st.just("x"), st.integers(1, 47), st.sampled_from(m.Domain), st.sampled_from(m.Reaction), FLAGS,
    st.floats(-1e6, 10.0), where=st.integers(0, 400),
)  # fmt: skip
MEASURED = st.builds(
    measured,
    cells=_channels(SCANS),
    temps=_channels(st.builds(m.TempScan, _arrays(6), NUMBERS)),
    shunt=_channels(st.builds(m.ShuntReading, NUMBERS)),
    pins=_channels(st.builds(m.Pins, LEVELS, LEVELS, LEVELS, LEVELS)),
    current_a=NUMBERS,
)
BINDINGS = st.tuples(*[st.sampled_from(m.Binding)] * 5)
FIVE = st.lists(NUMBERS, min_size=5, max_size=5).map(np.array)
ESTIMATES = st.builds(
    m.Estimate, NUMBERS, NUMBERS, FLAGS, NUMBERS,
    ageing=st.none() | st.builds(
        m.Ageing, NUMBERS, NUMBERS, NUMBERS, NUMBERS, st.sampled_from(m.CapacitySource), NUMBERS
    ),
    remaining=st.none() | st.builds(m.Remaining, NUMBERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS),
    power=st.none() | st.builds(m.PowerAhead, FIVE, FIVE, FIVE, FIVE, BINDINGS, BINDINGS),
)  # fmt: skip
SNAPSHOTS = st.builds(
    snapshot,
    measured=MEASURED,
    estimate=ESTIMATES,
    faults=st.builds(
        m.Faults, st.lists(FAULTS, max_size=5).map(tuple), st.sampled_from([(), ("a", "b")]), st.floats(0.0, 1.0),
        FLAGS, FLAGS, FLAGS, FLAGS, FLAGS,
    ),
    limits=st.builds(
        m.Limits, NUMBERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS,
        st.sampled_from(m.Binding), st.sampled_from(m.Binding),
    ),
    control=st.builds(m.Control, st.sampled_from(m.PackState), open_pending=FLAGS, countdown_s=NUMBERS, armed=FLAGS),
    command=st.builds(m.Command, FLAGS, FLAGS, FLAGS, FLAGS, FLAGS, FLAGS, st.floats(0.0, 1.0)),
    actuated=st.builds(m.Actuated, FLAGS, FLAGS, FLAGS),
)  # fmt: skip
