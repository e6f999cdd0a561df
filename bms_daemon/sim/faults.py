"""Fault injection by name: what can go wrong with pack, power path, pins, chip and wires, and how to mend it again.

``inject`` first brings the world to the present, so that the fault is true at that instant and at every tap at once.
Cells and probes count from 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf, nan
from typing import Any

from bms_daemon.sim.assembly import Assembly


@dataclass(frozen=True, slots=True)
class Injection:
    """One fault: what it is, how it comes (keyword arguments with defaults) and how it goes."""

    text: str
    inject: Callable[..., None]
    clear: Callable[[Assembly], None]


def inject(assembly: Assembly, name: str, **args: Any) -> None:
    """Make the fault true now. Raises KeyError for an unknown name, TypeError for an argument it does not take."""
    _apply(assembly, lambda: FAULTS[name].inject(assembly, **args))


def clear(assembly: Assembly, name: str) -> None:
    """Mend the fault now, as far as it can be mended."""
    _apply(assembly, lambda: FAULTS[name].clear(assembly))


def _apply(assembly: Assembly, change: Callable[[], None]) -> None:
    assembly.world.sync_now()
    change()
    assembly.plant.refresh()
    assembly.world.show_inputs()


Find = Callable[[Assembly], Any]


def _attribute(find: Find, field: str, default: Any, rest: Any, text: str) -> Injection:
    """A fault that is one attribute of a part; ``value`` overrides what it is set to."""

    def begin(assembly: Assembly, value: Any = default) -> None:
        setattr(find(assembly), field, value)

    return Injection(text, begin, lambda assembly: setattr(find(assembly), field, rest))


def _entry(find: Find, default: Any, rest: Any, text: str) -> Injection:
    """A fault of one cell or probe of an array; ``where`` and ``value`` choose which and how much."""

    def begin(assembly: Assembly, where: int = 0, value: float = default) -> None:
        find(assembly)[where] = value

    def end(assembly: Assembly) -> None:
        find(assembly)[:] = rest

    return Injection(text, begin, end)


def _keyed(find: Find, default: Any, text: str, key: Any = 0) -> Injection:
    """A fault kept in a dictionary of a part."""

    def begin(assembly: Assembly, where: Any = key, value: Any = default) -> None:
        find(assembly)[where] = value

    return Injection(text, begin, lambda assembly: find(assembly).clear())


def _pressed(pressed: bool) -> Callable[[Assembly], None]:
    return lambda assembly: assembly.world.emergency_stop(pressed)


def _loop(closed: bool) -> Callable[[Assembly], None]:
    return lambda assembly: assembly.world.interlock(closed)


def _supply(present: bool) -> Callable[[Assembly], None]:
    return lambda assembly: assembly.gate.supply(assembly.world.now_s, present)


def _drop_cell(assembly: Assembly, where: int = 0) -> None:
    assembly.chip.faults.dropped.add(where)


def _trip(assembly: Assembly, value: int = 0x80) -> None:
    assembly.chip.trip(a=value)


def _own(assembly: Assembly, where: int = 0x08) -> None:
    assembly.afe_bus.faults.owned.add(where)


def _restore_link(field: str) -> Callable[[Assembly], None]:
    def restore(assembly: Assembly) -> None:
        setattr(assembly.plant.path.link, field, getattr(assembly.plant.settings.link, field))

    return restore


def _link_value(field: str, default: float, text: str) -> Injection:
    """A component of the DC link that has changed its value; mending restores the configured one."""

    def begin(assembly: Assembly, value: float = default) -> None:
        setattr(assembly.plant.path.link, field, value)

    return Injection(text, begin, _restore_link(field))


def _main(assembly: Assembly) -> Any:
    return assembly.plant.path.main


def _precharge(assembly: Assembly) -> Any:
    return assembly.plant.path.precharge


def _link(assembly: Assembly) -> Any:
    return assembly.plant.path.link


def _outside(assembly: Assembly) -> Any:
    return assembly.plant.outside


def _chip(assembly: Assembly) -> Any:
    return assembly.chip.faults


def _i2c(assembly: Assembly) -> Any:
    return assembly.afe_bus.faults


def _serial(assembly: Assembly) -> Any:
    return assembly.shunt_port.faults


def _shunt(assembly: Assembly) -> Any:
    return assembly.talker.faults


FAULTS: dict[str, Injection] = {
    "cell_offset": _entry(lambda a: a.plant.cells.offset_v, 0.5, 0.0, "a cell's voltage is off by value volts"),
    "cell_over_voltage": _entry(lambda a: a.plant.cells.offset_v, 0.6, 0.0, "a cell is far above its maximum"),
    "cell_under_voltage": _entry(lambda a: a.plant.cells.offset_v, -1.0, 0.0, "a cell is far below its minimum"),
    "cell_bleed": _entry(lambda a: a.plant.cells.bleed_a, 0.1, 0.0, "a balancing switch is stuck on: value amperes"),
    "probe_temperature": _entry(lambda a: a.plant.thermal.forced_degc, 70.0, nan, "a probe reads value °C"),
    "cell_heating": _entry(lambda a: a.plant.thermal.extra_w, 2000.0, 0.0, "a cell heats itself by value watts"),
    "over_current": _attribute(_outside, "override_a", -300.0, None, "the outside forces a current, positive charging"),
    "short_circuit": _attribute(_outside, "short_ohm", 0.005, None, "a short of value ohm beyond the main contactor"),
    "weld": _attribute(_main, "welded", True, False, "the main contact is welded"),
    "precharge_weld": _attribute(_precharge, "welded", True, False, "the precharge contact is welded"),
    "coil_broken": _attribute(_main, "coil_broken", True, False, "the main coil no longer pulls"),
    "precharge_coil_broken": _attribute(_precharge, "coil_broken", True, False, "the precharge coil no longer pulls"),
    "aux_broken": _attribute(_main, "aux_fault", "stuck_open", None, "the main auxiliary contact never closes"),
    "aux_stuck": _attribute(_main, "aux_fault", "stuck_closed", None, "the main auxiliary contact never opens"),
    "aux_chatter": _attribute(_main, "aux_fault", "chatter", None, "the main auxiliary contact chatters at 70 Hz"),
    "precharge_load": _attribute(_link, "load_a", 1.0, 0.0, "a load on the link keeps precharge under 95 %"),
    "live_link": _attribute(_link, "live_v", 48.0, 0.0, "an outside source holds the link at value volts"),
    "no_capacitor": _link_value("capacitance_f", 1e-6, "nothing hangs on the link: precharge is too fast"),
    "precharge_shorted": _link_value("precharge_ohm", 0.05, "the precharge resistor is shorted"),
    "precharge_open": _link_value("precharge_ohm", 1e9, "the precharge resistor is open"),
    "coil_supply": Injection("the coil supply has gone", _supply(False), _supply(True)),
    "emergency_stop": Injection("the emergency stop is pressed", _pressed(True), _pressed(False)),
    "interlock": Injection("the interlock loop is open", _loop(False), _loop(True)),
    "line_refused": _keyed(lambda a: a.lines.refused, "busy", "writing line where raises BusFault(value)", "main"),
    "line_stuck": _keyed(lambda a: a.lines.stuck, True, "line where reads value whatever it is", "main"),
    "chip_frozen": _attribute(_chip, "frozen", True, False, "the AFE answers and converts nothing"),
    "chip_mute": _attribute(_chip, "mute", True, False, "the AFE acknowledges nothing"),
    "chain_cut": _attribute(_chip, "mute", 4, None, "a daisy chain is cut behind device value"),
    "chip_wild": _attribute(_chip, "wild", 3, 0, "the AFE's next value conversions are wild"),
    "chip_raw": _attribute(_chip, "raw_all", 0xFFFF, None, "every cell register reads the same"),
    "chip_gain": _attribute(_chip, "gain", 1.01, 1.0, "the AFE's cell gain has drifted"),
    "chip_stack": _attribute(_chip, "stack_v", 40.0, None, "the AFE's stack reading is stuck"),
    "chip_cell_stuck": _keyed(lambda a: _chip(a).raw_cells, 3300, "the AFE's reading of a cell is stuck at value mV"),
    "chip_cell_offset": _keyed(lambda a: _chip(a).offset_v, 0.5, "the AFE misreads a cell by value volts"),
    "chip_spike": _keyed(lambda a: _chip(a).spike_v, 2.0, "the AFE misreads a cell once by value volts"),
    "chip_probe": _keyed(lambda a: _chip(a).probe_degc, -40.0, "the AFE reads a probe as value °C, as if open"),
    "chip_cell_lost": Injection("a cell is missing from the reading", _drop_cell, lambda a: _chip(a).dropped.clear()),
    "chip_reset": Injection("the AFE resets", lambda a: a.chip.power_on_reset(), lambda a: None),
    "chip_brown_out": Injection("the AFE has no supply", lambda a: a.chip.power_down(), lambda a: a.chip.power_up()),
    "chip_trip": Injection("the AFE tripped: Safety Status A holds value", _trip, lambda a: a.chip.trip()),
    "i2c_nack": _attribute(_i2c, "nack", inf, 0.0, "the next value transfers are not acknowledged"),
    "i2c_stuck": _attribute(_i2c, "stuck", True, False, "SDA is stuck low: every transfer hangs, then fails"),
    "i2c_flip": _attribute(_i2c, "flip_rate", 0.05, 0.0, "a share of value of all bytes read has a flipped bit"),
    "i2c_repeat": _attribute(_i2c, "repeat", inf, 0.0, "the next value reads return the read before"),
    "i2c_slow": _attribute(_i2c, "slow_s", 0.02, 0.0, "every transfer takes value seconds longer"),
    "i2c_split": _attribute(_i2c, "split", True, False, "another master reads between a write and its read"),
    "i2c_owned": Injection("a kernel driver holds address where", _own, lambda a: a.afe_bus.faults.owned.clear()),
    "serial_silent": _attribute(_serial, "silent", True, False, "no byte arrives"),
    "serial_flip": _attribute(_serial, "flip_rate", 0.01, 0.0, "a share of value of all bytes has a flipped bit"),
    "serial_unplugged": Injection("the port is gone", lambda a: a.shunt_port.unplug(), lambda a: a.shunt_port.plug()),
    "shunt_silent": _attribute(_shunt, "silent", True, False, "the shunt sends nothing"),
    "shunt_stuck": _attribute(_shunt, "stuck", True, False, "the shunt repeats its last values"),
    "shunt_garbage": _attribute(_shunt, "garbage", 200, 0, "value random bytes before the next block"),
    "shunt_checksum": _attribute(_shunt, "bad_checksums", 10, 0, "the next value blocks have a wrong checksum"),
    "shunt_hex": _attribute(_shunt, "hex_frames", True, False, "HEX frames come inside the text blocks"),
    "shunt_offset": _attribute(_shunt, "offset_a", 2.0, 0.0, "the shunt reads value amperes too much"),
    "shunt_gain": _attribute(_shunt, "gain", 10.0, 1.0, "the shunt's scale is wrong"),
    "shunt_inverted": _attribute(_shunt, "inverted", True, False, "the shunt is wired the wrong way round"),
    "shunt_flood": _attribute(_shunt, "flood", 10, 1, "the shunt sends at value times its rate"),
}
