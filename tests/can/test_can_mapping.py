"""The user's own DBC: values, units, byte orders, unknown values, and every mistake in one list."""

from __future__ import annotations

import math
from pathlib import Path

import cantools.database
import pytest
from can_snapshots import channel, measured, scan, snapshot
from helpers.full_snapshot import estimate as full_estimate

from bms_daemon import model as m
from bms_daemon.can.mapping import load
from bms_daemon.can.paths import compile_path
from bms_daemon.can.schedule import Schedule
from bms_daemon.config.schema import UserDbc, UserMessage

TEXT = """VERSION ""

NS_ :

BS_:

BU_: BMS INV

BO_ 853 Battery: 8 BMS
 SG_ Soc : 0|16@1+ (1,0) [0|100] "%" INV
 SG_ Voltage : 23|16@0+ (0.01,0) [0|655.35] "V" INV
 SG_ Current : 32|16@1- (0.1,0) [-3276.7|3276.7] "A" INV
 SG_ Mode : 48|8@1+ (1,0) [0|255] "" INV

BO_ 2566844672 Cells: 8 BMS
 SG_ Page M : 0|8@1+ (1,0) [0|255] "" INV
 SG_ First m0 : 8|16@1+ (1,0) [0|65534] "mV" INV
 SG_ Second m1 : 8|16@1+ (1,0) [0|65534] "mV" INV
 SG_ Third m2 : 8|16@1+ (1,0) [0|65534] "mV" INV

BO_ 900 Wide: 16 BMS
 SG_ Power : 0|16@1- (1,0) [-32768|32767] "W" INV

BO_ 901 Float: 8 BMS
 SG_ Real : 0|32@1- (1,0) [0|0] "V" INV

BA_DEF_ SG_ "GenSigStartValue" INT 0 65535;
BA_DEF_DEF_ "GenSigStartValue" 0;
BA_ "GenSigStartValue" SG_ 853 Mode 7;
VAL_ 853 Voltage 65535 "Signal_Not_Available" ;
SIG_VALTYPE_ 901 Real : 1;
"""
DBC = cantools.database.load_string(TEXT, "dbc")
BATTERY = {"Soc": "estimate.soc", "Voltage": "measured.cells.value.stack_v", "Current": "-measured.current_a"}
FAILED = measured(cells=channel(scan([3.3] * 4), m.Quality.FAILED))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "user.dbc"
    path.write_text(TEXT, encoding="cp1252")
    return path


def mapped(file: Path, message: str, signals: dict[str, str], taken=()):
    return load(UserDbc(file=file, messages=(UserMessage(message=message, signals=signals),)), taken)


def sent(file: Path, state: m.Snapshot, message: str = "Battery", signals: dict[str, str] = BATTERY):
    made, errors = mapped(file, message, signals)
    assert not errors
    return Schedule(made, 0.3).due(state, state.now_s)


def test_values_are_converted_to_the_units_of_the_signals(file):
    ((frame_id, data),) = sent(file, snapshot())
    assert frame_id == 853
    assert DBC.decode_message(853, data) == pytest.approx({"Soc": 75.0, "Voltage": 52.8, "Current": 12.0, "Mode": 7})


def test_an_unknown_value_goes_out_as_the_signals_own_code(file):
    ((_, data),) = sent(file, snapshot(measured=FAILED))
    assert str(DBC.decode_message(853, data)["Voltage"]) == "Signal_Not_Available"


def test_a_value_beyond_the_range_stays_off_the_code_for_not_available(file):
    ((_, data),) = sent(file, snapshot(measured=measured(cells=channel(scan([3.3], stack_v=1e6)))))
    assert DBC.decode_message(853, data)["Voltage"] == pytest.approx(655.34)


@pytest.mark.parametrize("estimate", [m.Estimate(), m.Estimate(0.5, 0.4, False), m.Estimate(math.inf, 0.1, True)])
def test_a_message_is_silent_while_a_value_without_such_a_code_is_unknown(file, estimate):
    assert sent(file, snapshot(estimate=estimate)) == []


@pytest.mark.parametrize(
    ("path", "value", "without_charge"),
    [
        ("estimate.soc", 0.75, None),
        ("estimate.soc_sigma", 0.02, 0.02),
        ("estimate.remaining.energy_wh", 3891.4, None),
        ("estimate.cells.soc.2", 0.76, None),
        ("estimate.cells.growth.1", 1.31, 1.31),
        ("estimate.power.discharge_w.3", 5259.0, 5259.0),
        ("estimate.ageing.soh", 0.942, 0.942),
    ],
)
def test_what_follows_from_the_charge_is_unknown_without_it(path, value, without_charge):
    get = compile_path(path)
    assert get(snapshot()) == pytest.approx(value)
    assert get(snapshot(estimate=full_estimate(soc_valid=False))) == without_charge
    assert get(snapshot(estimate=m.Estimate())) is None or path == "estimate.soc_sigma"


def test_a_multiplexed_message_sends_only_the_rows_that_are_mapped(file):
    signals = {"First": "min_cell_v", "Third": "measured.cells.value.cell_v.2"}
    made, _ = mapped(file, "Cells", signals)
    schedule = Schedule(made, 0.3)
    frames = [schedule.due(snapshot(t / 10), t / 10)[0] for t in range(4)]
    assert {frame_id for frame_id, _ in frames} == {2566844672}
    decoded = [DBC.get_message_by_name("Cells").decode(data) for _, data in frames]
    assert decoded[:2] == [{"Page": 0, "First": 3300}, {"Page": 2, "Third": 3301}]
    assert decoded[2:] == decoded[:2]


@pytest.mark.parametrize(
    ("message", "signals", "text"),
    [
        ("Batery", {"Soc": "soc"}, "no message Batery; there are Battery"),
        ("Battery", {"State": "soc"}, "no such signal; there are Soc, Voltage, Current, Mode"),
        ("Battery", {"Soc": "estimate.sok"}, "no field 'sok'; possible are soc, soc_sigma"),
        ("Battery", {"Soc": "estimate"}, "not a number"),
        ("Battery", {"Soc": "control.reason"}, "not a number"),
        ("Battery", {"Soc": "estimate.soc.deeper"}, "no field 'deeper'"),
        ("Battery", {"Voltage": "measured.cells.value.cell_v"}, "not a number"),
        ("Battery", {"Voltage": "measured.cells.value.cell_v.0"}, "numbered from 1"),
        ("Battery", {"Voltage": "measured.current_a"}, "unit V does not fit measured.current_a; possible are A, mA"),
        ("Wide", {"Power": "limits.charge_w"}, "16 bytes; classic CAN carries 8"),
        ("Float", {"Real": "limits.max_v"}, "floating-point signals are not supported"),
    ],
)
def test_mistakes_are_named_with_what_would_be_right(file, message, signals, text):
    made, errors = mapped(file, message, signals)
    assert made == []
    assert [text in error for error in errors] == [True], errors


def test_all_mistakes_come_at_once(file):
    entries = (
        UserMessage(message="Battery", signals={"Soc": "x", "Voltage": "y"}),
        UserMessage(message="None", signals={"A": "soc"}),
    )
    assert len(load(UserDbc(file=file, messages=entries))[1]) == 3


def test_an_identifier_of_this_node_is_refused(file):
    assert "in use" in mapped(file, "Battery", BATTERY, {853})[1][0]


@pytest.mark.parametrize("content", [None, "this is no DBC"])
def test_an_unreadable_file_is_an_error_and_not_an_exception(tmp_path, content):
    path = tmp_path / "broken.dbc"
    if content is not None:
        path.write_text(content)
    made, errors = mapped(path, "Battery", BATTERY)
    assert made == [] and len(errors) == 1 and "broken.dbc" in errors[0]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("limits.charge_a", 50.0), ("limits.charge_binding", 0.0), ("measured.cells.value.cell_v.16", 3.315),
        ("measured.temps.value.die_degc", 31.0), ("measured.pins.value.interlock_ok", 1.0), ("control.armed", 1.0),
        ("measured.cells.value.cell_v.17", None), ("measured.vcu.value.moving", None), ("max_probe_degc", 22.0),
        ("max_cell", 16), ("node", 3.0),
    ],
)  # fmt: skip
def test_paths_lead_to_values(path, value):
    assert compile_path(path)(snapshot()) == value


@pytest.mark.parametrize("path", ["measured.cells.value.pack_v", "measured.cells.value.cell_v.1", "min_cell_v"])
def test_no_path_leads_to_the_last_value_of_a_failed_source(path):
    assert compile_path(path)(snapshot(measured=FAILED)) is None
