"""Buses and lines of one installation: device nodes, or a simulated world where the configuration has one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bms_daemon.buses.gpio import GpioLines
from bms_daemon.buses.i2c import I2cBus
from bms_daemon.buses.serial import SerialBus
from bms_daemon.config.schema import Gpio, Line, Settings
from bms_daemon.ports import ByteBus, Lines, SerialPort

if TYPE_CHECKING:
    from bms_daemon.sim.world import World


@dataclass(frozen=True, slots=True)
class Hardware:
    """What the daemon is wired to. ``world`` keeps simulated time moving; None on real hardware, which loads no sim."""

    i2c: ByteBus
    serial: SerialPort | None
    lines: Lines
    world: World | None = None

    def close(self) -> None:
        self.i2c.close()
        if self.serial is not None:
            self.serial.close()
        self.lines.close()


def fitted_roles(gpio: Gpio) -> frozenset[str]:
    """Roles that the configuration gives a line."""
    return frozenset(role for role in type(gpio).model_fields if isinstance(getattr(gpio, role), Line))


def used_roles(settings: Settings) -> frozenset[str]:
    """Fitted roles that are to be believed: auxiliary contacts only where ``contactor.aux_feedback`` says so."""
    contacts = frozenset() if settings.contactor.aux_feedback else frozenset({"main_aux", "precharge_aux"})
    return fitted_roles(settings.gpio) - contacts


def open_hardware(settings: Settings) -> Hardware:
    """Open every device. Raises BusFault that names the device and what to enable."""
    if settings.sim is not None:
        return _simulated(settings)
    i2c = I2cBus(settings.afe.bus, getattr(settings.afe.settings, "addresses", ()), settings.afe.transfer_timeout_s)
    serial = (
        None
        if settings.shunt is None
        else SerialBus(settings.shunt.port, getattr(settings.shunt.settings, "baud", 19200))
    )
    return Hardware(i2c, serial, GpioLines(settings.gpio))


def _simulated(settings: Settings) -> Hardware:
    from bms_daemon.sim.settings import WorldSettings
    from bms_daemon.sim.world import assemble

    assert settings.sim is not None and isinstance(settings.sim.world, WorldSettings)
    assembly = assemble(settings.sim.world)
    serial = assembly.serial if settings.shunt is not None else None
    return Hardware(assembly.i2c, serial, assembly.lines, assembly.world)
