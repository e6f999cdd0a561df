"""The bq76952's settings: rounding as the chip rounds, and refusal of what it cannot do."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bms_daemon.drivers.bq76952_settings import Settings

BASE: dict[str, Any] = {
    "shunt_mohm": 0.25,
    "over_voltage_v": 3.75,
    "under_voltage_v": 2.4,
    "over_current_charge_a": 120.0,
    "over_current_discharge_a": 200.0,
    "over_current_discharge_fast_a": 296.0,
    "short_circuit_a": 410.0,
}


def settings(**changes: Any) -> Settings:
    return Settings(**{**BASE, **changes})


@pytest.mark.parametrize(
    ("key", "wanted", "accepted"),
    [
        ("over_voltage_v", 3.75, 74 * 0.0506),
        ("over_voltage_v", 74 * 0.0506, 74 * 0.0506),
        ("under_voltage_v", 2.4, 48 * 0.0506),
        ("under_voltage_v", 2.783, 2.783),
        ("over_voltage_delay_s", 0.5, 151 * 0.0033),
        ("under_voltage_delay_s", 6.7551, 2047 * 0.0033),
        ("over_voltage_hysteresis_v", 0.11, 3 * 0.0506),
        ("over_current_charge_a", 121.0, 120.0),
        ("over_current_discharge_a", 207.9, 200.0),
        ("over_current_charge_delay_s", 0.1, 0.0066 + 28 * 0.0033),
        ("over_current_discharge_delay_s", 0.0066 + 127 * 0.0033, 0.4257),
        ("short_circuit_a", 410.0, 400.0),
        ("short_circuit_a", 2000.0, 2000.0),
        ("short_circuit_delay_s", 120e-6, 120e-6),
        ("short_circuit_delay_s", 0.0, 0.0),
        ("host_watchdog_s", 2.9, 2.0),
        ("recovery_s", 3.5, 4.0),
    ],
)
def test_a_limit_is_rounded_to_the_strict_side(key: str, wanted: float, accepted: float) -> None:
    assert settings(**{key: wanted}).hardware_limits()[key] == pytest.approx(accepted, abs=1e-9)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"over_current_charge_a": 497.0}, "over_current_charge_a"),
        ({"over_current_charge_a": 15.0}, "16 to 496"),
        ({"over_current_discharge_fast_a": 801.0, "short_circuit_a": 900.0}, "over_current_discharge_fast_a"),
        ({"short_circuit_a": 2100.0}, "short_circuit_a"),
        ({"over_voltage_v": 5.6}, "over_voltage_v"),
        ({"under_voltage_v": 1.0}, "under_voltage_v"),
        ({"over_voltage_delay_s": 6.8}, "over_voltage_delay_s"),
        ({"over_current_charge_delay_s": 0.43}, "over_current_charge_delay_s"),
        ({"recovery_s": 256.0}, "recovery_s"),
        ({"under_voltage_v": 3.8}, "under_voltage_v must be below"),
        ({"over_current_discharge_a": 300.0}, "does not hold"),
        ({"short_circuit_a": 240.0}, "does not hold"),
        ({"probes": ("TS1", "TS1")}, "named twice"),
        ({"probes": ("TS4",)}, "probes"),
        ({"probes": ()}, "probes"),
        ({"inputs": (2, 1)}, "must rise"),
        ({"inputs": (1, 17)}, "inputs"),
        ({"alert_pin": 0x01}, "alert_pin"),
        ({"shunt_mohm": 0.0}, "shunt_mohm"),
        ({"host_watchdog_s": 0.5}, "host_watchdog_s"),
        ({"cells": 16}, "cells"),
    ],
)
def test_what_the_chip_cannot_do_is_refused_by_name(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(ValidationError, match=named):
        settings(**changes)


def test_all_problems_are_reported_at_once() -> None:
    with pytest.raises(ValidationError) as refused:
        settings(over_current_charge_a=1.0, under_voltage_v=3.9, probes=("TS1", "TS1"))
    text = str(refused.value)
    assert "over_current_charge_a" in text
    assert "under_voltage_v" in text
    assert "probes" in text


@given(
    over_v=st.floats(3.0, 5.56),
    under_v=st.floats(1.02, 2.9),
    charge_a=st.floats(16.0, 496.0),
    delay_s=st.floats(0.0099, 0.4257),
)
def test_no_limit_is_ever_laxer_than_asked(over_v: float, under_v: float, charge_a: float, delay_s: float) -> None:
    limits = settings(
        over_voltage_v=over_v,
        under_voltage_v=under_v,
        over_current_charge_a=charge_a,
        over_current_charge_delay_s=delay_s,
    ).hardware_limits()
    assert over_v - 0.0507 < limits["over_voltage_v"] <= over_v + 1e-6
    assert under_v - 1e-6 <= limits["under_voltage_v"] < under_v + 0.0507
    assert charge_a - 8.001 < limits["over_current_charge_a"] <= charge_a + 1e-4
    assert delay_s - 0.0034 < limits["over_current_charge_delay_s"] <= delay_s + 1e-6


@pytest.mark.parametrize(
    ("largest_a", "da_configuration", "unit_a"), [(296.0, 0x06, 0.01), (400.0, 0x07, 0.1), (33.0, 0x06, 0.01)]
)
def test_the_current_register_cannot_saturate_below_the_largest_limit(
    largest_a: float, da_configuration: int, unit_a: float
) -> None:
    chosen = settings(
        over_current_charge_a=16.0,
        over_current_discharge_a=32.0,
        over_current_discharge_fast_a=largest_a,
        short_circuit_a=480.0,
    )
    assert chosen.user_a == unit_a
    assert chosen.memory(16)["DA configuration"] == da_configuration
    assert 32767 * unit_a > largest_a


def test_cells_take_the_lowest_inputs_unless_told() -> None:
    assert settings().memory(16)["VCell mode"] == 0xFFFF
    assert settings().memory(10)["VCell mode"] == 0x03FF
    gaps = (*range(1, 13), 14, 16)
    assert settings(inputs=gaps).memory(14)["VCell mode"] == 0xAFFF


@pytest.mark.parametrize(("inputs", "series"), [((), 17), ((1, 2, 3), 4)])
def test_cells_that_do_not_fit_are_refused(inputs: tuple[int, ...], series: int) -> None:
    with pytest.raises(ValueError, match=str(series)):
        settings(inputs=inputs).cell_inputs(series)


def test_lists_of_a_configuration_file_are_taken() -> None:
    assert settings(probes=["TS2", "HDQ"]).probes == ("TS2", "HDQ")
