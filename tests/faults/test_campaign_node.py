"""The campaign's second CAN node: its own CRC and counter, from the comments of the DBC."""

from __future__ import annotations

import can
import pytest

from bms_daemon.offline.campaign_node import LIMITS_ID, STATE_ID, Node, crc8, sealed


def test_the_crc_is_sae_j1850s() -> None:
    assert crc8(b"123456789") == 0x4B


def frames(node: Node, listener: can.BusABC, count: int) -> list[can.Message]:
    for _ in range(count):
        node.speak()
    found = []
    while (message := listener.recv(0)) is not None:
        found.append(message)
    return found


@pytest.fixture
def wire(request: pytest.FixtureRequest) -> tuple[Node, can.BusABC]:
    name = f"node-{request.node.name}"
    node, bus = Node(name), can.Bus(interface="virtual", channel=name, ignore_config=True)
    request.addfinalizer(node.close)
    request.addfinalizer(bus.shutdown)
    return node, bus


def test_the_counter_runs_from_0_to_14_and_begins_anew(wire: tuple[Node, can.BusABC]) -> None:
    sent = frames(*wire, count=17)
    assert [message.data[1] & 0x0F for message in sent] == [*range(15), 0, 1]
    assert {message.arbitration_id for message in sent} == {258}


def test_a_request_that_is_to_be_wrong_differs_in_its_crc_alone(wire: tuple[Node, can.BusABC]) -> None:
    node, bus = wire
    (good,) = frames(node, bus, 1)
    node.wrong_crc = True
    (bad,) = frames(node, bus, 1)
    assert bad.data[0] != crc8(bytes([0x02, 0xB1]) + bytes(bad.data[1:]))
    assert good.data[0] == crc8(bytes([0x02, 0xB1]) + bytes(good.data[1:]))
    assert good.data[2:] == bad.data[2:]


def test_limits_and_states_are_heard_with_their_time(wire: tuple[Node, can.BusABC]) -> None:
    node, bus = wire
    limits = sealed(LIMITS_ID, 3, bytes([0, 0, 0xF4, 0x01, 0xE8, 0x03, 0]))
    state = sealed(STATE_ID, 4, bytes([0, 0, 0x01, 0x01, 0, 0, 0]))
    for frame_id, data in ((LIMITS_ID, limits), (STATE_ID, state)):
        bus.send(can.Message(arbitration_id=frame_id, data=data, is_extended_id=False))
    node.listen(7.5)
    assert (node.limits[0].time_s, node.limits[0].charge_a, node.limits[0].discharge_a) == (7.5, 50.0, 100.0)
    assert node.states[0].open_pending and node.states[0].main_closed


def test_what_fails_its_crc_is_not_heard(wire: tuple[Node, can.BusABC]) -> None:
    node, bus = wire
    bad = bytearray(sealed(LIMITS_ID, 3, bytes(7)))
    bad[4] ^= 1
    bus.send(can.Message(arbitration_id=LIMITS_ID, data=bad, is_extended_id=False))
    node.listen(0.0)
    assert node.limits == [] and node.refused == 1
