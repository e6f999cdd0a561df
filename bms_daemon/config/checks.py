"""Relations between fields: orders, chemistry envelopes, hardware limits outside the daemon's, pins used twice."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from bms_daemon.config.chemistry import ENVELOPES
from bms_daemon.config.schema import Gpio, Line, Settings
from bms_daemon.config.section import Section
from bms_daemon.config.senses import Senses, Source, seen_s
from bms_daemon.config.topology import LINES, MAIN_CONTACTS, TOPOLOGIES

Found = tuple[str, str, str]  # key, value, what would be right

CELL_LADDER = ("valid_min_v", "recharge_min_v", "critical_min_v", "min_v", "max_v", "critical_max_v", "valid_max_v")
TEMPERATURE_LADDERS = (
    ("valid_min_degc", "charge_min_degc", "charge_max_degc", "critical_max_degc", "valid_max_degc"),
    ("valid_min_degc", "discharge_min_degc", "discharge_max_degc", "critical_max_degc", "valid_max_degc"),
)
CEILINGS = (
    ("afe.scan_period_s", 0.3, "over-current within 0.5 s"),
    ("afe.temp_period_s", 2.0, "temperature within 6 s"),
    ("afe.frozen_s", 1.5, "a lost AFE within 2 s"),
    ("gpio.read_period_s", 0.1, "an open interlock within 0.1 s, should its edge be missed"),
    ("contactor.fuse_clear_s", 1.0, "the contactor opens even if the fuse does not"),
    ("contactor.recovery_max_s", 1800.0, "recovery charging for 30 min at a time"),
    ("can.silent_s", 3.0, "a silent bus within 3 s"),
    ("timing.overrun_stop_s", 0.5, "late ticks within 0.5 s"),
    ("timing.dead_man_s", 1.0, "a dead daemon within 1 s"),
    ("timing.shutdown_grace_s", 8.0, "the unit is killed after 15 s"),
    ("contactor.feedback_s", 0.5, "a welded contact within 0.5 s"),
    ("can.vcu_timeout_s", 60.0, "a lost controller within a minute"),
)

ONE_COIL = "one contactor carries both directions: when only one is blocked and current flows on, the pack stops"
SHUNT_PERIOD_S = 5.0
SCAN_SHARE = 0.5  # of its period that a scan may take
PROTECTING_PERIOD_S = 0.1  # of a shunt that over-current goes by
QUANTITIES = {"current_a": "current", "pack_v": "pack voltage", "link_v": "link voltage"}
UNIT_WATCHDOG_S = 3.0  # WatchdogSec= of systemd/bms-core@.service
GRACE_S = {"home": 2.0, "vehicle": 5.0}  # STOP waits no longer for low current


def cross_checks(settings: Settings) -> list[Found]:
    """Everything that single fields cannot say. Empty when all is well."""
    return [
        *_rising(settings.cell, "cell", CELL_LADDER),
        *(found for ladder in TEMPERATURE_LADDERS for found in _rising(settings.temperature, "temperature", ladder)),
        *_envelope(settings),
        *_hardware_limits(settings),
        *_pins(settings),
        *_power_path(settings),
        *_timing(settings),
        *_ceilings(settings),
        *_timeouts(settings),
        *_bus(settings),
        *_fitted(settings),
        *_measured(settings),
        *_simulated(settings),
    ]


def _value(settings: Settings, key: str) -> float:
    section, field = key.split(".")
    return float(getattr(getattr(settings, section), field))


def _rising(section: Section, name: str, ladder: tuple[str, ...]) -> Iterator[Found]:
    for lower, upper in pairwise(ladder):
        low, high = getattr(section, lower), getattr(section, upper)
        if low >= high:
            yield f"{name}.{lower}", str(low), f"must be below {name}.{upper} = {high}"


def _envelope(settings: Settings) -> Iterator[Found]:
    envelope = ENVELOPES[settings.pack.chemistry]
    for key, (low, high) in envelope.items():
        value = _value(settings, key)
        if not low <= value <= high:
            yield key, str(value), f"is outside of what {settings.pack.chemistry} cells bear: {low} to {high}"


def _hardware_limits(settings: Settings) -> Iterator[Found]:
    """The chip stands behind the daemon: its limits, as it rounds them, lie outside the daemon's own."""
    hardware = settings.afe.settings.hardware_limits()
    cell, current = settings.cell, settings.current
    outside = (
        ("over_voltage_v", cell.critical_max_v, 1.0),
        ("under_voltage_v", cell.critical_min_v, -1.0),
        ("over_current_charge_a", current.over_ratio * current.charge_max_a, 1.0),
        ("over_current_discharge_a", current.over_ratio * current.discharge_max_a, 1.0),
    )
    for key, own, side in outside:
        if key in hardware and side * (hardware[key] - own) < 0.0:
            side_name = "below" if side > 0 else "above"
            text = f"the chip rounds it to {hardware[key]:.4g}; it must not lie {side_name} the daemon's own {own:.4g}"
            yield f"afe.settings.{key}", str(getattr(settings.afe.settings, key, "")), text


def _pins(settings: Settings) -> Iterator[Found]:
    used: dict[str | int, str] = {}
    for role in type(settings.gpio).model_fields:
        line = getattr(settings.gpio, role)
        if not isinstance(line, Line):
            continue
        if line.line in used:
            yield f"gpio.{role}.line", repr(line.line), f"is used by gpio.{used[line.line]} already"
        used.setdefault(line.line, role)


def _power_path(settings: Settings) -> Iterator[Found]:
    contactor, path = settings.contactor, TOPOLOGIES[settings.contactor.topology]
    yield from _lines(settings.gpio, contactor.topology)
    for output, contact in MAIN_CONTACTS.items():
        fitted = output == "main" or output in path.lines
        if contactor.aux_feedback and fitted and getattr(settings.gpio, contact) is None:
            yield f"gpio.{contact}", "", "is required by contactor.aux_feedback"
    if path.directions is not settings.afe.settings.switches_current:
        does = "switches" if settings.afe.settings.switches_current else "does not switch"
        yield "contactor.topology", repr(contactor.topology), f"does not fit an AFE that {does} the current itself"
    if contactor.precharge_min_s >= contactor.precharge_s:
        yield "contactor.precharge_min_s", str(contactor.precharge_min_s), "must be below contactor.precharge_s"
    two_scans_s = 2.0 * _link_period_s(settings)
    if path.precharges and contactor.precharge_min_s < two_scans_s:
        text = f"must be at least {two_scans_s:g} s, two scans: sooner nobody has seen the link"
        yield "contactor.precharge_min_s", str(contactor.precharge_min_s), text


def _lines(gpio: Gpio, topology: str) -> Iterator[Found]:
    """A path has its own outputs, and no others."""
    for role in sorted(LINES):
        line, needed = getattr(gpio, role), role in TOPOLOGIES[topology].lines
        if needed and line is None:
            yield f"gpio.{role}", "", f"is required by contactor.topology = '{topology}'"
        if line is not None and not needed:
            yield f"gpio.{role}", repr(line.line), f"has no place in contactor.topology = '{topology}'"


def _link_period_s(settings: Settings) -> float:
    """How often somebody measures the link."""
    if settings.shunt is None or "link_v" in settings.afe.settings.measures:
        return settings.afe.scan_period_s
    return settings.shunt.period_s


def _timing(settings: Settings) -> Iterator[Found]:
    timing, afe = settings.timing, settings.afe
    if 3.0 * timing.tick_s > timing.dead_man_s:
        yield "timing.dead_man_s", str(timing.dead_man_s), f"must be at least three ticks of {timing.tick_s} s"
    for key, ceiling_s, why in CEILINGS:
        value = _value(settings, key)
        if value > ceiling_s:
            yield key, str(value), f"must be at most {ceiling_s} s: {why} holds for any configuration"
    if settings.open_grace_s > (grace_s := GRACE_S[settings.node.profile]):
        yield "timing.open_grace_s", str(timing.open_grace_s), f"must be at most {grace_s} s for this node.profile"
    if settings.shunt is not None and settings.shunt.period_s > SHUNT_PERIOD_S:
        yield "shunt.period_s", str(settings.shunt.period_s), f"must be at most {SHUNT_PERIOD_S} s"
    elif settings.shunt is not None and Senses.of(settings).current is Source.SHUNT:
        yield from _protecting(settings.shunt.period_s, timing.tick_s)
    if afe.transfer_timeout_s > afe.scan_period_s:
        yield "afe.transfer_timeout_s", str(afe.transfer_timeout_s), "must not be longer than afe.scan_period_s"
    if afe.settings.scan_time(settings.pack.series).whole_s > SCAN_SHARE * afe.scan_period_s:
        least_s = afe.settings.scan_time(settings.pack.series).whole_s
        text = f"must be at least {least_s / SCAN_SHARE:.3g} s: a scan takes {least_s:.3g} s, others need the bus, too"
        yield "afe.scan_period_s", str(afe.scan_period_s), text
    if afe.frozen_s < 2.0 * afe.scan_period_s:
        yield "afe.frozen_s", str(afe.frozen_s), f"must be at least two scans of {afe.scan_period_s} s"
    if settings.fan.on_degc >= settings.fan.full_degc:
        yield "fan.on_degc", str(settings.fan.on_degc), f"must be below fan.full_degc = {settings.fan.full_degc}"


def _ceilings(settings: Settings) -> Iterator[Found]:
    """What holds for any configuration, by how fast its parts are: two samples and two ticks."""
    two_ticks_s, afe = 2.0 * settings.timing.tick_s, settings.afe
    current = seen_s(settings, Senses.of(settings).current)
    seen = (
        ("afe.scan_period_s", afe.settings.chip_s[0] + 2.0 * afe.scan_period_s, 1.0, "a critical cell"),
        ("afe.temp_period_s", afe.settings.chip_s[0] + 2.0 * afe.temp_period_s, 6.0, "a critical temperature"),
        ("afe.scan_period_s", current, 0.5, "over-current"),
    )
    for key, takes_s, ceiling_s, what in seen:
        if takes_s + two_ticks_s > ceiling_s:
            text = f"{what} would be answered after {takes_s + two_ticks_s:.3g} s, at most {ceiling_s} s are allowed"
            yield key, str(_value(settings, key)), text


def _protecting(period_s: float, tick_s: float) -> Iterator[Found]:
    """A shunt that protection goes by, as the AFE measures no current: not slower than a scan, nor than ticks see."""
    if not tick_s <= period_s <= PROTECTING_PERIOD_S:
        text = f"must lie between {tick_s} s, a tick, and {PROTECTING_PERIOD_S} s: no other current protects the pack"
        yield "shunt.period_s", str(period_s), text


def _timeouts(settings: Settings) -> Iterator[Found]:
    """Whoever is faster acts first: tick, dead-man, the chip's watchdog, the unit's, the board's."""
    timing, chip_s = settings.timing, settings.afe.settings.hardware_limits().get("host_watchdog_s")
    if chip_s is not None and not timing.dead_man_s < chip_s < UNIT_WATCHDOG_S:
        text = f"must lie between timing.dead_man_s = {timing.dead_man_s} and the unit's watchdog, {UNIT_WATCHDOG_S} s"
        yield "afe.settings.host_watchdog_s", f"{chip_s:g}", text
    if timing.watchdog_device is not None and timing.watchdog_s <= UNIT_WATCHDOG_S:
        yield "timing.watchdog_s", str(timing.watchdog_s), f"must be above the unit's watchdog, {UNIT_WATCHDOG_S} s"


def _bus(settings: Settings) -> Iterator[Found]:
    if settings.can.interface == "none" and (settings.can.required or settings.can.vcu == "required"):
        yield "can.interface", "'none'", "needs can.required = false and no required vcu: there is no bus to watch"


def _fitted(settings: Settings) -> Iterator[Found]:
    """The chip must measure every cell of the pack, and as many probes as are required."""
    try:
        settings.afe.settings.fit(settings.pack.series)
    except ValueError as error:
        yield "pack.series", str(settings.pack.series), str(error)
    required, probes = settings.temperature.probes_required, settings.afe.settings.probe_count
    if probes < required:
        text = f"must be at most {probes}, as many as afe.settings.probes names"
        yield "temperature.probes_required", str(required), text


def _measured(settings: Settings) -> Iterator[Found]:
    """Somebody must measure the current and the terminals: without them nothing closes and nothing is protected."""
    fitted = {f"afe.kind {settings.afe.kind}": settings.afe.settings.measures}
    if settings.shunt is not None:
        fitted[f"shunt.kind {settings.shunt.kind}"] = settings.shunt.settings.measures
    for quantity, what in QUANTITIES.items():
        if not any(quantity in measures for measures in fitted.values()):
            text = f"measures no {what} here; a [shunt] that does is needed"
            yield "afe.kind", repr(settings.afe.kind), text


def _simulated(settings: Settings) -> Iterator[Found]:
    """Simulated and real parts are not mixed: either all of them say sim, or none."""
    devices = {"afe.bus": settings.afe.bus, "gpio.chip": settings.gpio.chip}
    if settings.shunt is not None:
        devices["shunt.port"] = settings.shunt.port
    for key, device in devices.items():
        if (device == "sim") != (settings.sim is not None):
            right = "must be sim where there is a [sim] table" if settings.sim else "needs a [sim] table"
            yield key, repr(device), right


def advice(settings: Settings) -> list[str]:
    """What is allowed and worth knowing."""
    hardware = settings.afe.settings.hardware_limits()
    contactors = not TOPOLOGIES[settings.contactor.topology].directions
    found = [ONE_COIL] if contactors else []
    trip_a = min(
        (hardware[key] for key in ("short_circuit_a", "over_current_discharge_a") if key in hardware), default=0.0
    )
    if trip_a > settings.contactor.break_max_a:
        found.append(
            f"the chip trips at {trip_a:.0f} A, above contactor.break_max_a = {settings.contactor.break_max_a:.0f} A: "
            "its pins would open the contactor before the fuse has cleared"
        )
    if contactors and not settings.contactor.aux_feedback:
        found.append("no auxiliary contact: a contactor that falls open and closes again by itself is not seen")
    if "short_circuit_a" not in hardware:
        found.append("no chip trips at a short circuit: the fuse alone ends it, and must be chosen for that")
    if settings.shunt is None or "current_a" not in settings.afe.settings.measures:
        found.append("one current sensor: current has no second source to be compared with")
    return found
