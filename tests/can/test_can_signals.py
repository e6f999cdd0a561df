"""Every signal from snapshot to frame and back through cantools, which knows nothing of the packers."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from can_snapshots import IDENTITY, SNAPSHOTS, channel, fault, measured, scan, snapshot
from helpers.full_snapshot import estimate
from hypothesis import HealthCheck, given, settings

from bms_daemon import model as m
from bms_daemon.can import signals
from bms_daemon.can.database import load
from bms_daemon.can.transmit import outgoing

DATABASE = load()
IDENTITY_20 = replace(IDENTITY, series=20, probes=6)
OUTGOING = outgoing(DATABASE, IDENTITY_20)
TABLE = signals.table(IDENTITY_20, DATABASE.version, DATABASE.hash32)
MESSAGES = {DATABASE.frame_id(message.name): message for message in DATABASE.sent()}
LIMITS_DOWN = {"ChargeCurrent", "DischargeCurrent", "ChargePower", "DischargePower", "MaxVoltage"} | {
    f"{way}{span}{what}"
    for way in ("Charge", "Discharge") for span in ("1s", "2s", "10s", "30s", "Long") for what in ("Power", "Current")
}  # fmt: skip
SPOILED = measured(
    cells=channel(scan([3.3] * 16), m.Quality.FAILED),
    temps=channel(m.TempScan(np.array([20.0] * 4), 30.0), m.Quality.FAILED),
    shunt=channel(m.ShuntReading(5.0), m.Quality.FAILED),
    pins=channel(m.Pins(True, True, True, True), m.Quality.FAILED),
    current_a=math.nan,
    pack_v=math.nan,
    link_v=math.nan,
)


def is_protection(signal: object) -> bool:
    return getattr(signal, "name", "") in ("Crc", "Counter")


def decoded(state: m.Snapshot) -> dict[tuple[str, str], object]:
    """Every signal of every row of every message; the later rows of the fault list are left out."""
    found: dict[tuple[str, str], object] = {}
    for what in OUTGOING:
        message = MESSAGES[what.frame_id]
        rows = what.rows[:1] if message.name == "BMS_FaultList" else what.rows
        for row in rows:
            payload = row(state)
            assert payload is not None
            for name, value in message.decode(payload).items():
                found[message.name, name] = value
    return found


def plain(value: object) -> float:
    return float(getattr(value, "value", value))


def test_every_signal_of_every_sent_message_has_a_getter_or_is_protection():
    for message in DATABASE.sent():
        free = {s.name for s in message.signals if not is_protection(s) and not s.is_multiplexer}
        assert free == set(TABLE[message.name]), message.name


def test_the_table_names_no_message_that_is_not_sent():
    assert set(TABLE) == {message.name for message in DATABASE.sent()}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(SNAPSHOTS)
def test_every_signal_comes_back_within_its_resolution(state):
    for (message_name, name), value in decoded(state).items():
        signal = DATABASE.messages[message_name].get_signal_by_name(name)
        if signal.is_multiplexer or is_protection(signal):
            continue
        wanted = TABLE[message_name][name](state)
        if wanted is None or not math.isfinite(wanted):
            assert str(value) == "SNA", (message_name, name, wanted)
            continue
        assert str(value) != "SNA", (message_name, name, wanted)
        resolution = 1.001 if name in LIMITS_DOWN | {"MinVoltage"} else 0.501
        bounded = min(max(wanted, signal.minimum), signal.maximum)
        assert abs(plain(value) - bounded) <= signal.scale * resolution, (message_name, name, wanted)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(SNAPSHOTS)
def test_a_published_limit_is_never_wider_than_the_limit(state):
    got = decoded(state)
    for message, name, limit in (
        ("BMS_Limits", "ChargeCurrent", state.limits.charge_a),
        ("BMS_Limits", "DischargeCurrent", state.limits.discharge_a),
        ("BMS_PowerLimits", "ChargePower", state.limits.charge_w / 1000.0),
        ("BMS_PowerLimits", "DischargePower", state.limits.discharge_w / 1000.0),
        ("BMS_PowerLimits", "MaxVoltage", state.limits.max_v),
    ):
        value = got[message, name]
        assert str(value) == "SNA" or plain(value) <= max(limit, 0.0) + 1e-5
    power = state.estimate.power
    for at, span in enumerate(("1s", "2s", "10s", "30s", "Long") if power is not None else ()):
        for name, limit in (
            (f"Discharge{span}Power", power.discharge_w[at] / 1000.0),
            (f"Charge{span}Power", power.charge_w[at] / 1000.0),
            (f"Discharge{span}Current", power.discharge_a[at]),
            (f"Charge{span}Current", power.charge_a[at]),
        ):
            value = got["BMS_Ahead", name]
            assert str(value) == "SNA" or plain(value) <= max(limit, 0.0) + 1e-5
    lowest = got["BMS_PowerLimits", "MinVoltage"]
    assert str(lowest) == "SNA" or plain(lowest) >= min(state.limits.min_v, 1638.2) - 1e-5


@pytest.mark.parametrize(
    ("message", "name", "value"),
    [
        ("BMS_State", "PackState", "CLOSED"),
        ("BMS_State", "WorstReaction", "NO_FAULT"),
        ("BMS_State", "MainState", "CLOSED"),
        ("BMS_State", "PrechargeState", "OPEN"),
        ("BMS_State", "MainReadback", "CLOSED"),
        ("BMS_State", "FanDuty", 50.0),
        ("BMS_Limits", "ChargeCurrent", 50.0),
        ("BMS_Limits", "DischargeBinding", "SOC"),
        ("BMS_Limits", "Derate", 100.0),
        ("BMS_PowerLimits", "ChargePower", 2.6),
        ("BMS_PowerLimits", "MaxVoltage", 57.6),
        ("BMS_PowerLimits", "MinVoltage", 44.8),
        ("BMS_Pack", "StackVoltage", 52.8),
        ("BMS_Pack", "LinkVoltage", 52.7),
        ("BMS_Pack", "Current", -12.0),
        ("BMS_MinMax", "MinCellVoltage", 3.3),
        ("BMS_MinMax", "MaxCellVoltage", 3.315),
        ("BMS_MinMax", "MinCellNumber", 1),
        ("BMS_MinMax", "MaxCellNumber", 16),
        ("BMS_MinMax", "KnownCells", 16),
        ("BMS_Cells", "Cell016Voltage", 3.315),
        ("BMS_Cells", "Cell017Voltage", "SNA"),
        ("BMS_Temps", "Probe03Temperature", 19.25),
        ("BMS_TempMinMax", "MinProbeNumber", 3),
        ("BMS_TempMinMax", "MaxTemperature", 22.0),
        ("BMS_TempMinMax", "DieTemperature", 31.0),
        ("BMS_Soc", "Soc", 75.0),
        ("BMS_Soc", "SocSigma", 2.0),
        ("BMS_Soc", "SocValid", "VALID"),
        ("BMS_Soc", "Capacity", 100.0),
        ("BMS_Soc", "ShuntCurrent", -11.6),
        ("BMS_Ahead", "Soh", 94.2),
        ("BMS_Ahead", "SohSigma", 1.1),
        ("BMS_Ahead", "Growth", 131.0),
        ("BMS_Ahead", "GrowthSigma", 4.0),
        ("BMS_Ahead", "SohWhy", "PARTIAL_CHARGE"),
        ("BMS_Ahead", "SohValid", "VALID"),
        ("BMS_Ahead", "Energy", 3.891),
        ("BMS_Ahead", "EnergySigma", 0.104),
        ("BMS_Ahead", "RemainingCharge", 73.1),
        ("BMS_Ahead", "ChargeRoom", 24.9),
        ("BMS_Ahead", "EnergyValid", "VALID"),
        ("BMS_Ahead", "TimeToEmpty", 21920.0),
        ("BMS_Ahead", "TimeToFull", "SNA"),
        ("BMS_Ahead", "Discharge1sPower", 5.3),
        ("BMS_Ahead", "Discharge10sCurrent", 99.9),
        ("BMS_Ahead", "Discharge30sBinding", "CELL_VOLTAGE"),
        ("BMS_Ahead", "DischargeLongPower", 2.1),
        ("BMS_Ahead", "Charge2sPower", 2.7),
        ("BMS_Ahead", "ChargeLongCurrent", 20.0),
        ("BMS_Ahead", "ChargeLongBinding", "TEMPERATURE"),
        ("BMS_Faults", "WorstCode", "no_fault"),
        ("BMS_Faults", "WorstAge", "SNA"),
        ("BMS_Version", "SoftwarePatch", 7),
        ("BMS_Version", "Node", 3),
        ("BMS_Version", "Profile", "VEHICLE"),
        ("BMS_Hashes", "ConfigurationHash", 0xDEADBEEF),
    ],
)
def test_a_healthy_pack_reads_as_it_is(message, name, value):
    got = decoded(snapshot())[message, name]
    assert got == pytest.approx(value) if isinstance(value, (int, float)) else str(got) == value


@pytest.mark.parametrize(
    ("message", "name"),
    [
        ("BMS_Pack", "StackVoltage"),
        ("BMS_Pack", "PackVoltage"),
        ("BMS_Pack", "LinkVoltage"),
        ("BMS_Pack", "Current"),
        ("BMS_MinMax", "MinCellVoltage"),
        ("BMS_MinMax", "MaxCellNumber"),
        ("BMS_MinMax", "KnownCells"),
        ("BMS_Cells", "Cell001Voltage"),
        ("BMS_Temps", "Probe01Temperature"),
        ("BMS_TempMinMax", "MaxTemperature"),
        ("BMS_TempMinMax", "DieTemperature"),
        ("BMS_Soc", "ShuntCurrent"),
        ("BMS_State", "MainState"),
        ("BMS_State", "InterlockOk"),
        ("BMS_State", "EmergencyStopOk"),
    ],
)
def test_the_last_value_of_a_failed_source_is_never_sent(message, name):
    assert str(decoded(snapshot(measured=SPOILED))[message, name]) == "SNA"


def test_a_held_value_is_still_sent():
    held = measured(cells=channel(scan([3.3] * 16), m.Quality.HELD))
    assert decoded(snapshot(measured=held))["BMS_MinMax", "MinCellVoltage"] == pytest.approx(3.3)


def test_a_state_of_charge_that_is_not_valid_is_not_available():
    got = decoded(snapshot(estimate=m.Estimate(0.5, 0.4, False, 100.0)))
    assert str(got["BMS_Soc", "Soc"]) == "SNA"
    assert got["BMS_Soc", "SocSigma"] == pytest.approx(40.0)


@pytest.mark.parametrize("name", ["Energy", "EnergySigma", "RemainingCharge", "ChargeRoom", "TimeToEmpty"])
def test_what_follows_from_a_charge_that_is_not_valid_is_not_available(name):
    got = decoded(snapshot(estimate=estimate(soc_valid=False)))
    assert str(got["BMS_Ahead", name]) == "SNA"
    assert str(got["BMS_Ahead", "EnergyValid"]) == "INVALID"


def test_before_the_first_estimate_nothing_is_ahead():
    got = {name: str(value) for (message, name), value in decoded(snapshot(estimate=m.Estimate())).items()
           if message == "BMS_Ahead" and name != "Row"}  # fmt: skip
    flags = {"SohValid": "INVALID", "EnergyValid": "INVALID", "SohWhy": "NONE"}
    assert got == {name: flags.get(name, "STALE" if name.endswith("Binding") else "SNA") for name in got}


def test_an_unknown_cell_is_left_out_of_the_extremes():
    cells = measured(cells=channel(scan([math.nan, 3.4, 3.2, math.nan])))
    got = decoded(snapshot(measured=cells))
    assert (got["BMS_MinMax", "MinCellNumber"], got["BMS_MinMax", "MaxCellNumber"]) == (3, 2)
    assert got["BMS_MinMax", "KnownCells"] == 2
    assert str(got["BMS_Cells", "Cell001Voltage"]) == "SNA"


def test_no_known_cell_gives_no_extremes():
    got = decoded(snapshot(measured=measured(cells=channel(scan([math.nan] * 4)))))
    assert str(got["BMS_MinMax", "MinCellVoltage"]) == "SNA"
    assert got["BMS_MinMax", "KnownCells"] == 0


def test_a_line_that_reads_back_wrong_shows_as_error():
    got = decoded(snapshot(actuated=m.Actuated(main=True, ok=False)))
    assert str(got["BMS_State", "MainReadback"]) == "ERROR"


def test_faults_show_the_worst_first_and_the_list_in_its_order():
    faults = m.Faults((fault(2, m.Reaction.OPEN, where=7, latched=True), fault(26)), latched=("a",))
    got = decoded(snapshot(faults=faults))
    assert str(got["BMS_Faults", "WorstCode"]) == "cell_over_voltage_critical"
    assert (got["BMS_Faults", "ActiveCount"], got["BMS_Faults", "LatchedCount"]) == (2, 1)
    assert (got["BMS_Faults", "WorstWhere"], got["BMS_Faults", "WorstAge"]) == (7, 6)
    listed = next(what for what in OUTGOING if MESSAGES[what.frame_id].name == "BMS_FaultList")
    second = MESSAGES[listed.frame_id].decode(listed.rows[1](snapshot(faults=faults)))
    assert (second["Index"], str(second["Code"]), str(second["Reaction"])) == (1, "probe_invalid", "WARN")


def test_values_beyond_the_range_saturate_below_the_not_available_code():
    got = decoded(snapshot(limits=m.Limits(charge_a=9e9, max_v=1e9), measured=measured(current_a=-1e9)))
    assert got["BMS_Limits", "ChargeCurrent"] == pytest.approx(6553.4)
    assert got["BMS_PowerLimits", "MaxVoltage"] == pytest.approx(1638.2)
    assert got["BMS_Pack", "Current"] == pytest.approx(-5242.84)
