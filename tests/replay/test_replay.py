"""Replay of short made-up recordings: what the daemon says of each row, and what the pack does."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import recording

from bms_daemon.config.schema import Settings
from bms_daemon.offline.recording import Recording
from bms_daemon.offline.replay import Line, fits, replay


def _times(count: int) -> list[float]:
    return [30.0 * row for row in range(count)]


def _qualities(lines: list[Line]) -> str:
    return "".join("b" if line.quality == "bad" else "." for line in lines)


def test_good_rows_are_good_and_meet_a_closed_pack(nmc_settings: Settings) -> None:
    lines = replay(recording(_times(5)), nmc_settings)
    assert [line.row for line in lines] == [0, 1, 2, 3, 4]
    assert _qualities(lines) == "....."
    assert {line.state for line in lines} == {"closed"}
    assert {line.reaction for line in lines} == {"none"}


@pytest.mark.parametrize(
    ("cells", "probes", "value", "word"),
    [
        (slice(None), None, np.nan, "cells_absent"),
        (slice(3, 5), None, np.nan, "cell_missing"),
        (slice(2, 3), None, 5.0, "cell_range"),
        (slice(2, 3), None, 1.28, "cell_range"),
        (None, slice(0, 1), -40.0, "probe_range"),
        (None, slice(0, 4), 125.0, "probes_few"),
    ],
)
def test_a_row_bad_by_value_is_found_and_no_other(
    nmc_settings: Settings, cells: slice | None, probes: slice | None, value: float, word: str
) -> None:
    spoilt = recording(_times(6))
    if cells is not None:
        spoilt.cell_v[2, cells] = value
    if probes is not None:
        spoilt.probe_degc[2, probes] = value
    lines = replay(spoilt, nmc_settings)
    assert _qualities(lines) == "..b..."
    assert word in lines[2].reason
    assert lines[5].state == "closed"


def test_steps_backwards_and_gaps_are_reported(nmc_settings: Settings) -> None:
    lines = replay(recording([0, 30, 30, 60, 160, 190, 1000, 1030]), nmc_settings)
    assert _qualities(lines) == "..b.b.b."
    assert lines[2].state == ""
    assert "silence" in lines[4].reason
    assert "cold start" in lines[6].reason
    assert lines[7].state == "closed"


def test_silence_stops_the_pack(nmc_settings: Settings) -> None:
    lines = replay(recording([0, 30, 60, 160, 190, 220]), nmc_settings, operator=False)
    assert [line.state for line in lines[:3]] == ["closed"] * 3
    assert {line.state for line in lines[4:]} <= {"standby", "fault"}


def test_without_an_operator_a_cold_start_stays_open(nmc_settings: Settings) -> None:
    lines = replay(recording([0, 30, 1000, 1030]), nmc_settings, operator=False)
    assert [line.state for line in lines] == ["closed", "closed", "standby", "standby"]


def test_a_thermal_emergency_is_never_cleared(nmc_settings: Settings) -> None:
    hot = recording([0, 30, 60, 90, 1500, 1530])
    hot.probe_degc[2, 1] = 101.0
    lines = replay(hot, nmc_settings)
    assert lines[0].state == "closed"
    assert [line.state for line in lines[2:]] == ["latched"] * 4
    assert lines[2].reaction == "open"


def test_the_same_recording_gives_the_same_lines(nmc_settings: Settings) -> None:
    once = recording([0, 30, 60, 160, 190])
    once.cell_v[1, 0] = 4.9
    assert replay(once, nmc_settings) == replay(once, nmc_settings)


@pytest.mark.parametrize(("cells", "probes", "told"), [(15, 4, "--cells"), (16, 3, "probes")])
def test_a_recording_of_another_pack_does_not_fit(nmc_settings: Settings, cells: int, probes: int, told: str) -> None:
    other = Recording(np.zeros(1), np.zeros(1), np.zeros((1, cells)), np.zeros((1, probes)))
    assert told in fits(other, nmc_settings)
