"""Buses and lines of one installation: device nodes, or a simulated world where the configuration has one."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bms_daemon.buses.can import CanBus
from bms_daemon.buses.can_port import SensorPort
from bms_daemon.buses.gpio import GpioLines
from bms_daemon.buses.i2c import I2cBus
from bms_daemon.buses.serial import SerialBus
from bms_daemon.buses.spi import SpiPort
from bms_daemon.config.schema import Afe, Gpio, Line, Settings, Shunt
from bms_daemon.config.topology import CONTACTS
from bms_daemon.drivers import registry
from bms_daemon.ports import ByteBus, CanPort, Lines, SerialPort, SpiBus

if TYPE_CHECKING:
    from bms_daemon.sim.world import World

TRANSFER_TIMEOUT_S = 0.05


@dataclass(frozen=True, slots=True)
class Hardware:
    """What the daemon is wired to. ``world`` keeps simulated time moving; None on real hardware, which loads no sim."""

    afe_bus: ByteBus | SpiBus
    shunt_port: SerialPort | CanPort | ByteBus | None
    lines: Lines
    world: World | None = None

    def close(self) -> None:
        self.afe_bus.close()
        if self.shunt_port is not None:
            self.shunt_port.close()
        self.lines.close()


def fitted_roles(gpio: Gpio) -> frozenset[str]:
    """Roles that the configuration gives a line."""
    return frozenset(role for role in type(gpio).model_fields if isinstance(getattr(gpio, role), Line))


def used_roles(settings: Settings) -> frozenset[str]:
    """Fitted roles that are to be believed: auxiliary contacts only where ``contactor.aux_feedback`` says so."""
    contacts = frozenset() if settings.contactor.aux_feedback else frozenset(CONTACTS)
    return fitted_roles(settings.gpio) - contacts


def open_hardware(settings: Settings) -> Hardware:
    """Open every device. Raises BusFault that names the device and what to enable."""
    if settings.sim is not None:
        return _simulated(settings)
    with contextlib.ExitStack() as opened:
        afe_bus = _AFE_BUSES[registry.wire("afe", settings.afe.kind)](settings.afe)
        opened.callback(afe_bus.close)
        shunt_port = None
        if settings.shunt is not None:
            shunt_port = _SHUNT_PORTS[registry.wire("shunt", settings.shunt.kind)](settings.shunt)
            opened.callback(shunt_port.close)
        lines = GpioLines(settings.gpio)
        opened.pop_all()
    return Hardware(afe_bus, shunt_port, lines)


def _i2c(afe: Afe) -> ByteBus:
    return I2cBus(afe.bus, afe.settings.addresses, afe.transfer_timeout_s)


def _spi(afe: Afe) -> SpiBus:
    return SpiPort(afe.bus, afe.settings.clock_hz, afe.transfer_timeout_s, afe.settings.spi_mode)


def _serial(shunt: Shunt) -> SerialPort:
    return SerialBus(shunt.port, shunt.settings.baud)


def _monitor(shunt: Shunt) -> ByteBus:
    """A bus of its own, or the AFE's once more: the kernel keeps their transfers apart."""
    return I2cBus(shunt.port, shunt.settings.addresses, min(shunt.period_s, TRANSFER_TIMEOUT_S))


def _can(shunt: Shunt) -> CanPort:
    return SensorPort(CanBus("socketcan", shunt.port, listens=shunt.settings.listens), shunt.port)


_AFE_BUSES: dict[str, Callable[[Afe], ByteBus | SpiBus]] = {"i2c": _i2c, "spi": _spi}
_SHUNT_PORTS: dict[str, Callable[[Shunt], SerialPort | CanPort | ByteBus]] = {
    "serial": _serial,
    "can": _can,
    "i2c": _monitor,
}


def _simulated(settings: Settings) -> Hardware:
    from bms_daemon.sim.assembly import assemble
    from bms_daemon.sim.settings import WorldSettings

    assert settings.sim is not None and isinstance(settings.sim.world, WorldSettings)
    assembly = assemble(settings.sim.world)
    shunt_port = assembly.shunt_port if settings.shunt is not None else None
    return Hardware(assembly.afe_bus, shunt_port, assembly.lines, assembly.world)
