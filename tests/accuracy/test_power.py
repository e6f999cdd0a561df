"""Pulses are found as they are, and judged by their own current."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from accuracy.made_up import CAPACITY_AH, PAIR_OHM, SERIES_OHM, TAU_S, cell

from bms_daemon.offline.accuracy.power_recordings import Recording, _thinned
from bms_daemon.offline.accuracy.power_score import Judged, Task, judged, pulses, summary
from bms_daemon.offline.accuracy.power_table import Test as Line
from bms_daemon.offline.accuracy.power_table import _row


def recording(amps: tuple[float, ...] = (-4.0, -6.0), span_s: int = 10) -> Recording:
    """From full: pulses an hour apart, a row a second, the circuit worked out by itself."""
    current_a = np.zeros(100)
    for each in amps:
        current_a = np.concatenate([current_a, np.full(span_s + 1, each), np.zeros(3600)])
    time_s = np.arange(float(current_a.size))
    soc = 1.0 + np.append(0.0, np.cumsum(0.5 * (current_a[1:] + current_a[:-1]))) / 3600.0 / CAPACITY_AH
    across_v = SERIES_OHM * current_a
    for ohm, tau_s in zip(PAIR_OHM, TAU_S, strict=True):
        keep, pair_v = np.exp(-1.0 / tau_s), np.zeros(current_a.size)
        for row in range(1, current_a.size):
            pair_v[row] = keep * pair_v[row - 1] + (1.0 - keep) * ohm * current_a[row - 1]
        across_v = across_v + pair_v
    voltage_v, temp_degc = 3.0 + 1.2 * soc + across_v, np.full(time_s.size, 25.0)
    return Recording("made up", CAPACITY_AH, 2.5, time_s, current_a, voltage_v, temp_degc)


def test_pulses_are_found_with_their_ends() -> None:
    seen = recording()
    first, second = pulses(seen, 10.0, -1.0)
    assert (first.before, first.current_a, first.span_s) == (99, -4.0, 10.0)
    assert first.voltage_v == seen.voltage_v[110]
    assert (second.before, second.current_a) == (3710, -6.0)


def test_small_short_unsteady_and_opposite_pulses_are_left_out() -> None:
    assert pulses(recording((-1.5,)), 10.0, -1.0) == []
    assert pulses(recording(span_s=8), 10.0, -1.0) == []
    assert pulses(recording((4.0,)), 10.0, -1.0) == []
    assert len(pulses(recording((4.0,)), 10.0, 1.0)) == 1
    seen = recording((-4.0,))
    fading = seen.current_a.copy()
    fading[105:111] = -3.5
    assert pulses(replace(seen, current_a=fading), 10.0, -1.0) == []
    flowing = seen.current_a.copy()
    flowing[99] = -0.5
    assert pulses(replace(seen, current_a=flowing), 10.0, -1.0) == []


@pytest.mark.parametrize(("sign", "amps"), [(-1.0, (-4.0, -6.0)), (1.0, (-6.0, 4.0, 3.0))])
def test_a_cell_that_is_as_its_file_says_is_judged_to_be_right(sign: float, amps: tuple[float, ...]) -> None:
    found = judged(Task(cell().file, recording(amps), 10.0, sign))
    assert len(found) == 2
    assert max(abs(each.best) for each in found) < 0.02
    assert all(each.published < each.best for each in found)


def test_a_cell_with_half_the_resistance_is_judged_too_weak_before_it_is_known() -> None:
    seen = recording((-6.0,))
    half = seen.voltage_v + 0.5 * (3.0 + 1.2 * 1.0 - seen.voltage_v) * (seen.current_a < 0.0)
    found = judged(Task(cell().file, replace(seen, voltage_v=half), 10.0, -1.0))
    assert found[0].best == pytest.approx(-0.5, abs=0.1)


def test_the_summary_is_in_per_cent_and_takes_the_most_optimistic() -> None:
    found = summary([Judged(0.1, -0.05, False), Judged(-0.2, 0.03, True)])
    assert found is not None
    assert (found.pulses, found.near, found.near_error) == (2, 1, pytest.approx(20.0))
    assert (found.error, found.optimistic, found.cautious) == pytest.approx((15.0, 3.0, -1.0))
    assert _row(Line("x", 3.0), found)[1:4] == ["2", "15.0 (3: **missed**)", "3.0 (20)"]
    assert summary([]) is None
    assert _row(Line("x"), None) == ["x", *["no data"] * 6]


def test_rows_of_one_second_and_of_every_change_are_kept() -> None:
    time_s = np.array([0.0, 0.5, 1.0, 1.5, 1.5, 1.6, 1.7, 2.0])
    current_a = np.array([0.0, 0.0, 0.0, 0.0, -4.0, -4.0, -4.0, -4.0])
    flat = np.ones(8)
    table = {"time_s": time_s, "current_A": current_a, "voltage_V": flat, "temp_C": flat}
    seen = _thinned("x", 2.0, 2.5, table)
    assert seen.time_s.tolist() == [0.0, 1.0, 1.5, 1.6, 2.0]
    assert seen.current_a.tolist() == [0.0, 0.0, 0.0, -4.0, -4.0]
