"""What the running daemon puts on the bus, decoded by plain cantools and compared with the snapshot of that instant."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import can
import cantools
import numpy as np
import pytest
from daemon_bench import Daemon, daemon, manual, settings_in
from helpers.j1850 import j1850

from bms_daemon.config.schema import UserDbc, UserMessage
from bms_daemon.model import Channel, PackState, Quality, Snapshot
from bms_daemon.sim import faults
from bms_daemon.sim.settings import Constant

DBC = Path(__file__).parents[2] / "dbc" / "bms.dbc"
DATABASE = cantools.database.load_file(DBC)
Seen = tuple[Snapshot, int, bytes]
PROTECTED = {0x100: 0xB100, 0x101: 0xB101, 0x104: 0xB104}
CONFIGURATION_HASH = 0x10E  # of files whose paths differ
NAN = math.nan
STATE = 0x100


def watch(here: Daemon, into: list[Seen]) -> can.BusABC:
    """Note every frame with the snapshot that was current when it was sent: the one that watchers see after it."""
    bus = can.Bus(interface="virtual", channel=here.settings.can.channel, ignore_config=True)

    def take(snapshot: Snapshot) -> None:
        while (frame := bus.recv(0)) is not None:
            into.append((snapshot, frame.arbitration_id, bytes(frame.data)))

    here.core.watchers.append(take)
    return bus


def shown(channel: Channel[Any]) -> Any:
    return None if channel.quality is Quality.FAILED else channel.value


def of(channel: Channel[Any], field: Callable[[Any], float | None]) -> float:
    value = shown(channel)
    found = None if value is None else field(value)
    return NAN if found is None else float(found)


def pin(snapshot: Snapshot, field: str) -> float:
    return of(snapshot.measured.pins, lambda pins: getattr(pins, field))


def state(s: Snapshot) -> dict[str, float]:
    worst = s.faults.worst
    return {
        "PackState": s.control.state,
        "WorstReaction": worst.reaction if worst else 15,
        "MainCommand": s.command.main,
        "PrechargeCommand": s.command.precharge,
        "ChargeCommand": s.command.charge,
        "DischargeCommand": s.command.discharge,
        "MainState": pin(s, "main_aux_closed"),
        "MainReadback": s.actuated.main if s.actuated.ok else 2,
        "NegativeState": pin(s, "main_negative_aux_closed"),
        "PrechargeState": pin(s, "precharge_aux_closed"),
        "PrechargeReadback": s.actuated.precharge if s.actuated.ok else 2,
        "OpenPending": s.control.open_pending,
        "Armed": s.control.armed,
        "SocValid": s.estimate.soc_valid,
        "BlockCharge": s.faults.block_charge,
        "BlockDischarge": s.faults.block_discharge,
        "Inhibit": s.faults.inhibit,
        "Stop": s.faults.stop,
        "Open": s.faults.open,
        "Countdown": s.control.countdown_s,
        "InterlockOk": pin(s, "interlock_ok"),
        "EmergencyStopOk": pin(s, "emergency_stop_ok"),
        "SecondDisconnect": s.command.second,
        "Latched": bool(s.faults.latched),
        "FanDuty": 100.0 * s.command.fan,
    }


def limits(s: Snapshot) -> dict[str, float]:
    return {
        "ChargeBinding": s.limits.charge_binding,
        "DischargeBinding": s.limits.discharge_binding,
        "ChargeCurrent": s.limits.charge_a,
        "DischargeCurrent": s.limits.discharge_a,
        "Derate": 100.0 * s.faults.derate,
    }


def power_limits(s: Snapshot) -> dict[str, float]:
    return {
        "ChargePower": s.limits.charge_w / 1000.0,
        "DischargePower": s.limits.discharge_w / 1000.0,
        "MaxVoltage": s.limits.max_v,
        "MinVoltage": s.limits.min_v,
    }


def fault(s: Snapshot, index: int, prefix: str = "") -> dict[str, float]:
    found = s.faults.active[index] if index < len(s.faults.active) else None
    values = (
        {"Code": 0, "Reaction": 15, "Domain": 15, "Where": 0, "Latched": 0, "Age": NAN}
        if found is None
        else {
            "Code": found.number,
            "Reaction": found.reaction,
            "Domain": found.domain,
            "Where": found.where,
            "Latched": found.latched,
            "Age": s.now_s - found.since_s,
        }
    )
    return {prefix + name: float(value) for name, value in values.items()}


def fault_summary(s: Snapshot) -> dict[str, float]:
    return {"ActiveCount": len(s.faults.active), "LatchedCount": len(s.faults.latched)} | fault(s, 0, "Worst")


def pack(s: Snapshot) -> dict[str, float]:
    cells = s.measured.cells
    return {
        "StackVoltage": of(cells, lambda scan: scan.stack_v),
        "PackVoltage": s.measured.pack_v,
        "LinkVoltage": s.measured.link_v,
        "Current": s.measured.current_a,
    }


def extremes(channel: Channel[Any], field: str, voltage: str, number: str) -> dict[str, float]:
    return {
        f"Min{voltage}": of(channel, lambda v: np.nanmin(getattr(v, field))),
        f"Max{voltage}": of(channel, lambda v: np.nanmax(getattr(v, field))),
        f"Min{number}Number": of(channel, lambda v: np.nanargmin(getattr(v, field)) + 1),
        f"Max{number}Number": of(channel, lambda v: np.nanargmax(getattr(v, field)) + 1),
    }


def min_max(s: Snapshot) -> dict[str, float]:
    cells = s.measured.cells
    known = of(cells, lambda scan: np.count_nonzero(scan.cell_v == scan.cell_v))
    return extremes(cells, "cell_v", "CellVoltage", "Cell") | {"KnownCells": known, "CellQuality": cells.quality}


def temp_min_max(s: Snapshot) -> dict[str, float]:
    temps = s.measured.temps
    die = {"DieTemperature": of(temps, lambda scan: scan.die_degc), "TempQuality": temps.quality}
    return extremes(temps, "probe_degc", "Temperature", "Probe") | die


def soc(s: Snapshot) -> dict[str, float]:
    return {
        "Soc": 100.0 * s.estimate.soc if s.estimate.soc_valid else NAN,
        "SocValid": s.estimate.soc_valid,
        "SocSigma": 100.0 * s.estimate.soc_sigma,
        "Capacity": s.estimate.capacity_ah,
        "ShuntCurrent": of(s.measured.shunt, lambda reading: reading.current_a),
        "ShuntQuality": s.measured.shunt.quality,
    }


def row_of(values: Callable[[Snapshot], Any], name: str, s: Snapshot, row: int) -> dict[str, float]:
    known = values(s)
    places = range(3 * row, 3 * row + 3)
    return {name.format(i + 1): float(known[i]) if known is not None and i < len(known) else NAN for i in places}


def cells(s: Snapshot, row: int) -> dict[str, float]:
    scan = shown(s.measured.cells)
    return row_of(lambda _: None if scan is None else scan.cell_v, "Cell{:03d}Voltage", s, row)


def temps(s: Snapshot, row: int) -> dict[str, float]:
    scan = shown(s.measured.temps)
    return row_of(lambda _: None if scan is None else scan.probe_degc, "Probe{:02d}Temperature", s, row)


EXPECTED: dict[str, Callable[[Snapshot], dict[str, float]]] = {
    "BMS_State": state,
    "BMS_Limits": limits,
    "BMS_PowerLimits": power_limits,
    "BMS_Faults": fault_summary,
    "BMS_Pack": pack,
    "BMS_MinMax": min_max,
    "BMS_TempMinMax": temp_min_max,
    "BMS_Soc": soc,
}
HORIZONS = ("1s", "2s", "10s", "30s", "Long")


def ahead(s: Snapshot, row: int) -> dict[str, float]:
    e = s.estimate
    left = e.remaining if e.soc_valid else None
    if row == 0:
        health = {
            name: NAN if e.ageing is None else 100.0 * getattr(e.ageing, field)
            for name, field in (
                ("Soh", "soh"), ("SohSigma", "soh_sigma"), ("Growth", "growth"), ("GrowthSigma", "growth_sigma"),
            )
        }  # fmt: skip
        why = 0 if e.ageing is None else int(e.ageing.why)
        return health | {"SohWhy": why, "SohValid": why > 0}
    if row == 1:
        wh = {name: NAN if left is None else getattr(left, field) / 1000.0
              for name, field in (("Energy", "energy_wh"), ("EnergySigma", "energy_sigma_wh"))}  # fmt: skip
        return wh | {"RemainingCharge": NAN if left is None else left.charge_ah, "EnergyValid": e.soc_valid}
    if row == 2:
        fields = {"TimeToEmpty": "time_to_empty_s", "TimeToFull": "time_to_full_s", "ChargeRoom": "room_ah"}
        return {name: NAN if left is None else getattr(left, field) for name, field in fields.items()}
    at, what, unit, kilo = (row - 3, "Power", "w", 1000.0) if row < 8 else (row - 8, "Current", "a", 1.0)
    found: dict[str, float] = {}
    for way in ("discharge", "charge"):
        name = f"{way.capitalize()}{HORIZONS[at]}"
        found[f"{name}{what}"] = NAN if e.power is None else float(getattr(e.power, f"{way}_{unit}")[at]) / kilo
        if row < 8:
            found[f"{name}Binding"] = 7 if e.power is None else int(getattr(e.power, f"{way}_binding")[at])
    return found


ROWS: dict[str, Callable[[Snapshot, int], dict[str, float]]] = {
    "BMS_Cells": cells,
    "BMS_Temps": temps,
    "BMS_FaultList": fault,
    "BMS_Ahead": ahead,
}
DOWN = {"ChargeCurrent", "DischargeCurrent", "ChargePower", "DischargePower", "MaxVoltage"} | {
    f"{way}{span}{what}" for way in ("Charge", "Discharge") for span in HORIZONS for what in ("Power", "Current")
}
NOT_FROM_A_SNAPSHOT = {"Crc", "Counter", "Row", "Index"}


def expected(name: str, snapshot: Snapshot, raw: dict[str, Any]) -> dict[str, float]:
    if name in ROWS:
        return ROWS[name](snapshot, int(raw["Row"] if "Row" in raw else raw["Index"]))
    return EXPECTED[name](snapshot)


def compare(message: Any, snapshot: Snapshot, data: bytes) -> None:
    """Every signal of one frame, within its resolution; limits never wider than they are."""
    raw = message.decode(data, decode_choices=False)
    shown_as = message.decode(data, decode_choices=True)
    wanted = expected(message.name, snapshot, raw)
    assert wanted.keys() | (NOT_FROM_A_SNAPSHOT & raw.keys()) == raw.keys(), message.name
    for name, value in wanted.items():
        signal = message.get_signal_by_name(name)
        what = f"{message.name}.{name} = {raw[name]} against {value} at {snapshot.now_s:.2f} s"
        if not math.isfinite(value):
            assert str(shown_as[name]).upper() == "SNA", what
            continue
        clamped = min(max(value, signal.minimum), signal.maximum)
        slack = (0.501 if name not in DOWN | {"MinVoltage"} else 1.001) * signal.scale
        assert abs(raw[name] - clamped) <= slack, what
        assert name not in DOWN or raw[name] <= value + 1e-4, what
        assert name != "MinVoltage" or raw[name] >= value - 1e-4, what


def a_minute(folder: Path, values: dict[str, Any]) -> tuple[list[Seen], list[int]]:
    """Frames of a pack that closes, charges, loses its shunt, then a cell; and frames after the core has stopped."""

    async def scene() -> tuple[list[Seen], list[int]]:
        sent: list[Seen] = []
        async with daemon(settings_in(folder, **values)) as here:
            bus = watch(here, sent)
            await here.close_pack()
            await asyncio.sleep(20.0)
            faults.inject(here.parts, "shunt_silent")
            await asyncio.sleep(8.0)
            faults.clear(here.parts, "shunt_silent")
            await asyncio.sleep(7.0)
            faults.inject(here.parts, "cell_over_voltage", where=4)
            await asyncio.sleep(5.0)
            faults.inject(here.parts, "i2c_nack")
            await asyncio.sleep(60.0 - here.now_s)
            here.core.shutdown()
            await here.run
            await asyncio.sleep(2.0)
            late = [frame.arbitration_id for frame in iter(lambda: bus.recv(0), None)]
            bus.shutdown()
            return sent, late

    return manual(scene)


@pytest.fixture(scope="module")
def minute(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Seen], list[int]]:
    return a_minute(tmp_path_factory.mktemp("minute"), {})


def test_every_signal_of_a_minute_with_faults_is_what_the_snapshot_held(minute: tuple[list[Seen], list[int]]) -> None:
    seen: dict[str, int] = {}
    for snapshot, frame_id, data in minute[0]:
        message = DATABASE.get_message_by_frame_id(frame_id)
        seen[message.name] = seen.get(message.name, 0) + 1
        if message.name not in ("BMS_Version", "BMS_Hashes"):
            compare(message, snapshot, data)
    sent_by_bms = {message.name for message in DATABASE.messages if message.senders == ["BMS"]}
    assert seen.keys() == sent_by_bms
    assert {code for s, _, _ in minute[0] for code in (f.code for f in s.faults.active)} >= {
        "shunt_lost",
        "cell_over_voltage_critical",
        "afe_lost",
    }, "the minute did not show what it should"


def test_counters_rise_by_one_and_checksums_are_right(minute: tuple[list[Seen], list[int]]) -> None:
    assert j1850(b"123456789") == 0x4B
    for frame_id, data_id in PROTECTED.items():
        frames = [data for _, found, data in minute[0] if found == frame_id]
        assert len(frames) > 100
        assert [data[1] & 0x0F for data in frames] == [i % 15 for i in range(len(frames))]
        for data in frames:
            assert data[0] == j1850(data_id.to_bytes(2, "little") + data[1:])


@pytest.mark.parametrize(("frame_id", "cycle_s"), [(0x100, 0.1), (0x101, 0.1), (0x106, 0.1), (0x10D, 1.0)])
def test_frames_keep_their_cycle(frame_id: int, cycle_s: float, minute: tuple[list[Seen], list[int]]) -> None:
    message = DATABASE.get_message_by_frame_id(frame_id)
    times = [snapshot.now_s for snapshot, found, _ in minute[0] if found == frame_id]
    assert message.cycle_time is not None
    assert max(np.diff(times)) <= message.cycle_time / 1000.0 + 0.021
    assert len(times) >= 59.0 / (message.cycle_time / 1000.0)


def test_nothing_is_sent_after_the_core_has_stopped(minute: tuple[list[Seen], list[int]]) -> None:
    assert minute[1] == []


def test_the_same_seed_gives_the_same_frames_at_the_same_times(tmp_path: Path) -> None:
    def frames(seed: int, name: str) -> list[tuple[float, int, bytes]]:
        async def scene() -> list[tuple[float, int, bytes]]:
            sent: list[Seen] = []
            async with daemon(settings_in(tmp_path / name, sim__world__seed=seed)) as here:
                bus = watch(here, sent)
                await here.close_pack()
                await asyncio.sleep(4.0)
                bus.shutdown()
            return [(s.now_s, frame_id, data) for s, frame_id, data in sent if frame_id != CONFIGURATION_HASH]

        (tmp_path / name).mkdir()
        return manual(scene)

    one, same, other = frames(1, "one"), frames(1, "same"), frames(2, "other")
    assert len(one) > 300
    assert one == same
    assert one != other


USER_DBC = """VERSION ""
NS_ :
BS_:
BU_: BMS
BO_ 1024 MyPack: 8 BMS
 SG_ MyVoltage : 0|16@1+ (0.1,0) [0|6553.5] "V" Vector__XXX
 SG_ MyCurrent : 23|16@0- (0.1,0) [-3276.8|3276.7] "A" Vector__XXX
 SG_ MyThirdCell : 32|16@1+ (1,0) [0|65535] "mV" Vector__XXX
"""


def test_a_message_of_the_users_own_dbc_comes_from_the_snapshot(tmp_path: Path) -> None:
    (tmp_path / "my.dbc").write_text(USER_DBC)
    fields = {
        "MyVoltage": "measured.cells.value.stack_v",
        "MyCurrent": "-measured.current_a",
        "MyThirdCell": "measured.cells.value.cell_v.3",
    }
    user = UserDbc(file=tmp_path / "my.dbc", messages=(UserMessage(message="MyPack", cycle_s=0.2, signals=fields),))

    async def scene() -> list[Seen]:
        sent: list[Seen] = []
        async with daemon(settings_in(tmp_path, can__user_dbc=user)) as here:
            bus = watch(here, sent)
            await here.close_pack()
            await asyncio.sleep(2.0)
            bus.shutdown()
        return [seen for seen in sent if seen[1] == 1024]

    mine = manual(scene)
    assert len(mine) > 10
    for snapshot, _, data in mine:
        scan = snapshot.measured.cells.value
        assert scan is not None, "a message without a code for unknown must not go out while a value is unknown"
        assert int.from_bytes(data[0:2], "little") * 0.1 == pytest.approx(scan.stack_v, abs=0.051)
        assert int.from_bytes(data[2:4], "big", signed=True) * 0.1 == pytest.approx(-scan.current_a, abs=0.051)
        assert int.from_bytes(data[4:6], "little") == pytest.approx(1000.0 * scan.cell_v[2], abs=0.51)


@pytest.mark.parametrize("phase", range(10))
def test_an_orderly_end_says_its_last_state_whenever_it_comes(phase: int, tmp_path: Path) -> None:
    async def scene() -> int:
        async with daemon(settings_in(tmp_path, sim__world__profile=Constant())) as here:
            seen: list[Seen] = []
            bus = watch(here, seen)
            await here.close_pack()
            await asyncio.sleep(phase * 0.002)
            here.core.shutdown()
            await here.run
            bus.shutdown()
            return [data[1] >> 4 for _, frame_id, data in seen if frame_id == STATE][-1]

    assert manual(scene) == PackState.STANDBY
