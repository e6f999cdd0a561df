"""dbc/bms.dbc as a file of its own: what receivers rely on, and its agreement with the model."""

from __future__ import annotations

import hashlib
from enum import IntEnum
from pathlib import Path

import cantools.database
import pytest

from bms_daemon import model as m
from bms_daemon.can.database import load
from bms_daemon.stages.rules import CODES

TEXT = (Path(__file__).parents[2] / "dbc" / "bms.dbc").read_bytes()
DBC = cantools.database.load_string(TEXT.decode(), "dbc")
PROTECTED = {"BMS_State": 0xB100, "BMS_Limits": 0xB101, "VCU_Request": 0xB102, "BMS_PowerLimits": 0xB104}
CYCLES_MS = {
    "BMS_State": 100, "BMS_Limits": 100, "BMS_PowerLimits": 100, "BMS_Pack": 100, "BMS_MinMax": 100,
    "BMS_Soc": 1000, "BMS_TempMinMax": 1000, "BMS_Faults": 1000, "BMS_Version": 1000, "BMS_Hashes": 1000,
    "BMS_Ahead": 100, "BMS_Cells": 40, "BMS_Temps": 200, "BMS_FaultList": 200, "VCU_Request": 100,
}  # fmt: skip
ON_CHANGE = {"BMS_State", "BMS_Limits", "BMS_Faults"}
MEASURED = [
    ("BMS_State", "MainState"), ("BMS_State", "PrechargeState"), ("BMS_State", "InterlockOk"),
    ("BMS_State", "EmergencyStopOk"), ("BMS_Limits", "ChargeCurrent"), ("BMS_Limits", "DischargeCurrent"),
    ("BMS_PowerLimits", "ChargePower"), ("BMS_PowerLimits", "DischargePower"), ("BMS_PowerLimits", "MaxVoltage"),
    ("BMS_PowerLimits", "MinVoltage"), ("BMS_Pack", "StackVoltage"), ("BMS_Pack", "PackVoltage"),
    ("BMS_Pack", "LinkVoltage"), ("BMS_Pack", "Current"), ("BMS_MinMax", "MinCellVoltage"),
    ("BMS_MinMax", "MaxCellVoltage"), ("BMS_MinMax", "MinCellNumber"), ("BMS_MinMax", "MaxCellNumber"),
    ("BMS_MinMax", "KnownCells"), ("BMS_Cells", "Cell001Voltage"), ("BMS_Cells", "Cell255Voltage"),
    ("BMS_TempMinMax", "MinTemperature"), ("BMS_TempMinMax", "MaxTemperature"), ("BMS_TempMinMax", "DieTemperature"),
    ("BMS_TempMinMax", "MinProbeNumber"), ("BMS_TempMinMax", "MaxProbeNumber"), ("BMS_Temps", "Probe01Temperature"),
    ("BMS_Soc", "Soc"), ("BMS_Soc", "SocSigma"), ("BMS_Soc", "Capacity"), ("BMS_Soc", "ShuntCurrent"),
    ("BMS_Ahead", "Soh"), ("BMS_Ahead", "SohSigma"), ("BMS_Ahead", "Growth"), ("BMS_Ahead", "GrowthSigma"),
    ("BMS_Ahead", "Energy"), ("BMS_Ahead", "EnergySigma"), ("BMS_Ahead", "RemainingCharge"),
    ("BMS_Ahead", "ChargeRoom"), ("BMS_Ahead", "TimeToEmpty"), ("BMS_Ahead", "TimeToFull"),
    ("BMS_Ahead", "Discharge10sPower"), ("BMS_Ahead", "ChargeLongPower"), ("BMS_Ahead", "Discharge1sCurrent"),
]  # fmt: skip
ENUMERATIONS: list[tuple[str, str, type[IntEnum]]] = [
    ("BMS_State", "PackState", m.PackState), ("BMS_State", "WorstReaction", m.Reaction),
    ("BMS_Limits", "ChargeBinding", m.Binding), ("BMS_Limits", "DischargeBinding", m.Binding),
    ("VCU_Request", "Request", m.Request), ("BMS_Faults", "WorstReaction", m.Reaction),
    ("BMS_Faults", "WorstDomain", m.Domain), ("BMS_FaultList", "Reaction", m.Reaction),
    ("BMS_FaultList", "Domain", m.Domain), ("BMS_MinMax", "CellQuality", m.Quality),
    ("BMS_TempMinMax", "TempQuality", m.Quality), ("BMS_Soc", "ShuntQuality", m.Quality),
    ("BMS_Ahead", "SohWhy", m.CapacitySource), ("BMS_Ahead", "Discharge10sBinding", m.Binding),
    ("BMS_Ahead", "ChargeLongBinding", m.Binding),
]  # fmt: skip


def signal_of(message: str, signal: str):
    return DBC.get_message_by_name(message).get_signal_by_name(signal)


def choices(message: str, signal: str) -> dict[int, str]:
    return {int(raw): str(name) for raw, name in (signal_of(message, signal).choices or {}).items()}


def test_the_packaged_file_is_the_one_in_the_checkout():
    assert load().sha256 == hashlib.sha256(TEXT).digest()


def test_nodes_are_the_five_that_the_conventions_name():
    assert {node.name for node in DBC.nodes} == {"BMS", "VCU", "EMS", "CHG", "TOOL"}


def test_the_version_is_stated_as_major_and_minor():
    assert load().version == (1, 2)


@pytest.mark.parametrize("message", DBC.messages, ids=lambda message: message.name)
def test_every_message_is_classic_standard_and_within_the_node_row(message):
    assert message.length == 8
    assert not message.is_extended_frame
    assert 0x100 <= message.frame_id <= 0x10F, "an offset of 0x10 must keep two nodes apart"
    assert message.comment
    assert message.dbc.attributes["VFrameFormat"].value == 0


def test_state_and_limits_win_the_arbitration():
    urgent = sorted(DBC.messages, key=lambda message: message.frame_id)[:2]
    assert [message.name for message in urgent] == ["BMS_State", "BMS_Limits"]


@pytest.mark.parametrize(("name", "cycle_ms"), CYCLES_MS.items())
def test_cycle_times_are_those_of_the_conventions(name, cycle_ms):
    message = DBC.get_message_by_name(name)
    assert message.cycle_time == cycle_ms
    assert message.send_type == ("CyclicAndSpontaneous" if name in ON_CHANGE else "Cyclic")


@pytest.mark.parametrize("name", sorted(ON_CHANGE))
def test_messages_sent_on_change_state_a_least_gap(name):
    assert 0 < DBC.get_message_by_name(name).dbc.attributes["GenMsgDelayTime"].value <= 100


def test_every_message_but_the_reserved_command_has_a_cycle_time():
    assert {message.name for message in DBC.messages} - set(CYCLES_MS) == {"VCU_SecureCommand"}


@pytest.mark.parametrize("message", DBC.messages, ids=lambda message: message.name)
def test_every_signal_has_a_comment_a_receiver_a_range_and_a_start_value(message):
    for signal in message.signals:
        assert signal.comment, signal.name
        assert signal.receivers, signal.name
        assert signal.minimum is not None, signal.name
        assert signal.minimum < signal.maximum, signal.name
        assert "GenSigStartValue" in signal.dbc.attributes, signal.name


@pytest.mark.parametrize(("message", "name"), MEASURED)
def test_every_measured_signal_has_a_code_for_not_available_outside_its_range(message, name):
    signal = signal_of(message, name)
    sna = next(raw for raw, text in choices(message, name).items() if text == "SNA")
    assert not signal.minimum <= sna * signal.scale + signal.offset <= signal.maximum
    assert signal.raw_initial == sna


@pytest.mark.parametrize("name", ["StackVoltage", "PackVoltage", "LinkVoltage", "Current"])
def test_quantities_have_units(name):
    assert signal_of("BMS_Pack", name).unit == ("A" if name == "Current" else "V")


@pytest.mark.parametrize(("message", "name", "enum"), ENUMERATIONS)
def test_value_tables_equal_the_model(message, name, enum):
    table = {raw: text for raw, text in choices(message, name).items() if text not in ("SNA", "NO_FAULT")}
    assert table == {member.value: member.name for member in enum}


@pytest.mark.parametrize(("message", "name"), [("BMS_Faults", "WorstCode"), ("BMS_FaultList", "Code")])
def test_fault_numbers_equal_the_rules(message, name):
    assert choices(message, name) == {0: "no_fault"} | {number: code for code, number in CODES.items()}


@pytest.mark.parametrize(("name", "data_id"), PROTECTED.items())
def test_protected_messages_state_their_parameters(name, data_id):
    message = DBC.get_message_by_name(name)
    kinds = {signal.dbc.attributes["SigType"].value for signal in message.signals if "SigType" in signal.dbc.attributes}
    assert kinds == {11, 12}, "MessageCounter and MessageChecksum"
    attributes = {key: value.value for key, value in message.dbc.attributes.items()}
    assert attributes["E2EDataId"] == data_id
    assert [attributes[f"E2ECrc{part}"] for part in ("Polynomial", "Initial", "FinalXor")] == [0x1D, 0xFF, 0xFF]
    assert "polynomial 0x1D, initial value 0xFF, final XOR 0xFF" in message.comment


def test_data_ids_are_unique():
    assert len(set(PROTECTED.values())) == len(PROTECTED)
    assert {message.name for message in DBC.messages if load().protection(message.name)} == set(PROTECTED)


def test_an_offset_beyond_the_identifier_range_is_refused():
    assert load(0x10).frame_id("BMS_State") == 0x110
    with pytest.raises(ValueError, match="id_offset"):
        load(0x700)
