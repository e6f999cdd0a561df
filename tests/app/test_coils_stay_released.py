"""Whatever lets the coils go over a closed pack, they do not come back by themselves onto a link that has drained."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from daemon_bench import Daemon, daemon, manual, settings_in

from bms_daemon.buses.canlog import FrameLog
from bms_daemon.model import PackState

Cause = Callable[[Daemon], Awaitable[None]]


async def stalled(here: Daemon, seconds: float) -> None:
    """The process stands still, as after SIGSTOP: time goes on and no callback runs."""
    asyncio.get_running_loop()._jumping.now_s += seconds  # type: ignore[attr-defined]


async def stalled_briefly(here: Daemon) -> None:
    await stalled(here, 0.22)


async def stalled_for_long(here: Daemon) -> None:
    await stalled(here, 3.0)


async def supply_dips(here: Daemon) -> None:
    here.parts.gate.supply(here.now_s, False)
    await asyncio.sleep(0.15)
    here.parts.world.sync(here.now_s)
    here.parts.gate.supply(here.now_s, True)


async def emergency_stop_taps(here: Daemon) -> None:
    here.parts.world.emergency_stop(True)
    here.parts.world.emergency_stop(False)


async def chip_turns_off(here: Daemon) -> None:
    """ALL_FETS_OFF by nobody the daemon knows, then ALL_FETS_ON, both with their CRC (TI SLUUBY2B)."""
    for command in (0x95, 0x96):
        here.parts.chip.i2c_write(bytes([0x3E, *_with_crc(0x3E, command)]))
        await asyncio.sleep(3.0)


def _with_crc(register: int, low: int) -> bytes:
    first, second = _crc8(bytes([0x10, register, low])), _crc8(b"\0")
    return bytes([low, first, 0x00, second])


def _crc8(data: bytes) -> int:
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1) ^ 0x107 if crc & 0x80 else crc << 1
    return crc


async def coil_line_is_refused(here: Daemon) -> None:
    here.parts.lines.refused["dead_man"] = "busy"
    await asyncio.sleep(0.03)
    here.parts.lines.refused.clear()


ALWAYS = [stalled_briefly, stalled_for_long, emergency_stop_taps, chip_turns_off, coil_line_is_refused]


@pytest.mark.parametrize(
    ("cause", "contacts"), [(supply_dips, True), *((cause, contacts) for cause in ALWAYS for contacts in (True, False))]
)
def test_coils_that_were_let_go_stay_released(tmp_path: Path, cause: Cause, contacts: bool) -> None:
    settings = settings_in(tmp_path, contactor__aux_feedback=contacts)

    async def scene() -> None:
        async with daemon(settings) as here:
            await here.close_pack()
            await asyncio.sleep(1.0)
            from_s = here.now_s
            await cause(here)
            await asyncio.sleep(3.0)
            assert here.parts.gate.released_at(from_s) <= from_s + 0.25
            assert not here.coils()[0]
            assert here.state in (PackState.STANDBY, PackState.FAULT, PackState.LATCHED)
            after = [t for t, main, _ in here.parts.gate.trace if t > from_s + 0.25 and main]
            assert not after, "the main coil came back"

    manual(scene)


def test_a_refused_fan_leaves_the_coils_alone(tmp_path: Path) -> None:
    async def scene() -> None:
        async with daemon(settings_in(tmp_path)) as here:
            await here.close_pack()
            here.parts.lines.refused["fan"] = "busy"
            here.parts.plant.thermal.degc[:] = 44.0
            here.parts.plant.refresh()
            await asyncio.sleep(3.0)
            assert "fan_failed" in here.codes
            assert here.coils()[0]

    manual(scene)


def test_a_full_disk_ends_the_frame_log_and_nothing_else() -> None:
    log = FrameLog(Path("/dev/full"))
    for number in range(5000):
        log.write(number * 0.001, "can0", (0x100, bytes(8)))
    log.close()
    assert "No space left" in log.error
