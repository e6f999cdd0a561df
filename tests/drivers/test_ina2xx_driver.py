"""The INA228's driver against registers that a test sets by hand: what its flags say about its charge."""

from __future__ import annotations

import pytest

from bms_daemon.drivers.ina2xx import Driver, Settings
from bms_daemon.drivers.ina2xx_codec import PartName
from bms_daemon.model import ShuntReading
from bms_daemon.runtime.clock import run_manual
from bms_daemon.sim.assembly import assemble
from bms_daemon.sim.settings import Ina2xxData, WorldSettings


class Registers:
    """An INA228 that holds what it is given. Reading the charge clears the flag of its overflow."""

    def __init__(self, flags: int, charge: str) -> None:
        self.held = {0x3E: b"\x54\x49", 0x3F: b"\x22\x81", 0x04: bytes(3), 0x05: bytes(3)}
        self.held |= {0x0A: bytes.fromhex(charge), 0x0B: flags.to_bytes(2, "big")}
        self.charge_reads = 0

    async def transfer(self, address: int, write: bytes, read_len: int = 0) -> bytes:
        register, data = write[0], write[1:]
        if data:
            self.held[register] = data
        self.charge_reads += register == 0x0A
        return self.held[register] if read_len else b""

    def close(self) -> None: ...


def read(bus: Registers, **changes: object) -> ShuntReading:
    """10 A in 2^19 counts across 16.2 mohm, TI's example."""

    async def story() -> ShuntReading:
        driver = Driver(bus, Settings(shunt_mohm=16.2, max_current_a=10.0, **changes))  # type: ignore[arg-type]
        await driver.setup()
        return await driver.read()

    return run_manual(story())


def test_a_set_up_keeps_what_was_counted() -> None:
    bus = Registers(0x0003, "0000000000")
    read(bus)
    assert bus.held[0x00] == b"\0\0", "RSTACC, bit 14, clears the count"
    assert bus.held[0x02] == (4050).to_bytes(2, "big")


@pytest.mark.parametrize(("inverted", "side"), [(False, 1.0), (True, -1.0)])
@pytest.mark.parametrize(("charge", "ampere_hours"), [("0070800000", 10.0), ("FF8F800000", -10.0), ("0000000000", 0.0)])
def test_the_charge_has_the_currents_sign(charge: str, ampere_hours: float, inverted: bool, side: float) -> None:
    """3600 s of 10 A are 3600 times 2^19 counts."""
    found = read(Registers(0x0003, charge), inverted=inverted)
    assert found.charge_ah == pytest.approx(side * ampere_hours, abs=1e-9)


@pytest.mark.parametrize("flag", [0x0400, 0x0200], ids=["rolled over", "too large"])
def test_a_charge_that_is_flagged_is_read_and_not_told(flag: int) -> None:
    bus = Registers(0x0003 | flag, "0000001000")
    found = read(bus)
    assert found.charge_ah != found.charge_ah and found.current_a == 0.0
    assert bus.charge_reads == 1, "which clears the flag"


@pytest.mark.parametrize("part", ["ina226", "ina228", "ina238"])
def test_between_two_conversions_the_bus_is_left_alone(part: PartName) -> None:
    """Settings, two voltages and a charge are read with each, and three looks at the flags at most."""
    readings = 40

    async def story() -> float:
        parts = assemble(WorldSettings(shunt=Ina2xxData(part=part)))
        driver = Driver(parts.shunt_port, Settings(part=part, shunt_mohm=0.5, max_current_a=150.0, bus="link"))
        await driver.setup()
        await driver.read()
        before = parts.shunt_port.transfers
        for _ in range(readings):
            await driver.read()
        return (parts.shunt_port.transfers - before) / readings

    assert run_manual(story()) <= 9.0
