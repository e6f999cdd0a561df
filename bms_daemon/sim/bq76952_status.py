"""Subcommands of the bq76952 emulator: what each does, and what those with data answer. Others answer nothing."""

from __future__ import annotations

import struct
from collections.abc import Callable

from bms_daemon.sim.bq76952_adc import CC_COUNT_V, CELL_COUNT_V, deci_kelvin
from bms_daemon.sim.bq76952_core import CHG_OFF, CHG_TEST, DSG_OFF, DSG_TEST, FET_EN, PCHG_OFF, PDSG_OFF, PF_EN, Core

COMMAND_S = 60e-6
DATA_S = 400e-6
ENTER_CONFIG_S = 2e-3
EXIT_CONFIG_S = 1e-3
SLOW = {0x0004: 8.5e-3, 0x0005: 1.5e-3, 0x0009: 1.5e-3, 0x0090: ENTER_CONFIG_S, 0x0092: EXIT_CONFIG_S}
_ALL_OFF = DSG_OFF | PDSG_OFF | CHG_OFF | PCHG_OFF

COMMANDS: dict[int, Callable[[Core], None]] = {
    0x000E: Core.exit_deepsleep,
    0x000F: Core.enter_deepsleep,
    0x0010: Core.power_down,
    0x0012: Core.power_on_reset,
    0x001F: lambda core: core.toggle_mfg(CHG_TEST),
    0x0020: lambda core: core.toggle_mfg(DSG_TEST),
    0x0022: lambda core: core.toggle_mfg(FET_EN),
    0x0024: lambda core: core.toggle_mfg(PF_EN),
    0x0082: Core.reset_charge,
    0x0090: Core.enter_config,
    0x0092: Core.exit_config,
    0x0093: lambda core: core.host_fets(DSG_OFF | PDSG_OFF, keep=_ALL_OFF),
    0x0094: lambda core: core.host_fets(CHG_OFF | PCHG_OFF, keep=_ALL_OFF),
    0x0095: lambda core: core.host_fets(_ALL_OFF),
    0x0096: lambda core: core.host_fets(0),
    0x0099: lambda core: core.set_sleep(True),
    0x009A: lambda core: core.set_sleep(False),
    0x009B: lambda core: core.recover(0x20),
    0x009C: lambda core: core.recover(0x40),
}

WRITES: dict[int, Callable[[Core, bytes], None]] = {
    0x0083: lambda core, data: core.balance(int.from_bytes(data[:2], "little")),
    0x0084: lambda core, data: core.balance_above(int.from_bytes(data[:2], "little", signed=True)),
    0x0097: lambda core, data: core.host_fets(data[0]),
    0x0098: lambda core, data: None,
}


def _da_status(first: int) -> Callable[[Core], bytes]:
    """DASTATUS1..4: raw voltage and current counts of four cells."""

    def answer(core: Core) -> bytes:
        current = round(core.adc.sense_v / CC_COUNT_V)
        volts = [int(raw) / 1000.0 for raw in core.adc.cell_raw[first : first + 4]]
        return b"".join(struct.pack("<ii", round(v / CELL_COUNT_V), current) for v in volts)

    return answer


def _da_status5(core: Core) -> bytes:
    adc = core.adc
    cells = [int(raw) for raw in adc.cell_raw[adc.fitted]]
    temps = [deci_kelvin(degc) for degc in adc.cell_temps_degc] or [0]
    mean = round(sum(temps) / len(temps))
    core.refresh_current()
    user = int.from_bytes(core.registers[0x3A:0x3C], "little", signed=True)
    raw = round(adc.sense_v / CC_COUNT_V)
    head = (adc.faults.vreg18_counts, adc.faults.vss_counts, max(cells), min(cells), round(sum(cells) / 10))
    return struct.pack("<HH3h5h2h2i", *head, mean, 0, max(temps), min(temps), mean, user, user, raw, raw)


def _da_status6(core: Core) -> bytes:
    charge = core.adc.charge_user_ah(core.charge_vs) + 0.5
    whole = int(charge // 1.0)
    whole_clipped = max(-(2**31), min(2**31 - 1, whole))
    fraction = min(2**32 - 1, int((charge - whole) * 2**32))
    return struct.pack("<iII5i", whole_clipped, fraction, int(core.now_s - core.charge_since_s), 0, 0, 0, 0, 0)


ANSWERS: dict[int, Callable[[Core], bytes]] = {
    0x0001: lambda core: core.adc.build.device_number.to_bytes(2, "little"),
    0x0002: lambda core: b"\x76\x95\x00\x36\x00\x00",
    0x0003: lambda core: b"\x01\x00",
    0x0004: lambda core: b"\x54\x7d",
    0x0005: lambda core: core.memory.signature.to_bytes(2, "little"),
    0x0009: lambda core: b"\x21\x3a",
    0x0053: lambda core: bytes(4),
    0x0057: lambda core: core.mfg.to_bytes(2, "little"),
    0x0070: lambda core: bytes(32),
    0x0071: _da_status(0),
    0x0072: _da_status(4),
    0x0073: _da_status(8),
    0x0074: _da_status(12),
    0x0075: _da_status5,
    0x0076: _da_status6,
    0x0080: lambda core: core.snapshot(0x0080),
    0x0081: lambda core: core.snapshot(0x0081),
    0x0083: lambda core: core.balancer.mask.to_bytes(2, "little"),
    0x0085: lambda core: int(core.balancer.active_s(core.now_s)).to_bytes(2, "little"),
}


def delay_s(subcommand: int) -> float:
    """How long the chip works on it before it echoes."""
    return SLOW.get(subcommand, COMMAND_S if subcommand in COMMANDS else DATA_S)
