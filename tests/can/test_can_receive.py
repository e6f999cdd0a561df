"""The controller's request: what is taken, what is refused and counted, and that a replay closes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bms_daemon import model as m
from bms_daemon.can.database import load
from bms_daemon.can.e2e import Protect
from bms_daemon.can.receive import Receiver
from bms_daemon.config.schema import Can

DATABASE = load()
DBC = Path(__file__).parents[2] / "dbc" / "bms.dbc"
REQUEST, SECURE, OWN_LIMITS = 0x102, 0x103, 0x101
OPEN, CLOSE = 1, 2


class Vcu:
    """Builds frames by hand: request in bits 12 to 15, moving in 16 and 17, charger in 18 and 19."""

    def __init__(self, offset: int = 0) -> None:
        self._protect = Protect(load(offset).protection("VCU_Request"))

    def frame(self, request: int, moving: int = 0, charger: int = 0) -> bytes:
        return self._protect.complete(bytes([0, request << 4, moving | charger << 2, 0, 0, 0, 0, 0]))


def receiver(**settings) -> Receiver:
    return Receiver(DATABASE, Can(**settings))


def feed(target: Receiver, *frames: bytes, from_s: float = 1.0) -> m.Sample[m.VcuRequest] | None:
    for index, frame in enumerate(frames):
        target.accept(REQUEST, frame, from_s + 0.1 * index)
    return target.newest(from_s + 0.1 * len(frames))


def heard(sample: m.Sample[m.VcuRequest] | None) -> m.Request | None:
    return sample.value.request if sample is not None and sample.value is not None else None


def test_nothing_heard_is_nothing():
    assert receiver().newest(5.0) is None


def test_the_first_frame_alone_is_not_believed():
    target = receiver()
    assert feed(target, Vcu().frame(OPEN)) is None
    assert target.rejected == 0


@pytest.mark.parametrize(("moving", "charger"), [(0, 0), (1, 0), (0, 1), (1, 1)])
def test_an_open_request_is_taken_from_the_second_frame(moving, charger):
    vcu = Vcu()
    sample = feed(receiver(), vcu.frame(OPEN), vcu.frame(OPEN, moving, charger))
    assert sample == m.Sample(m.VcuRequest(m.Request.OPEN, bool(moving), bool(charger)), 1.1, 1)


@pytest.mark.parametrize(("request_code", "request_"), [(CLOSE, m.Request.CLOSE), (3, m.Request.RECOVERY_CHARGE)])
def test_a_closing_counts_only_when_it_is_asked_for_during_two_and_a_half_cycles(request_code, request_):
    target, vcu = receiver(), Vcu()
    feed(target, vcu.frame(OPEN), vcu.frame(OPEN))
    assert heard(feed(target, *(vcu.frame(request_code) for _ in range(3)), from_s=2.0)) is m.Request.OPEN
    assert heard(feed(target, vcu.frame(request_code), from_s=2.249)) is m.Request.OPEN
    assert heard(feed(target, vcu.frame(request_code), from_s=2.25)) is request_


def test_an_open_between_two_closes_starts_the_confirmation_again():
    target, vcu = receiver(), Vcu()
    feed(target, *(vcu.frame(code) for code in (OPEN, OPEN, CLOSE, CLOSE, OPEN, CLOSE, CLOSE, CLOSE)))
    assert heard(target.newest(2.0)) is m.Request.OPEN


def test_two_closes_with_a_silence_between_them_confirm_nothing():
    target, vcu = receiver(), Vcu()
    feed(target, vcu.frame(OPEN), vcu.frame(OPEN), vcu.frame(CLOSE))
    assert heard(feed(target, vcu.frame(CLOSE), from_s=60.0)) is m.Request.OPEN
    assert heard(feed(target, *(vcu.frame(CLOSE) for _ in range(3)), from_s=60.1)) is m.Request.CLOSE


@pytest.mark.parametrize("line", ['BA_ "GenMsgCycleTime" BO_ 258 100;\n'])
def test_a_database_without_the_controllers_cycle_time_is_refused(line, tmp_path):
    shipped = DBC.read_text()
    (tmp_path / "other.dbc").write_text(shipped.replace(line, ""))
    assert line in shipped
    with pytest.raises(ValueError, match="cycle time"):
        Receiver(load(path=tmp_path / "other.dbc"), Can())


def test_a_controller_that_starts_with_close_is_heard_only_when_it_is_confirmed():
    target, vcu = receiver(), Vcu()
    assert feed(target, *(vcu.frame(CLOSE) for _ in range(4))) is None
    assert heard(feed(target, vcu.frame(CLOSE), from_s=1.4)) is m.Request.CLOSE


def test_a_disturbed_frame_does_not_turn_a_standing_close_into_a_new_one():
    target, vcu = receiver(), Vcu()
    feed(target, *(vcu.frame(CLOSE) for _ in range(5)))
    target.accept(REQUEST, bytes(8), 2.0)
    assert heard(feed(target, vcu.frame(CLOSE), from_s=2.1)) is m.Request.CLOSE


def test_silence_keeps_time_and_sequence_number_of_the_last_frame():
    target, vcu = receiver(), Vcu()
    feed(target, vcu.frame(OPEN), vcu.frame(OPEN))
    early, late = target.newest(1.2), target.newest(100.0)
    assert early is late
    assert late.time_s == pytest.approx(1.1)


def test_the_sequence_number_rises_with_every_valid_frame():
    target, vcu = receiver(), Vcu()
    sequence = [feed(target, vcu.frame(OPEN)) for _ in range(4)]
    assert [sample.seq for sample in sequence[1:]] == [1, 2, 3]


@pytest.mark.parametrize("counter", range(15))
def test_one_replayed_close_never_closes_wherever_the_counter_stands(counter):
    """C16: a frame captured earlier, thrown in between an open request's frames."""
    vcu, target = Vcu(), receiver()
    captured = [vcu.frame(CLOSE) for _ in range(15)][counter]
    stream = [vcu.frame(OPEN) for _ in range(30)]
    for index, frame in enumerate(stream):
        feed(target, frame, *([captured] * 3), from_s=1.0 + index)
        assert heard(target.newest(2.0)) is not m.Request.CLOSE


@pytest.mark.parametrize("every_s", [0.005, 0.02, 0.07, 0.1, 0.15])
def test_a_recording_of_a_close_played_beside_a_living_controller_never_closes(every_s):
    """C16: yesterday's frames in their own order, at any rate and phase, between a controller's own."""
    recording = [frame for vcu in [Vcu()] for frame in (vcu.frame(CLOSE) for _ in range(15))]
    for phase in range(20):
        vcu, target = Vcu(), receiver()
        own = [(0.1 * k, vcu.frame(OPEN)) for k in range(50)]
        played = [(0.005 * phase + every_s * k, recording[k % 15]) for k in range(int(4.8 / every_s))]
        for at_s, frame in sorted(own + played):
            target.accept(REQUEST, frame, 1.0 + at_s)
            assert heard(target.newest(1.0 + at_s)) is not m.Request.CLOSE


def test_five_repetitions_are_a_failed_sample():
    """C02: the same frame again and again."""
    target, vcu = receiver(), Vcu()
    feed(target, vcu.frame(OPEN))
    last = vcu.frame(OPEN)
    good = feed(target, last, last, last, last, last)
    assert heard(good) is m.Request.OPEN
    frozen = feed(target, last, from_s=3.0)
    assert frozen.value is None and frozen.seq == good.seq + 1 and frozen.reason
    assert feed(target, last, last) is frozen
    assert target.counters["repeated"] == 7


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_up_to_two_lost_frames_are_tolerated(lost):
    target, vcu = receiver(), Vcu()
    feed(target, vcu.frame(OPEN), vcu.frame(OPEN))
    skipped = [vcu.frame(OPEN) for _ in range(lost)]
    assert feed(target, vcu.frame(OPEN), from_s=2.0 + len(skipped)).seq == 2


def test_three_lost_frames_cost_one_more():
    target, vcu = receiver(), Vcu()
    feed(target, vcu.frame(OPEN), vcu.frame(OPEN))
    [vcu.frame(OPEN) for _ in range(3)]
    assert feed(target, vcu.frame(OPEN)).seq == 1
    assert feed(target, vcu.frame(OPEN)).seq == 2
    assert target.counters["sequence"] == 1


@pytest.mark.parametrize(
    ("request_code", "moving", "charger"),
    [(4, 0, 0), (14, 0, 0), (15, 0, 0), (OPEN, 2, 0), (OPEN, 3, 0), (OPEN, 0, 2), (OPEN, 0, 3)],
)
def test_a_reserved_or_unavailable_value_rejects_the_whole_frame(request_code, moving, charger):
    target, vcu = receiver(), Vcu()
    assert feed(target, vcu.frame(OPEN), vcu.frame(request_code, moving, charger)) is None
    assert target.counters["reserved"] == target.rejected == 1


@pytest.mark.parametrize("length", [0, 1, 7, 9, 64])
def test_any_other_length_is_dropped(length):
    target = receiver()
    target.accept(REQUEST, bytes(length), 1.0)
    assert target.counters["length"] == target.rejected == 1


def test_a_request_made_for_another_node_is_a_crc_error():
    """C08: right form, wrong data id."""
    target, other = receiver(), Vcu(0x10)
    assert feed(target, other.frame(OPEN), other.frame(OPEN)) is None
    assert target.counters["crc"] == 2


def test_own_identifiers_on_the_bus_are_counted_as_masquerade():
    target = receiver()
    target.accept(OWN_LIMITS, bytes(8), 1.0)
    assert target.counters["masquerade"] == target.rejected == 1


def test_the_authenticated_command_is_received_and_refused():
    target = receiver()
    target.accept(SECURE, bytes(8), 1.0)
    assert target.counters["secure"] == 1
    assert target.newest(1.0) is None


def test_foreign_frames_are_ignored():
    target = receiver()
    target.accept(0x7DF, bytes(8), 1.0)
    target.accept(REQUEST | 0x80000000, bytes(8), 1.0)
    assert target.rejected == 0


def test_without_a_controller_configured_requests_are_not_listened_to():
    vcu = Vcu()
    assert feed(receiver(vcu="none"), vcu.frame(OPEN), vcu.frame(OPEN)) is None


@given(
    st.lists(
        st.tuples(st.one_of(st.just(REQUEST), st.integers(0, 0x9FFFFFFF)), st.binary(max_size=64)),
        max_size=60,
    )
)
def test_random_frames_never_raise_and_never_close(frames):
    """C15. An 8-bit CRC lets one in 256 through; the counter and the confirmation stop the rest."""
    target = receiver()
    for index, (frame_id, data) in enumerate(frames):
        target.accept(frame_id, data, 0.01 * index)
    assert heard(target.newest(1.0)) in (None, m.Request.NONE, m.Request.OPEN)


@given(st.lists(st.binary(min_size=8, max_size=8), max_size=60))
def test_random_payloads_without_the_crc_never_give_a_request(payloads):
    target, how = receiver(), DATABASE.protection("VCU_Request")
    for index, data in enumerate(payloads):
        if data[0] != how.crc(data):
            target.accept(REQUEST, data, 0.01 * index)
    assert target.newest(1.0) is None
