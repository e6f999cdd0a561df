"""The IVT-S emulator: frames from raw bytes, schedule, commands and their modes, counters, resets and faults."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bms_daemon.model import FloatArray
from bms_daemon.runtime.clock import run_manual
from bms_daemon.sim.can_port import SimCanPort
from bms_daemon.sim.ivts import IvtS

STOP, RUN, STORE, RESTART, AS_SHIPPED = "340001", "340101", "32", "3f", "3d"


@dataclass
class Pins:
    """Taps that a test sets by hand."""

    cell_v: FloatArray = field(default_factory=lambda: np.full(4, 3.3))
    stack_v: float = 53.2
    pack_v: float = 52.7
    link_v: float = 12.0
    current_a: float = -12.345
    probe_degc: FloatArray = field(default_factory=lambda: np.zeros(0))
    die_degc: float = 23.4


class Bench:
    """The sensor without noise, its pins, the time and every frame so far."""

    def __init__(self, **options: object) -> None:
        self.pins = Pins()
        self.sensor = IvtS(self.pins, **{"noise_a": 0.0, **options})  # type: ignore[arg-type]
        self.now_s = 0.0
        self.heard: list[tuple[float, int, bytes]] = []
        self._advance(0.0)

    def _advance(self, now_s: float) -> None:
        self.now_s = now_s
        self.heard += [(now_s, frame_id, data) for frame_id, data in self.sensor.advance(now_s)]

    def wait(self, seconds: float) -> list[tuple[float, int, bytes]]:
        """From event to event; what came in this time."""
        count, end_s = len(self.heard), self.now_s + seconds
        while (due_s := self.sensor.next_event_s) < end_s:
            self._advance(max(due_s, self.now_s))
        self._advance(end_s)
        return self.heard[count:]

    def send(self, *commands: str, wait_s: float = 0.001) -> list[str]:
        """Each command, and what is answered to it, in hex."""
        answers = []
        for command in commands:
            self.sensor.hear(0x411, bytes.fromhex(command).ljust(8, b"\0"))
            answers += [data.hex() for _, frame_id, data in self.wait(wait_s) if frame_id == 0x511]
        return answers

    def results(self, number: int, seconds: float) -> list[bytes]:
        return [data for _, frame_id, data in self.wait(seconds) if frame_id == 0x521 + number]

    def value(self, number: int, seconds: float = 0.2) -> int:
        return int.from_bytes(self.results(number, seconds)[-1][2:], "big", signed=True)


# ------------------------------------------------------------------ frames
def test_the_published_current_frame_comes_out_byte_by_byte() -> None:
    assert Bench().results(0, 0.09)[3] == bytes.fromhex("0003ffffcfc7")


def test_every_result_has_its_identifier_its_mux_byte_and_its_unit() -> None:
    bench = Bench()
    first: dict[int, bytes] = {}
    for _, frame_id, data in bench.wait(0.11):
        first.setdefault(frame_id, data)
    assert first == {
        0x521: bytes.fromhex("0000ffffcfc7"),
        0x522: bytes.fromhex("01000000cddc"),
        0x523: bytes.fromhex("020000002ee0"),
        0x524: bytes.fromhex("03000000cfd0"),
        0x525: bytes.fromhex("0400000000ea"),
        0x526: bytes.fromhex("0500fffffd75"),
        0x527: bytes.fromhex("060000000000"),
        0x528: bytes.fromhex("070000000000"),
    }


def test_other_identifiers_and_other_wiring() -> None:
    bench = Bench(base_id=0x600, command_id=0x420, response_id=0x430, u1="stack_v", u2="pack_v", u3="link_v")
    frames = {frame_id: data for _, frame_id, data in bench.wait(0.065)}
    assert set(frames) == {0x600, 0x601, 0x602, 0x603, 0x605, 0x606, 0x607}
    assert [frames[0x601 + k].hex() for k in range(3)] == ["01000000cfd0", "02000000cddc", "030000002ee0"]
    bench.sensor.hear(0x411, bytes.fromhex(STOP))
    assert {frame_id for _, frame_id, _ in bench.wait(0.1)} == set(range(0x600, 0x608))
    bench.sensor.hear(0x420, bytes.fromhex(STOP))
    assert [(frame_id, data.hex()) for _, frame_id, data in bench.wait(0.2)] == [(0x430, "b400010000000000")]


def test_charging_is_positive() -> None:
    bench = Bench()
    bench.pins.current_a = 100.0
    assert bench.results(0, 0.03)[0] == bytes.fromhex("0000000186a0")


# ------------------------------------------------------------------ schedule
@pytest.mark.parametrize(
    ("number", "cycle_s"),
    [(0, 0.02), (1, 0.06), (2, 0.06), (3, 0.06), (4, 0.1), (5, 0.03), (6, 0.03), (7, 0.03)],
)
def test_results_come_on_their_cycle_from_the_start_with_a_rising_counter(number: int, cycle_s: float) -> None:
    frames = [(now_s, data) for now_s, frame_id, data in Bench().wait(2.01) if frame_id == 0x521 + number]
    assert [now_s for now_s, _ in frames] == pytest.approx([cycle_s * (k + 1) for k in range(len(frames))])
    assert len(frames) == int(2.01 / cycle_s)
    assert [data[1] for _, data in frames] == [k % 16 for k in range(len(frames))]


def test_frames_of_one_call_come_oldest_first() -> None:
    bench = Bench()
    ids = [frame_id for frame_id, _ in bench.sensor.advance(0.065)]
    assert ids == [0x521, 0x526, 0x527, 0x528, 0x521, 0x521, 0x522, 0x523, 0x524, 0x526, 0x527, 0x528]


def test_values_are_those_of_the_cycles_end() -> None:
    bench = Bench()
    bench.wait(0.015)
    bench.pins.current_a = 1.0
    assert bench.wait(0.004) == []
    bench.pins.current_a = 2.0
    [(_, _, data)] = bench.wait(0.002)
    assert data == bytes.fromhex("0000000007d0")


def test_the_next_event_is_the_next_frame() -> None:
    bench = Bench()
    assert bench.sensor.next_event_s == pytest.approx(0.02)
    bench.wait(0.025)
    assert bench.sensor.next_event_s == pytest.approx(0.03)
    bench.sensor.hear(0x411, bytes.fromhex(RUN))
    assert bench.sensor.next_event_s == 0.025


def test_a_long_gap_gives_its_last_second_and_counters_that_have_gone_on() -> None:
    bench = Bench()
    bench.wait(0.09)
    frames = bench.sensor.advance(1000.09)
    assert sorted({frame_id for frame_id, _ in frames}) == list(range(0x521, 0x529))
    currents = [data for frame_id, data in frames if frame_id == 0x521]
    assert 49 <= len(currents) <= 51
    assert currents[-1][1] == (50004 - 1) % 16
    assert len(frames) < 230


def test_it_starts_with_its_first_advance_whatever_the_clock_says() -> None:
    sensor = IvtS(Pins(), noise_a=0.0)
    assert sensor.next_event_s <= 5e6
    assert sensor.advance(5e6) == []
    assert sensor.next_event_s == pytest.approx(5e6 + 0.02)
    sensor.hear(0x411, bytes.fromhex(STOP))
    assert sensor.advance(5e6 + 0.01) == [(0x511, bytes.fromhex("b400010000000000"))]


def test_noise_is_twenty_milliampere_and_the_same_for_the_same_seed() -> None:
    def currents(**options: object) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        bench = Bench(**{"noise_a": 0.02, **options})
        return np.array([int.from_bytes(data[2:], "big", signed=True) for data in bench.results(0, 20.0)], dtype=float)

    first = currents(seed=1)
    assert np.array_equal(first, currents(seed=1))
    assert not np.array_equal(first, currents(seed=2))
    assert first.mean() == pytest.approx(-12345, abs=3)
    assert 18.0 < first.std() < 22.0
    assert currents(seed=1, noise_a=0.2).std() > 180.0
    default = IvtS(Pins())
    values = [int.from_bytes(data[2:], "big", signed=True) for _, data in default.advance(0.0) + default.advance(1.0)]
    assert len(set(values)) > 40


# ------------------------------------------------------------------ commands
def test_stop_and_run_are_answered_and_obeyed() -> None:
    bench = Bench()
    assert bench.send(STOP) == ["b400010000000000"]
    assert bench.sensor.next_event_s == math.inf
    assert bench.wait(5.0) == []
    assert bench.send(RUN) == ["b401010000000000"]
    assert len(bench.results(0, 0.1)) == 5


def test_run_while_it_runs_leaves_the_schedule_alone() -> None:
    bench = Bench()
    bench.wait(0.015)
    assert bench.send(RUN) == ["b401010000000000"]
    assert bench.sensor.next_event_s == pytest.approx(0.02)


@pytest.mark.parametrize("number", range(8))
def test_a_configuration_is_echoed_and_works_from_the_next_run_on(number: int) -> None:
    bench = Bench()
    assert bench.send(STOP, f"2{number}020064") == ["b400010000000000", f"a{number}02006400000000"]
    bench.send(RUN)
    assert len(bench.results(number, 1.05)) == 10


@pytest.mark.parametrize(
    ("mode", "frame"),
    [("02", "ffffcfc7"), ("42", "c7cfffff"), ("82", "00003039"), ("c2", "39300000")],
)
def test_byte_order_and_sign_follow_the_mode_byte(mode: str, frame: str) -> None:
    bench = Bench()
    bench.send(STOP, f"20{mode}0014", RUN)
    assert bench.results(0, 0.03)[0][2:].hex() == frame


def test_a_disabled_result_is_not_sent() -> None:
    bench = Bench()
    bench.send(STOP, *(f"2{number}000000" for number in range(8)), RUN)
    assert bench.wait(3.0) == []
    assert bench.sensor.next_event_s == math.inf


def test_cycles_are_big_endian_milliseconds() -> None:
    bench = Bench()
    bench.send(STOP, "20020100", RUN)
    assert len(bench.results(0, 0.26 * 4)) == 4


def test_triggered_results_are_sent_when_asked_and_only_while_running() -> None:
    bench = Bench()
    bench.send(STOP, *(f"2{number}000000" for number in range(8)), "20010000", "22410000")
    assert bench.send("31") == []
    bench.send(RUN)
    assert bench.wait(1.0) == []
    bench.sensor.hear(0x411, b"\x31")
    assert [(frame_id, data.hex()) for _, frame_id, data in bench.wait(0.001)] == [
        (0x511, "b100000000000000"), (0x521, "0000ffffcfc7"), (0x523, "0200e02e0000"),
    ]  # fmt: skip
    assert bench.wait(1.0) == []


@pytest.mark.parametrize("command", ["20020064", "2742000a", STORE, AS_SHIPPED])
def test_while_it_runs_it_takes_no_configuration(command: str) -> None:
    bench = Bench()
    assert bench.send(command, wait_s=1.0) == []
    assert len(bench.results(0, 1.01)) == 50


@pytest.mark.parametrize(
    "command", ["20030064", "20120064", "20220064", "20020000", "28020064", "3402", "340002", "33", "00", "ff"]
)
def test_what_makes_no_sense_is_not_answered(command: str) -> None:
    bench = Bench()
    bench.send(STOP)
    assert bench.send(command) == []
    bench.send(RUN)
    assert len(bench.results(0, 1.01)) == 50


@pytest.mark.parametrize(("data", "answers"), [("3400", 0), ("34", 0), ("340001", 1), ("3400010000000000", 1), ("", 0)])
def test_a_command_of_too_few_bytes_is_ignored(data: str, answers: int) -> None:
    bench = Bench()
    bench.sensor.hear(0x411, bytes.fromhex(data))
    assert sum(frame_id == 0x511 for _, frame_id, _ in bench.wait(0.01)) == answers


def test_the_error_log_can_be_reset_in_both_modes() -> None:
    bench = Bench()
    assert bench.send("30", STOP, "30") == ["b000000000000000", "b400010000000000", "b000000000000000"]


def test_it_hears_nothing_while_it_stores_and_answers_at_the_end() -> None:
    bench = Bench()
    bench.send(STOP)
    assert bench.send(STORE, RUN, wait_s=0.05) == []
    [(now_s, frame_id, data)] = bench.wait(0.2)
    assert (frame_id, data.hex()) == (0x511, "b200000000000000")
    assert now_s == pytest.approx(0.201)
    assert bench.wait(1.0) == []
    assert bench.send(RUN) == ["b401010000000000"]


def _configured(store: bool) -> Bench:
    """A bench whose current comes every 100 ms, little-endian."""
    bench = Bench()
    bench.send(STOP, "20420064")
    if store:
        bench.send(STORE, wait_s=0.5)
    bench.send(RUN)
    return bench


@pytest.mark.parametrize(("store", "count", "first"), [(False, 50, "ffffcfc7"), (True, 10, "c7cfffff")])
@pytest.mark.parametrize("by_command", [True, False])
def test_only_what_is_stored_outlives_a_reset(store: bool, count: int, first: str, by_command: bool) -> None:
    bench = _configured(store)
    if by_command:
        bench.send(RESTART)
    else:
        bench.sensor.power_on_reset()
    bench.wait(0.3)
    frames = bench.results(0, 1.015)
    assert len(frames) == count
    assert frames[0][2:].hex() == first


def test_a_reset_while_it_stores_loses_the_configuration() -> None:
    bench = Bench()
    bench.send(STOP, "20020064")
    bench.send(STORE, wait_s=0.1)
    bench.sensor.power_on_reset()
    assert bench.send(wait_s=1.0) == []
    bench.wait(0.305)
    assert len(bench.results(0, 1.0)) == 50


@pytest.mark.parametrize(("mode", "runs"), [("340000", False), ("340001", True)])
def test_the_mode_after_a_start_is_stored_as_well(mode: str, runs: bool) -> None:
    bench = Bench()
    bench.send(mode)
    bench.send(STORE, wait_s=0.3)
    bench.sensor.power_on_reset()
    assert bool(bench.wait(1.0)) is runs


def test_restart_to_default_forgets_what_was_stored() -> None:
    bench = _configured(store=True)
    bench.send(STOP)
    assert bench.send(AS_SHIPPED, wait_s=0.305) == ["bd00000000000000"]
    assert len(bench.results(0, 1.0)) == 50


# ------------------------------------------------------------------ counters and resets
def test_charge_and_energy_are_counted() -> None:
    bench = Bench()
    bench.pins.current_a, bench.pins.pack_v = -36.0, 50.0
    assert bench.value(6, 100.005) == pytest.approx(-3600, abs=2)
    assert bench.value(7, 0.1) == pytest.approx(-50, abs=1)
    bench.pins.current_a = 72.0
    assert bench.value(6, 100.0) == pytest.approx(3600, abs=5)


def test_before_anybody_listens_nothing_is_counted() -> None:
    """The world may move before the sensor's wire does."""
    bench = Bench()
    sensor = IvtS(bench.pins, noise_a=0.0)
    for now_s in (5.0, 50.0):
        sensor.count(now_s)
    bench.pins.current_a = 0.0
    frames = sensor.advance(50.0) + sensor.advance(50.05)
    assert [data[2:].hex() for frame_id, data in frames if frame_id == 0x527] == ["00000000"]


def test_in_stop_the_counters_stand() -> None:
    bench = Bench()
    bench.pins.current_a = 50.0
    bench.wait(2.0)
    bench.send(STOP)
    bench.wait(100.0)
    bench.send(RUN)
    assert bench.value(6, 0.04) == pytest.approx(100, abs=1)


@pytest.mark.parametrize("by_command", [True, False])
def test_a_reset_zeroes_counters_and_is_silent_and_deaf_for_three_tenths(by_command: bool) -> None:
    bench = Bench()
    bench.pins.current_a = 60.0
    bench.wait(2.07)
    assert bench.heard[-1][2][1] != 0
    if by_command:
        bench.sensor.hear(0x411, b"\x3f")
    else:
        bench.sensor.power_on_reset()
    bench.sensor.hear(0x411, bytes.fromhex(STOP))
    assert bench.wait(0.299) == []
    frames = bench.wait(0.051)
    assert [data.hex() for _, frame_id, data in frames if frame_id == 0x511] == ["bf00000000000000"] * by_command
    assert [data.hex() for _, frame_id, data in frames if frame_id == 0x521] == ["00000000ea60", "00010000ea60"]
    assert [data.hex() for _, frame_id, data in frames if frame_id == 0x527] == ["060000000002"]


# ------------------------------------------------------------------ faults
def test_a_silent_sensor_says_and_answers_nothing_but_hears() -> None:
    bench = Bench()
    bench.sensor.faults.silent = True
    assert bench.wait(1.0) == []
    assert bench.send(STOP) == []
    bench.sensor.faults.silent = False
    assert bench.wait(1.0) == []


def test_a_stuck_sensor_repeats_its_values_with_rising_counters() -> None:
    bench = Bench()
    bench.wait(0.11)
    bench.sensor.faults.stuck = True
    bench.pins.current_a, bench.pins.pack_v, bench.pins.die_degc = 55.0, 60.0, 80.0
    frames = bench.results(0, 0.1)
    assert [data.hex() for data in frames] == [f"000{counter:x}ffffcfc7" for counter in range(5, 10)]
    assert [bench.value(number) for number in (1, 4)] == [52700, 234]
    bench.sensor.faults.stuck = False
    assert bench.value(0) == 55000


def test_a_frozen_counter_stands_while_values_go_on() -> None:
    bench = Bench()
    bench.wait(0.05)
    bench.sensor.faults.frozen_counter = True
    bench.pins.current_a = 1.0
    assert [data.hex() for data in bench.results(0, 0.05)] == ["0002000003e8"] * 3
    bench.sensor.advance(500.0)
    bench.now_s = 500.0
    bench.sensor.faults.frozen_counter = False
    assert [data[1] for data in bench.results(0, 0.05)] == [2, 3]


@pytest.mark.parametrize(
    ("name", "bit"), [("ocs", 0x10), ("out_of_range", 0x20), ("any_error", 0x40), ("system_error", 0x80)]
)
def test_status_bits_stand_above_the_counter_of_every_result(name: str, bit: int) -> None:
    bench = Bench()
    setattr(bench.sensor.faults, name, True)
    frames = bench.wait(0.11)
    assert {frame_id for _, frame_id, _ in frames} == set(range(0x521, 0x529))
    assert {data[1] & 0xF0 for _, _, data in frames} == {bit}
    assert [data[1] for _, frame_id, data in frames if frame_id == 0x521] == [bit, bit + 1, bit + 2, bit + 3, bit + 4]


@pytest.mark.parametrize(
    ("current_a", "data"), [(3e6, "00207fffffff"), (-3e6, "002080000001"), (math.nan, None), (math.inf, "00207fffffff")]
)
def test_a_value_beyond_the_field_is_held_and_marked(current_a: float, data: str | None) -> None:
    bench = Bench()
    bench.pins.current_a = current_a
    frame = bench.results(0, 0.025)[0]
    assert frame[1] == 0x20
    assert data is None or frame.hex() == data


Spoil = Callable[[Bench], None]


def _set(name: str, value: object) -> Spoil:
    return lambda bench: setattr(bench.sensor.faults, name, value)


@pytest.mark.parametrize(
    ("spoil", "current_ma", "charge_as"),
    [
        (_set("offset_a", 2.0), -10345, -103),
        (_set("gain", 2.0), -24690, -247),
        (_set("inverted", True), 12345, 123),
    ],
    ids=["offset", "gain", "sign"],
)
def test_current_faults_reach_current_power_and_charge(spoil: Spoil, current_ma: int, charge_as: int) -> None:
    bench = Bench()
    spoil(bench)
    bench.wait(0.02)
    assert bench.value(6, 10.0) == pytest.approx(charge_as, abs=1)
    assert bench.value(0) == current_ma
    assert bench.value(5) == round(52.7 * current_ma / 1000)


def test_a_voltage_offset_spoils_its_channel_only() -> None:
    bench = Bench()
    bench.sensor.faults.u_offset_v.update({2: 1.5})
    assert [bench.value(number) for number in (1, 2, 3)] == [52700, 13500, 53200]


def test_a_lost_result_leaves_a_gap_in_its_counter() -> None:
    bench = Bench()
    bench.wait(0.05)
    bench.sensor.faults.lost.update({0, 6})
    assert {frame_id for _, frame_id, _ in bench.wait(0.1)} == {0x522, 0x523, 0x524, 0x525, 0x526, 0x528}
    bench.sensor.faults.lost.clear()
    assert [data[1] for data in bench.results(0, 0.05)] == [7, 8, 9]


# ------------------------------------------------------------------ on the bus, whatever comes
def test_behind_a_port_it_is_configured_while_a_reader_waits() -> None:
    async def test() -> None:
        port = SimCanPort(IvtS(Pins(), noise_a=0.0), lambda now_s: None)
        answers = []
        assert [frame_id for frame_id, _ in await port.receive()] == [0x521]
        for command in (STOP, "20420064", STORE, RUN):
            await port.send(0x411, bytes.fromhex(command).ljust(8, b"\0"))
            answers += [(frame_id, data.hex()[:6]) for frame_id, data in await port.receive()]
        assert answers == [(0x511, "b40001"), (0x511, "a04200"), (0x511, "b20000"), (0x511, "b40101")]
        assert asyncio.get_running_loop().time() == pytest.approx(0.02 + 0.2, abs=0.003)

    run_manual(test())


@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from([0x411, 0x411, 0x411, 0x511, 0x123]),
            st.one_of(
                st.binary(max_size=12),
                st.builds(
                    lambda command, rest: bytes([command]) + rest,
                    st.sampled_from([*range(0x20, 0x28), 0x30, 0x31, 0x32, 0x34, 0x3D, 0x3F]),
                    st.binary(min_size=7, max_size=7),
                ),
            ),
            st.floats(0.0, 50.0),
        ),
        max_size=12,
    )
)
def test_no_bytes_make_it_raise_or_speak_out_of_form(steps: list[tuple[int, bytes, float]]) -> None:
    sensor, now_s = IvtS(Pins()), 0.0
    sensor.advance(0.0)
    for frame_id, data, seconds in steps:
        sensor.hear(frame_id, data)
        now_s += seconds
        frames = sensor.advance(now_s)
        assert sensor.next_event_s > now_s
        assert len(frames) <= 8 * 1002 + 2
        assert {len(said) for heard_id, said in frames if heard_id == 0x511} <= {8}
        assert all(len(said) == 6 and said[0] == heard_id - 0x521 for heard_id, said in frames if heard_id != 0x511)
