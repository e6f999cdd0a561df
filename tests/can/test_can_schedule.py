"""Timing of frames on plain numbers: grid, phases, stalls, staleness, changes; and the shipped set of messages."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from can_snapshots import IDENTITY, channel, fault, later, measured, scan, snapshot

from bms_daemon import model as m
from bms_daemon.can.database import load
from bms_daemon.can.e2e import Check, Status
from bms_daemon.can.schedule import Outgoing, Schedule
from bms_daemon.can.transmit import Transmitter
from bms_daemon.config.schema import Can

TICK_S = 0.02
BASE = snapshot()
DATABASE = load()
STATE, LIMITS, FAULTS, CELLS, TEMPS, LIST = 0x100, 0x101, 0x105, 0x108, 0x10A, 0x10B


def one(frame_id: int = 1, cycle_s: float = 0.1, **parts) -> Outgoing:
    return Outgoing(frame_id, cycle_s, (lambda s: bytes([s.tick % 256]),), **parts)


def run(schedule, from_s: float, to_s: float, state: m.Snapshot = BASE) -> list[tuple[float, int, bytes]]:
    """Ticks from one time up to another, each with a fresh snapshot."""
    found = []
    for tick in range(round(from_s / TICK_S), round(to_s / TICK_S)):
        now_s = tick * TICK_S
        found += [(now_s, *frame) for frame in schedule.due(later(state, now_s), now_s)]
    return found


def transmitter(series: int = 16, probes: int = 4, **settings) -> Transmitter:
    return Transmitter(DATABASE, Can(**settings), replace(IDENTITY, series=series, probes=probes))


def test_deadlines_stay_on_their_grid_over_an_hour_of_late_ticks():
    schedule = Schedule([one()], stale_s=0.3)
    sent = [t for t in (0.1 * i + 0.003 for i in range(36_000)) if schedule.due(later(BASE, t), t)]
    assert len(sent) == 36_000
    assert schedule.missed == 0


def test_a_phase_delays_the_first_frame_and_all_later_ones():
    times = [round(t, 3) for t, *_ in run(Schedule([one(phase_s=0.04)], 0.3), 0.0, 0.4)]
    assert times == [0.04, 0.14, 0.24, 0.34]


def test_a_stall_gives_one_frame_and_counts_the_missed_ones():
    schedule = Schedule([one()], stale_s=0.3)
    run(schedule, 0.0, 1.0)
    assert len(schedule.due(later(BASE, 6.05), 6.05)) == 1
    assert schedule.missed == 50
    assert schedule.due(later(BASE, 6.06), 6.06) == []
    assert len(schedule.due(later(BASE, 6.1), 6.1)) == 1


def test_ticks_slower_than_the_cycle_send_once_a_tick():
    schedule = Schedule([one(cycle_s=0.04)], stale_s=0.3)
    assert [len(schedule.due(later(BASE, t), t)) for t in (0.0, 0.1, 0.2, 0.3)] == [1, 1, 1, 1]


@pytest.mark.parametrize(("age_s", "frames"), [(0.0, 1), (0.29, 1), (0.31, 0), (10.0, 0)])
def test_nothing_is_sent_from_a_snapshot_older_than_allowed(age_s, frames):
    assert len(Schedule([one()], stale_s=0.3).due(later(BASE, 5.0), 5.0 + age_s)) == frames


def test_silence_ends_without_a_burst_when_snapshots_come_again():
    sender = transmitter()
    run(sender, 0.0, 2.0)
    old = later(BASE, 2.0)
    assert all(sender.due(old, 2.4 + i * TICK_S) == [] for i in range(100))
    counts = Counter(frame_id for frame_id, _ in sender.due(later(BASE, 4.4), 4.4))
    assert counts and max(counts.values()) == 1


def test_the_latest_snapshot_is_what_goes_out():
    schedule = Schedule([one()], stale_s=0.3)
    assert schedule.due(replace(BASE, now_s=1.0, tick=7), 1.0) == [(1, bytes([7]))]
    assert schedule.due(replace(BASE, now_s=1.1, tick=9), 1.1) == [(1, bytes([9]))]


def test_a_payload_that_cannot_be_formed_is_not_sent():
    assert run(Schedule([Outgoing(1, 0.1, (lambda _: None,))], 0.3), 0.0, 1.0) == []


def test_a_change_is_sent_at_once_but_not_within_the_gap():
    schedule = Schedule([one(cycle_s=10.0, change=lambda s: s.faults.active, gap_s=0.1)], stale_s=0.3)
    assert len(schedule.due(later(BASE, 0.0), 0.0)) == 1
    changed = [replace(BASE, faults=m.Faults((fault(number),))) for number in (1, 2)]
    assert len(schedule.due(later(changed[0], 0.5), 0.5)) == 1
    assert not schedule.owes(changed[0])
    assert schedule.due(later(changed[1], 0.52), 0.52) == []
    assert schedule.owes(changed[1])
    assert len(schedule.due(later(changed[1], 0.6), 0.6)) == 1
    assert not schedule.owes(changed[1])
    assert schedule.due(later(changed[1], 0.8), 0.8) == []


@pytest.mark.parametrize(
    ("frame_id", "a_second"),
    [(STATE, 10), (LIMITS, 10), (0x104, 10), (0x106, 10), (0x107, 10), (CELLS, 25), (TEMPS, 5), (FAULTS, 1),
     (0x109, 1), (LIST, 5), (0x10C, 1), (0x10D, 1), (0x10E, 1), (0x10F, 10)],
)  # fmt: skip
def test_every_message_keeps_the_rate_of_the_dbc(frame_id, a_second):
    counts = Counter(found for _, found, _ in run(transmitter(), 0.0, 10.0))
    assert counts[frame_id] == pytest.approx(10 * a_second, abs=1)


def test_state_and_limits_come_first_in_the_first_tick():
    assert [frame_id for frame_id, _ in transmitter().due(later(BASE, 0.0), 0.0)][:2] == [STATE, LIMITS]


def test_phases_spread_the_frames_over_the_ticks():
    per_tick = Counter(round(t, 3) for t, *_ in run(transmitter(), 0.0, 10.0))
    assert max(per_tick.values()) <= 4


@pytest.mark.parametrize("series", [1, 16, 75, 76, 96, 255])
def test_every_cell_is_out_once_a_second(series):
    cells = measured(cells=channel(scan([3.0 + i / 1000 for i in range(series)])))
    seen = {}
    for _, frame_id, data in run(transmitter(series), 0.0, 1.04, replace(BASE, measured=cells)):
        if frame_id == CELLS:
            seen |= DATABASE.messages["BMS_Cells"].decode(data)
    values = [seen[f"Cell{i + 1:03d}Voltage"] for i in range(series)]
    assert values == pytest.approx([3.0 + i / 1000 for i in range(series)])


def test_a_pack_beyond_255_cells_sends_the_first_255():
    rows = {data[0] for _, frame_id, data in run(transmitter(400), 0.0, 2.0) if frame_id == CELLS}
    assert rows == set(range(85))


@pytest.mark.parametrize(("count", "indices"), [(0, {0}), (1, {0}), (3, {0, 1, 2}), (40, set(range(32)))])
def test_the_fault_list_runs_over_the_active_faults(count, indices):
    state = replace(BASE, faults=m.Faults(tuple(fault(1 + i) for i in range(count))))
    assert {data[0] for _, frame_id, data in run(transmitter(), 0.0, 8.0, state) if frame_id == LIST} == indices


def test_protected_frames_pass_the_receivers_check():
    for frame_id, name in ((STATE, "BMS_State"), (LIMITS, "BMS_Limits"), (0x104, "BMS_PowerLimits")):
        check = Check(DATABASE.protection(name))
        found = [check.check(data) for _, sent, data in run(transmitter(), 0.0, 4.0) if sent == frame_id]
        assert found[0] is Status.INITIAL
        assert set(found[1:]) == {Status.OK}


def test_a_limit_that_falls_to_zero_is_on_the_bus_in_the_same_tick():
    sender = transmitter()
    run(sender, 0.0, 1.02)
    stopped = replace(
        later(BASE, 1.02),
        limits=m.Limits(charge_binding=m.Binding.FAULT, discharge_binding=m.Binding.FAULT),
        control=m.Control(m.PackState.OPENING, open_pending=True, countdown_s=2.0),
        faults=m.Faults((fault(6, m.Reaction.STOP),), stop=True),
    )
    frames = dict(sender.due(stopped, 1.02))
    assert {STATE, LIMITS, FAULTS} <= set(frames)
    assert DATABASE.messages["BMS_Limits"].decode(frames[LIMITS])["DischargeCurrent"] == 0.0


def test_an_offset_moves_every_identifier_and_the_crc():
    there = Transmitter(load(0x20), Can(id_offset=0x20), IDENTITY).due(later(BASE, 0.0), 0.0)
    here = transmitter().due(later(BASE, 0.0), 0.0)
    assert [frame_id - 0x20 for frame_id, _ in there] == [frame_id for frame_id, _ in here]
    assert there[0][1][0] != here[0][1][0]
    assert there[0][1][1:] == here[0][1][1:]
