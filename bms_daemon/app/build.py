"""The composition root: configuration -> hardware, sources, stages, outputs."""

from __future__ import annotations

import asyncio
import contextlib
import errno
from dataclasses import dataclass
from pathlib import Path

import structlog

from bms_daemon.app import frames
from bms_daemon.app.afe_source import AfeSource
from bms_daemon.app.core import Core, Parts, Source
from bms_daemon.app.hardware import Hardware, open_hardware, used_roles
from bms_daemon.app.keeper import Keeper
from bms_daemon.app.orders import OrderBook
from bms_daemon.app.rig import LiveRig
from bms_daemon.app.sources import PinSource, ShuntSource
from bms_daemon.buses.can import CanBus
from bms_daemon.buses.canlog import FrameLog
from bms_daemon.can.database import Database
from bms_daemon.can.database import load as load_database
from bms_daemon.can.receive import Receiver
from bms_daemon.config.load import config_hash
from bms_daemon.config.schema import Settings
from bms_daemon.config.topology import COILS
from bms_daemon.drivers import registry
from bms_daemon.model import BusFault
from bms_daemon.ports import Lines
from bms_daemon.runtime.journal import Journal, Loaded
from bms_daemon.runtime.journal_writer import JournalWriter
from bms_daemon.runtime.link import LinkServer
from bms_daemon.runtime.messages import LinkRequest
from bms_daemon.runtime.notify import Notifier, UnitWatchdog
from bms_daemon.runtime.watchdog import HardwareWatchdog
from bms_daemon.tick import first_state

log = structlog.get_logger()

_WATCHDOG_HELP = {
    errno.ENOENT: ("gone", "enable it (Raspberry Pi: dtparam=watchdog=on in config.txt) and reboot"),
    errno.EACCES: ("denied", "install systemd/udev/60-bms-daemon.rules, or add the daemon's user to the node's group"),
    errno.EBUSY: ("busy", "systemd owns it (RuntimeWatchdogSec= in system.conf): one of the two must leave it"),
}


@dataclass(slots=True)
class Installation:
    """A core and everything that it holds open."""

    core: Core
    hardware: Hardware
    bus: CanBus | None
    link: LinkServer | None
    loaded: Loaded

    def close(self) -> None:
        if self.bus is not None:
            self.bus.close()
        if self.link is not None:
            self.link.close()
        self.hardware.close()


def build(
    settings: Settings, hardware: Hardware | None = None, can_log: Path | None = None, linked: bool = True
) -> Installation:
    """Open everything and wire it, in the running loop. Raises BusFault for a device that is not there.

    ``hardware`` that is given stays open then; afterwards it is closed with the installation.
    """
    with contextlib.ExitStack() as opened:
        if hardware is None:
            hardware = open_hardware(settings)
            opened.callback(hardware.close)
        loaded = Journal(settings.journal.path).load()
        (log.info if loaded.whole else log.warning)("journal read", code="journal", note=loaded.note)
        configuration = config_hash(settings)
        keeper = Keeper(
            JournalWriter(Journal(settings.journal.path)), loaded.survivor, configuration, settings.journal.period_s
        )
        database = load_database(settings.can.id_offset)
        bus = _open_bus(settings, can_log, database)
        receiver = Receiver(database, settings.can)
        if bus is not None:
            opened.callback(bus.close)
            bus.start(receiver.accept)
        orders = OrderBook()
        wiring = _Wiring()
        rig, sources = _rig(settings, hardware, orders, bus, receiver, wiring)
        rig.commissioned, rig.approved = keeper.commissioned, keeper.approved
        link = LinkServer(settings.link.socket, wiring.ask) if linked else None
        notifier = Notifier()
        core = Core(
            Parts(
                settings,
                rig,
                sources,
                orders,
                keeper,
                frames.transmitter(settings, database, configuration),
                bus,
                link,
                notifier,
                UnitWatchdog(notifier),
                first_state(settings, loaded.survivor, asyncio.get_running_loop().time()),
                frames.identity(settings, database, configuration),
            )
        )
        wiring.core = core
        if link is not None:
            opened.callback(link.close)
            link.start()
        core.board_watchdog = _board_watchdog(settings)
        opened.pop_all()
        return Installation(core, hardware, bus, link, loaded)


class _Wiring:
    """Calls that go from sources back to the core, which is made after them."""

    def __init__(self) -> None:
        self.core: Core | None = None
        self.afe: AfeSource | None = None

    def nudge(self) -> None:
        if self.core is not None:
            self.core.nudge()

    def edge(self, role: str, level: bool) -> None:
        if role != "alert":
            self.nudge()
        elif level and self.afe is not None:
            self.afe.alert()

    def is_open(self) -> bool:
        return self.core is None or not (self.core.state.command.main or self.core.state.command.precharge)

    def ask(self, request: LinkRequest) -> str | None:
        """What would not be followed is refused with the reason, so that nobody waits for it."""
        assert self.core is not None
        refusal = self.core.refusal(request.action, request.code)
        refusal = refusal or self.core.parts.orders.ask(request.action, request.code, request.deadline_s) or ""
        if not refusal:
            self.nudge()
        return refusal or None


def _rig(
    settings: Settings,
    hardware: Hardware,
    orders: OrderBook,
    bus: CanBus | None,
    receiver: Receiver,
    wiring: _Wiring,
) -> tuple[LiveRig, tuple[Source, ...]]:
    driver = registry.make_afe(settings.afe.kind, hardware.afe_bus, settings.afe.settings, settings.pack.series)
    afe = wiring.afe = AfeSource(driver, settings.afe, wiring.is_open, wiring.nudge)
    fitted = used_roles(settings)
    pins = PinSource(hardware.lines, fitted, settings.gpio.read_period_s, wiring.edge)
    sources: list[Source] = [afe.run]
    shunt = None
    if settings.shunt is not None and hardware.shunt_port is not None:
        sensor = registry.make_shunt(settings.shunt.kind, hardware.shunt_port, settings.shunt.settings)
        shunt = ShuntSource(sensor, settings.shunt.period_s)
        sources.append(shunt.run)
    sources += _simulated(settings, hardware)
    rig = LiveRig(afe, shunt, pins, hardware.lines, orders, bus, receiver, fitted)
    return rig, tuple(sources)


def _simulated(settings: Settings, hardware: Hardware) -> list[Source]:
    """What keeps a simulated world moving: its clockwork, and an energy manager on the bus."""
    if hardware.world is None:
        return []
    from bms_daemon.sim.ems import EnergyManager
    from bms_daemon.sim.plant import Plant

    found: list[Source] = [hardware.world.run]
    if settings.sim is not None and settings.sim.manager and isinstance(hardware.world.pack, Plant):
        manager = EnergyManager(settings.can.interface, settings.can.channel, settings.can.id_offset)
        manager.on_limits = hardware.world.pack.outside.publish
        found.append(manager.run)
    return found


def _open_bus(settings: Settings, can_log: Path | None, database: Database) -> CanBus | None:
    """A log takes every frame of the bus; without one only this node's and its controller's come in."""
    if settings.can.interface == "none":
        return None
    if can_log is not None:
        return CanBus(settings.can.interface, settings.can.channel, FrameLog(can_log))
    listens = [database.frame_id(name) for name in database.messages]
    return CanBus(settings.can.interface, settings.can.channel, listens=listens)


def _board_watchdog(settings: Settings) -> HardwareWatchdog | None:
    """Started last of all devices: from here on only good ticks keep the board from a reset."""
    device = settings.timing.watchdog_device
    if device is None:
        return None
    try:
        return HardwareWatchdog(device, settings.timing.watchdog_s)
    except OSError as error:
        kind, hint = _WATCHDOG_HELP.get(error.errno or 0, ("refused", "see timing.watchdog_s"))
        raise BusFault(kind, f"{device}: {error.strerror}; {hint}") from error


def off(lines: Lines, roles: frozenset[str]) -> None:
    """Drive every fitted output off, each by itself. Raises the first BusFault after all were tried."""
    faults: list[BusFault] = []
    for role in (*COILS, "dead_man", "second_disconnect"):
        try:
            if role in roles:
                lines.write({role: False})
        except BusFault as fault:
            faults.append(fault)
    if faults:
        raise faults[0]
