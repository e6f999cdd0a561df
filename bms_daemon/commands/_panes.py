"""What the live screen shows of a snapshot, pane by pane. Pure: a snapshot in, rows of styled text out."""

from __future__ import annotations

import math

from bms_daemon.app.events import yes_or_no
from bms_daemon.commands._cells import usable
from bms_daemon.commands._text import Row, bar, lasts, number, words
from bms_daemon.config.schema import Settings
from bms_daemon.model import (
    Binding,
    Channel,
    Command,
    Estimate,
    Fault,
    Faults,
    Limits,
    PackState,
    Pins,
    Quality,
    Reaction,
    Snapshot,
    TempScan,
)

S = PackState
BADGES = {
    S.SAFE: "on_calm",
    S.SELF_TEST: "on_calm",
    S.STANDBY: "on_calm",
    S.PRECHARGE: "on_warn",
    S.CLOSED: "on_good",
    S.OPENING: "on_warn",
    S.RECOVERY_CHARGE: "on_warn",
    S.FAULT: "on_bad",
    S.LATCHED: "on_bad",
}
QUIET_W = 10.0  # below: neither charging nor discharging


def time_of_day(elapsed_s: float, start_hour: float = 0.0) -> str:
    """HH:MM:SS after a start at ``start_hour``, with the day from the second one on."""
    day, second = divmod(int(elapsed_s + 3600.0 * start_hour), 86400)
    clock = f"{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}"
    return f"day {day + 1} {clock}" if day else clock


def header(snapshot: Snapshot, name: str, clock: str, speed: str) -> Row:
    """Who, when, how fast; the state as a badge; the charge with its uncertainty."""
    control, estimate = snapshot.control, snapshot.estimate
    row: Row = [(f" {name} ", "strong"), (f" {clock}  {speed}  ", "")]
    row += [(f" {words(control.state.name).upper()} ", BADGES[control.state])]
    if control.open_pending:
        row.append((f" opens in {control.countdown_s:.1f} s", "warn"))
    return [*row, ("  SOC ", "dim"), *_soc(estimate)]


def _soc(estimate: Estimate) -> Row:
    if not estimate.soc_valid:
        return [("unknown", "warn")]
    text = f"{100 * estimate.soc:.1f} % ± {100 * estimate.soc_sigma:.1f} %"
    return [(f"{text}  ", "strong"), (bar(estimate.soc, 16), "good"), ("▏", "dim")]


def pack(snapshot: Snapshot) -> Row:
    """Volts, amps and watts of the whole pack."""
    scan, current_a = usable(snapshot.measured.cells), snapshot.measured.current_a
    volts = scan.stack_v if scan is not None else math.nan
    power_w = volts * current_a
    what, style = _direction(power_w)
    return [
        ("pack      ", "dim"),
        (f"{number(volts, '7.2f', 'V')}  ", "strong"),
        (f"{number(current_a, '+8.2f', 'A')}  ", "strong"),
        (f"{number(power_w, '+7.0f', 'W')}  ", "strong"),
        (what, style),
    ]


def _direction(power_w: float) -> tuple[str, str]:
    if power_w != power_w:
        return "unknown", "warn"
    if abs(power_w) < QUIET_W:
        return "at rest", "dim"
    return ("charging", "good") if power_w > 0.0 else ("discharging", "warn")


def limits(snapshot: Snapshot) -> list[Row]:
    """What may flow each way, how much of it does, and what binds."""
    found, current_a = snapshot.limits, snapshot.measured.current_a
    return [
        _limit("charge", found.charge_a, found.charge_w, current_a, found.charge_binding),
        _limit("discharge", found.discharge_a, found.discharge_w, -current_a, found.discharge_binding),
    ]


def _limit(name: str, limit_a: float, limit_w: float, current_a: float, binding: Binding) -> Row:
    used = max(0.0, current_a) / limit_a if limit_a > 0.0 else 0.0
    style = "bad" if limit_a <= 0.0 else "good" if binding is Binding.RATED else "warn"
    return [
        (f"{name:<10}", "dim"),
        (f"≤ {limit_a:5.1f} A  {limit_w / 1000:5.2f} kW  ", style),
        (bar(used, 12), "good"),
        (f"▏{100 * used:3.0f} % used  " if used == used else "▏used unknown  ", "dim"),
        (f"by {words(binding.name)}", style),
    ]


def left(estimate: Estimate) -> Row:
    """What is left at the present load, how long it lasts, and how healthy the cells are."""
    row: Row = [("left      ", "dim")]
    if estimate.soc_valid and estimate.remaining is not None:
        found = estimate.remaining
        row += [(f"{found.energy_wh / 1000:.2f} kWh, {found.charge_ah:.1f} Ah  ", "strong")]
        row += [(f"{lasts(found.time_to_empty_s, found.time_to_full_s)}  ", "")]
    else:
        row.append(("unknown  ", "warn"))
    if estimate.ageing is not None:
        row += [("SOH ", "dim"), (f"{100 * estimate.ageing.soh:.1f} % ± {100 * estimate.ageing.soh_sigma:.1f} %", "")]
    return row


def contactors(snapshot: Snapshot) -> Row:
    """Commands and contacts of the path, and the link's voltage against the pack's."""
    command, pins = snapshot.command, snapshot.measured.pins
    link_v, pack_v = snapshot.measured.link_v, snapshot.measured.pack_v
    share = link_v / pack_v if pack_v > 1.0 else math.nan
    return [
        ("path      ", "dim"),
        *_contact("precharge", command.precharge, pins, "precharge_aux_closed"),
        *_contact("main", command.main, pins, "main_aux_closed"),
        *_negative(command, pins),
        ("link ", "dim"),
        (f"{number(link_v, '6.2f', 'V')} ", "strong"),
        (f"{bar(share, 8)}", "good" if share >= 0.95 else "warn"),
        (f"▏{100 * share:.0f} %" if share == share else "▏", "dim"),
    ]


def _negative(command: Command, pins: Channel[Pins]) -> Row:
    """The second main contactor; nothing where nothing is known of one."""
    fitted = command.negative or (pins.value is not None and pins.value.main_negative_aux_closed is not None)
    return _contact("negative", command.negative, pins, "main_negative_aux_closed") if fitted else []


def _contact(name: str, on: bool, pins: Channel[Pins], aux: str) -> Row:
    seen = getattr(pins.value, aux) if pins.quality is not Quality.FAILED else None
    contact = "" if seen is None else " closed" if seen else " open"
    differs = seen is not None and seen is not on
    return [(f"{name} ", "dim"), (f"{'ON' if on else 'off'}{contact}  ", "bad" if differs else "good" if on else "")]


def temperatures(snapshot: Snapshot, settings: Settings) -> Row:
    """Probes, the chip's die and the fan."""
    row: Row = [("probes    ", "dim"), *_probes(snapshot.measured.temps, settings)]
    return [*row, ("  fan ", "dim"), (f"{100 * snapshot.command.fan:.0f} %", "good" if snapshot.command.fan else "")]


def _probes(temps: Channel[TempScan], settings: Settings) -> Row:
    scan = temps.value
    if scan is None or temps.quality is Quality.FAILED:
        return [(f"unknown: {temps.reason}", "warn")]
    shown: Row = [(f"{number(value, '5.1f', '°C')} ", _warmth(value, settings)) for value in scan.probe_degc.tolist()]
    return [*shown, (" die ", "dim"), (number(scan.die_degc, "5.1f", "°C"), "")]


def _warmth(value_degc: float, settings: Settings) -> str:
    limits = settings.temperature
    if value_degc != value_degc:
        return "bad"
    return "good" if limits.charge_min_degc <= value_degc <= limits.charge_max_degc else "warn"


def faults(found: Faults, now_s: float) -> list[Row]:
    """Active faults, worst first, then what is latched and no longer there."""
    active = {fault.code for fault in found.active}
    rows = [_fault(fault, now_s) for fault in found.active]
    gone = [code for code in found.latched if code not in active]
    rows += [[(f" {'latched':<8} ", "on_warn"), (f" {code}: cause gone", "")] for code in gone]
    return rows or [[("none", "good")]]


def _fault(fault: Fault, now_s: float) -> Row:
    where = f" at #{fault.where}" if fault.where else ""
    latch = ", latched" if fault.latched else ""
    silent = fault.value != fault.value or yes_or_no(fault.value, fault.limit)
    value = "" if silent else f": {fault.value:.4g} against {fault.limit:.4g}"
    style = "on_bad" if fault.reaction >= Reaction.STOP else "on_warn" if fault.reaction >= Reaction.WARN else "on_calm"
    text = f" {fault.code}{where}{value}, {max(0.0, now_s - fault.since_s):.0f} s{latch}"
    return [(f" {fault.reaction.name.replace('_', '-'):<8} ", style), (text, "")]


def binding_reason(found: Limits) -> str:
    """Both limits in a few words."""
    charge, discharge = words(found.charge_binding.name), words(found.discharge_binding.name)
    reason = charge if charge == discharge else f"{charge}, {discharge}"
    return f"+{found.charge_a:.0f}/-{found.discharge_a:.0f} A ({reason})"
