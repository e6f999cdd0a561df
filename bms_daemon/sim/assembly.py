"""A simulated installation, put together as its table says: pack, AFE, current sensor, wires, board."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from bms_daemon.sim.can_port import SimCanPort
from bms_daemon.sim.gate import CoilGate
from bms_daemon.sim.gpio import SimLines
from bms_daemon.sim.i2c import SimI2cBus
from bms_daemon.sim.plant import Plant
from bms_daemon.sim.serial import SimSerial
from bms_daemon.sim.settings import (
    Ades1830Data,
    Bq769x0Data,
    Bq76952Chip,
    Bq76952Data,
    Bq76952SpiData,
    Ina2xxData,
    LemCabData,
    Ltc681xData,
    SbsData,
    VeDirectData,
    WorldSettings,
)
from bms_daemon.sim.taps import CanTalker, Chip, Talker, Taps
from bms_daemon.sim.world import World, loop_time_s

if TYPE_CHECKING:
    from bms_daemon.sim.spi import SimSpiBus

I2C_HZ = {"bq76952": 400e3, "bq769x0": 100e3, "sbs": 100e3}  # as fast as they go
MONITOR_HZ = 400e3
Sync = Callable[[float], None]
ShuntPort: TypeAlias = SimSerial | SimCanPort | SimI2cBus


@dataclass(frozen=True, slots=True)
class Assembly:
    """The daemon gets ``afe_bus``, ``shunt_port`` and ``lines``, a test gets the rest too.

    ``chip`` and ``talker`` are of whatever kind the table says, with their ``faults``.
    """

    world: World
    plant: Plant
    chip: Any
    talker: Any
    afe_bus: Any
    shunt_port: Any
    lines: SimLines
    gate: CoilGate


def assemble(
    settings: WorldSettings, clock: Callable[[], float] = loop_time_s, bus_hz: float | None = None
) -> Assembly:
    """A plant with its AFE and its current sensor, on a board with its coil gate. ``bus_hz``: not the bus's usual."""
    plant = Plant(settings)
    chip: Any = afe_of(settings, plant.taps)
    talker = talker_of(settings, plant.taps)
    plant.balancing_mask = lambda: chip.balancing_mask
    lines, gate = SimLines(settings.board), CoilGate(settings.dead_man_s, settings.path == "fets")
    if settings.path == "fets":
        gate.hold_off = chip.hold_off
        chip.hold_off(True)
    effects: dict[str, Callable[[bool], None]] = {"fan": plant.set_fan, "second_disconnect": plant.trip}
    world = World(plant, chip, talker, lines, gate, effects, clock)
    bus, port = bus_of(settings, chip, world.sync, bus_hz), port_of(settings, talker, world.sync)
    return Assembly(world, plant, chip, talker, bus, port, lines, gate)


def afe_of(settings: WorldSettings, taps: Taps) -> Chip:
    """The analog front end behind these taps."""
    return _AFES[settings.afe.kind](settings, taps)


def bus_of(settings: WorldSettings, chip: Any, sync: Sync, bus_hz: float | None = None) -> SimI2cBus | SimSpiBus:
    """What it hangs on."""
    data = settings.afe
    if isinstance(data, Ltc681xData | Ades1830Data | Bq76952SpiData):
        from bms_daemon.sim.spi import SimSpiBus

        return SimSpiBus(sync, bus_hz or data.spi_hz, chip, deaf=0 if isinstance(data, Bq76952SpiData) else 4)
    bus = SimI2cBus(sync, bus_hz or I2C_HZ[data.kind])
    bus.attach(data.address, chip)
    return bus


def talker_of(settings: WorldSettings, taps: Taps) -> Any:
    """The current sensor behind these taps."""
    return _TALKERS[settings.shunt.kind](settings, taps)


def port_of(settings: WorldSettings, talker: Any, sync: Sync) -> ShuntPort:
    """What it speaks on."""
    if isinstance(settings.shunt, Ina2xxData):
        return _asked(settings.shunt.address, talker, sync)
    return SimSerial(talker, sync) if settings.shunt.kind == "vedirect" else SimCanPort(talker, sync)


def _asked(address: int, monitor: Any, sync: Sync) -> SimI2cBus:
    """A bus for a monitor that says nothing by itself."""

    def to(now_s: float) -> None:
        sync(now_s)
        monitor.advance(now_s)

    bus = SimI2cBus(to, MONITOR_HZ)
    bus.attach(address, monitor)
    return bus


def _bq76952(settings: WorldSettings, taps: Taps) -> Chip:
    from bms_daemon.sim.bq76952 import Bq76952

    data = settings.afe
    assert isinstance(data, Bq76952Data)
    return Bq76952(taps, seed=settings.seed, **_of_family(data))


def _bq76952_spi(settings: WorldSettings, taps: Taps) -> Chip:
    from bms_daemon.sim.bq76952_spi import Bq76952Spi

    data = settings.afe
    assert isinstance(data, Bq76952SpiData)
    return Bq76952Spi(taps, seed=settings.seed, **_of_family(data))


def _of_family(data: Bq76952Chip) -> dict[str, Any]:
    return {name: getattr(data, name) for name in Bq76952Chip.model_fields}


def _ltc681x(settings: WorldSettings, taps: Taps) -> Chip:
    from bms_daemon.sim.isospi_inputs import Wiring
    from bms_daemon.sim.ltc681x import Ltc681xChain

    data = settings.afe
    assert isinstance(data, Ltc681xData)
    return Ltc681xChain(taps, Wiring(data.cells, data.probes, settings.seed), data.part)


def _ades1830(settings: WorldSettings, taps: Taps) -> Chip:
    from bms_daemon.sim.ades1830 import Ades1830Chain
    from bms_daemon.sim.isospi_inputs import Wiring

    data = settings.afe
    assert isinstance(data, Ades1830Data)
    return Ades1830Chain(taps, Wiring(data.cells, data.probes, settings.seed))


def _bq769x0(settings: WorldSettings, taps: Taps) -> Chip:
    from bms_daemon.sim.bq769x0 import Bq769x0

    data = settings.afe
    assert isinstance(data, Bq769x0Data)
    return Bq769x0(
        taps, data.part, settings.seed, crc=data.crc, address=data.address, shunt_mohm=data.shunt_mohm
    )


def _sbs(settings: WorldSettings, taps: Taps) -> Chip:
    from bms_daemon.sim.sbs import SmartBattery

    data = settings.afe
    assert isinstance(data, SbsData)
    return SmartBattery(
        taps,
        settings.seed,
        capacity_ah=settings.capacity_ah,
        soc=settings.initial_soc,
        pec=data.pec,
        address=data.address,
        renewed_s=data.renewed_s,
    )


def _vedirect(settings: WorldSettings, taps: Taps) -> Talker:
    from bms_daemon.sim.vedirect import VeDirectShunt

    data, capacity_ah, soc = settings.shunt, settings.capacity_ah, settings.initial_soc
    assert isinstance(data, VeDirectData)
    return VeDirectShunt(taps, settings.seed, capacity_ah, soc, hex_pause_s=data.hex_pause_s)


def _ivts(settings: WorldSettings, taps: Taps) -> CanTalker:
    from bms_daemon.sim.ivts import IvtS

    return IvtS(taps, settings.seed)


def _lem_cab(settings: WorldSettings, taps: Taps) -> CanTalker:
    from bms_daemon.sim.lem_cab import LemCab

    data = settings.shunt
    assert isinstance(data, LemCabData)
    return LemCab(taps, settings.seed, layout=data.layout)


def _ina2xx(settings: WorldSettings, taps: Taps) -> Any:
    from bms_daemon.sim.ina2xx import Ina2xx

    data = settings.shunt
    assert isinstance(data, Ina2xxData)
    bus: Any = f"{data.bus}_v"
    return Ina2xx(taps, data.part, settings.seed, shunt_mohm=data.shunt_mohm, bus=bus)


_AFES: dict[str, Callable[[WorldSettings, Taps], Chip]] = {
    "bq76952": _bq76952,
    "bq76952_spi": _bq76952_spi,
    "ltc681x": _ltc681x,
    "ades1830": _ades1830,
    "bq769x0": _bq769x0,
    "sbs": _sbs,
}
_TALKERS: dict[str, Callable[[WorldSettings, Taps], Any]] = {
    "vedirect": _vedirect,
    "ivts": _ivts,
    "lem_cab": _lem_cab,
    "ina2xx": _ina2xx,
}
