"""The fan: full when temperatures are unknown, a hysteresis when they are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stages.stage_builders import SETTINGS, channel, measured, temps

from bms_daemon.stages.thermal import fan_duty

NAN = float("nan")


def duty(last: float, *probe_degc: float) -> float:
    return fan_duty(measured(temps=temps(*probe_degc)), last, SETTINGS.fan)


def test_the_fan_is_full_when_temperatures_are_unknown() -> None:
    assert fan_duty(measured(temps=channel(None)), 0.0, SETTINGS.fan) == 1.0


@pytest.mark.parametrize(("degc", "expected"), [(34.9, 0.0), (35.0, 0.3), (40.0, 0.65), (45.0, 1.0), (80.0, 1.0)])
def test_the_fan_follows_the_hottest_probe(degc: float, expected: float) -> None:
    assert duty(0.0, 20.0, NAN, degc) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("last", "degc", "expected"), [(0.3, 33.0, 0.3), (0.3, 32.0, 0.0), (0.0, 33.0, 0.0), (1.0, 32.5, 0.3)]
)
def test_a_running_fan_stops_only_below_the_hysteresis(last: float, degc: float, expected: float) -> None:
    assert duty(last, degc, 20.0) == pytest.approx(expected)


def test_between_two_scans_the_fan_keeps_its_speed() -> None:
    assert fan_duty(measured(temps=channel(temps(90.0, 90.0), fresh=False)), 0.4, SETTINGS.fan) == 0.4


@given(st.sampled_from([0.0, 0.3, 1.0]), st.floats(-39.0, 120.0))
def test_the_duty_is_a_share(last: float, degc: float) -> None:
    assert 0.0 <= duty(last, degc) <= 1.0
