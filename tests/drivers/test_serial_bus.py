"""The serial bus on a pseudo-terminal: bytes both ways, unplugging, coming back, opening errors."""

from __future__ import annotations

import asyncio
import os
import pty
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest

from bms_daemon.buses import serial as serial_bus
from bms_daemon.buses.serial import SerialBus
from bms_daemon.model import BusFault


class Cable:
    """A pseudo-terminal under a by-id name that can be pulled and plugged in again."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "usb-VictronEnergy_VE_Direct_cable-if00"
        self.plug()

    def plug(self) -> None:
        self.far, near = pty.openpty()
        tty.setraw(near)
        self.path.unlink(missing_ok=True)
        self.path.symlink_to(os.ttyname(near))
        os.close(near)

    def pull(self) -> None:
        os.close(self.far)
        self.path.unlink()


@pytest.fixture
def cable(tmp_path: Path) -> Iterator[Cable]:
    made = Cable(tmp_path)
    yield made
    if made.path.is_symlink():
        made.pull()


def test_bytes_arrive_as_they_come(cable: Cable) -> None:
    async def main() -> list[bytes]:
        port = SerialBus(str(cable.path), 19200)
        os.write(cable.far, b"\r\nV\t12065")
        first = await port.read()
        waiting = asyncio.create_task(port.read())
        await asyncio.sleep(0.01)
        assert not waiting.done()
        os.write(cable.far, b"\x00\xff\x03\x11")
        second = await waiting
        port.close()
        return [first, second]

    assert asyncio.run(main()) == [b"\r\nV\t12065", b"\x00\xff\x03\x11"]


def test_written_bytes_leave(cable: Cable) -> None:
    async def main() -> None:
        port = SerialBus(str(cable.path), 19200)
        await port.write(b":154\n")
        port.close()

    asyncio.run(main())
    assert os.read(cable.far, 100) == b":154\n"


def test_one_read_is_bounded_and_a_flood_lets_others_run(cable: Cable) -> None:
    async def main() -> None:
        port = SerialBus(str(cable.path), 19200)
        beats = 0

        async def beat() -> None:
            nonlocal beats
            while True:
                beats += 1
                await asyncio.sleep(0)

        heart = asyncio.create_task(beat())
        for _ in range(10):
            os.write(cable.far, b"x" * 3000)
            assert 0 < len(await port.read()) <= 4096
        heart.cancel()
        await asyncio.gather(heart, return_exceptions=True)
        port.close()
        assert beats >= 10

    asyncio.run(main())


def test_a_pulled_cable_is_gone_and_a_replugged_one_comes_back(cable: Cable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serial_bus, "_BACKOFF_S", (0.001, 0.002))

    async def main() -> tuple[list[str], bytes]:
        port = SerialBus(str(cable.path), 19200)
        kinds = []
        cable.pull()
        for _ in range(4):
            try:
                await asyncio.wait_for(port.read(), 2.0)
            except BusFault as fault:
                kinds.append(fault.kind)
        with pytest.raises(BusFault, match="gone"):
            await port.write(b"x")
        cable.plug()
        waiting = asyncio.create_task(port.read())
        await asyncio.sleep(0.02)
        os.write(cable.far, b"again")
        data = await waiting
        port.close()
        return kinds, data

    assert asyncio.run(main()) == (["gone"] * 4, b"again")


def test_a_lost_port_is_not_reopened_in_a_busy_loop(cable: Cable) -> None:
    async def main() -> list[float]:
        loop = asyncio.get_running_loop()
        port = SerialBus(str(cable.path), 19200)
        cable.pull()
        spent = []
        for _ in range(3):
            start_s = loop.time()
            with pytest.raises(BusFault, match="gone"):
                await port.read()
            spent.append(loop.time() - start_s)
        return spent

    at_once, first, second = asyncio.run(main())
    assert at_once < 0.1
    assert 0.15 < first < second


def test_a_port_that_another_holds_is_busy(cable: Cable) -> None:
    port = SerialBus(str(cable.path), 19200)
    with pytest.raises(BusFault, match=r"busy: .*another program holds"):
        SerialBus(str(cable.path), 19200)
    port.close()


def test_a_port_that_is_not_there_says_how_to_name_it(tmp_path: Path) -> None:
    with pytest.raises(BusFault, match=r"gone: .*by-id"):
        SerialBus(str(tmp_path / "absent"), 19200)
