"""The VE.Direct battery monitor emulator: blocks, checksum, HEX, timing and faults. Vectors: a captured block."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bms_daemon.model import FloatArray
from bms_daemon.sim.vedirect import VeDirectShunt, block, hex_frame

CAPTURED = (
    b"\r\nPID\t0x203\r\nV\t12065\r\nI\t-7625\r\nP\t-92\r\nCE\t-65473\r\nSOC\t839\r\nTTG\t942\r\nAlarm\tOFF\r\nRelay\tOFF"
    b"\r\nAR\t0\r\nBMV\t700\r\nFW\t0308\r\nChecksum\tq"
)


class Pins:
    cell_v: FloatArray = np.full(4, 3.3)
    stack_v = 13.2
    pack_v = 12.065
    link_v = 0.0
    current_a = -7.625
    probe_degc: FloatArray = np.zeros(0)
    die_degc = 25.0


def _listen(shunt: VeDirectShunt, until_s: float, start_s: float = 0.0) -> list[tuple[float, bytes]]:
    """Bytes and when they came, advancing from event to event."""
    heard, now_s = [], start_s
    while (now_s := max(now_s + 1e-6, shunt.next_event_s)) < until_s:
        if data := shunt.advance(now_s):
            heard.append((now_s, data))
    return heard


def _fields(data: bytes) -> dict[str, str]:
    records = [record.split("\t") for record in data.decode("latin-1").split("\r\n")[1:]]
    return {record[0]: record[1] for record in records if len(record) == 2}


def _main(shunt: VeDirectShunt, until_s: float = 1.0, start_s: float = 0.0) -> dict[str, str]:
    """The last measurement block."""
    return _fields([data for _, data in _listen(shunt, until_s, start_s) if b"PID" in data][-1])


def test_the_captured_block_comes_out_byte_by_byte() -> None:
    records = [tuple(line.split("\t")) for line in CAPTURED.decode().split("\r\n")[1:-1]]
    assert block([(label, value) for label, value in records]) == CAPTURED


def test_a_measurement_block_looks_like_the_captured_one() -> None:
    shunt = VeDirectShunt(Pins(), seed=0, capacity_ah=200.0, soc=0.839)
    fields = _main(shunt)
    assert list(fields) == list(_fields(CAPTURED))
    assert (fields["V"], fields["P"], fields["SOC"]) == ("12065", "-92", "839")
    assert int(fields["I"]) == pytest.approx(-7625, abs=50)
    assert int(fields["CE"]) == pytest.approx(-32200, abs=5)
    assert int(fields["TTG"]) == pytest.approx(200 * 0.839 / 7.625 * 60, abs=10)


def test_every_block_sums_to_zero_and_history_follows_measurement() -> None:
    heard = _listen(VeDirectShunt(Pins(), seed=3, capacity_ah=200.0, soc=0.5), 20.0)
    assert [sum(data) & 0xFF for _, data in heard] == [0] * len(heard)
    assert [b"\r\nPID\t" in data for _, data in heard] == [True, False] * 20
    assert all(re.match(rb"\r\nH1\t.*\r\nH18\t", data, re.DOTALL) for _, data in heard[1::2])


def test_a_block_ends_when_its_bytes_have_left_at_19200_baud_about_once_a_second() -> None:
    heard = _listen(VeDirectShunt(Pins(), seed=3, capacity_ah=200.0, soc=0.5), 30.0)
    for (main_s, _), (history_s, history) in zip(heard[0::2], heard[1::2], strict=True):
        assert history_s - main_s == pytest.approx(len(history) / 1920, abs=1e-5)
    gaps = np.diff([end_s for end_s, _ in heard[0::2]])
    assert gaps.min() > 0.97
    assert gaps.max() < 1.03
    assert gaps.std() > 0.001


@pytest.mark.parametrize(("current_a", "soc_then"), [(-36.0, 490), (36.0, 510), (0.0, 500)])
def test_charge_is_counted(current_a: float, soc_then: int) -> None:
    pins = Pins()
    pins.current_a = current_a
    fields = _main(VeDirectShunt(pins, seed=0, capacity_ah=10.0, soc=0.5), 11.0)
    assert int(fields["SOC"]) == pytest.approx(soc_then, abs=1)
    assert (fields["TTG"] == "-1") == (current_a >= 0.0)


def test_the_published_hex_exchange() -> None:
    shunt = VeDirectShunt(Pins(), seed=0, capacity_ah=200.0, soc=0.5)
    shunt.advance(0.001)
    shunt.hear(b":70010")
    assert shunt.next_event_s > 0.001
    shunt.hear(b"003E\n")
    assert shunt.next_event_s == 0.001
    assert shunt.advance(0.0011) == b":7001000C80076\n"


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        (b":154\n", b":50843%02X\n" % (0x55 - 5 - 0x08 - 0x43)),
        (b":352\n", b":10843%02X\n" % (0x55 - 1 - 0x08 - 0x43)),
        (b":451\n", b":103024F\n"),
        (b":70010003E\r\n", b":7001000C80076\n"),
        (b":70110003D\n", b":70110013C\n"),
        (b":70010003D\n", b":4AAAAFD\n"),
        (b":\n", b":4AAAAFD\n"),
        (b"nonsense\n", b":4AAAAFD\n"),
        (b":64F\n", b":3064C\n"),
        (b"noise:451\n", b":103024F\n"),
    ],
    ids=["ping", "version", "product", "get", "no such register", "sum", "empty", "words", "restart", "after noise"],
)
def test_hex_questions_are_answered_byte_by_byte(question: bytes, answer: bytes) -> None:
    shunt = VeDirectShunt(Pins(), seed=0, capacity_ah=200.0, soc=0.5)
    shunt.advance(0.001)
    shunt.hear(question)
    assert shunt.advance(0.0011) == answer


def test_text_pauses_after_a_hex_frame_and_comes_back() -> None:
    shunt = VeDirectShunt(Pins(), seed=0, capacity_ah=200.0, soc=0.5, hex_pause_s=5.0)
    before = [now_s for now_s, _ in _listen(shunt, 2.5)]
    shunt.hear(b":154\n")
    after = [now_s for now_s, data in _listen(shunt, 20.0, 2.5) if b"PID" in data]
    assert before[-1] > 2.0
    assert 7.0 < after[0] < 7.6 and len(after) == pytest.approx(13, abs=1)


def test_a_deaf_monitor_answers_nothing_and_does_not_pause() -> None:
    shunt = VeDirectShunt(Pins(), seed=0, capacity_ah=200.0, soc=0.5)
    shunt.faults.deaf = True
    shunt.hear(b":154\n")
    assert not any(b":5" in data for _, data in _listen(shunt, 0.5))
    assert len(_listen(shunt, 5.0, 0.5)) >= 8


@given(st.lists(st.binary(max_size=200), max_size=5))
def test_whatever_is_heard_raises_nothing_and_fills_no_memory(heard: list[bytes]) -> None:
    shunt = VeDirectShunt(Pins(), seed=0, capacity_ah=200.0, soc=0.5)
    for data in (b"x" * 1000, *heard):
        shunt.hear(data)
    assert len(shunt._heard) <= 128
    shunt.hear(b"\n")
    assert shunt.advance(0.001).endswith(b":4AAAAFD\n") or b":" in b"".join(heard)


def test_a_hex_frame_inside_a_block_leaves_the_rest_summing_to_zero() -> None:
    shunt = VeDirectShunt(Pins(), seed=0, capacity_ah=200.0, soc=0.5)
    shunt.faults.hex_frames = True
    data = _listen(shunt, 0.3)[0][1]
    text = re.sub(rb":[0-9A-F]+\n", b"", data)
    assert data.startswith(b"\r\nPID\t0x203:A")
    assert len(text) < len(data)
    assert sum(text) & 0xFF == 0


@given(command=st.integers(0, 15), payload=st.binary(max_size=16))
def test_hex_frames_sum_to_55(command: int, payload: bytes) -> None:
    frame = hex_frame(command, payload)
    assert (int(frame[1:2], 16) + sum(bytes.fromhex(frame[2:-1].decode()))) & 0xFF == 0x55


def test_a_silent_sensor_says_nothing_and_comes_back() -> None:
    shunt = VeDirectShunt(Pins(), seed=0, capacity_ah=200.0, soc=0.5)
    shunt.faults.silent = True
    assert _listen(shunt, 5.0) == []
    shunt.faults.silent = False
    assert len(_listen(shunt, 7.5, 5.0)) >= 4


def test_a_stuck_sensor_repeats_itself() -> None:
    pins = Pins()
    shunt = VeDirectShunt(pins, seed=0, capacity_ah=200.0, soc=0.5)
    before = _main(shunt)
    shunt.faults.stuck = True
    pins.current_a, pins.pack_v = 55.0, 14.0
    assert _main(shunt, 4.0, 1.0) == before


@pytest.mark.parametrize(
    ("spoil", "reads_ma"),
    [
        (lambda faults: setattr(faults, "offset_a", 2.0), -5625),
        (lambda faults: setattr(faults, "gain", 2.0), -15250),
        (lambda faults: setattr(faults, "inverted", True), 7625),
    ],
    ids=["offset", "gain", "sign"],
)
def test_current_faults(spoil: Callable[[object], None], reads_ma: int) -> None:
    shunt = VeDirectShunt(Pins(), seed=0, capacity_ah=200.0, soc=0.5)
    spoil(shunt.faults)
    assert int(_main(shunt)["I"]) == pytest.approx(reads_ma, abs=50)


def test_bad_checksums_are_as_many_as_asked() -> None:
    shunt = VeDirectShunt(Pins(), seed=0, capacity_ah=200.0, soc=0.5)
    shunt.faults.bad_checksums = 2
    sums = [sum(data) & 0xFF == 0 for _, data in _listen(shunt, 4.0) if b"PID" in data]
    assert sums == [False, False, True, True]


def test_garbage_comes_once_before_a_block() -> None:
    shunt = VeDirectShunt(Pins(), seed=0, capacity_ah=200.0, soc=0.5)
    shunt.faults.garbage = 300
    first, _, second, *_ = [data for _, data in _listen(shunt, 2.5)]
    assert first.index(b"\r\nPID\t") == 300
    assert second.index(b"\r\nPID\t") == 0


def test_a_flood_is_ten_times_the_blocks() -> None:
    shunt = VeDirectShunt(Pins(), seed=0, capacity_ah=200.0, soc=0.5)
    shunt.faults.flood = 10
    assert 95 <= sum(data.count(b"PID") for _, data in _listen(shunt, 10.0)) <= 105
